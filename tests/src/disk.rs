//! A disk that keeps what was flushed and may forget the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kinfold_protocol::id::NetId;
use kinfold_protocol::persist::{Key, ReadError, Rows, Value, WriteBatch};
use kinfold_protocol::time::Time;
use zeroize::Zeroizing;

/// One node's disk. Clones are the same disk: the client reads through one while the node writes through another.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    durable: BTreeMap<Key, Value>,
    deaths: BTreeSet<(Time, Key)>,
    unflushed: Vec<WriteBatch>,
    kept: Option<Kept>,
    trouble: Option<Trouble>,
}

/// What is left of a drive that lies when the power goes.
#[derive(Debug)]
struct Kept {
    durable: BTreeMap<Key, Value>,
    deaths: BTreeSet<(Time, Key)>,
    /// Batches that are not.
    lost: u64,
}

/// Reads that fail, on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// So many reads still go well.
    pub after: u64,
    /// Then so many fail.
    pub times: u64,
    /// So many have failed.
    pub failed: u64,
}

impl Disk {
    /// Takes a batch that is not safe yet.
    pub fn stage(&self, batch: WriteBatch) {
        if !batch.is_empty() {
            self.state().unflushed.push(batch);
        }
    }

    /// Makes everything staged durable.
    pub fn flush(&self) {
        let mut state = self.state();
        let batches = std::mem::take(&mut state.unflushed);
        if let Some(kept) = &mut state.kept {
            kept.lost += batches.len() as u64;
        }
        for batch in batches {
            for (key, value) in batch.rows {
                state.put(key, value);
            }
        }
    }

    /// From now on the drive lies: what it says is durable goes with the power all the same.
    pub fn lie(&self) {
        let mut state = self.state();
        state.kept = Some(Kept { durable: state.durable.clone(), deaths: state.deaths.clone(), lost: 0 });
    }

    /// The power goes: what was staged is lost, and all that the drive lied about. Says how many batches that was.
    pub fn lose(&self) -> u64 {
        let mut state = self.state();
        let staged = std::mem::take(&mut state.unflushed).len() as u64;
        let Some(kept) = state.kept.take() else { return staged };
        state.durable = kept.durable;
        state.deaths = kept.deaths;
        staged + kept.lost
    }

    /// Time passes: rows past their moment are unreadable from now on, whatever the clock does later. The node's vault
    /// does this by destroying keys.
    pub fn sweep(&self, now: Time) {
        let mut state = self.state();
        while let Some((dies, key)) = state.deaths.pop_first() {
            if dies > now {
                state.deaths.insert((dies, key));
                break;
            }
            state.durable.remove(&key);
        }
    }

    /// Reads fail from now on as is said.
    pub fn trouble(&self, trouble: Trouble) {
        self.state().trouble = Some(trouble);
    }

    /// Reads go well again. What is left of the trouble.
    pub fn heal(&self) -> Option<Trouble> {
        self.state().trouble.take()
    }

    /// Rows of a network, under any name.
    #[must_use]
    pub fn rows_of(&self, net: NetId) -> usize {
        let net = net.0.to_be_bytes();
        self.state().durable.keys().filter(|key| key.name.starts_with(&net)).count()
    }

    /// Whether words stand anywhere on it in the plain.
    #[must_use]
    pub fn holds(&self, words: &[u8]) -> bool {
        let found = |bytes: &[u8]| bytes.windows(words.len().max(1)).any(|window| window == words);
        self.state().durable.values().any(|value| found(&value.bytes))
    }

    /// Everything in the plain that begins with some bytes and ends with a byte.
    #[must_use]
    pub fn found(&self, begin: &[u8], end: u8) -> BTreeSet<Vec<u8>> {
        let mut found = BTreeSet::new();
        for value in self.state().durable.values() {
            let mut rest = value.bytes.as_slice();
            while let Some(at) = rest.iter().position(|byte| Some(byte) == begin.first()) {
                rest = rest.get(at..).unwrap_or_default();
                if rest.starts_with(begin) {
                    found.extend(
                        rest.iter()
                            .position(|byte| *byte == end)
                            .and_then(|last| rest.get(..=last))
                            .map(<[u8]>::to_vec),
                    );
                }
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        found
    }

    /// Everything that is durable now.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<Key, Value> {
        self.state().durable.clone()
    }

    /// Another disk with the same durable rows: what somebody has who copied this one.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = self.state();
        let (durable, deaths) = (state.durable.clone(), state.deaths.clone());
        Self(Arc::new(Mutex::new(State { durable, deaths, ..State::default() })))
    }

    /// Rows that can be read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().durable.len()
    }

    /// Whether no row can be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // One thread uses a disk; a poisoned lock means that it has panicked already.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn read(&mut self) -> Result<(), ReadError> {
        let Some(trouble) = &mut self.trouble else { return Ok(()) };
        if trouble.after > 0 {
            trouble.after -= 1;
        } else if trouble.times > 0 {
            trouble.times -= 1;
            trouble.failed += 1;
            return Err(ReadError);
        }
        Ok(())
    }

    fn put(&mut self, key: Key, value: Option<Value>) {
        let old = self.durable.get(&key).and_then(|value| value.dies);
        if let Some(dies) = old {
            self.deaths.remove(&(dies, key.clone()));
        }
        match value {
            Some(value) => {
                if let Some(dies) = value.dies {
                    self.deaths.insert((dies, key.clone()));
                }
                self.durable.insert(key, value);
            }
            None => {
                self.durable.remove(&key);
            }
        }
    }
}

impl Rows for Disk {
    fn get(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        let mut state = self.state();
        state.read()?;
        Ok(state.durable.get(key).map(|value| value.bytes.clone()))
    }

    fn scan(&self, visit: &mut dyn FnMut(&Key, &[u8])) -> Result<(), ReadError> {
        self.state().read()?;
        // Copied, so that the visitor may read the disk itself.
        let rows: Vec<_> = self.state().durable.iter().map(|(key, value)| (key.clone(), value.bytes.clone())).collect();
        for (key, bytes) in rows {
            visit(&key, &bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinfold_protocol::persist::Table;

    fn batch(value: Option<Value>) -> (Key, WriteBatch) {
        let key = Key::new(Table::Line, NetId(1), &[b"x"]);
        (key.clone(), WriteBatch { rows: BTreeMap::from([(key, value)]), urgent: false })
    }

    #[test]
    fn a_staged_batch_is_read_after_the_flush_and_never_after_a_loss() {
        let disk = Disk::default();
        let (key, first) = batch(Some(Value::lasting(vec![1])));
        disk.stage(first.clone());
        assert_eq!(disk.get(&key), Ok(None));
        assert_eq!(disk.lose(), 1);
        disk.flush();
        assert_eq!(disk.get(&key), Ok(None));
        disk.stage(first);
        disk.flush();
        assert_eq!(disk.get(&key).unwrap().unwrap().as_slice(), [1]);
    }

    #[test]
    fn what_a_drive_lied_about_is_read_until_the_power_goes() {
        let disk = Disk::default();
        let (key, _) = batch(None);
        let write = |byte| {
            disk.stage(batch(Some(Value::dying(vec![byte], Time::from_ms(5)))).1);
            disk.flush();
        };
        write(1);
        disk.lie();
        write(2);
        assert_eq!(disk.get(&key).unwrap().unwrap().as_slice(), [2]);
        assert_eq!(disk.lose(), 1);
        assert_eq!(disk.get(&key).unwrap().unwrap().as_slice(), [1]);
        write(3);
        assert_eq!((disk.lose(), disk.get(&key).unwrap().unwrap().as_slice()), (0, &[3][..]));
        disk.sweep(Time::from_ms(5));
        assert!(disk.is_empty());
    }

    #[test]
    fn a_troubled_disk_fails_as_often_as_it_was_told() {
        let disk = Disk::default();
        let (key, _) = batch(None);
        disk.trouble(Trouble { after: 1, times: 1, failed: 0 });
        let read: Vec<bool> = (0..3).map(|_| disk.get(&key).is_ok()).collect();
        assert_eq!(read, [true, false, true]);
        assert_eq!(disk.heal(), Some(Trouble { after: 0, times: 0, failed: 1 }));
        disk.trouble(Trouble { after: 0, times: 1, failed: 0 });
        assert_eq!(disk.scan(&mut |_, _| ()), Err(ReadError));
    }

    #[test]
    fn what_stands_on_it_is_found_by_its_beginning_and_its_end() {
        let disk = Disk::default();
        for (name, bytes) in [(1, &b"ssaid-1.said-2.sa"[..]), (2, b"said-3"), (3, b"\0said-4. ")] {
            let rows =
                BTreeMap::from([(Key::new(Table::Line, NetId(name), &[]), Some(Value::lasting(bytes.to_vec())))]);
            disk.stage(WriteBatch { rows, urgent: false });
        }
        disk.flush();
        let found: Vec<_> =
            disk.found(b"said-", b'.').into_iter().map(|words| String::from_utf8(words).unwrap()).collect();
        assert_eq!(found, ["said-1.", "said-2.", "said-4."]);
    }

    #[test]
    fn a_row_dies_at_its_last_written_moment() {
        let disk = Disk::default();
        let (key, early) = batch(Some(Value::dying(vec![1], Time::from_ms(5))));
        let (_, late) = batch(Some(Value::dying(vec![2], Time::from_ms(9))));
        disk.stage(early);
        disk.stage(late);
        disk.flush();
        disk.sweep(Time::from_ms(5));
        assert!(disk.get(&key).unwrap().is_some());
        disk.sweep(Time::from_ms(9));
        assert!(disk.is_empty());
    }
}
