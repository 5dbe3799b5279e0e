//! A database that holds little of what it was written with is written anew: sled never gives room back to the disk.

use std::fs;
use std::mem;
use std::path::Path;
use std::sync::Arc;

use super::state::{Core, note_database};
use crate::paths::sync_dir;
use crate::store::StoreError;
use crate::store::error::DATABASE;
use crate::store::sled::{Change, Engine};
use crate::vault::random;

impl Core {
    /// Whether the database is much longer than its rows, and than it was when it was last written anew.
    pub(super) fn is_worn(&self) -> Result<bool, StoreError> {
        let len = self.engine.len()?;
        let bytes = self.index.bytes();
        let spare = (SPARE_MIN + SPARE_TIMES * bytes).min(SPARE_MAX);
        Ok(len > spare + WORN_TIMES * bytes && len / 3 * 2 > self.anew)
    }

    /// Copies all rows as they are into a new database, which takes the old one's place with one store of the keyring.
    /// Where there is no room for both, or the copy fails, all stays as it was.
    pub(super) fn rewrite(&mut self) -> Result<(), StoreError> {
        self.find_files()?;
        let id = random()?;
        let place = self.dir.database(&id);
        let copied = self.copied(&place).and_then(|engine| Ok((engine.len()?, note_database(&place)?, engine)));
        let (len, file, engine) = match copied {
            Ok(copied) => copied,
            Err(err) => {
                tracing::warn!(code = "rewrite_given_up", reason = err.code());
                if fs::remove_dir_all(&place).is_err() {
                    tracing::debug!(code = "rewrite_left_behind");
                }
                return Ok(());
            }
        };
        // What was found before the copy may be gone since.
        self.find_files()?;
        let (old, old_id) = (mem::replace(&mut self.engine, engine), self.keyring.database_id);
        let [_, database] = &mut self.files;
        *database = file;
        self.anew = len;
        self.keyring.database_id = id;
        self.store_ring()?;
        drop(old);
        // It has nothing that the new one lacks, whatever can be read of either.
        self.remove(&self.dir.database(&old_id));
        self.remove_others();
        Ok(())
    }

    /// Removes what a rewrite left behind, before it was done or after, once all that the keyring names was found whole.
    pub(super) fn remove_others(&self) {
        if !self.report().is_clean() {
            return;
        }
        let others = self.dir.other_databases(&self.keyring.database_id).unwrap_or_default();
        others.iter().for_each(|other| self.remove(other));
    }

    fn remove(&self, other: &Path) {
        if let Err(err) = fs::remove_dir_all(other) {
            tracing::warn!(code = "old_database_kept", reason = StoreError::io(DATABASE, err).code());
        } else if sync_dir(self.dir.root()).is_err() {
            tracing::debug!(code = "removal_unsynced");
        }
    }

    fn copied(&self, place: &Path) -> Result<Engine, StoreError> {
        let engine = Engine::open(place, Arc::clone(&self.barrier))?;
        let (mut some, mut bytes): (Vec<Change>, usize) = (Vec::new(), 0);
        self.engine.scan(.., |name, stored| {
            let Ok(name) = name.try_into() else { return Ok(()) };
            bytes += stored.len();
            some.push((name, Some(stored.to_vec())));
            if bytes < COPIED_AT_ONCE {
                return Ok(());
            }
            bytes = 0;
            engine.apply(mem::take(&mut some))
        })?;
        engine.apply(some)?;
        Ok(engine)
    }
}

/// A database that was just written anew is some times as long as its rows; this is well above.
const WORN_TIMES: u64 = 2;
/// So much longer it may be all the same: with few rows, which are soon copied, less than with many.
const SPARE_MIN: u64 = 2 * 1024 * 1024;
const SPARE_TIMES: u64 = 6;
const SPARE_MAX: u64 = 8 * 1024 * 1024;
/// So much is made durable together: few syncs, and little memory.
const COPIED_AT_ONCE: usize = 1024 * 1024;
