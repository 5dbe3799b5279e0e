//! Which rows there are and when they die, kept in memory because names on the disk say neither.

use std::collections::{BTreeMap, BTreeSet};

use crate::vault::row::{Name, STORED_LEN_MAX};

/// What is known of a row without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    /// The second at which it is dead, if it dies.
    pub(super) dies: Option<u64>,
    /// How many chunks its value lies in.
    pub(super) chunks: u16,
    /// How long its head is as stored, in bytes.
    pub(super) head: u16,
}

impl Fact {
    /// How many stored values the row is.
    pub(super) fn values(&self) -> u64 {
        1 + u64::from(self.chunks)
    }

    /// How long it is as stored, at most.
    fn bytes(&self) -> u64 {
        u64::from(self.head) + u64::from(self.chunks) * STORED_LEN_MAX as u64
    }
}

/// All rows, by name and by death.
#[derive(Debug, Default)]
pub(super) struct Index {
    facts: BTreeMap<Name, Fact>,
    deaths: BTreeSet<(u64, Name)>,
    bytes: u64,
}

impl Index {
    pub(super) fn insert(&mut self, name: Name, fact: Fact) {
        self.remove(&name);
        if let Some(second) = fact.dies {
            self.deaths.insert((second, name));
        }
        self.bytes += fact.bytes();
        self.facts.insert(name, fact);
    }

    pub(super) fn remove(&mut self, name: &Name) {
        let Some(fact) = self.facts.remove(name) else { return };
        self.bytes -= fact.bytes();
        if let Some(second) = fact.dies {
            self.deaths.remove(&(second, *name));
        }
    }

    pub(super) fn fact(&self, name: &Name) -> Option<Fact> {
        self.facts.get(name).copied()
    }

    /// The fact of a row that is alive at `now_second`.
    pub(super) fn living(&self, name: &Name, now_second: u64) -> Option<Fact> {
        self.fact(name).filter(|fact| fact.dies.is_none_or(|second| second > now_second))
    }

    pub(super) fn names(&self) -> Vec<Name> {
        self.facts.keys().copied().collect()
    }

    /// How long all rows are as stored, at most.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.facts.len()
    }

    /// The second of the next death, past or to come.
    pub(super) fn next_death(&self) -> Option<u64> {
        self.deaths.first().map(|(second, _)| *second)
    }

    /// What is dead at `now_second` is dead at any second from now on.
    pub(super) fn bury(&mut self, now_second: u64) {
        for name in self.dead(now_second, usize::MAX) {
            if let Some(fact) = self.fact(&name) {
                self.insert(name, Fact { dies: Some(0), ..fact });
            }
        }
    }

    /// Up to `most` rows that are dead at `now_second`, the longest dead first.
    pub(super) fn dead(&self, now_second: u64, most: usize) -> Vec<Name> {
        self.deaths.iter().take_while(|(second, _)| *second <= now_second).take(most).map(|(_, name)| *name).collect()
    }
}
