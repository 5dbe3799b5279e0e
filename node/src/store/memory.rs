//! A store in memory that keeps the promises of the one on disk, and breaks as a test says.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kinfold_protocol::persist::{Key, ReadError, Rows, Value, WriteBatch};
use kinfold_protocol::time::Time;
use zeroize::Zeroizing;

use super::{OpenReport, Store, StoreError, death_second};

/// What outlives a [`MemoryStore`], as a disk outlives a process. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    inner: Arc<Mutex<Inner>>,
}

/// How a commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// An error, and the batch is there when the store is opened again.
    AfterDurable,
    /// An error, and the batch is lost.
    BeforeDurable,
}

#[derive(Default)]
struct Inner {
    durable: Contents,
    /// What the running store sees.
    cached: Contents,
    /// How many commits are still to pass before one fails.
    commit_fault: Option<(u64, CommitFault)>,
    /// How many reads are still to pass before one fails.
    read_fault: Option<u64>,
    /// There is no room for more.
    full: bool,
    /// Commits are reported before they are durable.
    lies: bool,
    /// Which opening owns the disk; `None` when closed.
    owner: Option<u64>,
    openings: u64,
}

#[derive(Clone, Default)]
struct Contents {
    rows: BTreeMap<Key, Value>,
    commit_seq: u64,
    now: Time,
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `passing` more commits succeed and the one after them fail.
    pub fn fail_commit_after(&self, passing: u64, fault: CommitFault) {
        self.lock().commit_fault = Some((passing, fault));
    }

    /// Lets `passing` more reads succeed and the one after them fail. A scan is one read.
    pub fn fail_read_after(&self, passing: u64) {
        self.lock().read_fault = Some(passing);
    }

    /// Says from now on that there is no room for more, or that there is again.
    pub fn fill(&self, full: bool) {
        self.lock().full = full;
    }

    /// From now on commits are durable only after a flush, as on a drive that lies about its cache.
    pub fn lie_about_durability(&self) {
        self.lock().lies = true;
    }

    /// Takes the power: what was not durable is gone, and a running store is closed.
    pub fn cut_power(&self) {
        let mut inner = self.lock();
        inner.cached = inner.durable.clone();
        inner.owner = None;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panicking test thread must not hide its own message behind a second panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryDisk({} rows)", self.lock().durable.rows.len())
    }
}

impl Inner {
    fn fails_commit(&mut self) -> Option<CommitFault> {
        match self.commit_fault.take() {
            Some((0, fault)) => Some(fault),
            Some((passing, fault)) => {
                self.commit_fault = Some((passing - 1, fault));
                None
            }
            None => None,
        }
    }

    fn fails_read(&mut self) -> bool {
        match self.read_fault.take() {
            Some(0) => true,
            Some(passing) => {
                self.read_fault = Some(passing - 1);
                false
            }
            None => false,
        }
    }
}

impl Contents {
    fn lives(&self, value: &Value) -> bool {
        value.dies.is_none_or(|dies| death_second(dies) > self.now.secs())
    }

    fn apply(&mut self, batch: &WriteBatch) {
        for (key, value) in &batch.rows {
            match value.as_ref().filter(|value| self.lives(value)) {
                Some(value) => self.rows.insert(key.clone(), value.clone()),
                None => self.rows.remove(key),
            };
        }
        self.commit_seq += 1;
    }

    /// Removes what is dead; whether there was any.
    fn sweep(&mut self) -> bool {
        let now = self.now.secs();
        let before = self.rows.len();
        self.rows.retain(|_, value| value.dies.is_none_or(|dies| death_second(dies) > now));
        let swept = self.rows.len() < before;
        self.commit_seq += u64::from(swept);
        swept
    }
}

/// A running store on a [`MemoryDisk`].
pub struct MemoryStore {
    disk: MemoryDisk,
    opening: u64,
    commit_seq: u64,
    now: Time,
}

impl MemoryStore {
    /// Opens the store on a disk.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another store runs on it.
    pub fn open(disk: &MemoryDisk) -> Result<Self, StoreError> {
        let mut inner = disk.lock();
        if inner.owner.is_some() {
            return Err(StoreError::InUse);
        }
        inner.openings += 1;
        inner.owner = Some(inner.openings);
        inner.cached = inner.durable.clone();
        let Contents { commit_seq, now, .. } = inner.cached;
        Ok(Self { disk: disk.clone(), opening: inner.openings, commit_seq, now })
    }

    /// Runs a change of the disk. Any error closes the store.
    fn change(&mut self, run: impl FnOnce(&mut Inner) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut inner = self.disk.lock();
        if inner.owner != Some(self.opening) {
            return Err(StoreError::Closed);
        }
        inner.cached.now = self.now;
        let done = run(&mut inner);
        match &done {
            Ok(()) => self.commit_seq = inner.cached.commit_seq,
            Err(_) => inner.owner = None,
        }
        done
    }
}

impl Store for MemoryStore {
    fn commit(&mut self, batch: &WriteBatch) -> Result<(), StoreError> {
        self.change(|inner| {
            let fault = inner.fails_commit();
            if fault != Some(CommitFault::BeforeDurable) && !batch.is_empty() {
                inner.cached.apply(batch);
                if !inner.lies {
                    inner.durable.now = inner.cached.now;
                    inner.durable.apply(batch);
                }
            }
            match fault {
                Some(_) => Err(StoreError::io("memory", std::io::Error::other("a fault was asked for"))),
                None => Ok(()),
            }
        })
    }

    fn report(&self) -> OpenReport {
        // What memory loses is gone without a trace, its counters too.
        OpenReport::default()
    }

    fn reader(&self) -> Box<dyn Rows> {
        Box::new(MemoryReader { disk: self.disk.clone(), opening: self.opening })
    }

    fn commit_seq(&self) -> u64 {
        self.commit_seq
    }

    fn set_now(&mut self, wall: Time) {
        self.now = self.now.max(wall);
        let mut inner = self.disk.lock();
        if inner.owner == Some(self.opening) {
            inner.cached.now = self.now;
        }
    }

    fn restart_clock(&mut self, at: Time) {
        // Only a store that is closed cannot, and it shows nothing.
        drop(self.tick(Instant::now()));
        self.now = at;
    }

    fn now(&self) -> Time {
        self.now
    }

    fn due(&self) -> Option<Time> {
        let inner = self.disk.lock();
        let deaths = inner.cached.rows.values().filter_map(|value| value.dies);
        deaths.map(|dies| Time::from_ms(death_second(dies).saturating_mul(1_000))).min()
    }

    fn chores(&self) -> Option<Instant> {
        None
    }

    fn has_room(&mut self) -> bool {
        !self.disk.lock().full
    }

    fn tick(&mut self, _: Instant) -> Result<(), StoreError> {
        self.change(|inner| {
            if inner.cached.sweep() {
                inner.durable = inner.cached.clone();
            }
            Ok(())
        })
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.change(|inner| {
            inner.cached.sweep();
            inner.durable = inner.cached.clone();
            Ok(())
        })
    }

    fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        self.flush()
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        let mut inner = self.disk.lock();
        if inner.owner == Some(self.opening) {
            inner.owner = None;
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryStore(commit {})", self.commit_seq)
    }
}

struct MemoryReader {
    disk: MemoryDisk,
    opening: u64,
}

impl MemoryReader {
    fn contents(&self) -> Result<MutexGuard<'_, Inner>, ReadError> {
        let mut inner = self.disk.lock();
        if inner.owner != Some(self.opening) || inner.fails_read() { Err(ReadError) } else { Ok(inner) }
    }
}

impl Rows for MemoryReader {
    fn get(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        let inner = self.contents()?;
        let value = inner.cached.rows.get(key).filter(|value| inner.cached.lives(value));
        Ok(value.map(|value| value.bytes.clone()))
    }

    fn scan(&self, visit: &mut dyn FnMut(&Key, &[u8])) -> Result<(), ReadError> {
        // Copied, so that a visitor may read other rows.
        let contents = self.contents()?.cached.clone();
        for (key, value) in contents.rows.iter().filter(|(_, value)| contents.lives(value)) {
            visit(key, &value.bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
