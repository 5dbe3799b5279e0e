//! Why the store cannot do what was asked, in words that the interface turns into advice.

use std::io;

use rustix::io::Errno;

use crate::paths::DataDirError;
use crate::vault::NoEntropy;
use crate::vault::ringfile::RingError;
use crate::vault::row::{OpenRowError, SealRowError};

/// The store cannot be made, opened, read or written.
///
/// After any error from a commit the store is closed, because what the disk then holds is not known: drop it,
/// open it again, and compare [`commit_seq`](super::Store::commit_seq) with its value before the commit.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A store is in this folder already. Open it, or choose another folder.
    #[error("a store exists in this folder already")]
    AlreadyExists,
    /// An earlier error or a close ended this store. Open it again.
    #[error("the store is closed")]
    Closed,
    /// What is on the disk is not what was written there.
    #[error("the {what} is damaged")]
    Damaged {
        /// The part that is damaged.
        what: &'static str,
    },
    /// No space is left. Nothing that was kept is lost; free some space and open the store again.
    #[error("the disk is full")]
    DiskFull,
    /// The system opens no more files for this process. Raise its limit, then open the store again.
    #[error("too few open files")]
    FewFiles,
    /// Another node runs in this folder. Talk to it, or stop it first.
    #[error("another node is using this folder")]
    InUse,
    /// The disk failed in a way that has no name of its own.
    #[error("the {what} cannot be read or written")]
    Io {
        /// The part that was being used.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The keyring holds no keys any more. Without it the database cannot be read by anybody.
    #[error("the keyring is damaged")]
    KeyringDamaged,
    /// The keyring has no room for its keys.
    #[error("the keyring is full")]
    KeyringFull,
    /// There is no keyring in this folder. Create a store, or give the right folder.
    #[error("there is no keyring in this folder")]
    KeyringMissing,
    /// The files are no longer where they were opened. Nothing was written; put them back and open the store again.
    #[error("the files were moved or deleted")]
    Misplaced,
    /// A newer version of Kinfold wrote this store. Update, then open it again; nothing was changed.
    #[error("the store was written by a newer version")]
    NewerVersion,
    /// The system gave no randomness. Nothing was written.
    #[error("the system gave no randomness")]
    NoEntropy,
    /// The system does not let this account use the folder or a file in it.
    #[error("the system refuses access")]
    NoAccess,
    /// There is not enough free memory to try the passphrase. Close something and try again.
    #[error("there is not enough memory to try the passphrase")]
    NoMemory,
    /// An older version of Kinfold wrote this store, in a shape that this one does not read. Nothing was changed.
    #[error("the store was written by an older version")]
    OlderVersion,
    /// There is something in this folder that no store put there. Choose a folder of its own; nothing was changed.
    #[error("the folder is not empty")]
    NotEmpty,
    /// Other users of this computer may enter the folder. Take their rights away (mode 0700) and open it again.
    #[error("the folder is open to other users")]
    NotPrivate,
    /// The system takes no path of that length. Choose a shorter one.
    #[error("the path is too long")]
    PathTooLong,
    /// The disk may only be read. Make it writable and open the store again.
    #[error("the disk may only be read")]
    ReadOnly,
    /// A row or a batch is past its bound. Nothing was written.
    #[error("the change is too large")]
    TooLarge,
    /// The passphrase is not the one of this keyring. Try again.
    #[error("wrong passphrase")]
    WrongPassphrase,
}

impl StoreError {
    /// The error's name in logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyExists => "store_already_exists",
            Self::Closed => "store_closed",
            Self::Damaged { .. } => "store_damaged",
            Self::DiskFull => "store_disk_full",
            Self::FewFiles => "store_few_files",
            Self::InUse => "store_in_use",
            Self::Io { .. } => "store_io",
            Self::KeyringDamaged => "store_keyring_damaged",
            Self::KeyringFull => "store_keyring_full",
            Self::KeyringMissing => "store_keyring_missing",
            Self::Misplaced => "store_misplaced",
            Self::NewerVersion => "store_newer_version",
            Self::NoAccess => "store_no_access",
            Self::NoEntropy => "store_no_entropy",
            Self::NoMemory => "store_no_memory",
            Self::NotEmpty => "store_not_empty",
            Self::NotPrivate => "store_not_private",
            Self::OlderVersion => "store_older_version",
            Self::PathTooLong => "store_path_too_long",
            Self::ReadOnly => "store_read_only",
            Self::TooLarge => "store_too_large",
            Self::WrongPassphrase => "store_wrong_passphrase",
        }
    }

    /// Names an error of the system; `what` was being used.
    pub(crate) fn io(what: &'static str, source: io::Error) -> Self {
        if matches!(Errno::from_io_error(&source), Some(Errno::MFILE | Errno::NFILE)) {
            return Self::FewFiles;
        }
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            io::ErrorKind::PermissionDenied => Self::NoAccess,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::InvalidFilename => Self::PathTooLong,
            _ => Self::Io { what, source },
        }
    }
}

impl From<DataDirError> for StoreError {
    fn from(err: DataDirError) -> Self {
        match err {
            DataDirError::Io(source) => Self::io("folder", source),
            DataDirError::NotEmpty => Self::NotEmpty,
            DataDirError::NotPrivate => Self::NotPrivate,
        }
    }
}

impl From<NoEntropy> for StoreError {
    fn from(NoEntropy: NoEntropy) -> Self {
        Self::NoEntropy
    }
}

impl From<OpenRowError> for StoreError {
    fn from(err: OpenRowError) -> Self {
        match err {
            OpenRowError::Newer => Self::NewerVersion,
            OpenRowError::Unreadable => Self::Damaged { what: DATABASE },
        }
    }
}

impl From<RingError> for StoreError {
    fn from(err: RingError) -> Self {
        match err {
            RingError::Damaged => Self::KeyringDamaged,
            RingError::Full => Self::KeyringFull,
            RingError::Io(source) => Self::io(KEYRING, source),
            RingError::Newer => Self::NewerVersion,
            RingError::NoEntropy => Self::NoEntropy,
            RingError::NoMemory => Self::NoMemory,
            RingError::WrongPassphrase => Self::WrongPassphrase,
        }
    }
}

impl From<SealRowError> for StoreError {
    fn from(err: SealRowError) -> Self {
        match err {
            SealRowError::NoEntropy => Self::NoEntropy,
            // Leaves are allocated upward and never taken twice: one that is gone means a wrong count.
            SealRowError::NoLeaf => Self::Damaged { what: KEYRING },
            SealRowError::TooLarge => Self::TooLarge,
        }
    }
}

pub(super) const DATABASE: &str = "database";
pub(super) const KEYRING: &str = "keyring";
