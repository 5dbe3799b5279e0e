//! An open store: the database, the keyring, and what memory knows of the rows.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kinfold_protocol::persist::{Key, Value, WriteBatch};
use kinfold_protocol::time::Time;
use zeroize::Zeroizing;

use super::found::{Found, OpenReport, index_rows};
use crate::paths::DataDir;
use crate::store::error::{DATABASE, KEYRING};
use crate::store::index::{Fact, Index};
use crate::store::meta::{META_NAME, META_TABLE, Meta};
use crate::store::named::Named;
use crate::store::sled::{Barrier, Change, ENGINE_FILE, Engine};
use crate::store::{StoreError, death_second};
use crate::vault::keyring::Keyring;
use crate::vault::ringfile::Ring;
use crate::vault::row::{Class, LAST_SECOND, Leaves, Name, Row, Trails};

/// Everything that is gone from memory once the store is closed.
pub(super) struct Core {
    pub(super) dir: DataDir,
    pub(super) barrier: Barrier,
    pub(super) engine: Engine,
    ring: Ring<File>,
    pub(super) keyring: Keyring,
    pub(super) index: Index,
    found: Found,
    meta: Meta,
    now: Time,
    /// By when the keyring must be stored.
    ring_due: Option<Instant>,
    check_due: Instant,
    /// The files that everything is written to, which must still be found after a restart.
    pub(super) files: [Named; 2],
    /// How long the database was when it was last written anew.
    pub(super) anew: u64,
    /// Let go of last.
    _lock: File,
}

impl Core {
    /// Opens the database that belongs to an opened keyring, and notes what every row says of itself.
    pub(super) fn start(
        dir: &DataDir,
        lock: File,
        ring: Ring<File>,
        keyring: Keyring,
        barrier: Barrier,
    ) -> Result<Self, StoreError> {
        let place = dir.database(&keyring.database_id);
        let engine = match Engine::open(&place, Arc::clone(&barrier)) {
            // Setting up was cut short: nothing was ever kept in it.
            Err(StoreError::Damaged { .. }) if keyring.commit_seq == 0 => {
                fs::remove_dir_all(&place).map_err(|err| StoreError::io(DATABASE, err))?;
                Engine::open(&place, Arc::clone(&barrier))?
            }
            opened => opened?,
        };
        let meta = read_meta(&engine, &keyring)?;
        let now = keyring.last_seen;
        let check_due = Instant::now() + CHECK_EVERY;
        let (index, found) = index_rows(&engine, &keyring)?;
        let note_keyring = Named::note(dir.keyring()).map_err(|err| StoreError::io(KEYRING, err));
        let files = [note_keyring?, note_database(&place)?];
        let commits_lost = keyring.commit_seq.saturating_sub(meta.commit_seq);
        let found = found.beside(commits_lost, meta.rows);
        let (dir, ring_due) = (dir.clone(), None);
        let mut core = Self {
            dir,
            barrier,
            engine,
            ring,
            keyring,
            index,
            found,
            meta,
            now,
            ring_due,
            check_due,
            files,
            anew: 0,
            _lock: lock,
        };
        core.burn_leaves()?;
        Ok(core)
    }

    /// Skips the leaves that a batch lost in a crash may have used, and notes that in the keyring, for a second
    /// crash before the next commit must not come back to the same leaves.
    fn burn_leaves(&mut self) -> Result<(), StoreError> {
        let burnt = |database: u64, keyring: u64| (database.max(keyring) / LEAVES_PER_OPEN + 1) * LEAVES_PER_OPEN;
        self.meta.next_m = burnt(self.meta.next_m, self.keyring.next_m);
        self.meta.next_s = burnt(self.meta.next_s, self.keyring.next_s);
        self.meta.commit_seq = self.meta.commit_seq.max(self.keyring.commit_seq);
        self.store_ring()
    }

    /// What was found so far.
    pub(super) fn report(&self) -> OpenReport {
        self.found.report()
    }

    /// A row turned out not to be what it says: it is not there, and one bad row keeps no other from being read.
    pub(super) fn give_up(&mut self, name: &Name) {
        if let Some(fact) = self.index.fact(name) {
            tracing::warn!(code = "row_given_up");
            self.index.remove(name);
            self.found.give_up(fact);
        }
    }

    pub(super) fn commit_seq(&self) -> u64 {
        self.meta.commit_seq
    }

    pub(super) fn now(&self) -> Time {
        self.now
    }

    pub(super) fn set_now(&mut self, wall: Time) {
        self.now = self.now.max(wall);
    }

    pub(super) fn restart_clock(&mut self, at: Time) {
        self.index.bury(self.now.secs());
        self.now = at;
    }

    pub(super) fn commit(&mut self, batch: &WriteBatch) -> Result<(), StoreError> {
        if batch.rows.len() > BATCH_ROWS_MAX {
            return Err(StoreError::TooLarge);
        }
        if !batch.is_empty() {
            let mut change = Pending::new(self.meta);
            for (key, value) in &batch.rows {
                let name = self.keyring.row_name(key.table as u8, &key.name);
                match value.as_ref().filter(|value| self.outlives_now(value)) {
                    Some(value) => self.put(&mut change, name, key, value)?,
                    None => self.delete(&mut change, name),
                }
            }
            self.write(change)?;
            tracing::trace!(code = "after_durable");
        }
        if batch.urgent { self.store_ring() } else { Ok(()) }
    }

    fn outlives_now(&self, value: &Value) -> bool {
        value.dies.is_none_or(|dies| death_second(dies) > self.now.secs())
    }

    fn put(&self, change: &mut Pending, name: Name, key: &Key, value: &Value) -> Result<(), StoreError> {
        let class = if key.table.is_secret_state() { Class::State } else { Class::Message };
        let time = value.dies.map(|dies| death_second(dies).min(LAST_SECOND));
        let leaves = change.take_leaf(class, time);
        let parts = self.keyring.seal_row(key.table as u8, &key.name, &value.bytes, leaves)?;
        // A head and its chunks; the bound of a value keeps the chunks within u16.
        let chunks = u16::try_from(parts.len().saturating_sub(1)).map_err(|_| StoreError::TooLarge)?;
        let head = parts.first().map_or(0, |(_, stored)| stored.len()).try_into().unwrap_or(u16::MAX);
        change.changes.extend(parts.into_iter().map(|(name, stored)| (name, Some(stored))));
        self.drop_chunks(change, &name, chunks);
        change.facts.push((name, Some(Fact { dies: time, chunks, head })));
        Ok(())
    }

    fn delete(&self, change: &mut Pending, name: Name) {
        if self.index.fact(&name).is_some() {
            change.changes.push((name, None));
            self.drop_chunks(change, &name, 0);
            change.facts.push((name, None));
        }
    }

    /// Removes the chunks from number `from` on that the row has now.
    fn drop_chunks(&self, change: &mut Pending, name: &Name, from: u16) {
        let until = self.index.fact(name).map_or(0, |fact| fact.chunks);
        change.changes.extend((from..until).map(|number| (self.keyring.chunk_name(name, number), None)));
    }

    /// Makes a change durable, then known.
    fn write(&mut self, mut change: Pending) -> Result<(), StoreError> {
        let added = change.facts.iter().filter(|(name, fact)| fact.is_some() && self.index.fact(name).is_none());
        let removed = change.facts.iter().filter(|(_, fact)| fact.is_none());
        let rows = (self.index.len() + added.count()).saturating_sub(removed.count());
        let leaves = change.take_leaf(Class::Message, None);
        change.meta.rows = count(rows);
        change.meta.commit_seq += 1;
        let sealed = self.keyring.seal_row(META_TABLE, META_NAME, &change.meta.encode(), leaves)?;
        change.changes.extend(sealed.into_iter().map(|(name, stored)| (name, Some(stored))));

        self.find_files()?;
        self.engine.apply(change.changes)?;
        self.find_written()?;

        self.meta = change.meta;
        for (name, fact) in change.facts {
            match fact {
                Some(fact) => self.index.insert(name, fact),
                None => self.index.remove(&name),
            }
        }
        self.ring_due.get_or_insert_with(|| Instant::now() + RING_WAIT_MAX);
        Ok(())
    }

    pub(super) fn due(&self) -> Option<Time> {
        self.index.next_death().map(|second| Time::from_ms(second.saturating_mul(1_000)))
    }

    pub(super) fn chores(&self) -> Instant {
        self.ring_due.map_or(self.check_due, |due| due.min(self.check_due))
    }

    pub(super) fn tick(&mut self, now: Instant) -> Result<(), StoreError> {
        let swept = self.sweep()?;
        if self.check_due <= now {
            self.engine.check()?;
            self.check_due = now + CHECK_EVERY;
            if self.is_worn()? {
                self.rewrite()?;
            }
        }
        // What died is destroyed at once, and the moment of death is kept, for a clock set back must not undo it.
        if swept || self.ring_due.is_some_and(|due| due <= now) { self.store_ring() } else { Ok(()) }
    }

    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        while self.sweep()? {}
        self.store_ring()
    }

    /// Removes some of the rows that are dead; whether there were any.
    fn sweep(&mut self) -> Result<bool, StoreError> {
        let dead = self.index.dead(self.now.secs(), SWEEP_ROWS_MAX);
        if dead.is_empty() {
            return Ok(false);
        }
        let mut change = Pending::new(self.meta);
        for name in dead {
            self.delete(&mut change, name);
        }
        self.write(change)?;
        Ok(true)
    }

    pub(super) fn store_ring(&mut self) -> Result<(), StoreError> {
        self.keyring.last_seen = self.now;
        self.keyring.commit_seq = self.meta.commit_seq;
        self.keyring.next_m = self.meta.next_m;
        self.keyring.next_s = self.meta.next_s;
        self.ring.store(&mut self.keyring)?;
        self.find_written()?;
        tracing::trace!(code = "after_keyring");
        self.ring_due = None;
        Ok(())
    }

    /// Refuses to write where nobody will find it.
    pub(super) fn find_files(&self) -> Result<(), StoreError> {
        self.files.iter().try_for_each(Named::check)
    }

    /// The same after writing: whether that survives is not known.
    fn find_written(&self) -> Result<(), StoreError> {
        self.find_files().map_err(|err| match err {
            StoreError::Misplaced => StoreError::io(DATABASE, ErrorKind::NotFound.into()),
            err => err,
        })
    }

    #[cfg(test)]
    pub(super) fn next_leaves(&self) -> (u64, u64) {
        (self.meta.next_m, self.meta.next_s)
    }

    /// The names under which the database has a row and its chunks.
    #[cfg(test)]
    pub(super) fn stored_names(&self, key: &Key) -> Vec<Name> {
        let name = self.keyring.row_name(key.table as u8, &key.name);
        let chunks = self.index.fact(&name).map_or(0, |fact| fact.chunks);
        std::iter::once(name).chain((0..chunks).map(|number| self.keyring.chunk_name(&name, number))).collect()
    }

    pub(super) fn names(&self) -> Vec<Name> {
        self.index.names()
    }

    pub(super) fn get(&self, table: u8, logical: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Ok(self.row(&self.keyring.row_name(table, logical), &mut Trails::default())?.map(|row| row.value))
    }

    /// Opens a row, if it is alive, as one of many.
    pub(super) fn row(&self, name: &Name, trails: &mut Trails) -> Result<Option<Row>, StoreError> {
        if self.index.living(name, self.now.secs()).is_none() {
            return Ok(None);
        }
        let head = self.engine.get(name)?.ok_or(StoreError::Damaged { what: DATABASE })?;
        self.keyring.open_row_along(name, &head, trails, |chunk| self.engine.get(chunk)).map(Some)
    }
}

/// A change that is not written yet: what the disk gets, and what memory then knows.
struct Pending {
    changes: Vec<Change>,
    facts: Vec<(Name, Option<Fact>)>,
    meta: Meta,
}

impl Pending {
    fn new(meta: Meta) -> Self {
        Self { changes: Vec::new(), facts: Vec::new(), meta }
    }

    fn take_leaf(&mut self, class: Class, time: Option<u64>) -> Leaves {
        let next = match class {
            Class::Message => &mut self.meta.next_m,
            Class::State => &mut self.meta.next_s,
        };
        let version = *next;
        *next += 1;
        Leaves { class, time, version }
    }
}

/// The file in which a database keeps everything.
pub(super) fn note_database(place: &Path) -> Result<Named, StoreError> {
    Named::note(place.join(ENGINE_FILE)).map_err(|err| StoreError::io(DATABASE, err))
}

/// The counters of the last durable commit; zeros for a database that never had one or has lost them.
fn read_meta(engine: &Engine, keyring: &Keyring) -> Result<Meta, StoreError> {
    let name = keyring.row_name(META_TABLE, META_NAME);
    let Some(stored) = engine.get(&name)? else { return Ok(Meta::default()) };
    match keyring.open_row(&name, &stored, |chunk| engine.get(chunk)) {
        Ok(row) => Meta::decode(&row.value),
        // The report then names every commit as lost.
        Err(StoreError::Damaged { .. }) => Ok(Meta::default()),
        Err(err) => Err(err),
    }
}

fn count(rows: usize) -> u64 {
    rows.try_into().unwrap_or(u64::MAX)
}

/// Old versions of ratchet steps are destroyed within this.
pub(super) const RING_WAIT_MAX: Duration = Duration::from_secs(1);
/// How often the database's folder is looked at.
pub(super) const CHECK_EVERY: Duration = Duration::from_secs(3_600);
/// How many rows one sweep removes, so that a commit never waits long behind it.
const SWEEP_ROWS_MAX: usize = 4_096;
/// More than one batch can use, and few enough for 16 million opens.
const LEAVES_PER_OPEN: u64 = 1 << 16;
/// A batch takes a leaf for each row and one for its counters.
const BATCH_ROWS_MAX: usize = (1 << 16) - 1;
