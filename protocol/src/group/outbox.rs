//! What this person said and how far it has come: intent, sealed, held, received (PROTOCOL D1, D5).

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::cx::Cx;
use crate::error::Error;
use crate::id::{EnvelopeId, EpochId, MemberId, MsgId, MsgStem, NetId};
use crate::journal;
use crate::persist::{Key, Table};
use crate::policy::roster::Roster;
use crate::step::MessageState;
use crate::time::Time;

/// Envelopes of one message that are remembered: one for each removal while nobody could be reached.
const SEALS_MAX: usize = 16;

/// One own message.
#[derive(Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Entry {
    /// The head when it was accepted: whoever is there now and was not then gets it only by the author's word.
    #[n(0)]
    pub(crate) accepted_in: EpochId,
    /// Where it was sealed, and as which envelopes, the latest last: any of them may have reached somebody.
    #[n(1)]
    seals: Vec<(EpochId, EnvelopeId)>,
    /// Whether the latest still stands, and it need not be sealed anew.
    #[n(8)]
    stands: bool,
    /// Which members are known to hold it in an envelope that they could open.
    #[n(2)]
    pub(crate) held: Vec<MemberId>,
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
    /// Whether its author took it back. The author hears of it if it turns out that somebody has it.
    #[n(7)]
    pub(crate) dropped: bool,
}

impl Entry {
    /// One that was just accepted.
    pub(crate) const fn new(accepted_in: EpochId, expires: Time) -> Self {
        Self {
            accepted_in,
            seals: Vec::new(),
            stands: false,
            held: Vec::new(),
            received: Vec::new(),
            audience: 0,
            waiting: false,
            expires,
            dropped: false,
        }
    }

    /// Where it is sealed, and as which envelope.
    pub(crate) fn sealed(&self) -> Option<(EpochId, EnvelopeId)> {
        self.seals.last().copied().filter(|_| self.stands)
    }

    /// It was sealed.
    pub(crate) fn seal(&mut self, epoch: EpochId, envelope: EnvelopeId) {
        let surplus = self.seals.len().saturating_sub(SEALS_MAX - 1);
        self.seals.drain(..surplus);
        self.seals.push((epoch, envelope));
        self.stands = true;
    }

    /// It must not leave in any envelope so far.
    pub(crate) const fn unseal(&mut self) {
        self.stands = false;
    }

    /// The epochs that it was ever sealed in, or that of one envelope.
    pub(crate) fn epochs(&self, envelope: Option<EnvelopeId>) -> impl Iterator<Item = EpochId> + '_ {
        let of = move |(_, sealed): &&(EpochId, EnvelopeId)| envelope.is_none_or(|envelope| envelope == *sealed);
        self.seals.iter().filter(of).map(|(epoch, _)| *epoch)
    }

    /// Whether another member has it.
    pub(crate) const fn is_held(&self) -> bool {
        !self.held.is_empty() || !self.received.is_empty()
    }

    /// Whether it waits for somebody to have it.
    const fn is_unheld(&self) -> bool {
        !self.is_held() && !self.dropped
    }

    /// Whether everybody it was last sealed for has opened it.
    fn is_complete(&self) -> bool {
        let opened = u32::try_from(self.received.len()).unwrap_or(u32::MAX);
        !self.received.is_empty() && opened >= self.audience
    }

    /// Whether those who have it are all out, and somebody in the head may still wait for it.
    pub(crate) fn is_lost_with_its_readers(&self, head: &Roster, accepted: Option<&Roster>, me: &MemberId) -> bool {
        let here = self.held.iter().chain(&self.received).any(|member| head.has(member));
        let meant = |then: &Roster| then.seats().iter().any(|seat| seat.member != *me && head.has(&seat.member));
        self.is_held() && !here && !self.is_complete() && accepted.is_none_or(meant)
    }

    /// What the author is told. Facts only (P7).
    pub(crate) fn state(&self) -> MessageState {
        if !self.received.is_empty() {
            let of = usize::try_from(self.audience).unwrap_or(usize::MAX);
            MessageState::Received { by: self.received.len(), of }
        } else if self.is_held() {
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
    /// How many of the entries nobody else is known to hold, and nobody took back.
    unheld: usize,
}

impl Outbox {
    /// Takes a row met while opening.
    pub(crate) fn restore(&mut self, key: &Key, bytes: &[u8]) -> Result<(), Error> {
        let id = key.name.get(8..).and_then(MsgId::from_slice).ok_or(Error::Broken)?;
        self.index(id, journal::parse(bytes)?);
        Ok(())
    }

    fn index(&mut self, id: MsgId, entry: Entry) {
        self.envelopes.extend(entry.seals.iter().map(|(_, envelope)| (*envelope, id)));
        self.unheld = self.unheld.saturating_add(usize::from(entry.is_unheld()));
        let before = self.entries.insert(id, entry);
        self.unheld = self.unheld.saturating_sub(usize::from(before.is_some_and(|entry| entry.is_unheld())));
    }

    /// Writes an entry, new or changed.
    pub(crate) fn set(&mut self, cx: &mut Cx<'_>, net: NetId, id: MsgId, entry: Entry) {
        cx.tx.write(outbox_key(net, &id), &entry, Some(entry.expires));
        self.index(id, entry);
    }

    /// Takes an entry away.
    pub(crate) fn remove(&mut self, cx: &mut Cx<'_>, net: NetId, id: &MsgId) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.unheld = self.unheld.saturating_sub(usize::from(entry.is_unheld()));
        for (_, envelope) in &entry.seals {
            self.envelopes.remove(envelope);
        }
        cx.tx.delete(outbox_key(net, id));
        Some(entry)
    }

    /// Forgets what is past its time. What was taken back has no line any more whose end would end it.
    pub(crate) fn sweep(&mut self, cx: &mut Cx<'_>, net: NetId) {
        let past = |entry: &Entry| entry.dropped && entry.expires <= cx.now.sweep;
        let gone: Vec<MsgId> = self.entries.iter().filter(|(_, entry)| past(entry)).map(|(id, _)| *id).collect();
        for id in gone {
            self.remove(cx, net, &id);
        }
    }

    /// One entry.
    pub(crate) fn get(&self, id: &MsgId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// The entry whose name begins so.
    pub(crate) fn find(&self, stem: &MsgStem) -> Option<(MsgId, &Entry)> {
        let mut first = [0; MsgId::LEN];
        first.iter_mut().zip(stem.as_bytes()).for_each(|(room, byte)| *room = *byte);
        let found = self.entries.range(MsgId::from_bytes(first)..).next();
        found.filter(|(id, _)| id.stem() == *stem).map(|(id, entry)| (*id, entry))
    }

    /// The entry that an envelope carries.
    pub(crate) fn by_envelope(&self, id: &EnvelopeId) -> Option<MsgId> {
        self.envelopes.get(id).copied()
    }

    /// All entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&MsgId, &Entry)> {
        self.entries.iter()
    }

    /// How many nobody else is known to hold. The others are as many as the lines of the history that they belong to.
    pub(crate) const fn unheld(&self) -> usize {
        self.unheld
    }
}

fn outbox_key(net: NetId, id: &MsgId) -> Key {
    Key::new(Table::Outbox, net, &[id.as_bytes()])
}
