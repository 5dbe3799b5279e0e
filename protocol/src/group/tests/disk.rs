//! Rows in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use crate::group::{Group, Loader};
use crate::id::NetId;
use crate::persist::{Key, ReadError, Rows, Table, Value, WriteBatch};
use crate::time::Time;

/// Rows in memory, and how often one was read; clones are the same.
#[derive(Clone, Default)]
pub(super) struct Disk {
    rows: Arc<Mutex<BTreeMap<Key, Value>>>,
    reads: Arc<AtomicUsize>,
}

impl Disk {
    /// Makes a batch true.
    pub(super) fn write(&self, batch: WriteBatch) {
        let mut rows = self.rows.lock().unwrap();
        for (key, value) in batch.rows {
            match value {
                Some(value) => drop(rows.insert(key, value)),
                None => drop(rows.remove(&key)),
            }
        }
    }

    /// All rows.
    pub(super) fn all(&self) -> BTreeMap<Key, Value> {
        self.rows.lock().unwrap().clone()
    }

    /// The length of the longest row of a table.
    pub(super) fn largest(&self, table: Table) -> usize {
        let rows = self.rows.lock().unwrap();
        rows.iter().filter(|(key, _)| key.table == table).map(|(_, value)| value.bytes.len()).max().unwrap_or(0)
    }

    /// A disk of its own with the same rows.
    pub(super) fn copy(&self) -> Self {
        Self { rows: Arc::new(Mutex::new(self.all())), reads: Arc::default() }
    }

    /// How often a row was read.
    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// The only group, as the next start finds it.
    pub(super) fn group(&self) -> Group {
        let rows = self.all();
        let facts = rows.keys().find(|key| key.table == Table::Group && key.name.ends_with(b"facts")).unwrap();
        let net = NetId(u64::from_be_bytes(*facts.name.first_chunk().unwrap()));
        let of_group = |key: &Key| key.table != Table::Device && key.name.starts_with(&net.0.to_be_bytes());
        let mut loader = Loader::default();
        rows.iter().filter(|(key, _)| of_group(key)).for_each(|(key, value)| loader.take(key, &value.bytes));
        let (_, loaded) = loader.into_nets().next().unwrap();
        Group::load(net, loaded, Time::ZERO).unwrap().unwrap()
    }
}

impl Rows for Disk {
    fn get(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(self.rows.lock().unwrap().get(key).map(|value| value.bytes.clone()))
    }

    fn scan(&self, visit: &mut dyn FnMut(&Key, &[u8])) -> Result<(), ReadError> {
        self.all().iter().for_each(|(key, value)| visit(key, &value.bytes));
        Ok(())
    }
}
