//! Whether an open file still has its name. A file that was moved away or deleted takes everything that is written to it,
//! and gives nothing back after a restart.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::StoreError;

/// The name of an open file, and which file that is.
pub(super) struct Named {
    path: PathBuf,
    file: (u64, u64),
}

impl Named {
    /// Notes which file goes by this name. Its user keeps it open, so that no other file gets its number.
    pub(super) fn note(path: PathBuf) -> io::Result<Self> {
        let facts = fs::metadata(&path)?;
        Ok(Self { path, file: (facts.dev(), facts.ino()) })
    }

    /// Refuses a name that is gone, or that another file has.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match fs::metadata(&self.path) {
            Ok(facts) if (facts.dev(), facts.ino()) == self.file => Ok(()),
            Ok(_) => Err(StoreError::Misplaced),
            Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(StoreError::Misplaced)
            }
            Err(err) => Err(StoreError::io("folder", err)),
        }
    }
}
