//! Some space held back, to be given up when a full disk would keep the store from opening.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::paths::create_private_file;
use crate::vault::fill_random;

/// Gives the space back; whether there was any.
pub(super) fn give_up(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(err) => Err(err),
    }
}

/// Takes the space, if there is far more than that and it is not held yet.
pub(super) fn hold(path: &Path) -> io::Result<()> {
    let dir = path.parent().unwrap_or(path);
    let space = rustix::fs::statvfs(dir)?;
    if path.exists() || space.f_bavail.saturating_mul(space.f_frsize) < PLENTY {
        return Ok(());
    }
    let mut file = create_private_file(path)?;
    let held = file.write_all(&noise()?).and_then(|()| file.sync_all());
    if held.is_err() {
        give_up(path)?;
    }
    held
}

/// Random, so that no file system folds it away.
fn noise() -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; BALLAST_LEN];
    fill_random(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Opening writes a snapshot of the index and at most a few segments of 512 KiB.
const BALLAST_LEN: usize = 2 * 1024 * 1024;
/// Below this the space is worth more to the user than to us.
const PLENTY: u64 = 8 * BALLAST_LEN as u64;
