//! The store on disk: rows sealed by the vault, kept by sled.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use kinfold_protocol::persist::{Key, ReadError, Rows, Table, WriteBatch};
use kinfold_protocol::time::Time;
use zeroize::Zeroizing;

use super::ballast::{self, Ballast};
use super::error::KEYRING;
use super::sled::{Barrier, ENGINE_FILE, disk_barrier};
use super::{Store, StoreError};
use crate::paths::{DataDir, create_private_file, sync_dir};
use crate::vault::KdfCost;
use crate::vault::keyring::Keyring;
use crate::vault::ringfile::Ring;
use crate::vault::row::{Name, Row, Trails};

mod found;
mod many;
mod rewrite;
mod state;

pub use self::found::OpenReport;
use self::many::{MANY, on_two_threads};
use self::state::Core;

/// The store that people use: ciphertext in sled, keys in the keyring file.
pub struct SealedStore {
    /// Shared with readers, and `None` once closed, so that closing takes keys from readers too. One task owns
    /// the store and reads through its readers: nobody waits for this lock but the two threads of a scan.
    core: Arc<RwLock<Option<Core>>>,
    /// Outlives the core: after an error this is what the next open is compared with.
    commit_seq: u64,
    now: Time,
    ballast: Ballast,
}

impl SealedStore {
    /// Makes a new store in a folder, sealed with a passphrase.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when the folder holds one, else what the system refuses.
    pub fn create(dir: &DataDir, passphrase: &[u8], cost: KdfCost) -> Result<Self, StoreError> {
        Self::create_with(dir, passphrase, cost, disk_barrier())
    }

    /// Opens the store in a folder. Set its clock before anything is read from it.
    ///
    /// # Errors
    /// Each variant of [`StoreError`] says what to do.
    pub fn open(dir: &DataDir, passphrase: &[u8]) -> Result<Self, StoreError> {
        Self::open_with(dir, passphrase, disk_barrier())
    }

    fn create_with(dir: &DataDir, passphrase: &[u8], cost: KdfCost, barrier: Barrier) -> Result<Self, StoreError> {
        let io = |err| StoreError::io(KEYRING, err);
        dir.create()?;
        let lock = lock(dir)?;
        if dir.keyring().try_exists().map_err(io)? {
            return Err(StoreError::AlreadyExists);
        }
        if dir.has_database().map_err(io)? {
            // It had a keyring; a new one would only hide that it is missing.
            return Err(StoreError::KeyringMissing);
        }
        let unfinished = dir.unfinished_keyring();
        if unfinished.try_exists().map_err(io)? {
            // A creation was cut short.
            fs::remove_file(&unfinished).map_err(io)?;
        }
        let mut keyring = Keyring::generate()?;
        let file = create_private_file(&unfinished).map_err(io)?;
        let ring = Ring::create(file, &mut keyring, passphrase, cost)?;
        // It has no older generation yet that a rename could leave behind.
        fs::rename(&unfinished, dir.keyring()).map_err(io)?;
        sync_dir(dir.root()).map_err(io)?;
        Self::start(dir, Core::start(dir, lock, ring, keyring, barrier)?)
    }

    fn open_with(dir: &DataDir, passphrase: &[u8], barrier: Barrier) -> Result<Self, StoreError> {
        if !dir.root().try_exists().map_err(|err| StoreError::io("folder", err))? {
            return Err(StoreError::Misplaced);
        }
        dir.check()?;
        match Self::open_once(dir, passphrase, Arc::clone(&barrier)) {
            Err(StoreError::DiskFull) if ballast::give_up(&dir.ballast()).map_err(ballast_error)? => {
                Self::open_once(dir, passphrase, barrier)
            }
            opened => opened,
        }
    }

    fn open_once(dir: &DataDir, passphrase: &[u8], barrier: Barrier) -> Result<Self, StoreError> {
        let io = |err| StoreError::io(KEYRING, err);
        let lock = lock(dir)?;
        if !dir.keyring().try_exists().map_err(io)? {
            return Err(StoreError::KeyringMissing);
        }
        let file = File::options().read(true).write(true).open(dir.keyring()).map_err(io)?;
        let (ring, keyring) = Ring::open(file, passphrase)?;
        if keyring.commit_seq > 0 && !dir.database(&keyring.database_id).join(ENGINE_FILE).try_exists().map_err(io)? {
            // Starting an empty database here would look like a loss of everything that the user had.
            return Err(StoreError::Misplaced);
        }
        Self::start(dir, Core::start(dir, lock, ring, keyring, barrier)?)
    }

    fn start(dir: &DataDir, core: Core) -> Result<Self, StoreError> {
        let ballast = Ballast::hold(dir.ballast()).map_err(ballast_error)?;
        let (commit_seq, now) = (core.commit_seq(), core.now());
        Ok(Self { core: Arc::new(RwLock::new(Some(core))), commit_seq, now, ballast })
    }

    /// Runs a change. Any error but one that is known to have changed nothing closes the store.
    fn change(&mut self, run: impl FnOnce(&mut Core) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut guard = lock_core(&self.core);
        let core = guard.as_mut().ok_or(StoreError::Closed)?;
        core.set_now(self.now);
        let done = run(core);
        match &done {
            Ok(()) | Err(StoreError::TooLarge) => self.commit_seq = core.commit_seq(),
            Err(_) => *guard = None,
        }
        done
    }
}

impl Store for SealedStore {
    fn commit(&mut self, batch: &WriteBatch) -> Result<(), StoreError> {
        self.change(|core| core.commit(batch))
    }

    fn report(&self) -> OpenReport {
        read_core(&self.core).as_ref().map(Core::report).unwrap_or_default()
    }

    fn reader(&self) -> Box<dyn Rows> {
        Box::new(Reader { core: Arc::clone(&self.core) })
    }

    fn commit_seq(&self) -> u64 {
        self.commit_seq
    }

    fn set_now(&mut self, wall: Time) {
        self.now = self.now.max(wall);
        if let Some(core) = lock_core(&self.core).as_mut() {
            core.set_now(self.now);
        }
    }

    fn restart_clock(&mut self, at: Time) {
        self.now = at;
        if let Some(core) = lock_core(&self.core).as_mut() {
            core.restart_clock(at);
        }
    }

    fn now(&self) -> Time {
        self.now
    }

    fn due(&self) -> Option<Time> {
        read_core(&self.core).as_ref().and_then(Core::due)
    }

    fn chores(&self) -> Option<Instant> {
        read_core(&self.core).as_ref().map(Core::chores)
    }

    fn has_room(&mut self) -> bool {
        self.ballast.has_room()
    }

    fn tick(&mut self, now: Instant) -> Result<(), StoreError> {
        self.change(|core| core.tick(now))
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.change(Core::flush)
    }

    fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        let flushed = self.change(|core| {
            core.flush()?;
            if core.is_worn()? { core.rewrite() } else { Ok(()) }
        });
        *lock_core(&self.core) = None;
        flushed
    }
}

impl Drop for SealedStore {
    fn drop(&mut self) {
        // Readers may outlive the store; the keys must not.
        *lock_core(&self.core) = None;
    }
}

impl fmt::Debug for SealedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedStore(commit {})", self.commit_seq)
    }
}

struct Reader {
    core: Arc<RwLock<Option<Core>>>,
}

impl Rows for Reader {
    fn get(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        let guard = read_core(&self.core);
        let core = guard.as_ref().ok_or(ReadError)?;
        core.get(key.table as u8, &key.name).map_err(read_error)
    }

    fn scan(&self, visit: &mut dyn FnMut(&Key, &[u8])) -> Result<(), ReadError> {
        let names = read_core(&self.core).as_ref().ok_or(ReadError)?.names();
        let parts: Vec<&[Name]> = names.chunks(MANY).collect();
        let mut done = Ok(());
        // The lock is let go of before each visit, so that a visitor may read other rows.
        let one = |names: &&[Name], trails: &mut Trails| self.some(names, trails);
        on_two_threads(&parts, one, |some| {
            if done.is_ok() {
                done = some.and_then(|some| self.show(some, visit));
            }
        });
        done?;
        if let Some(core) = read_core(&self.core).as_ref() {
            core.remove_others();
        }
        Ok(())
    }
}

/// What came of some names.
#[derive(Default)]
struct Opened {
    rows: Vec<Row>,
    /// Under these there are none that can be read.
    none: Vec<Name>,
}

impl Reader {
    /// The rows with these names that are alive and what they say they are.
    fn some(&self, names: &[Name], trails: &mut Trails) -> Result<Opened, ReadError> {
        let guard = read_core(&self.core);
        let core = guard.as_ref().ok_or(ReadError)?;
        let mut some = Opened::default();
        for name in names {
            match core.row(name, trails) {
                Err(StoreError::Damaged { .. } | StoreError::NewerVersion) => some.none.push(*name),
                row => some.rows.extend(row.map_err(read_error)?),
            }
        }
        Ok(some)
    }

    fn show(&self, some: Opened, visit: &mut dyn FnMut(&Key, &[u8])) -> Result<(), ReadError> {
        if !some.none.is_empty()
            && let Some(core) = lock_core(&self.core).as_mut()
        {
            some.none.iter().for_each(|name| core.give_up(name));
        }
        for row in some.rows {
            let table = Table::from_number(row.table).ok_or(ReadError)?;
            visit(&Key { table, name: row.logical.to_vec() }, &row.value);
        }
        Ok(())
    }
}

fn read_error(err: StoreError) -> ReadError {
    // The protocol only needs to stop; which part failed is for the log.
    tracing::warn!(code = "store_read_failed", reason = err.code());
    ReadError
}

fn read_core(core: &RwLock<Option<Core>>) -> RwLockReadGuard<'_, Option<Core>> {
    loop {
        match core.read() {
            Ok(guard) => return guard,
            Err(poisoned) => drop(poisoned),
        }
        drop(lock_core(core));
    }
}

fn lock_core(core: &RwLock<Option<Core>>) -> RwLockWriteGuard<'_, Option<Core>> {
    // A panic while it was held can have left the core half changed: it is closed, not used.
    core.write().unwrap_or_else(|poisoned: PoisonError<_>| {
        core.clear_poison();
        let mut guard = poisoned.into_inner();
        *guard = None;
        guard
    })
}

fn lock(dir: &DataDir) -> Result<File, StoreError> {
    let io = |err| StoreError::io("lock", err);
    let file = match create_private_file(&dir.lock()) {
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {
            File::options().read(true).write(true).open(dir.lock()).map_err(io)?
        }
        made => made.map_err(io)?,
    };
    // The system may take a moment to let go of the lock of a process that has just ended.
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(err)) => return Err(io(err)),
        }
    }
    Err(StoreError::InUse)
}

/// Together a second: longer than any system takes, shorter than a person waits.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

fn ballast_error(err: std::io::Error) -> StoreError {
    StoreError::io("ballast", err)
}

#[cfg(test)]
mod tests;
