//! Sees what every device has sent, and whether any place in an epoch was filled twice.
//!
//! It believes no word of the product: that an envelope left is noted by the ear inside the process, from the library
//! that sends it; what the envelope says is read from the disks of the dead, with the keys of its epoch and an opening of
//! the outer seal that is written down here once more, from docs/wire.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use kinfold_node::paths::DataDir;
use kinfold_node::store::{SealedStore, Store};
use kinfold_protocol::persist::{Key, Table};
use minicbor::Decoder;
use tempfile::TempDir;

use crate::node::{Node, PASSPHRASE};
use kinfold_tests::death::LEFT;

/// Before everything else in a row's name: the net id.
const NET: usize = 8;
/// A state's name, an envelope's id.
const ID: usize = 32;
/// The number of the keys among the columns of a state's row.
const KEYS: u32 = 6;
/// Where the nonce, the tag and the ciphertext of an envelope begin.
const NONCE: usize = 22;
const TAG: usize = 46;
const SEALED: usize = 54;

/// A place in an epoch: its name, the sender's leaf, the sender's count.
type Place = ([u8; ID], u32, u32);

/// What the devices of one group have sent.
#[derive(Default)]
pub(crate) struct Judge {
    /// The keys of each state's messages.
    epochs: BTreeMap<[u8; ID], [u8; 32]>,
    envelopes: BTreeMap<String, Vec<u8>>,
}

/// What it has found.
pub(crate) struct Found {
    /// Messages, each at a place of its own.
    pub(crate) places: usize,
    /// Messages before which keys were burnt.
    pub(crate) after_burns: usize,
}

impl Judge {
    /// Opens what a device that does not run has on its disk, and takes note of it; how long the opening took. The disk
    /// stays as the death left it, for the device itself to open.
    pub(crate) fn look(&mut self, node: &Node) -> Duration {
        let (store, took, _copy) = open_copy(&node.dir);
        assert!(store.report().is_clean(), "{} has lost something: {:?}", node.name, store.report());
        let mut known = BTreeSet::new();
        let scanned = store.reader().scan(&mut |key, value| self.row(key, value, &mut known));
        scanned.expect("every row can be read");
        for id in node.notes(LEFT) {
            assert!(known.contains(&id), "{} has sent {id}, and its disk knows nothing of it", node.name);
        }
        took
    }

    fn row(&mut self, key: &Key, value: &[u8], known: &mut BTreeSet<String>) {
        let name = key.name.get(NET..).unwrap_or_default();
        let Ok(id) = <[u8; ID]>::try_from(name) else { return };
        match key.table {
            Table::Epoch => {
                if let Some(keys) = keys(value).expect("a state") {
                    self.epochs.insert(id, keys);
                }
            }
            Table::Envelope => {
                assert_eq!(blake3::hash(value).as_bytes(), &id, "an envelope is called by its bytes");
                known.insert(hex(&id));
                self.envelopes.insert(hex(&id), value.to_vec());
            }
            // What was withdrawn, or has been opened and is no longer needed.
            Table::Tombstone => {
                known.insert(hex(&id));
            }
            _ => {}
        }
    }

    /// Opens all messages that it has seen. No two of them are at one place.
    pub(crate) fn sentence(&self) -> Found {
        let mut places: BTreeMap<Place, &str> = BTreeMap::new();
        let mut after_burns = 0;
        for (id, envelope) in &self.envelopes {
            let Some((epoch, body)) = self.epochs.iter().find_map(|(epoch, key)| Some((*epoch, open(key, envelope)?)))
            else {
                continue;
            };
            let (leaf, count, burnt) = numbered(&body).expect("a numbered message");
            after_burns += usize::from(burnt > 0);
            if let Some(other) = places.insert((epoch, leaf, count), id) {
                panic!("leaf {leaf} has sent {other} and {id} as number {count} of one epoch");
            }
        }
        Found { places: places.len(), after_burns }
    }
}

fn keys(row: &[u8]) -> Result<Option<[u8; 32]>, minicbor::decode::Error> {
    let mut decoder = Decoder::new(row);
    for _ in 0..decoder.map()?.unwrap_or(0) {
        if decoder.u32()? == KEYS && decoder.datatype()? == minicbor::data::Type::Bytes {
            return Ok(decoder.bytes()?.first_chunk().copied());
        }
        decoder.skip()?;
    }
    Ok(None)
}

fn numbered(body: &[u8]) -> Result<(u32, u32, u32), minicbor::decode::Error> {
    let mut decoder = Decoder::new(body);
    let mut numbers = [0; 3];
    decoder.map()?;
    for (at, number) in (0_u32..).zip(&mut numbers) {
        assert_eq!(decoder.u32()?, at, "leaf, count and burnt stand first");
        *number = decoder.u32()?;
    }
    Ok((numbers[0], numbers[1], numbers[2]))
}

/// The body of an envelope, if it is a message of the state with this secret.
fn open(secret: &[u8; 32], envelope: &[u8]) -> Option<Vec<u8>> {
    let nonce = envelope.get(NONCE..TAG)?;
    let tag = keyed(&keyed(secret, "envelope tag", &[]), "tag", &[nonce]);
    if envelope.get(TAG..SEALED)? != tag.first_chunk::<8>()? {
        return None;
    }
    let (aad, msg) = envelope.split_at_checked(SEALED)?;
    let key = keyed(secret, "envelope seal", &[]);
    let plain = XChaCha20Poly1305::new(&key.into()).decrypt(nonce.into(), Payload { msg, aad }).ok()?;
    let (len, rest) = plain.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*len)).ok()?).map(<[u8]>::to_vec)
}

fn keyed(key: &[u8; 32], label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in [label.as_bytes()].iter().chain(parts) {
        hasher.update(&u64::try_from(part.len()).expect("a length").to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Opens a copy of a data directory; how long that took.
pub(crate) fn open_copy(dir: &Path) -> (SealedStore, Duration, TempDir) {
    let copy = TempDir::new().expect("a folder");
    let place = DataDir::new(copy.path().join("copy"));
    copy_tree(dir, place.root());
    place.create().expect("a folder of one's own");
    let begun = Instant::now();
    let store = SealedStore::open(&place, PASSPHRASE.as_bytes()).expect("a store that opens");
    (store, begun.elapsed(), copy)
}

/// Copies the files and folders in one folder into another, which may have others.
pub(crate) fn copy_tree(from: &Path, into: &Path) {
    fs::create_dir_all(into).expect("made");
    for entry in fs::read_dir(from).expect("reads").map(|entry| entry.expect("reads")) {
        let (path, target) = (entry.path(), into.join(entry.file_name()));
        if path.is_dir() {
            copy_tree(&path, &target);
        } else if path.is_file() {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
