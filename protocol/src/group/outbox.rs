//! What this person said and how far it has come: intent, sealed, held, received (PROTOCOL D1, D5).

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::cx::Cx;
use crate::error::Error;
use crate::id::{EnvelopeId, EpochId, MemberId, MsgId, NetId};
use crate::journal;
use crate::persist::{Key, Table};
use crate::step::MessageState;
use crate::time::Time;

/// One own message.
#[derive(Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Entry {
    /// The head when it was accepted: whoever is there now and was not then gets it only by the author's word.
    #[n(0)]
    pub(crate) accepted_in: EpochId,
    /// Where it was sealed, and as which envelope.
    #[n(1)]
    pub(crate) sealed: Option<(EpochId, EnvelopeId)>,
    /// Whether another member is known to hold it.
    #[n(2)]
    pub(crate) held: bool,
    /// Who has said that they opened it.
    #[n(3)]
    pub(crate) received: Vec<MemberId>,
    /// How many people it was sealed for.
    #[n(4)]
    pub(crate) audience: u32,
    /// Whether newcomers keep it from being sealed until the author says yes.
    #[n(5)]
    pub(crate) waiting: bool,
    /// When it will be gone.
    #[n(6)]
    pub(crate) expires: Time,
}

impl Entry {
    /// What the author is told. Facts only (P7).
    pub(crate) fn state(&self) -> MessageState {
        if !self.received.is_empty() {
            let of = usize::try_from(self.audience).unwrap_or(usize::MAX);
            MessageState::Received { by: self.received.len(), of }
        } else if self.held {
            MessageState::Held
        } else if self.waiting {
            MessageState::Waiting
        } else {
            MessageState::Kept
        }
    }
}

/// The own messages of one group that have not expired.
#[derive(Default)]
pub(crate) struct Outbox {
    entries: BTreeMap<MsgId, Entry>,
    envelopes: BTreeMap<EnvelopeId, MsgId>,
}

impl Outbox {
    /// Takes a row met while opening.
    pub(crate) fn restore(&mut self, key: &Key, bytes: &[u8]) -> Result<(), Error> {
        let id = key.name.get(8..).and_then(MsgId::from_slice).ok_or(Error::Broken)?;
        self.index(id, journal::parse(bytes)?);
        Ok(())
    }

    fn index(&mut self, id: MsgId, entry: Entry) {
        if let Some((_, envelope)) = entry.sealed {
            self.envelopes.insert(envelope, id);
        }
        self.entries.insert(id, entry);
    }

    /// Writes an entry, new or changed.
    pub(crate) fn set(&mut self, cx: &mut Cx<'_>, net: NetId, id: MsgId, entry: Entry) {
        cx.tx.write(outbox_key(net, &id), &entry, Some(entry.expires));
        self.index(id, entry);
    }

    /// Takes an entry away.
    pub(crate) fn remove(&mut self, cx: &mut Cx<'_>, net: NetId, id: &MsgId) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        if let Some((_, envelope)) = entry.sealed {
            self.envelopes.remove(&envelope);
        }
        cx.tx.delete(outbox_key(net, id));
        Some(entry)
    }

    /// One entry.
    pub(crate) fn get(&self, id: &MsgId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// The entry that an envelope carries.
    pub(crate) fn by_envelope(&self, id: &EnvelopeId) -> Option<MsgId> {
        self.envelopes.get(id).copied()
    }

    /// All entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&MsgId, &Entry)> {
        self.entries.iter()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Withdraws an entry's envelope: it must be sealed anew before anything leaves.
    pub(crate) fn unseal(&mut self, cx: &mut Cx<'_>, net: NetId, id: &MsgId) -> Option<EnvelopeId> {
        let mut entry = self.entries.get(id)?.clone();
        let (_, envelope) = entry.sealed.take()?;
        self.envelopes.remove(&envelope);
        self.set(cx, net, *id, entry);
        Some(envelope)
    }
}

fn outbox_key(net: NetId, id: &MsgId) -> Key {
    Key::new(Table::Outbox, net, &[id.as_bytes()])
}
