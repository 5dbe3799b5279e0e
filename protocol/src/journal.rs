//! What a step reads and writes: its own journal over the accepted steps of the round over the disk (PROTOCOL G1).

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::persist::{Key, ReadError, Rows, Value, WriteBatch};
use crate::time::Time;
use crate::wire;

/// The longest row that the protocol itself encodes.
const ROW_BYTES_MAX: usize = 1024 * 1024;

/// The disk and what the round has added to it.
pub(crate) struct Stack {
    rows: Box<dyn Rows>,
    round: BTreeMap<Key, Option<Value>>,
}

impl Stack {
    /// Starts from what is durable.
    pub(crate) fn new(rows: Box<dyn Rows>) -> Self {
        Self { rows, round: BTreeMap::new() }
    }

    /// Lays the batch of an accepted step on top.
    pub(crate) fn accept(&mut self, batch: &WriteBatch) {
        self.round.extend(batch.rows.iter().map(|(key, value)| (key.clone(), value.clone())));
    }

    /// Everything accepted is durable.
    pub(crate) fn durable(&mut self) {
        self.round.clear();
    }

    /// Shows every row as the accepted steps leave it.
    pub(crate) fn scan(&self, visit: &mut dyn FnMut(&Key, &[u8])) -> Result<(), ReadError> {
        self.rows.scan(&mut |key, bytes| {
            if !self.round.contains_key(key) {
                visit(key, bytes);
            }
        })?;
        for (key, value) in &self.round {
            if let Some(value) = value {
                visit(key, &value.bytes);
            }
        }
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        match self.round.get(key) {
            Some(value) => Ok(value.as_ref().map(|value| value.bytes.clone())),
            None => self.rows.get(key),
        }
    }
}

/// One step's view of the rows.
pub(crate) struct Tx<'a> {
    stack: &'a Stack,
    batch: WriteBatch,
}

impl<'a> Tx<'a> {
    /// Begins a step.
    pub(crate) fn new(stack: &'a Stack) -> Self {
        Self { stack, batch: WriteBatch::default() }
    }

    /// The bytes of a row as this step sees them.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        match self.batch.rows.get(key) {
            Some(value) => Ok(value.as_ref().map(|value| value.bytes.clone())),
            None => Ok(self.stack.get(key)?),
        }
    }

    /// A row as this step sees it. A row that we wrote and cannot read is our bug.
    pub(crate) fn read<T: for<'b> Decode<'b, ()>>(&self, key: &Key) -> Result<Option<T>, Error> {
        self.get(key)?.map(|bytes| parse(&bytes)).transpose()
    }

    /// Writes raw bytes.
    pub(crate) fn put(&mut self, key: Key, value: Value) {
        self.batch.rows.insert(key, Some(value));
    }

    /// Writes a row that stays until it is replaced or deleted, or dies at `dies`.
    pub(crate) fn write<T: Encode<()>>(&mut self, key: Key, row: &T, dies: Option<Time>) {
        let bytes = wire::encode_secret(row);
        self.put(key, Value { bytes, dies });
    }

    /// Deletes a row.
    pub(crate) fn delete(&mut self, key: Key) {
        self.batch.rows.insert(key, None);
    }

    /// Deletes every row whose name begins so.
    pub(crate) fn delete_all(&mut self, of: &dyn Fn(&Key) -> bool) -> Result<(), Error> {
        let mut doomed = BTreeSet::new();
        self.stack.scan(&mut |key, _| {
            if of(key) {
                doomed.insert(key.clone());
            }
        })?;
        doomed.extend(self.batch.rows.keys().filter(|key| of(key)).cloned());
        self.batch.rows.extend(doomed.into_iter().map(|key| (key, None)));
        Ok(())
    }

    /// What is replaced or deleted here must be destroyed at once.
    pub(crate) const fn urgent(&mut self) {
        self.batch.urgent = true;
    }

    /// Ends the step.
    pub(crate) fn into_batch(self) -> WriteBatch {
        self.batch
    }
}

/// Reads a row that we wrote.
pub(crate) fn parse<T: for<'b> Decode<'b, ()>>(bytes: &[u8]) -> Result<T, Error> {
    wire::decode(bytes, ROW_BYTES_MAX).map_err(|_| Error::Broken)
}
