//! The sealed channel of a link: frames of few sizes, in order, each way under its own key. It runs inside Noise; its
//! own seal is what keeps a peer that is no member, and a transport that is not Noise, from seeing anything.

use crate::limits::{ENVELOPE_BYTES_MIN, FRAME_BYTES_MAX};
use crate::seal::{self, BadSeal, SEAL_OVERHEAD, Secret};

/// One end of a channel.
pub(crate) struct Channel {
    secret: Secret,
    send: Direction,
    receive: Direction,
}

struct Direction {
    key: Secret,
    count: u64,
}

impl Direction {
    fn nonce(&mut self) -> [u8; 24] {
        let mut nonce = [0; 24];
        for (slot, byte) in nonce.iter_mut().zip(self.count.to_be_bytes()) {
            *slot = byte;
        }
        self.count = self.count.wrapping_add(1);
        nonce
    }
}

impl Channel {
    /// Begins a channel under what both ends hold; `transcript` is the hash of the hello.
    pub(crate) fn new(key: &[u8; 32], transcript: &[u8; 32], opener: bool) -> Self {
        let secret = seal::derive(key, "channel", &[transcript]);
        let direction = |from_opener: bool| Direction {
            key: seal::derive(&secret, if from_opener { "from opener" } else { "from acceptor" }, &[]),
            count: 0,
        };
        Self { send: direction(opener), receive: direction(!opener), secret }
    }

    /// What a signature or proof over this channel covers; differs for the two ends.
    pub(crate) fn binding(&self, label: &str, by_opener: bool) -> [u8; 32] {
        seal::keyed(&self.secret, label, &[&[u8::from(by_opener)]])
    }

    /// A frame that carries `plain`; `None` if that is longer than any frame.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        let size = seal::size_class(plain.len().checked_add(SEAL_OVERHEAD + 4)?, ENVELOPE_BYTES_MIN, FRAME_BYTES_MAX)?;
        let padded = seal::pad(plain, size.checked_sub(SEAL_OVERHEAD)?)?;
        let nonce = self.send.nonce();
        Some(seal::seal(&self.send.key, &nonce, &[], &padded))
    }

    /// What a frame carries. A frame that is not the next one of the other end does not open.
    pub(crate) fn open(&mut self, frame: &[u8]) -> Result<Vec<u8>, BadSeal> {
        let nonce = self.receive.nonce();
        let padded = seal::open(&self.receive.key, &nonce, &[], frame)?;
        seal::unpad(&padded).map(<[u8]>::to_vec).ok_or(BadSeal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Channel, Channel) {
        (Channel::new(&[1; 32], &[2; 32], true), Channel::new(&[1; 32], &[2; 32], false))
    }

    #[test]
    fn frames_have_few_sizes_and_open_in_order_only() {
        let (mut ana, mut ben) = pair();
        for (len, size) in [(0, 512), (492, 512), (493, 1_024), (200_000, 262_144)] {
            let frame = ana.seal(&vec![1; len]).unwrap();
            assert_eq!((frame.len(), ben.open(&frame).unwrap().len()), (size, len));
        }
        assert!(ana.seal(&vec![1; FRAME_BYTES_MAX]).is_none());
        let (first, second) = (ana.seal(b"1").unwrap(), ana.seal(b"2").unwrap());
        assert_eq!(ben.open(&second), Err(BadSeal));
        drop(first);
    }

    #[test]
    fn an_own_frame_sent_back_does_not_open() {
        let (mut ana, mut ben) = pair();
        let frame = ana.seal(b"hello").unwrap();
        assert_eq!(ana.open(&frame), Err(BadSeal));
        assert_eq!(ben.open(&frame).unwrap(), b"hello");
        assert_eq!(ben.open(&frame), Err(BadSeal));
        assert_ne!(ana.binding("x", true), ana.binding("x", false));
        assert_eq!(ana.binding("x", true), ben.binding("x", true));
    }
}
