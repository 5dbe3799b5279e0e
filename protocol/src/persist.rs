//! What the protocol keeps: rows under logical names, changed in batches that are all or nothing.
//!
//! A row's name and value are plaintext here. The node's vault seals both; nothing else ever sees them.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::time::Time;

/// The families of rows, one number each, part of the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// The device's time mark, offsets and counters. Name: empty.
    Device = 1,
    /// A group: lifecycle, head, own keys, settings of this device. Name: net id.
    Group = 2,
    /// One epoch state's facts: number, roster, keys for opening. Name: net id, E.
    Epoch = 3,
    /// One value of an epoch state as OpenMLS stores it. Name: net id, E, OpenMLS's key.
    Mls = 4,
    /// `used(E)`: a state that must never be sent in again. Name: net id, E (PROTOCOL O1).
    Used = 5,
    /// A commit, by its parent. Name: net id, parent E, commit id.
    Commit = 6,
    /// A ticket or vote. Name: net id, hash.
    Control = 7,
    /// A generation of the net secret. Name: net id, generation.
    Generation = 8,
    /// An envelope of the log. Name: net id, envelope id.
    Envelope = 9,
    /// A line of history. Name: net id, message id.
    Line = 10,
    /// An outbox entry. Name: net id, message id.
    Outbox = 11,
    /// An id that was here and is gone. Name: net id, kind, id.
    Tombstone = 12,
    /// An invite that this device made. Name: net id, invite id.
    Invite = 13,
    /// A joiner's key package and request, until the join settles. Name: net id, OpenMLS's key.
    Joining = 14,
    /// A Welcome kept to be sent again. Name: net id, member id.
    Welcome = 15,
    /// A remembered address. Name: net id, hash of the address.
    Address = 16,
    /// What this device knows of one member: offset of the clock, verified mark. Name: net id, member id.
    Member = 17,
}

impl Table {
    /// Reads the number back.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Device,
            2 => Self::Group,
            3 => Self::Epoch,
            4 => Self::Mls,
            5 => Self::Used,
            6 => Self::Commit,
            7 => Self::Control,
            8 => Self::Generation,
            9 => Self::Envelope,
            10 => Self::Line,
            11 => Self::Outbox,
            12 => Self::Tombstone,
            13 => Self::Invite,
            14 => Self::Joining,
            15 => Self::Welcome,
            16 => Self::Address,
            17 => Self::Member,
            _ => return None,
        })
    }

    /// Whether a version of this row is a secret state whose old versions must die one by one
    /// (the vault's S tree), rather than a message or application row (its M tree).
    #[must_use]
    pub const fn is_secret_state(self) -> bool {
        matches!(
            self,
            Self::Group | Self::Epoch | Self::Mls | Self::Generation | Self::Invite | Self::Joining | Self::Welcome
        )
    }
}

/// A row's logical name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The family.
    pub table: Table,
    /// The name inside the family.
    pub name: Vec<u8>,
}

impl Key {
    /// A name made of the net id and further parts, one after the other; parts are of fixed length but the last.
    #[must_use]
    pub fn new(table: Table, net: crate::id::NetId, parts: &[&[u8]]) -> Self {
        let mut name = net.0.to_be_bytes().to_vec();
        for part in parts {
            name.extend_from_slice(part);
        }
        Self { table, name }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(..)", self.table)
    }
}

/// A row's value and when it dies.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// The bytes; wiped from memory when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    /// When the row must become unreadable, if it has such a moment.
    pub dies: Option<Time>,
}

impl Value {
    /// A value that stays until it is replaced or deleted.
    #[must_use]
    pub fn lasting(bytes: Vec<u8>) -> Self {
        Self { bytes: Zeroizing::new(bytes), dies: None }
    }

    /// A value that dies at `dies`.
    #[must_use]
    pub fn dying(bytes: Vec<u8>, dies: Time) -> Self {
        Self { bytes: Zeroizing::new(bytes), dies: Some(dies) }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.bytes.len())
    }
}

/// One atomic change of the store: a value to write, or `None` to delete, for each row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteBatch {
    /// The changes.
    pub rows: BTreeMap<Key, Option<Value>>,
    /// Whether the old versions that this replaces must be destroyed at once rather than within a second
    /// (commits, deletes, leaving; DESIGN 8).
    pub urgent: bool,
}

impl WriteBatch {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Lays a later batch over this one.
    pub fn absorb(&mut self, later: Self) {
        self.rows.extend(later.rows);
        self.urgent |= later.urgent;
    }
}

/// The store cannot be read. The node says why; the protocol only stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store cannot be read")]
pub struct ReadError;

/// What is durable, as the protocol reads it. Never written through.
pub trait Rows: Send {
    /// The bytes of one row, if it lives.
    ///
    /// # Errors
    /// When the store cannot be read; the row may or may not exist.
    fn get(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError>;

    /// Shows every living row once, in no particular order.
    ///
    /// # Errors
    /// When the store cannot be read to its end.
    fn scan(&self, visit: &mut dyn FnMut(&Key, &[u8])) -> Result<(), ReadError>;
}
