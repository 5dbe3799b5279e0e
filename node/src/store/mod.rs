//! What a node keeps: one writer, batches that are all or nothing, and rows that die when they must.
//!
//! [`SealedStore`] is the one on disk; [`MemoryStore`] keeps the same promises in memory and breaks on demand.
//!
//! The order inside a commit is fixed: the database is made durable, then the keyring. A crash in between leaves
//! keys of rows that are gone, which the next open knows; the other order would leave rows without keys.

mod attendant;
mod ballast;
#[cfg(test)]
mod conformance;
mod error;
mod index;
mod memory;
pub(crate) mod meta;
mod named;
mod sealed;
mod sled;

use std::time::Instant;

use kinfold_protocol::persist::{Rows, WriteBatch};
use kinfold_protocol::time::Time;

pub use error::StoreError;
pub use memory::{CommitFault, MemoryDisk, MemoryStore};
pub use sealed::{OpenReport, SealedStore};

/// Where the protocol's rows are kept. One value of it exists for a folder, with one owner.
pub trait Store: Send {
    /// Makes a whole batch durable, or none of it. A row that is already past its death is not kept.
    ///
    /// # Errors
    /// The batch may or may not have survived, and the store is closed: open it again and look at
    /// [`commit_seq`](Self::commit_seq). Only [`StoreError::TooLarge`], [`StoreError::Misplaced`] and
    /// [`StoreError::Closed`] promise that nothing was written.
    fn commit(&mut self, batch: &WriteBatch) -> Result<(), StoreError>;

    /// What opening, and reading everything since, found to be missing, for the person to be told.
    fn report(&self) -> OpenReport;

    /// Reads what is durable. A reader that outlives its store reads nothing but errors.
    fn reader(&self) -> Box<dyn Rows>;

    /// Grows with each change that became durable, whether by [`commit`](Self::commit) or [`tick`](Self::tick).
    /// It keeps its last value when the store is closed: reopen after an error, and a greater number there means
    /// that the change survived.
    fn commit_seq(&self) -> u64;

    /// Moves the store's clock. This never takes it back, neither now nor after a restart. Whoever calls it has
    /// decided that the moment can be believed, as rows die by it.
    fn set_now(&mut self, wall: Time);

    /// Sets the store's clock back: it had followed a clock that was wrong. What died stays dead, and what is left
    /// to do is done by the clock that is right.
    fn restart_clock(&mut self, at: Time);

    /// The store's clock, which starts at the latest moment that the last run kept.
    fn now(&self) -> Time;

    /// When the next row dies, by the store's clock.
    fn due(&self) -> Option<Time>;

    /// When the store next has something to do whatever its clock says, for that may stand still: a keyring that a
    /// commit left for later, a look at the folder.
    fn chores(&self) -> Option<Instant>;

    /// Whether there is room for more than what is here. Without it everything can still be shown, swept and opened
    /// again: what is left of the disk is kept for that.
    fn has_room(&mut self) -> bool;

    /// Removes rows whose death has come, and does the [`chores`](Self::chores) that are due.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    fn tick(&mut self, now: Instant) -> Result<(), StoreError>;

    /// Does now what a later [`tick`](Self::tick) would do, whether or not it is due.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    fn flush(&mut self) -> Result<(), StoreError>;

    /// Flushes and closes. All keys leave memory.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit); the store is closed all the same.
    fn close(self: Box<Self>) -> Result<(), StoreError>;
}

/// The first whole second at which a row is dead: never before its moment, and less than a second after.
fn death_second(dies: Time) -> u64 {
    dies.ms().div_ceil(1_000)
}
