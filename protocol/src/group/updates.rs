//! New keys for the own leaf from time to time, and short epochs where people talk: whoever copies a device once does not read
//! for ever (PROTOCOL C7, E).

use std::time::Duration;

use super::Group;
use super::cx::Cx;
use crate::clock::Now;
use crate::error::Error;
use crate::id::EpochId;
use crate::time::Time;

/// In seconds.
const DAY: u64 = 86_400;
/// How often a device gives its leaf new keys.
const PERIOD: Duration = Duration::from_secs(7 * DAY);
/// The same for each member, where that is more: all together change a group no more than twelve times a day.
const PERIOD_SHARE: Duration = Duration::from_secs(DAY / 12);
/// How long after the last change the own leaf's turn comes at the earliest, for each member: half of it after a day, and so on.
const SPACED: Duration = Duration::from_secs(60);
/// When it is tried again, should it fail.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// How long an epoch lasts in which something is said.
const TALKED: Duration = Duration::from_secs(DAY);
/// Own messages in an epoch after which it should end.
const SENT_SOON: u32 = 500;
/// Own messages in an epoch after which the next ones wait for its end: as far as others' ratchets go (PROTOCOL M4).
const SENT_MAX: u32 = 1_000;

impl Group {
    /// By the mark, when the group is to go on by a commit that changes nothing but keys. Whoever is alone needs none.
    pub(super) fn update_due(&self) -> Option<Time> {
        let head = self.head().ok().filter(|head| head.is_shared())?;
        let own = self.facts.update_due.unwrap_or(self.facts.joined + PERIOD);
        // Whose dates are all past do not come all at once; but who is there for a short time only has its turn some day.
        let since = self.held_since(&self.facts.head);
        let days = u32::try_from(since.since(own).as_secs() / DAY).unwrap_or(u32::MAX);
        let spaced = SPACED.saturating_mul(self.people()).checked_div(2_u32.saturating_pow(days)).unwrap_or_default();
        let own = own.max(since + spaced);
        let talked = head.is_talked_in().then(|| since + TALKED);
        let many = (head.sent >= SENT_SOON).then_some(Time::ZERO);
        [Some(own), talked, many].into_iter().flatten().min()
    }

    /// Whether that is so now, and nobody who is there seems to know of a later head.
    pub(super) fn is_update_due(&self, now: Now) -> bool {
        self.may_seal() && self.update_due().is_some_and(|due| due <= now.sweep)
    }

    /// Nothing of what is wanted could be carried out: that holds up no new keys.
    pub(super) fn update_alone(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        if self.require_active().is_ok() && self.is_update_due(cx.now) && !self.execute(cx, Vec::new())? {
            self.commit_due = Some(cx.now.wall + TRY_AGAIN);
        }
        Ok(())
    }

    /// An own commit did not stand, and its keys neither: others follow within a day.
    pub(super) fn update_again(&mut self, cx: &mut Cx<'_>) {
        let again = cx.now.sweep + drawn(cx, TALKED);
        self.facts.update_due = self.facts.update_due.map(|due| due.min(again));
    }

    /// Whether so much was said here in this epoch that this device ends it, whosever turn it is.
    pub(super) fn has_said_much(&self) -> bool {
        self.may_seal() && self.head().is_ok_and(|head| head.is_shared() && head.sent >= SENT_SOON)
    }

    /// Whether so much was said here in this epoch that more waits for the next one.
    pub(super) fn has_said_enough(&self) -> bool {
        self.head().is_ok_and(|head| head.sent >= SENT_MAX)
    }

    /// Since when a state is known here.
    pub(super) fn held_since(&self, state: &EpochId) -> Time {
        let made = self.commits.back_from(*state).first().copied();
        let known = made.and_then(|made| self.commits.judged(&made.step));
        known.map_or(self.facts.joined, super::commits::Known::since)
    }

    /// The own leaf has new keys, or the mark has restarted from an earlier time.
    pub(super) fn begin_period(&mut self, cx: &mut Cx<'_>) {
        let half = self.period().checked_div(2).unwrap_or_default();
        // Between three quarters of it and five, so that not all come at once.
        let wait = half.saturating_add(half.checked_div(2).unwrap_or_default()).saturating_add(drawn(cx, half));
        self.facts.update_due = Some(cx.now.sweep + wait);
        self.write_facts(cx);
    }

    /// Whether the next one is farther off than it could be.
    pub(super) fn is_period_lost(&self, now: Now) -> bool {
        self.facts.update_due.is_some_and(|due| due > now.sweep + self.period().saturating_mul(2))
    }

    fn period(&self) -> Duration {
        PERIOD.max(PERIOD_SHARE.saturating_mul(self.people()))
    }
}

/// A random part of a time.
fn drawn(cx: &mut Cx<'_>, most: Duration) -> Duration {
    let part = u32::from(u16::from_be_bytes(cx.random()));
    most.saturating_mul(part).checked_div(u32::from(u16::MAX)).unwrap_or_default()
}
