//! What is here and not opened yet, whose room it takes, and what turned out to be nobody's (PROTOCOL M5, M6).

use std::collections::{BTreeMap, BTreeSet};

use super::gaps::Spot;
use super::log::Order;
use crate::id::{EnvelopeId, MemberId};
use crate::limits::{WAITING_BY_PEER_MAX, WAITING_MAX};
use crate::time::Time;

/// What was nobody's and is remembered: as much as an honest device can have waiting, and gives on by hand.
const VAIN_MAX: usize = 2 * WAITING_MAX;
/// So much of it one peer may have brought: as for what waits.
const VAIN_BY_PEER_MAX: usize = VAIN_MAX / 4;

/// How an envelope came.
#[derive(Clone, Copy, Default)]
pub(crate) struct Came {
    /// Who brought it, if that was in this run.
    pub(crate) by: Option<MemberId>,
    /// When gossip brought it, if it did: it goes on once it is known to be somebody's.
    pub(crate) gossiped: Option<Time>,
    /// What it has used of its bringer's allowance.
    pub(crate) paid: u64,
}

/// Where an envelope stands, before it is opened.
#[derive(Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) order: Order,
    /// Of a message: where it stands among its sender's.
    pub(crate) spot: Option<Spot>,
}

impl Placed {
    /// Of an envelope whose epoch is not known.
    pub(crate) const NOWHERE: Self = Self { order: Order::UNKNOWN, spot: None };

    /// Whether its epoch is known.
    pub(crate) fn is_known(&self) -> bool {
        self.order != Order::UNKNOWN
    }
}

/// The envelopes that wait for their epoch, or for others of their sender. What nobody can read must not take the room of
/// what somebody will, so each kind has its own.
#[derive(Default)]
pub(crate) struct Waiting {
    all: BTreeMap<EnvelopeId, (Came, Placed)>,
    /// How many of each kind, by whether the epoch is known, each has brought.
    brought: BTreeMap<(bool, Option<MemberId>), usize>,
    /// What was nobody's, and is not taken again for a while: who brought it, and whether that is for good, or as long as
    /// the head stays.
    vain: BTreeMap<EnvelopeId, (Option<MemberId>, bool)>,
    vain_by: BTreeMap<Option<MemberId>, usize>,
}

impl Waiting {
    /// An envelope waits from now on, or something new is known of it.
    pub(crate) fn put(&mut self, id: EnvelopeId, came: Came, placed: Placed) {
        self.remove(&id);
        self.all.insert(id, (came, placed));
        let count = self.brought.entry((placed.is_known(), came.by)).or_default();
        *count = count.saturating_add(1);
    }

    /// An envelope waits no longer.
    pub(crate) fn remove(&mut self, id: &EnvelopeId) {
        let Some((came, placed)) = self.all.remove(id) else { return };
        let kind = (placed.is_known(), came.by);
        let left = self.brought.get(&kind).map_or(0, |count| count.saturating_sub(1));
        if left > 0 {
            self.brought.insert(kind, left);
        } else {
            self.brought.remove(&kind);
        }
    }

    /// Whether an envelope waits.
    pub(crate) fn has(&self, id: &EnvelopeId) -> bool {
        self.all.contains_key(id)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How one that waits came.
    pub(crate) fn came(&self, id: &EnvelopeId) -> Came {
        self.all.get(id).map(|(came, _)| *came).unwrap_or_default()
    }

    /// Where one that waits stands, as far as that is known.
    pub(crate) fn placed(&self, id: &EnvelopeId) -> Placed {
        self.all.get(id).map_or(Placed::NOWHERE, |(_, placed)| *placed)
    }

    /// All that wait.
    pub(crate) fn ids(&self) -> impl Iterator<Item = EnvelopeId> + '_ {
        self.all.keys().copied()
    }

    /// Those whose epoch was not known when they were last looked at.
    pub(crate) fn nowhere(&self) -> Vec<EnvelopeId> {
        self.all.iter().filter(|(_, (_, placed))| !placed.is_known()).map(|(id, _)| *id).collect()
    }

    /// Those that stand somewhere, and so, in their order along the chain.
    pub(crate) fn in_order(&self, so: impl Fn(&Placed) -> bool) -> BTreeSet<(Order, EnvelopeId)> {
        let so = self.all.iter().filter(|(_, (_, placed))| placed.is_known() && so(placed));
        so.map(|(id, (_, placed))| (placed.order, *id)).collect()
    }

    /// Whether one more is within the budget of all, and of the peer that brings it (PROTOCOL M6).
    pub(crate) fn has_room(&self, placed: &Placed, by: Option<MemberId>) -> bool {
        let of_kind = self.brought.iter().filter(|((known, _), _)| *known == placed.is_known());
        let all: usize = of_kind.map(|(_, count)| count).sum();
        let brought = self.brought.get(&(placed.is_known(), by)).copied().unwrap_or(0);
        all < WAITING_MAX && (by.is_none() || brought < WAITING_BY_PEER_MAX)
    }

    /// An envelope turned out to be nobody's. Whether there is room to remember that.
    pub(crate) fn note_vain(&mut self, id: EnvelopeId, (by, for_good): (Option<MemberId>, bool)) -> bool {
        let count = self.vain_by.get(&by).copied().unwrap_or(0);
        let room = self.vain.len() < VAIN_MAX && count < VAIN_BY_PEER_MAX;
        if room && self.vain.insert(id, (by, for_good)).is_none() {
            self.vain_by.insert(by, count.saturating_add(1));
        }
        room
    }

    /// Whether that is remembered of one.
    pub(crate) fn is_vain(&self, id: &EnvelopeId) -> bool {
        self.vain.contains_key(id)
    }

    /// What was nobody's is forgotten.
    pub(crate) fn forget_vain(&mut self, id: &EnvelopeId) {
        let Some((by, _)) = self.vain.remove(id) else { return };
        match self.vain_by.get(&by).copied().unwrap_or(0) {
            0 | 1 => drop(self.vain_by.remove(&by)),
            count => drop(self.vain_by.insert(by, count.saturating_sub(1))),
        }
    }

    /// What may be somebody's now that the head has moved.
    pub(crate) fn vain_so_far(&self) -> Vec<EnvelopeId> {
        self.vain.iter().filter(|(_, (_, for_good))| !for_good).map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_was_nobodys_so_much_is_remembered_of_each_who_brought_it() {
        let member = |n: u8| Some(MemberId::from_bytes([n; 32]));
        let id = |n: usize| EnvelopeId::from_bytes(*blake3::hash(&n.to_be_bytes()).as_bytes());
        let mut waiting = Waiting::default();
        let mut noted = |by: u8, from: usize| {
            (from..VAIN_MAX + from).take_while(|n| waiting.note_vain(id(*n), (member(by), true))).count()
        };
        assert_eq!(noted(1, 0), VAIN_BY_PEER_MAX);
        assert_eq!(noted(1, VAIN_MAX), 0, "no more of the same");
        for by in 2..=4 {
            assert_eq!(noted(by, usize::from(by) * VAIN_MAX), VAIN_BY_PEER_MAX);
        }
        assert_eq!(noted(5, 5 * VAIN_MAX), 0, "no more of all");
        (0..10).for_each(|n| waiting.forget_vain(&id(n)));
        let again = (0..20).take_while(|n| waiting.note_vain(id(*n), (member(1), true))).count();
        assert_eq!(again, 10);
    }
}
