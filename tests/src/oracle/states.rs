//! Two devices that stand in one state of a group hold the same of it. A state's name says so; the rows must.

use std::collections::BTreeMap;

use kinfold_protocol::persist::{Key, Table, WriteBatch};
use minicbor::Decoder;

/// Bytes of the name of a state's row: net id and E. The net id is each device's own.
const NAME_BYTES: usize = 40;
const NET_BYTES: usize = 8;

/// The columns of a state's row that are no device's own, by their number. The keys, which are exported from the state,
/// stand for its authenticator; they are gone from a state that nothing can be opened in any more.
const SHARED: [(u32, &str); 6] =
    [(0, "number"), (2, "leaves"), (3, "credentials"), (4, "extension"), (5, "generation"), (6, "keys")];

/// Columns of a row by their number, encoded.
type Columns = BTreeMap<u32, Vec<u8>>;

/// Each state by its name: the first device that wrote its row, and what the rows so far said of it.
#[derive(Debug, Default)]
pub(super) struct States(BTreeMap<Vec<u8>, (usize, Columns)>);

impl States {
    /// Holds every state that a batch writes against the row of the same state on other disks.
    pub(super) fn written(&mut self, node: usize, batch: &WriteBatch) -> Result<(), String> {
        let named = |key: &Key| key.table == Table::Epoch && key.name.len() == NAME_BYTES;
        for (key, value) in batch.rows.iter().filter(|(key, _)| named(key)) {
            let (Some(value), Some(name)) = (value, key.name.get(NET_BYTES..)) else { continue };
            let columns = columns(&value.bytes).map_err(|error| format!("n{node} wrote a broken state: {error}"))?;
            let (other, known) = self.0.entry(name.to_vec()).or_insert((node, BTreeMap::new()));
            for (number, what) in SHARED {
                let Some(column) = columns.get(&number) else { continue };
                let first = known.entry(number).or_insert_with(|| column.clone());
                if first != column {
                    return Err(format!("n{node} and n{other} stand in one state with different {what}"));
                }
            }
        }
        Ok(())
    }
}

fn columns(row: &[u8]) -> Result<Columns, minicbor::decode::Error> {
    let mut decoder = Decoder::new(row);
    let count = decoder.map()?.unwrap_or(0);
    let mut columns = BTreeMap::new();
    for _ in 0..count {
        let number = decoder.u32()?;
        let begin = decoder.position();
        decoder.skip()?;
        columns.insert(number, row.get(begin..decoder.position()).unwrap_or_default().to_vec());
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinfold_protocol::id::NetId;
    use kinfold_protocol::persist::Value;

    fn batch(net: u64, leaves: u32, left: u32) -> WriteBatch {
        let mut bytes = Vec::new();
        let mut encoder = minicbor::Encoder::new(&mut bytes);
        encoder.map(3).unwrap();
        for (number, value) in [(0, 7), (2, leaves), (7, left)] {
            encoder.u32(number).unwrap().u32(value).unwrap();
        }
        let key = Key::new(Table::Epoch, NetId(net), &[&[5; 32]]);
        WriteBatch { rows: BTreeMap::from([(key, Some(Value::lasting(bytes)))]), urgent: false }
    }

    #[test]
    fn it_sees_two_rosters_in_one_state_and_lets_each_leave_it_when_it_will() {
        let mut states = States::default();
        assert_eq!(states.written(0, &batch(1, 3, 100)), Ok(()));
        assert_eq!(states.written(1, &batch(2, 3, 200)), Ok(()));
        assert!(states.written(2, &batch(3, 4, 100)).is_err_and(|error| error.contains("leaves")));
        let mut broken = batch(4, 3, 100);
        let rows = broken.rows.values_mut().flatten();
        rows.for_each(|value| value.bytes.truncate(3));
        assert!(states.written(3, &broken).is_err());
    }
}
