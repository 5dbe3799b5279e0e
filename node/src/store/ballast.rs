//! Some space held back, to be given up when a full disk would keep the store from opening.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::paths::create_private_file;
use crate::vault::fill_random;

/// The file that holds the space, or would.
pub(super) struct Ballast {
    path: PathBuf,
    held: bool,
}

impl Ballast {
    /// Takes the space, if there is far more than that and it is not held yet.
    pub(super) fn hold(path: PathBuf) -> io::Result<Self> {
        let held = path.exists() || free(&path)? >= PLENTY && take(&path)?;
        Ok(Self { path, held })
    }

    /// Whether more can be written and still leave what opening needs. Space that was given up is taken back first.
    pub(super) fn has_room(&mut self) -> bool {
        // A disk that does not answer is not known to be full; the next write finds out.
        let Ok(free) = free(&self.path) else { return true };
        if !self.held && free >= PLENTY {
            // If not now, then later.
            self.held = take(&self.path).unwrap_or_default();
        }
        let reserve = if self.held { 0 } else { BALLAST_LEN as u64 };
        free >= reserve + ROUND_LEN
    }
}

/// Gives the space back; whether there was any.
pub(super) fn give_up(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(err) => Err(err),
    }
}

/// Takes the space; whether it was there to take.
fn take(path: &Path) -> io::Result<bool> {
    let written = |mut file: fs::File| file.write_all(&noise()?).and_then(|()| file.sync_all());
    match create_private_file(path).and_then(written) {
        Ok(()) => Ok(true),
        Err(err) => {
            give_up(path)?;
            // Without it only the next full disk is harder to leave.
            let full = matches!(err.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            if full { Ok(false) } else { Err(err) }
        }
    }
}

fn free(path: &Path) -> io::Result<u64> {
    let space = rustix::fs::statvfs(path.parent().unwrap_or(path))?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Random, so that no file system folds it away.
fn noise() -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; BALLAST_LEN];
    fill_random(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Opening writes a snapshot of the index and a few segments of 512 KiB: up to 2.2 MB in many tries.
const BALLAST_LEN: usize = 4 * 1024 * 1024;
/// Below this the space is worth more to the user than to us.
const PLENTY: u64 = 8 * BALLAST_LEN as u64;
/// More than almost any round writes; one that writes more meets the end of the disk, and is lost as a whole.
const ROUND_LEN: u64 = 1024 * 1024;
