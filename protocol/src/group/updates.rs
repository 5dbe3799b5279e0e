//! New keys for the own leaf from time to time, and short epochs where people talk: whoever copies a device once does not read
//! for ever (PROTOCOL C7, E).

use std::time::Duration;

use super::Group;
use super::cx::Cx;
use crate::clock::Now;
use crate::time::Time;

/// How often a device gives its leaf new keys.
const PERIOD: Duration = Duration::from_secs(7 * 86_400);
/// The same for each member, where that is more: all together change a group no more than twelve times a day.
const PERIOD_SHARE: Duration = Duration::from_secs(86_400 / 12);
/// How long an epoch lasts in which something is said.
const TALKED: Duration = Duration::from_secs(86_400);
/// Own messages in an epoch after which it should end.
const SENT_SOON: u32 = 500;
/// Own messages in an epoch after which the next ones wait for its end: as far as others' ratchets go (PROTOCOL M4).
const SENT_MAX: u32 = 1_000;

impl Group {
    /// By the mark, when the group is to go on by a commit that changes nothing but keys. Whoever is alone needs none.
    pub(super) fn update_due(&self) -> Option<Time> {
        let head = self.head().ok().filter(|head| head.is_shared())?;
        let own = self.facts.update_due.unwrap_or(self.facts.joined + PERIOD);
        let talked = head.is_talked_in().then(|| self.head_since() + TALKED);
        let many = (head.sent >= SENT_SOON).then_some(Time::ZERO);
        [Some(own), talked, many].into_iter().flatten().min()
    }

    /// Whether that is so now, and nobody who is there seems to know of a later head.
    pub(super) fn is_update_due(&self, now: Now) -> bool {
        self.may_seal() && self.update_due().is_some_and(|due| due <= now.sweep)
    }

    /// Whether so much was said here in this epoch that this device ends it, whosever turn it is.
    pub(super) fn has_said_much(&self) -> bool {
        self.may_seal() && self.head().is_ok_and(|head| head.is_shared() && head.sent >= SENT_SOON)
    }

    /// Whether so much was said here in this epoch that more waits for the next one.
    pub(super) fn has_said_enough(&self) -> bool {
        self.head().is_ok_and(|head| head.sent >= SENT_MAX)
    }

    /// Since when the head is known here.
    fn head_since(&self) -> Time {
        let made = self.commits.back_from(self.facts.head).first().copied();
        let known = made.and_then(|made| self.commits.judged(&made.step));
        known.map_or(self.facts.joined, super::commits::Known::since)
    }

    /// The own leaf has new keys, or the mark has restarted from an earlier time.
    pub(super) fn begin_period(&mut self, cx: &mut Cx<'_>) {
        let part = u32::from(u16::from_be_bytes(cx.random()));
        let half = self.period().checked_div(2).unwrap_or_default();
        let drawn = half.saturating_mul(part).checked_div(u32::from(u16::MAX)).unwrap_or_default();
        // Between three quarters of it and five, so that not all come at once.
        let wait = half.saturating_add(half.checked_div(2).unwrap_or_default()).saturating_add(drawn);
        self.facts.update_due = Some(cx.now.sweep + wait);
        self.write_facts(cx);
    }

    /// Whether the next one is farther off than it could be.
    pub(super) fn is_period_lost(&self, now: Now) -> bool {
        self.facts.update_due.is_some_and(|due| due > now.sweep + self.period().saturating_mul(2))
    }

    fn period(&self) -> Duration {
        let members = self.roster().map_or(0, |roster| u32::try_from(roster.len()).unwrap_or(u32::MAX));
        PERIOD.max(PERIOD_SHARE.saturating_mul(members))
    }
}
