//! Own envelopes on their way: gossip carries them first; whoever is linked and has not said that it holds them gets
//! them pushed. What was published is never taken for delivered (PROTOCOL D5).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::{EnvelopeId, LinkId};
use crate::time::Time;

/// Longer than a receiver takes to answer (200 ms) and a durable write.
const RETRY: Duration = Duration::from_secs(1);
/// After so many pushes the regular reconciliation is left to do it.
const TRIES_MAX: u32 = 5;
/// Own envelopes under way: a burst of a few seconds. Beyond it reconciliation does the work.
const SPREAD_MAX: usize = 4_096;

struct Entry {
    holders: BTreeSet<LinkId>,
    next: Time,
    tries: u32,
}

/// The own envelopes that linked peers may still lack.
#[derive(Default)]
pub(crate) struct Spread {
    entries: BTreeMap<EnvelopeId, Entry>,
}

impl Spread {
    /// Begins to watch over an envelope.
    pub(crate) fn begin(&mut self, id: EnvelopeId, now: Time) {
        if self.entries.len() < SPREAD_MAX {
            self.entries.insert(id, Entry { holders: BTreeSet::new(), next: now + RETRY, tries: 0 });
        }
    }

    /// A linked peer holds it.
    pub(crate) fn held(&mut self, id: &EnvelopeId, link: LinkId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.holders.insert(link);
        }
    }

    /// It must not be pushed any more.
    pub(crate) fn stop(&mut self, id: &EnvelopeId) {
        self.entries.remove(id);
    }

    /// What to push to whom now, among the links that may have it.
    pub(crate) fn due(&mut self, links: &BTreeSet<LinkId>, now: Time) -> Vec<(LinkId, EnvelopeId)> {
        let mut due = Vec::new();
        self.entries.retain(|id, entry| {
            if entry.next > now {
                return true;
            }
            let lacking: Vec<_> = links.difference(&entry.holders).copied().collect();
            due.extend(lacking.iter().map(|link| (*link, *id)));
            entry.tries = entry.tries.saturating_add(1);
            entry.next = now + RETRY.saturating_mul(entry.tries.saturating_add(1));
            !lacking.is_empty() && entry.tries < TRIES_MAX
        });
        due
    }

    /// The wall clock went back.
    pub(crate) fn clock_went_back(&mut self, now: Time) {
        for entry in self.entries.values_mut() {
            entry.next = entry.next.min(now + RETRY);
        }
    }

    /// When [`Self::due`] has something to say.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.entries.values().map(|entry| entry.next).min()
    }
}
