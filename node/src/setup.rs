//! Before there is a node: what stands in its directory, and setting it up.

use std::io;
use std::path::Path;

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

/// Sets a node up: a directory for its owner alone, and a vault that the passphrase opens.
///
/// # Errors
/// When one was set up there before, or the directory cannot be used.
pub fn init(data_dir: &Path, passphrase: &str) -> Result<(), NodeError> {
    if passphrase.is_empty() {
        return Err(NodeError::EmptyPassphrase);
    }
    match check_set_up(data_dir) {
        Err(NodeError::NotSetUp) => {}
        Ok(()) => return Err(NodeError::AlreadySetUp),
        Err(error) => return Err(error),
    }
    let store = SealedStore::create(&DataDir::new(data_dir), passphrase.as_bytes(), KdfCost::calibrated())?;
    Ok(Store::close(Box::new(store))?)
}
