//! Where a node keeps its files, and that nobody else may look at them.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::control::socket::SOCKET_NAME;

/// The folder that holds everything a node keeps. One node uses it at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir {
    root: PathBuf,
}

/// The data folder cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The folder could not be made or looked at.
    #[error("the data folder cannot be used")]
    Io(#[from] io::Error),
    /// There is something in the folder that no node put there. Choose another; nothing was changed.
    #[error("the data folder is not empty")]
    NotEmpty,
    /// Other users of this computer may enter the folder. Take their rights away (mode 0700) and try again.
    #[error("the data folder is open to other users")]
    NotPrivate,
}

impl DataDir {
    /// Names the folder; nothing is touched.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file whose lock shows that a node is running here.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join(LOCK)
    }

    /// The file that holds the keys.
    #[must_use]
    pub fn keyring(&self) -> PathBuf {
        self.root.join(KEYRING)
    }

    /// The keyring while it is made: under its own name it is whole.
    #[must_use]
    pub fn unfinished_keyring(&self) -> PathBuf {
        self.root.join(UNFINISHED_KEYRING)
    }

    /// The file that is given up when the disk is full.
    #[must_use]
    pub fn ballast(&self) -> PathBuf {
        self.root.join(BALLAST)
    }

    /// The folder of one database.
    #[must_use]
    pub fn database(&self, id: &[u8; 16]) -> PathBuf {
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        self.root.join(format!("{DATABASE_PREFIX}{hex}"))
    }

    /// Whether any database stands here.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn has_database(&self) -> io::Result<bool> {
        for entry in fs::read_dir(&self.root)? {
            if entry?.file_name().to_string_lossy().starts_with(DATABASE_PREFIX) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The databases that stand here, but for one. What somebody else has put beside them is none.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn other_databases(&self, id: &[u8; 16]) -> io::Result<Vec<PathBuf>> {
        let is_id = |id: &str| id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let mut others = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().and_then(|name| name.strip_prefix(DATABASE_PREFIX)).is_some_and(is_id)
                && entry.file_type()?.is_dir()
            {
                others.push(entry.path());
            }
        }
        others.retain(|path| *path != self.database(id));
        Ok(others)
    }

    /// Whether a node may be set up here: where nothing is yet, in an empty folder of this account, or where setting up
    /// was cut short. Somebody's home folder must not have its rights changed, nor files put into it.
    ///
    /// # Errors
    /// As said above, or when one cannot look.
    pub fn check_free(&self) -> Result<(), DataDirError> {
        let facts = match fs::metadata(&self.root) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
            facts => facts?,
        };
        for entry in fs::read_dir(&self.root)? {
            if !is_ours(&entry?.file_name().to_string_lossy()) {
                return Err(DataDirError::NotEmpty);
            }
        }
        if facts.uid() == rustix::process::geteuid().as_raw() {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::PermissionDenied).into())
        }
    }

    /// Makes the folder, for its owner alone. One that exists already is made private.
    ///
    /// # Errors
    /// When the folder cannot be made, belongs to somebody else, or has something else in it.
    pub fn create(&self) -> Result<(), DataDirError> {
        self.check_free()?;
        if let Some(parent) = self.root.parent() {
            fs::create_dir_all(parent)?;
        }
        create_private_dir(&self.root)?;
        forbid_copy_on_write(&self.root);
        self.check()
    }

    /// Refuses a folder that is missing, belongs to somebody else, or that others may enter.
    ///
    /// # Errors
    /// As said above.
    pub fn check(&self) -> Result<(), DataDirError> {
        let facts = fs::metadata(&self.root)?;
        let mine = facts.uid() == rustix::process::geteuid().as_raw();
        if facts.is_dir() && mine && facts.mode() & OTHERS == 0 { Ok(()) } else { Err(DataDirError::NotPrivate) }
    }
}

/// Whether a node gives this name to something in its folder.
fn is_ours(name: &str) -> bool {
    [LOCK, KEYRING, UNFINISHED_KEYRING, BALLAST, SOCKET_NAME].contains(&name) || name.starts_with(DATABASE_PREFIX)
}

/// Makes a folder with mode 0700, or gives that mode to one that exists.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIR_MODE).create(path) {
        Ok(()) => Ok(()),
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(path, Permissions::from_mode(DIR_MODE))
        }
        Err(err) => Err(err),
    }
}

/// Makes a new file with mode 0600 for reading and writing; one that exists is an error.
pub(crate) fn create_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Gives every file below `dir` mode 0600 and every folder 0700, for files that a library made with the
/// process's own mask.
pub(crate) fn make_tree_private(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let facts = match entry.metadata() {
            Ok(facts) => facts,
            // Removed since it was listed: nothing is left to protect.
            Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
            Err(err) => return Err(err),
        };
        let wanted = if facts.is_dir() { DIR_MODE } else { FILE_MODE };
        if facts.mode() & 0o777 != wanted {
            fs::set_permissions(entry.path(), Permissions::from_mode(wanted))?;
        }
        if facts.is_dir() {
            make_tree_private(&entry.path())?;
        }
    }
    Ok(())
}

/// Makes the names inside a folder durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Asks a copy-on-write file system to overwrite new files of this folder in place, because erasing a key
/// means overwriting it.
#[cfg(target_os = "linux")]
fn forbid_copy_on_write(dir: &Path) {
    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
    let asked = File::open(dir)
        .and_then(|dir| Ok((ioctl_getflags(&dir)?, dir)))
        .and_then(|(flags, dir)| Ok(ioctl_setflags(&dir, flags | IFlags::NOCOW)?));
    if asked.is_err() {
        // Most file systems have no such flag and overwrite in place anyway; those that do neither are
        // named to the user by the doctor, not refused here.
        tracing::debug!(code = "nocow_unsupported");
    }
}

#[cfg(not(target_os = "linux"))]
fn forbid_copy_on_write(_dir: &Path) {}

const LOCK: &str = "LOCK";
const KEYRING: &str = "keyring";
const UNFINISHED_KEYRING: &str = "keyring.new";
const BALLAST: &str = "ballast";
const DATABASE_PREFIX: &str = "db-";
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// The rights of everybody but the owner.
const OTHERS: u32 = 0o077;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_for_its_owner_alone() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::new(temp.path().join("a/b"));
        dir.create().unwrap();
        assert_eq!(fs::metadata(dir.root()).unwrap().mode() & 0o777, 0o700);
        dir.check().unwrap();
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused_until_it_is_made_private() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::new(temp.path());
        fs::set_permissions(temp.path(), Permissions::from_mode(0o710)).unwrap();
        assert!(matches!(dir.check(), Err(DataDirError::NotPrivate)));
        dir.create().unwrap();
        dir.check().unwrap();
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_left_as_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::new(temp.path());
        fs::write(dir.unfinished_keyring(), b"cut short").unwrap();
        fs::write(dir.lock(), b"").unwrap();
        dir.check_free().unwrap();
        fs::write(temp.path().join("letter"), b"mine").unwrap();
        fs::set_permissions(temp.path(), Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(dir.create(), Err(DataDirError::NotEmpty)));
        assert_eq!(fs::metadata(temp.path()).unwrap().mode() & 0o777, 0o755);
    }

    #[test]
    fn files_made_with_a_loose_mask_are_tightened() {
        let temp = tempfile::tempdir().unwrap();
        let inner = temp.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("file"), b"x").unwrap();
        fs::set_permissions(inner.join("file"), Permissions::from_mode(0o666)).unwrap();
        fs::set_permissions(&inner, Permissions::from_mode(0o777)).unwrap();
        make_tree_private(temp.path()).unwrap();
        assert_eq!(fs::metadata(&inner).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(inner.join("file")).unwrap().mode() & 0o777, 0o600);
    }
}
