//! What is said waits for a moment after the group has changed, and until who is to go is out: so it is sealed once, where most
//! will stand, and for nobody who should not have it (PROTOCOL C5).

use super::Group;
use super::cx::Cx;
use super::voting::{PATIENCE, STABLE};
use crate::clock::Now;
use crate::error::Error;
use crate::time::Time;

/// Why own messages wait although somebody is there.
#[derive(Default)]
pub(crate) struct Hold {
    /// Until when the head must stand still.
    until: Option<Time>,
    /// By when that is waited for no longer.
    by: Option<Time>,
}

impl Hold {
    /// When what waits may go.
    pub(crate) const fn deadline(&self) -> Option<Time> {
        self.until
    }

    /// The wall clock went back.
    pub(crate) fn clock_went_back(&mut self, now: Time) {
        self.until = self.until.map(|_| now);
    }
}

impl Group {
    /// The head has moved to where others may have gone elsewhere.
    pub(super) fn hold_back(&mut self, now: Time) {
        let by = *self.hold.by.get_or_insert(now + PATIENCE);
        self.hold.until = Some(by.min(now + STABLE));
    }

    /// What waits for stillness may go.
    pub(super) fn hold_no_longer(&mut self) {
        self.hold = Hold::default();
    }

    /// The head has stood still for long enough: what waited goes.
    pub(super) fn hold_no_more(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        if self.hold.until.take_if(|until| *until <= cx.now.wall).is_none() {
            return Ok(());
        }
        self.hold.by = None;
        self.seal_intents(cx)
    }

    /// Whether what is said may be sealed now. If somebody is to go, this device sees to that first; what it has tried in
    /// vain is due no more, and holds nothing up.
    pub(super) fn may_say(&mut self, now: Now) -> Result<bool, Error> {
        let still = self.hold.until.is_none_or(|until| until <= now.wall);
        if !self.may_seal() || self.has_said_enough() || !still {
            return Ok(false);
        }
        let due = self.wanted || self.commit_due.is_some();
        if !due || !self.is_somebody_to_go(now)? {
            return Ok(true);
        }
        self.commit_due = Some(now.wall);
        Ok(false)
    }
}
