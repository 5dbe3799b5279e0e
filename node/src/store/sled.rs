//! sled 0.34.7 with what it needs to keep a promise. Nothing else names sled.
//!
//! Its `flush` is no barrier on Linux and may wait for ever for a write that has failed, values past a quarter of a
//! segment go to files that it never syncs, a half-written snapshot keeps it from opening, and damage makes it panic.
//! Each rule below answers one of these.
//! At level trace sled logs what it writes; whoever installs a subscriber caps the target `sled` at info.

use std::fs::{self, File};
use std::io;
use std::ops::RangeBounds;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Advice;

use super::StoreError;
use super::attendant::Attendant;
use super::error::DATABASE;
use crate::paths::{create_private_dir, make_tree_private, sync_dir};
use crate::vault::row::{Name, STORED_LEN_MAX};

/// Makes a file durable. A parameter, so that a test can count it, fail it, and look around while it runs.
pub(super) type Barrier = Arc<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

/// The barrier of every store that people use.
pub(super) fn disk_barrier() -> Barrier {
    Arc::new(File::sync_data)
}

/// One change of one stored value: bytes to write, or `None` to delete.
pub(super) type Change = (Name, Option<Vec<u8>>);

/// The database below the rows. It sees ciphertext only.
pub(super) struct Engine {
    /// Gone only inside `drop`.
    running: Option<Running>,
    /// Our own handle of sled's file, for the barrier that sled leaves out.
    file: File,
    barrier: Barrier,
    dir: PathBuf,
}

/// sled, and who looks after it; in the order in which they end.
struct Running {
    attendant: Attendant,
    db: sled::Db,
}

impl Running {
    fn new(db: sled::Db) -> io::Result<Self> {
        let attended = db.clone();
        let attendant = Attendant::start(move || wake(&attended))?;
        Ok(Self { attendant, db })
    }

    /// Has sled write what it has not written yet.
    fn write_out(&self) -> Result<(), StoreError> {
        self.attendant.beside(|| guarded(|| self.db.flush())).map(drop)
    }
}

impl Engine {
    /// Opens the database in `dir`, or makes one there.
    pub(super) fn open(dir: &Path, barrier: Barrier) -> Result<Self, StoreError> {
        let io = |err| StoreError::io(DATABASE, err);
        create_private_dir(dir).map_err(io)?;
        remove_unfinished_snapshots(dir).map_err(io)?;
        read_anew(&dir.join(ENGINE_FILE));
        let db = match open_waiting(dir) {
            Err(StoreError::Damaged { .. }) => {
                // The snapshot is only an index into the log; without it sled reads the log from its start.
                tracing::warn!(code = "database_snapshot_set_aside");
                set_snapshots_aside(dir).map_err(io)?;
                open_waiting(dir)?
            }
            opened => opened?,
        };
        let file = File::open(dir.join(ENGINE_FILE)).map_err(io)?;
        let running = Some(Running::new(db).map_err(io)?);
        let engine = Self { running, file, barrier, dir: dir.to_owned() };
        engine.flush()?;
        engine.check()?;
        sync_dir(dir).map_err(io)?;
        if let Some(parent) = dir.parent() {
            sync_dir(parent).map_err(io)?;
        }
        Ok(engine)
    }

    /// Applies all changes, or none, and returns when they are on the medium.
    pub(super) fn apply(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (name, change) in changes {
            match change {
                Some(stored) if stored.len() > STORED_LEN_MAX => return Err(StoreError::TooLarge),
                Some(stored) => batch.insert(&name, stored),
                None => batch.remove(&name),
            }
        }
        let db = self.db()?;
        guarded(|| db.apply_batch(batch))?;
        self.flush()
    }

    /// The stored bytes under a name.
    pub(super) fn get(&self, name: &Name) -> Result<Option<Vec<u8>>, StoreError> {
        let db = self.db()?;
        Ok(guarded(|| db.get(name))?.map(|stored| stored.to_vec()))
    }

    /// How much of the disk it takes, in bytes.
    pub(super) fn len(&self) -> Result<u64, StoreError> {
        let db = self.db()?;
        guarded(|| db.size_on_disk())
    }

    /// Shows every stored value of some names once.
    pub(super) fn scan(
        &self,
        names: impl RangeBounds<Name>,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let db = self.db()?;
        let mut rows = db.range(names);
        while let Some((name, stored)) = guarded(|| rows.next().transpose())? {
            // Of what it only walks over sled lets go of nothing until it has walked far.
            guarded(|| db.get(&name))?;
            visit(&name, &stored)?;
        }
        Ok(())
    }

    /// Looks for what must never be there, and takes others' rights off files that sled made since.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let io = |err| StoreError::io(DATABASE, err);
        make_tree_private(&self.dir).map_err(io)?;
        match fs::read_dir(self.dir.join("blobs")).map_err(io)?.next() {
            // A value escaped to a file that sled never syncs.
            Some(_) => Err(StoreError::Damaged { what: DATABASE }),
            None => Ok(()),
        }
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.running()?.write_out()?;
        (self.barrier)(&self.file).map_err(|err| StoreError::io(DATABASE, err))
    }

    fn running(&self) -> Result<&Running, StoreError> {
        self.running.as_ref().ok_or(StoreError::Closed)
    }

    fn db(&self) -> Result<&sled::Db, StoreError> {
        Ok(&self.running()?.db)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let running = self.running.take();
        // What a failed call left behind, for nobody could be woken from then on.
        if running.as_ref().is_some_and(|running| running.write_out().is_err()) {
            tracing::debug!(code = "database_unwritten");
        }
        // sled flushes as it is dropped. Every commit was durable before it was reported, so a panic here on a
        // damaged file loses nothing.
        if catch_unwind(AssertUnwindSafe(|| drop(running))).is_err() {
            tracing::warn!(code = "database_close_panicked");
        }
    }
}

/// Opens, waiting for the lock of an earlier handle of this process: sled lets go of it late.
fn open_waiting(dir: &Path) -> Result<sled::Db, StoreError> {
    // Nobody but the writer flushes: a background flusher would meet errors that nobody hears of.
    let config = sled::Config::new().path(dir).cache_capacity(CACHE_LEN).flush_every_ms(None);
    let start = Instant::now();
    loop {
        match guarded(|| config.open()) {
            Err(StoreError::InUse) if start.elapsed() < LOCK_WAIT_MAX => thread::sleep(LOCK_WAIT_STEP),
            opened => return opened,
        }
    }
}

/// Runs a call into sled; a panic counts as damage.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    let damaged = StoreError::Damaged { what: DATABASE };
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(err))) if is_lock_conflict(&err) => Err(StoreError::InUse),
        Ok(Err(sled::Error::Io(err))) => Err(StoreError::io(DATABASE, err)),
        Ok(Err(_)) | Err(_) => Err(damaged),
    }
}

/// sled does not wake whoever waits for a full segment whose write fails; whoever flushes after that does.
fn wake(db: &sled::Db) {
    if db.context.global_error().is_err() && guarded(|| db.flush()).is_err() {
        tracing::debug!(code = "flush_woken");
    }
}

/// sled wraps the system's error into text, so the text is all there is to look at.
fn is_lock_conflict(err: &io::Error) -> bool {
    err.kind() == io::ErrorKind::WouldBlock || err.to_string().starts_with("could not acquire lock")
}

/// After a write that failed, the system may go on showing what never reached the medium: what is opened is read from
/// there. As opening reads all of it in pieces, the system may fetch it in one go. Hints, so that nothing depends on
/// their being taken.
fn read_anew(file: &Path) {
    let advise = |file: &File, advice| rustix::fs::fadvise(file, 0, None, advice);
    if let Ok(file) = File::open(file)
        && advise(&file, Advice::DontNeed).and_then(|()| advise(&file, Advice::WillNeed)).is_err()
    {
        tracing::debug!(code = "cache_kept");
    }
}

fn snapshots(dir: &Path, prefix: &str) -> io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(prefix) {
            found.push((entry.path(), name));
        }
    }
    Ok(found)
}

fn remove_unfinished_snapshots(dir: &Path) -> io::Result<()> {
    for (path, name) in snapshots(dir, SNAPSHOT_PREFIX)? {
        if name.ends_with(".generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn set_snapshots_aside(dir: &Path) -> io::Result<()> {
    // Those of an earlier time are of no use by now.
    for (path, _) in snapshots(dir, ASIDE_PREFIX)? {
        fs::remove_file(path)?;
    }
    for (path, name) in snapshots(dir, SNAPSHOT_PREFIX)? {
        fs::rename(path, dir.join(format!("{ASIDE_PREFIX}{name}")))?;
    }
    Ok(())
}

/// The file in which sled keeps everything.
pub(super) const ENGINE_FILE: &str = "db";
const SNAPSHOT_PREFIX: &str = "snap.";
const ASIDE_PREFIX: &str = "aside.";
/// A page for each part of sled's cache; the protocol keeps what it uses often in its own memory.
const CACHE_LEN: u64 = 2 * 1024 * 1024;
/// sled's worker threads let go of its lock well within this; longer means that somebody holds it.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(1);
const LOCK_WAIT_STEP: Duration = Duration::from_millis(10);
