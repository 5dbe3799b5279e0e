//! Before there is a node: what stands in its directory, and setting it up.

use std::io;
use std::path::Path;

use rustix::process::Resource;

use crate::control::NodeError;
use crate::paths::DataDir;
use crate::store::{SealedStore, Store, StoreError};
use crate::vault::KdfCost;

/// Looks whether a node was set up in this directory.
///
/// # Errors
/// [`NodeError::NotSetUp`] when nothing stands there, [`NodeError::KeysMissing`] when what stands there cannot be read by
/// anybody, else why one cannot look.
pub fn check_set_up(data_dir: &Path) -> Result<(), NodeError> {
    let dir = DataDir::new(data_dir);
    let refused = |error| NodeError::from(StoreError::io("folder", error));
    if dir.keyring().try_exists().map_err(refused)? {
        return Ok(());
    }
    match dir.has_database() {
        Ok(true) => Err(NodeError::KeysMissing),
        Ok(false) => Err(NodeError::NotSetUp),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(NodeError::NotSetUp),
        Err(error) => Err(refused(error)),
    }
}

/// Open files without which a node is of no use: about twenty for the store, the threads and the program itself, some for
/// windows, and for each group and each person connected one more.
const FILES_MIN: u64 = 64;

/// Looks whether the system lets this process open enough files, before one of them is missed in the middle of something.
///
/// # Errors
/// [`NodeError::FewFiles`] when it does not.
pub fn check_files() -> Result<(), NodeError> {
    match rustix::process::getrlimit(Resource::Nofile).current {
        Some(limit) if limit < FILES_MIN => Err(NodeError::FewFiles),
        Some(_) | None => Ok(()),
    }
}

/// Looks whether a node may be set up in this directory; changes nothing.
///
/// # Errors
/// When one was set up there before, something else is there, or one cannot look.
pub fn check_can_set_up(data_dir: &Path) -> Result<(), NodeError> {
    match check_set_up(data_dir) {
        Err(NodeError::NotSetUp) => Ok(DataDir::new(data_dir).check_free().map_err(StoreError::from)?),
        Ok(()) => Err(NodeError::AlreadySetUp),
        Err(error) => Err(error),
    }
}

/// Sets a node up: a directory for its owner alone, and a vault that the passphrase opens.
///
/// # Errors
/// When one was set up there before, or the directory cannot be used.
pub fn init(data_dir: &Path, passphrase: &str) -> Result<(), NodeError> {
    if passphrase.is_empty() {
        return Err(NodeError::EmptyPassphrase);
    }
    check_can_set_up(data_dir)?;
    let store = SealedStore::create(&DataDir::new(data_dir), passphrase.as_bytes(), KdfCost::calibrated())?;
    Ok(Store::close(Box::new(store))?)
}
