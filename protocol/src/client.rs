//! One device's protocol state.

use crate::error::Error;
use crate::id::{GroupId, MemberId};
use crate::persist::Rows;
use crate::step::{Input, Line, Output};
use crate::time::Time;
use crate::view::{GroupView, InviteView, MemberView, OutboxView, SafetyCode};

/// One device's protocol state (RFC 9420 "client"): turns one [`Input`] at one [`Time`] into one [`Output`].
pub struct Client {
    rows: Box<dyn Rows>,
}

impl Client {
    /// Opens a device's state from its rows; `seed` is fresh entropy, never used before. The output is to be executed
    /// like that of a step: it starts networks, and sweeps what has expired.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn open(rows: Box<dyn Rows>, seed: [u8; 32], now: Time) -> Result<(Self, Output), Error> {
        let _ = (seed, now);
        let _client = Self { rows };
        Err(Error::Broken)
    }

    /// Like [`Self::open`], with every bit of entropy from the seed, so that equal inputs give equal outputs.
    ///
    /// # Errors
    /// As [`Self::open`].
    #[cfg(feature = "sim")]
    pub fn open_seeded(rows: Box<dyn Rows>, seed: [u8; 32], now: Time) -> Result<(Self, Output), Error> {
        Self::open(rows, seed, now)
    }

    /// One step. `Err` is a local caller's mistake; bytes from a peer never make one. Either way nothing changed.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub fn handle(&mut self, input: Input, now: Time) -> Result<Output, Error> {
        let _ = (input, now, &self.rows);
        Err(Error::Broken)
    }

    /// When to come back with [`Input::Deadline`] at the latest.
    pub fn deadline(&self) -> Option<Time> {
        None
    }

    /// Every batch handed out so far is durable: reads go to the rows again.
    pub fn durable(&mut self) {}

    /// Marks a clean stop; the last step before the store is closed.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn close(&mut self, now: Time) -> Result<Output, Error> {
        let _ = now;
        Err(Error::Broken)
    }

    /// The groups of this device, in the order of their names.
    pub fn groups(&self) -> Vec<GroupView> {
        Vec::new()
    }

    /// The last lines of a group's history in order, or all.
    ///
    /// # Errors
    /// When the group is unknown or the rows cannot be read.
    pub fn history(&self, _group: GroupId, _last: Option<usize>, _now: Time) -> Result<Vec<Line>, Error> {
        Err(Error::UnknownGroup)
    }

    /// The people of a group.
    ///
    /// # Errors
    /// When the group is unknown.
    pub fn members(&self, _group: GroupId) -> Result<Vec<MemberView>, Error> {
        Err(Error::UnknownGroup)
    }

    /// Own messages of a group that nobody else is known to hold.
    ///
    /// # Errors
    /// When the group is unknown or the rows cannot be read.
    pub fn outbox(&self, _group: GroupId, _now: Time) -> Result<Vec<OutboxView>, Error> {
        Err(Error::UnknownGroup)
    }

    /// The invites of a group that this device made.
    ///
    /// # Errors
    /// When the group is unknown.
    pub fn invites(&self, _group: GroupId, _now: Time) -> Result<Vec<InviteView>, Error> {
        Err(Error::UnknownGroup)
    }

    /// The code to compare with a member.
    ///
    /// # Errors
    /// When the group or member is unknown.
    pub fn safety_code(&self, _group: GroupId, _member: MemberId) -> Result<SafetyCode, Error> {
        Err(Error::UnknownGroup)
    }
}
