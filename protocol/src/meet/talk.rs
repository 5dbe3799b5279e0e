//! One link from its first byte on: the hello, then messages on the sealed channel.

use rand_core::RngCore;

use super::channel::Channel;
use super::hello::{Admission, Candidate, Hello, Progress};
use crate::error::Refusal;
use crate::seal;
use crate::step::Ends;
use crate::wire::message::Message;

/// A link's talk.
pub(crate) struct Talk {
    opener: bool,
    phase: Phase,
}

enum Phase {
    Hello(Box<Hello>),
    Sealed(Box<Channel>),
    Over,
}

/// What a frame was.
pub(crate) enum Heard {
    /// Part of the hello; answer with these bytes.
    Answer(Vec<u8>),
    /// The end of the hello.
    Sealed(Admission),
    /// Something said.
    Message(Box<Message>),
}

impl Talk {
    /// Begins, with the first frame to send.
    pub(crate) fn begin(ends: Ends, rng: &mut impl RngCore) -> (Self, Vec<u8>) {
        let (hello, frame) = Hello::new(ends, rng);
        (Self { opener: hello.is_opener(), phase: Phase::Hello(Box::new(hello)) }, frame)
    }

    /// Whether this end opened the stream.
    pub(crate) const fn is_opener(&self) -> bool {
        self.opener
    }

    /// Takes a frame. After a refusal the talk is over.
    pub(crate) fn hear(
        &mut self,
        frame: &[u8],
        candidates: impl FnOnce() -> Vec<Candidate>,
        rng: &mut impl RngCore,
    ) -> Result<Heard, Refusal> {
        let heard = match &mut self.phase {
            Phase::Hello(hello) => match hello.receive(frame, candidates, rng) {
                Progress::Failed => Err(Refusal::NotAdmitted),
                Progress::Send(bytes) => Ok(Heard::Answer(bytes)),
                Progress::Sealed(admission, channel) => {
                    self.phase = Phase::Sealed(Box::new(channel));
                    Ok(Heard::Sealed(admission))
                }
            },
            Phase::Sealed(channel) => channel.open(frame).map_err(|_| Refusal::BadSeal).and_then(|plain| {
                Message::parse(&plain).map(|message| Heard::Message(Box::new(message))).map_err(|_| Refusal::Malformed)
            }),
            Phase::Over => Err(Refusal::OutOfTurn),
        };
        if heard.is_err() {
            self.phase = Phase::Over;
        }
        heard
    }

    /// The frame that says something; `None` before the channel is sealed, or if it is too long to say.
    pub(crate) fn say(&mut self, message: &Message) -> Option<Vec<u8>> {
        match &mut self.phase {
            Phase::Sealed(channel) => channel.seal(&message.encode()),
            Phase::Hello(_) | Phase::Over => None,
        }
    }

    /// The frame that carries any bytes.
    #[cfg(feature = "sim")]
    pub(crate) fn say_bytes(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        match &mut self.phase {
            Phase::Sealed(channel) => channel.seal(plain),
            Phase::Hello(_) | Phase::Over => None,
        }
    }

    /// What a proof or signature over this talk covers, by us or by the peer.
    pub(crate) fn binding(&self, label: &str, ours: bool) -> Option<[u8; 32]> {
        match &self.phase {
            Phase::Sealed(channel) => Some(channel.binding(label, ours == self.opener)),
            Phase::Hello(_) | Phase::Over => None,
        }
    }

    /// The proof of holding a key, bound to this talk.
    pub(crate) fn proof(&self, key: &[u8; 32], ours: bool) -> Option<[u8; 16]> {
        let binding = self.binding("prove", ours)?;
        seal::keyed(key, "prove", &[&binding]).first_chunk().copied()
    }
}
