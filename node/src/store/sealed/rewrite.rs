//! A database that holds little of what it was written with is written anew: sled never gives room back to the disk.

use std::fs;
use std::mem;
use std::sync::Arc;

use super::state::{Core, note_files};
use crate::paths::{DataDir, sync_dir};
use crate::store::StoreError;
use crate::store::error::DATABASE;
use crate::store::sled::{Change, Engine};
use crate::vault::random;

impl Core {
    /// Whether the database is much longer than its rows.
    pub(super) fn is_worn(&self) -> Result<bool, StoreError> {
        Ok(self.engine.len()? > WORN_MIN + WORN_TIMES * self.index.bytes())
    }

    /// Copies all rows as they are into a new database, which takes the old one's place with one store of the keyring.
    /// Where there is no room for both, or the copy fails, all stays as it was.
    pub(super) fn rewrite(&mut self) -> Result<(), StoreError> {
        let (id, before) = (random()?, self.keyring.database_id);
        let copied = self.copied(id).and_then(|engine| Ok((engine, note_files(&self.dir, &id)?)));
        let (engine, files) = match copied {
            Ok(copied) => copied,
            Err(err) => {
                tracing::warn!(code = "rewrite_given_up", reason = err.code());
                remove_others(&self.dir, &before);
                return Ok(());
            }
        };
        let old = mem::replace(&mut self.engine, engine);
        self.files = files;
        self.keyring.database_id = id;
        self.store_ring()?;
        drop(old);
        remove_others(&self.dir, &id);
        Ok(())
    }

    fn copied(&self, id: [u8; 16]) -> Result<Engine, StoreError> {
        let engine = Engine::open(&self.dir.database(&id), Arc::clone(&self.barrier))?;
        let (mut some, mut bytes): (Vec<Change>, usize) = (Vec::new(), 0);
        self.engine.scan(|name, stored| {
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

/// Removes what a rewrite left behind, before it was done or after. Only the database that the keyring names can be read.
pub(super) fn remove_others(dir: &DataDir, id: &[u8; 16]) {
    let removed = dir.other_databases(id).and_then(|others| {
        others.iter().try_for_each(fs::remove_dir_all)?;
        if others.is_empty() { Ok(()) } else { sync_dir(dir.root()) }
    });
    if let Err(err) = removed {
        let reason = StoreError::io(DATABASE, err);
        tracing::warn!(code = "old_database_kept", reason = reason.code());
    }
}

/// A database that was just written anew is some times as long as its rows; this is well above.
const WORN_TIMES: u64 = 2;
/// Below this nobody misses the room.
const WORN_MIN: u64 = 8 * 1024 * 1024;
/// So much is made durable together: few syncs, and little memory.
const COPIED_AT_ONCE: usize = 1024 * 1024;
