//! Where OpenMLS keeps a state: rows in memory, with the changes that nobody has taken yet beside them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::codec::{self, CodecError};
use super::{RowChanges, StateRows};

/// Changes by row: the new value, or `None` where the row is gone.
pub(super) type Journal = BTreeMap<Vec<u8>, Option<Zeroizing<Vec<u8>>>>;

/// By how much a row commonly grows when it is written again: a member's first words in an epoch.
const GROWTH: usize = 1_024;

/// What a row holds; its name's first byte. Part of the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Label {
    JoinConfig = 1,
    Tree = 2,
    GroupContext = 3,
    InterimTranscriptHash = 4,
    ConfirmationTag = 5,
    GroupState = 6,
    MessageSecrets = 7,
    ResumptionPsks = 8,
    OwnLeafIndex = 9,
    EpochSecrets = 10,
    EpochKeyPairs = 11,
    OwnLeafNodes = 12,
    ProposalRefs = 13,
    Proposal = 14,
    SignatureKeyPair = 15,
    EncryptionKeyPair = 16,
    KeyPackage = 17,
    Psk = 18,
}

/// The rows of one state. OpenMLS's storage trait is over it in the file `rows`.
#[derive(Default)]
pub(super) struct MlsStore {
    inner: RefCell<Inner>,
    secrets: Cell<Secrets>,
}

/// What becomes of the message secrets when OpenMLS writes them, as it does for each message.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Secrets {
    /// They are a row at once.
    #[default]
    Written,
    /// They stay in memory.
    Held,
    /// They stayed in memory, and their row is behind.
    Owed,
}

#[derive(Default)]
struct Inner {
    /// What the caller has: loaded from it, or handed to it.
    base: StateRows,
    /// What changed since.
    journal: Journal,
}

impl Inner {
    fn find(&self, name: &[u8]) -> Option<&Zeroizing<Vec<u8>>> {
        match self.journal.get(name) {
            Some(changed) => changed.as_ref(),
            None => self.base.get(name),
        }
    }

    fn settle(&mut self) {
        for (name, value) in std::mem::take(&mut self.journal) {
            match value {
                Some(value) => drop(self.base.insert(name, value)),
                None => drop(self.base.remove(&name)),
            }
        }
    }
}

impl MlsStore {
    /// A store over the rows of a state or key package.
    pub(super) fn new(base: StateRows) -> Self {
        Self { inner: RefCell::new(Inner { base, journal: Journal::new() }), secrets: Cell::default() }
    }

    /// Every row as it is now.
    pub(super) fn rows(&self) -> StateRows {
        let inner = self.inner.borrow();
        let mut rows = inner.base.clone();
        for (name, value) in &inner.journal {
            match value {
                Some(value) => drop(rows.insert(name.clone(), value.clone())),
                None => drop(rows.remove(name)),
            }
        }
        rows
    }

    /// What changed since this was last called, or since the store was made.
    pub(super) fn take_changes(&mut self) -> RowChanges {
        let inner = self.inner.get_mut();
        let changes = inner.journal.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        inner.settle();
        changes
    }

    /// Counts every change as known to the caller, who takes all rows at once.
    pub(super) fn settle(&self) {
        self.inner.borrow_mut().settle();
    }

    /// The changes up to now, to come back to with [`Self::restore`].
    pub(super) fn mark(&self) -> Journal {
        self.inner.borrow().journal.clone()
    }

    /// Forgets every change after the mark.
    pub(super) fn restore(&self, mark: Journal) {
        self.inner.borrow_mut().journal = mark;
    }

    /// From here on the message secrets stay in memory.
    pub(super) fn hold_secrets(&self) {
        if self.secrets.get() == Secrets::Written {
            self.secrets.set(Secrets::Held);
        }
    }

    /// From here on they are written again. Whether their row is behind.
    pub(super) fn let_go_of_secrets(&self) -> bool {
        self.secrets.replace(Secrets::Written) == Secrets::Owed
    }

    /// Takes message secrets: into their row, or as a debt.
    pub(super) fn put_secrets<K: Serialize, V: Serialize>(&self, key: &K, value: &V) -> Result<(), CodecError> {
        if self.secrets.get() == Secrets::Written {
            return self.put(Label::MessageSecrets, key, value);
        }
        self.secrets.set(Secrets::Owed);
        Ok(())
    }

    /// Whether there is any row with this label.
    pub(super) fn holds(&self, label: Label) -> bool {
        let rows = self.inner.borrow();
        let named = |name: &&Vec<u8>| name.first() == Some(&(label as u8)) && rows.find(name).is_some();
        rows.base.keys().chain(rows.journal.keys()).any(|name| named(&name))
    }

    /// Puts another store's rows with this label in the place of those here.
    pub(super) fn replace(&self, label: Label, other: &Self) {
        let mut inner = self.inner.borrow_mut();
        let of_label = |name: &Vec<u8>| name.first() == Some(&(label as u8));
        let gone: Vec<_> = inner.base.keys().filter(|name| of_label(name)).cloned().collect();
        inner.journal.retain(|name, _| !of_label(name));
        inner.journal.extend(gone.into_iter().map(|name| (name, None)));
        let rows = other.rows().into_iter().filter(|(name, _)| of_label(name));
        inner.journal.extend(rows.map(|(name, value)| (name, Some(value))));
    }

    pub(super) fn put<K: Serialize, V: Serialize + ?Sized>(
        &self,
        label: Label,
        key: &K,
        value: &V,
    ) -> Result<(), CodecError> {
        let name = name(label, key)?;
        let mut inner = self.inner.borrow_mut();
        let before = inner.find(&name).map_or(0, |value| value.len());
        let value = codec::encode(value, before.saturating_add(GROWTH))?;
        inner.journal.insert(name, Some(value));
        Ok(())
    }

    pub(super) fn find<K: Serialize, V: DeserializeOwned>(
        &self,
        label: Label,
        key: &K,
    ) -> Result<Option<V>, CodecError> {
        let name = name(label, key)?;
        self.inner.borrow().find(&name).map(|value| codec::decode(value)).transpose()
    }

    pub(super) fn delete<K: Serialize>(&self, label: Label, key: &K) -> Result<(), CodecError> {
        let name = name(label, key)?;
        let mut inner = self.inner.borrow_mut();
        if inner.base.contains_key(&name) {
            inner.journal.insert(name, None);
        } else {
            inner.journal.remove(&name);
        }
        Ok(())
    }

    /// Adds to a row that is a list; each item is encoded on its own.
    pub(super) fn append<K: Serialize, V: Serialize>(&self, label: Label, key: &K, item: &V) -> Result<(), CodecError> {
        let mut items = self.items(label, key)?;
        items.push(codec::encode(item, GROWTH)?.to_vec());
        self.put(label, key, &items)
    }

    /// Takes one item out of a row that is a list.
    pub(super) fn retract<K: Serialize, V: Serialize>(
        &self,
        label: Label,
        key: &K,
        item: &V,
    ) -> Result<(), CodecError> {
        let item = codec::encode(item, GROWTH)?;
        let mut items = self.items(label, key)?;
        items.retain(|known| *known != *item);
        self.put(label, key, &items)
    }

    pub(super) fn list<K: Serialize, V: DeserializeOwned>(&self, label: Label, key: &K) -> Result<Vec<V>, CodecError> {
        self.items(label, key)?.iter().map(|item| codec::decode(item)).collect()
    }

    fn items<K: Serialize>(&self, label: Label, key: &K) -> Result<Vec<Vec<u8>>, CodecError> {
        Ok(self.find(label, key)?.unwrap_or_default())
    }
}

fn name<K: Serialize>(label: Label, key: &K) -> Result<Vec<u8>, CodecError> {
    let mut name = vec![label as u8];
    name.extend_from_slice(&codec::encode(key, 0)?);
    Ok(name)
}
