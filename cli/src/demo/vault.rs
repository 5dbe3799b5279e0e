//! What stands in the store of a node that is stopped, as the vault opens it with the passphrase.

use kinfold_node::NodeError;
use kinfold_node::paths::DataDir;
use kinfold_node::store::{SealedStore, Store};
use zeroize::Zeroizing;

use super::check::{Checked, Said, holds};
use super::house::broken;
use super::person::Person;

/// Every row that opens: its name in hexadecimal, and what it holds.
pub(crate) struct Opened(Vec<(String, Zeroizing<Vec<u8>>)>);

/// Opens the store of somebody whose node is stopped.
pub(crate) fn open(person: &Person) -> Checked<Opened> {
    let dir = DataDir::new(person.data_dir());
    let store = SealedStore::open(&dir, person.passphrase().as_bytes());
    let store = store.map_err(|error| crate::error::Error::from(NodeError::from(error)))?;
    let mut rows = Vec::new();
    let read = store.reader().scan(&mut |key, bytes| {
        let name = key.name.iter().map(|byte| format!("{byte:02x}")).collect();
        rows.push((name, Zeroizing::new(bytes.to_vec())));
    });
    read.map_err(|_| broken("the store could not be read to its end"))?;
    Ok(Opened(rows))
}

impl Opened {
    /// The words of a message stand in the row that is named after it.
    pub(crate) fn has(&self, person: &str, message: &Said) -> Checked {
        let found = self.0.iter().any(|(name, bytes)| name.ends_with(&message.id) && contains(bytes, &message.text));
        holds(found, &format!("\"{}\" opens in {person}'s store", message.text), "it does not")
    }

    /// The words of a message stand in no row at all, whatever its name.
    pub(crate) fn has_not(&self, person: &str, message: &Said) -> Checked {
        let found = self.0.iter().any(|(_, bytes)| contains(bytes, &message.text));
        holds(!found, &format!("\"{}\" opens nowhere in {person}'s store", message.text), "a row holds it")
    }
}

fn contains(bytes: &[u8], words: &str) -> bool {
    // Windows of no width do not exist, and no words are in no row.
    !words.is_empty() && bytes.windows(words.len()).any(|window| window == words.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(rows: &[(&str, &str)]) -> Opened {
        Opened(rows.iter().map(|(name, text)| ((*name).to_owned(), Zeroizing::new(text.as_bytes().to_vec()))).collect())
    }

    #[test]
    fn words_are_found_in_their_own_row_and_missed_in_none() {
        let said = Said { id: "0a0b".to_owned(), text: "the door".to_owned() };
        let store = opened(&[("010a0b", "xx the door xx"), ("02", "nothing")]);
        assert_eq!(store.has("Ana", &said), Ok(()));
        assert!(store.has_not("Ana", &said).is_err());
        let elsewhere = opened(&[("0102", "the door")]);
        assert!(elsewhere.has("Ana", &said).is_err(), "not in its own row");
        assert!(elsewhere.has_not("Ana", &said).is_err(), "but in another");
        let gone = opened(&[("010a0b", "a mark of what is gone")]);
        assert!(gone.has("Ana", &said).is_err());
        assert_eq!(gone.has_not("Ana", &said), Ok(()));
    }
}
