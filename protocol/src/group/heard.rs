//! Which of a sender's messages in an epoch were opened, by their counts, and which before them were not (PROTOCOL M4).

use std::collections::BTreeMap;

use crate::limits::RATCHET_WINDOW;
use crate::time::Time;

/// What was opened of one sender.
#[derive(Default)]
pub(crate) struct Heard {
    /// The count that is expected next.
    next: u32,
    /// What was skipped while its keys are kept: from each first count on to where it ends, and since when.
    skipped: BTreeMap<u32, (u32, Time)>,
}

impl Heard {
    /// With this count expected next, and nothing known to be missing.
    pub(crate) const fn up_to(next: u32) -> Self {
        Self { next, skipped: BTreeMap::new() }
    }

    /// The count that is expected next.
    pub(crate) const fn next(&self) -> u32 {
        self.next
    }

    /// The first count that was skipped after a moment, and can still be opened.
    pub(crate) fn missing_since(&self, moment: Time) -> Option<u32> {
        self.skipped.iter().find(|(_, (_, since))| *since > moment).map(|(first, _)| *first)
    }

    /// A message was opened; so many just before it never come. Its count stands outside of MLS, where any member can
    /// set another; but no ratchet goes farther than its window, so that a lie soon comes true.
    pub(crate) fn opened(&mut self, count: u32, burnt: u32, now: Time) {
        if count < self.next {
            self.fill(count);
            return;
        }
        let count = count.min(self.next.saturating_add(RATCHET_WINDOW));
        let first = count.saturating_sub(burnt);
        if first > self.next {
            self.skipped.insert(self.next, (first, now));
        }
        self.next = count.saturating_add(1);
        self.forget_before(self.next.saturating_sub(RATCHET_WINDOW));
    }

    /// One that was skipped came after all.
    fn fill(&mut self, count: u32) {
        let Some((&first, &(end, since))) = self.skipped.range(..=count).next_back() else { return };
        if count >= end {
            return;
        }
        self.skipped.remove(&first);
        self.skip(first, count, since);
        self.skip(count.saturating_add(1), end, since);
    }

    /// The ratchet has gone on: the keys below a count are gone.
    fn forget_before(&mut self, kept: u32) {
        while let Some(entry) = self.skipped.first_entry().filter(|entry| *entry.key() < kept) {
            let (end, since) = entry.remove();
            self.skip(kept, end, since);
        }
    }

    fn skip(&mut self, first: u32, end: u32, since: Time) {
        if first < end {
            self.skipped.insert(first, (end, since));
        }
    }

    /// The wall clock went back.
    pub(crate) fn clock_went_back(&mut self, now: Time) {
        self.skipped.values_mut().for_each(|(_, since)| *since = (*since).min(now));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// How far one message may be after the last, at most.
    const STEP: u32 = RATCHET_WINDOW - 1;

    proptest! {
        /// Beside a list of all counts that were opened.
        #[test]
        fn the_first_one_missing_is_the_first_that_was_not_opened_and_has_a_key(
            jumps in prop::collection::vec(prop_oneof![4 => 0..4_u32, 1 => 0..=STEP], 1..60),
            late in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let (mut heard, mut opened) = (Heard::default(), BTreeSet::new());
            let mut late = late.into_iter();
            for jump in jumps {
                let count = heard.next() + jump;
                heard.opened(count, 0, Time::from_ms(5));
                opened.insert(count);
                let kept = heard.next().saturating_sub(RATCHET_WINDOW);
                let lacks: Vec<u32> = (kept..heard.next()).filter(|count| !opened.contains(count)).collect();
                prop_assert_eq!(heard.next(), count + 1);
                prop_assert_eq!(heard.missing_since(Time::ZERO), lacks.first().copied());
                if let Some(one) = late.next().filter(|_| !lacks.is_empty()) {
                    let one = *one.get(&lacks);
                    heard.opened(one, 0, Time::from_ms(6));
                    opened.insert(one);
                    prop_assert_eq!(heard.next(), count + 1);
                }
            }
        }
    }

    #[test]
    fn what_was_burnt_is_not_missing_and_what_was_skipped_long_ago_is_not_waited_for() {
        let mut heard = Heard::default();
        heard.opened(64, 64, Time::from_ms(1));
        assert_eq!((heard.next(), heard.missing_since(Time::ZERO)), (65, None));
        heard.opened(70, 2, Time::from_ms(2));
        heard.opened(80, 0, Time::from_ms(3));
        assert_eq!(heard.missing_since(Time::from_ms(1)), Some(65));
        assert_eq!(heard.missing_since(Time::from_ms(2)), Some(71));
        heard.clock_went_back(Time::from_ms(1));
        assert_eq!(heard.missing_since(Time::from_ms(1)), None);
    }

    #[test]
    fn a_count_beyond_every_ratchet_moves_no_farther_than_one() {
        let mut heard = Heard::default();
        heard.opened(u32::MAX, 0, Time::from_ms(1));
        assert_eq!(heard.next(), RATCHET_WINDOW + 1);
    }
}
