//! What the members of a group hold, and nobody else: the names and keys that must not show, and the keys that take the
//! outer seals off. It is written from docs/wire.md and shares no line with the protocol.

use std::collections::{BTreeMap, BTreeSet};

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use kinfold_protocol::persist::Table;
use sha2::{Digest, Sha256};

use super::account::{Kind, Piece};
use super::people::Row;
use super::traces::Canary;

type Key = [u8; 32];

/// Bytes that a seal adds, and those of an envelope before what is sealed.
const SEAL: usize = 16;
const HEADER: usize = 54;

fn keyed(key: &Key, label: &str, parts: &[&[u8]]) -> Key {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in [label.as_bytes()].iter().chain(parts) {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    *hasher.finalize().as_bytes()
}

fn digest(domain: &str, parts: &[&[u8]]) -> Key {
    let mut hasher = Sha256::new();
    for part in [domain.as_bytes()].iter().chain(parts) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn windows(bytes: &[u8]) -> impl Iterator<Item = (usize, &Key)> {
    bytes.windows(32).filter_map(<[u8]>::first_chunk).enumerate()
}

/// What an invite says: the seed, and the hashes of the group and of who answers.
pub(super) fn invite_parts(text: &str) -> [Vec<u8>; 3] {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bytes, mut value, mut bits) = (Vec::new(), 0_u32, 0);
    for char in text.trim_start_matches("kinfold:").bytes() {
        let digit = digits.iter().position(|digit| *digit == char).expect("a digit");
        (value, bits) = ((value << 5 | u32::try_from(digit).expect("small")) & 0xffff, bits + 5);
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(value >> bits & 0xff).expect("a byte"));
        }
    }
    [&bytes[1..17], &bytes[17..33], &bytes[33..49]].map(<[u8]>::to_vec)
}

/// The names and keys in the rows of a device; `members` are the ids of those who were ever there.
pub(super) fn canaries(who: &str, rows: &[Row], members: &BTreeSet<Key>) -> Vec<Canary> {
    let mut found = BTreeMap::new();
    let mut add = |what: &str, bytes: &[u8]| drop(found.insert(bytes.to_vec(), format!("{what} of {who}")));
    for row in rows {
        match row.table {
            Table::Epoch => {
                add("the name of an epoch", &row.name[..32]);
                for (at, key) in windows(&row.value) {
                    if members.contains(&digest("kinfold member", &[key])) {
                        add("a member's key", key);
                        let device = row.value.get(at + 35..at + 67).expect("a credential goes on");
                        assert_eq!(row.value[at + 32..at + 35], [1, 0x58, 32], "then comes the device's key");
                        add("a device's key", device);
                    }
                }
            }
            Table::Commit => add("the name of a commit", &row.name[32..64]),
            Table::Generation => {
                add("the name of a generation", &row.name[..32]);
                add("a net secret", &net_secret(row));
            }
            Table::Line => add("the name of a line", &row.name[..32]),
            Table::Member => add("a member's id", &row.name[..32]),
            _ => {}
        }
    }
    found.into_iter().map(|(bytes, what)| Canary::new(&what, bytes)).collect()
}

fn net_secret(row: &Row) -> Key {
    let named = |secret: &Key| digest("kinfold generation", &[secret]) == row.name[..32];
    *windows(&row.value).find(|(_, secret)| named(secret)).expect("the secret that the row is named for").1
}

/// Keys of hellos, and keys of envelopes: first the one of the seal, then the one of the tag.
#[derive(Default)]
pub(super) struct Keys {
    hellos: BTreeSet<Key>,
    envelopes: BTreeSet<[Key; 2]>,
}

impl Keys {
    /// Those that come of the rows of a device, and of the invites.
    pub(super) fn take(&mut self, rows: &[Row], invites: &[String]) {
        let pair = |secret: &Key| ["envelope seal", "envelope tag"].map(|label| keyed(secret, label, &[]));
        self.hellos.extend(invites.iter().map(|text| digest("kinfold invite key", &[&invite_parts(text)[0]])));
        for row in rows.iter().filter(|row| row.table == Table::Generation) {
            let secret = net_secret(row);
            self.hellos.insert(keyed(&secret, "hello", &[]));
            self.envelopes.insert(pair(&keyed(&secret, "control", &[])));
        }
        // Wherever in a row the two secrets of an epoch stand; the tag tells which of these is one.
        for row in rows.iter().filter(|row| row.table == Table::Epoch) {
            self.envelopes.extend(windows(&row.value).map(|(_, secret)| pair(secret)));
        }
    }

    /// The same pieces, with frames as if links were not sealed: in their place what was sealed, and zeros for the seal.
    /// Second, how many frames did not open.
    pub(super) fn unseal_frames(&self, pieces: &[Piece]) -> (Vec<Piece>, usize) {
        let mut ways: BTreeMap<(usize, bool), Way> = BTreeMap::new();
        let mut closed = 0;
        let mut unseal = |piece: &Piece| {
            if piece.kind != Kind::Frame {
                return piece.clone();
            }
            let of = (piece.connection, piece.written);
            let way = ways.entry(of).or_insert_with(|| Way { keys: self.ways(pieces, of), count: 0 });
            let Some(bytes) = way.open(&piece.bytes) else {
                closed += 1;
                return piece.clone();
            };
            Piece { bytes, ..piece.clone() }
        };
        (pieces.iter().map(&mut unseal).collect(), closed)
    }

    /// The keys that one way of a connection may have.
    fn ways(&self, pieces: &[Piece], (connection, written): (usize, bool)) -> Vec<Key> {
        let of = |kind: Kind, written: bool| {
            let mut pieces = pieces.iter().filter(|piece| piece.connection == connection && piece.written == written);
            pieces.find(|piece| piece.kind == kind).map(|piece| &piece.bytes[..])
        };
        let opens = of(Kind::TransportId, true) < of(Kind::TransportId, false);
        let [Some(one), Some(other)] = [opens, !opens].map(|end| of(Kind::HelloNonce, end)) else { return Vec::new() };
        let ids = [opens, !opens].map(|end| of(Kind::TransportId, end).expect("both ends have one"));
        let transcript = digest("kinfold hello", &[&one[..32], &other[..32], ids[0], ids[1]]);
        let label = if opens == written { "from opener" } else { "from acceptor" };
        self.hellos.iter().map(|key| keyed(&keyed(key, "channel", &[&transcript]), label, &[])).collect()
    }

    /// The same pieces, with gossip as if envelopes were not sealed. Second, how many did not open.
    pub(super) fn unseal_envelopes(&self, pieces: &[Piece]) -> (Vec<Piece>, usize) {
        let mut known: BTreeSet<&[Key; 2]> = BTreeSet::new();
        let mut closed = 0;
        let mut unseal = |piece: &Piece| {
            if piece.kind != Kind::Envelope {
                return piece.clone();
            }
            let (header, sealed) = piece.bytes.split_at(HEADER);
            let (nonce, tag) = (&header[22..46], &header[46..]);
            let is_under = |pair: &&[Key; 2]| keyed(&pair[1], "tag", &[nonce]).starts_with(tag);
            let Some(pair) = known.iter().copied().find(is_under).or_else(|| self.envelopes.iter().find(is_under))
            else {
                closed += 1;
                return piece.clone();
            };
            known.insert(pair);
            let plain = open(&pair[0], nonce, header, sealed).expect("the tag says that this is the key");
            Piece { bytes: [header, &plain, &[0; SEAL]].concat(), ..piece.clone() }
        };
        (pieces.iter().map(&mut unseal).collect(), closed)
    }
}

/// One way of a link.
struct Way {
    /// Until the first frame has opened, all that it may be.
    keys: Vec<Key>,
    count: u64,
}

impl Way {
    fn open(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let nonce = [&self.count.to_be_bytes()[..], &[0; 16]].concat();
        let (key, plain) = self.keys.iter().find_map(|key| Some((*key, open(key, &nonce, &[], frame)?)))?;
        (self.keys, self.count) = (vec![key], self.count + 1);
        Some([&plain[..], &[0; SEAL]].concat())
    }
}

fn open(key: &Key, nonce: &[u8], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
    XChaCha20Poly1305::new(key.into()).decrypt(nonce.into(), Payload { msg, aad }).ok()
}

/// The same pieces without padding, once they are unsealed.
pub(super) fn without_padding(pieces: &[Piece]) -> Vec<Piece> {
    let strip = |piece: &Piece| {
        let from = match piece.kind {
            Kind::Envelope => HEADER,
            Kind::Frame => 0,
            _ => return piece.clone(),
        };
        let body = from + 4;
        let length = piece.bytes[from..body].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        Piece { bytes: [&piece.bytes[..from], &piece.bytes[body..body + length]].concat(), ..piece.clone() }
    };
    pieces.iter().map(strip).collect()
}

/// The numbers of the messages in unsealed frames: an enumeration is its number, or a list that begins with it.
pub(super) fn numbers(pieces: &[Piece]) -> BTreeSet<u8> {
    let frames = pieces.iter().filter(|piece| piece.kind == Kind::Frame);
    frames.map(|frame| if frame.bytes[4] >= 0x80 { frame.bytes[5] } else { frame.bytes[4] }).collect()
}
