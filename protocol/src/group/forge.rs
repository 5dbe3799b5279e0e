//! What a member with a changed program can seal. For tests only.

use super::Group;
use super::cx::Cx;
use crate::fuzz::Seal;
use crate::id::LinkId;
use crate::meet::generation::Generation;
use crate::mls::{Provider, Signer, State};
use crate::wire;
use crate::wire::content::{Content, Numbered};
use crate::wire::control::{Control, Ticket, Vote};
use crate::wire::envelope::{Cover, Envelope};
use crate::wire::signed::{Body, Signed};

impl Group {
    /// An envelope of today with these bytes in it, signed and encrypted where they can be.
    pub(crate) fn forge_envelope(&mut self, cx: &mut Cx<'_>, seal: Seal, bytes: &[u8]) -> Option<Vec<u8>> {
        let generation = self.newest().ok()?.clone();
        let cover = self.cover(cx, &generation).ok()?;
        let (key, body) = match seal {
            Seal::Commit => (self.head().ok()?.keys.as_ref()?.commit.clone(), bytes.to_vec()),
            Seal::Content => {
                let said = self.signed::<Content>(bytes, |content| content.author = self.me.key());
                let body = said.map_or(Some(bytes.to_vec()), |signed| self.encrypt(cx, &signed, &cover))?;
                (self.head().ok()?.keys.as_ref()?.content.clone(), body)
            }
            Seal::Control => {
                let ticket = self.signed::<Ticket>(bytes, |ticket| ticket.issuer = self.me.key()).map(Control::Ticket);
                let vote = || self.signed::<Vote>(bytes, |vote| vote.voter = self.me.key()).map(Control::Vote);
                let control = ticket.or_else(vote).map(|control| wire::encode(&control));
                (generation.control_key(), control.unwrap_or_else(|| bytes.to_vec()))
            }
        };
        Envelope::seal(&key, &cover, &body).map(Envelope::into_bytes)
    }

    /// An envelope that this device can open, with its body changed: a place, and what is flipped there.
    pub(crate) fn forge_again(&self, bytes: Vec<u8>, edits: &[u8]) -> Option<Vec<u8>> {
        let envelope = Envelope::parse(bytes).ok()?;
        let epochs = self.epochs.iter().filter_map(|(_, epoch)| epoch.keys.as_ref());
        let sealed = epochs.flat_map(|keys| [keys.content.clone(), keys.commit.clone()]);
        let mut keys = sealed.chain(self.generations.values().map(Generation::control_key));
        let key = keys.find(|key| envelope.is_under(key))?;
        let mut body = envelope.open(&key).ok()?;
        for [high, low, flip] in edits.as_chunks().0 {
            if let Some(byte) = body.get_mut(usize::from(u16::from_be_bytes([*high, *low]))) {
                *byte ^= flip;
            }
        }
        Envelope::seal(&key, &envelope.cover(), &body).map(Envelope::into_bytes)
    }

    /// A frame with any bytes inside, as the other end of a link expects it.
    pub(crate) fn forge_frame(&mut self, link: LinkId, plain: &[u8]) -> Option<Vec<u8>> {
        self.links.get_mut(&link)?.talk.say_bytes(plain)
    }

    fn signed<T: Body>(&self, bytes: &[u8], by: impl FnOnce(&mut T)) -> Option<Signed> {
        let mut body = wire::decode::<T>(bytes, T::BYTES_MAX).ok()?;
        by(&mut body);
        Some(self.me.sign(self.id, &body))
    }

    fn encrypt(&mut self, cx: &mut Cx<'_>, signed: &Signed, cover: &Cover) -> Option<Vec<u8>> {
        let (head, known) = (self.facts.head, self.head().ok()?);
        let (leaf, count) = (known.roster.seat(&self.me.member())?.leaf, known.sent);
        let (signer, plain) = (Signer::new(&self.me.device_secret()), wire::encode(signed));
        let binding = cover.binding(leaf, count, 0);
        let encrypt = |state: &mut State, mls: &Provider| state.encrypt(mls, &signer, &plain, &binding);
        let sealed = self.epochs.with(cx, self.net, self.id, &head, encrypt);
        self.epochs.count_sent(cx, self.net, &head, 1);
        Some(wire::encode(&Numbered { leaf, count, burnt: 0, mls: sealed.ok()?.ok()? }))
    }
}
