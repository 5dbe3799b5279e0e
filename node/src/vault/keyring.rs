//! What the keyring file says: the keys, and one slot's bytes.
//!
//! ```text
//! slot    = header 70 | XChaCha20-Poly1305(KEK, nonce, payload zero-padded to the slot, AAD = header)
//! header  = salt 32 | argon2 memory, passes, lanes u32 | format u8 | flags u8 | nonce 24
//! payload = vault id 16 | generation, last seen, commit seq, next M, next S u64 | database id 16
//!           | name key 32 | header key 32 | tree T | tree M | tree S
//! ```
//!
//! Numbers are big-endian. A slot that is not in use holds random bytes, so its header is noise.

use std::fmt;

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use kinfold_protocol::time::Time;
use zeroize::Zeroizing;

use super::bytes::Cursor;
use super::kdf::{COST_LEN, Kek};
use super::tree::{Seed, Tree};
use super::{KdfCost, NoEntropy, random};

/// Everything that opens the database, and what is needed to notice that the database went back in time.
pub(crate) struct Keyring {
    /// Binds each row to this vault.
    pub(crate) vault_id: [u8; 16],
    /// Grows with each store of the keyring.
    pub(crate) generation: u64,
    /// The latest moment seen, so that a clock set back revives nothing.
    pub(crate) last_seen: Time,
    /// The last commit of the database that this keyring knows of.
    pub(crate) commit_seq: u64,
    /// The next unused leaf of the tree of row versions.
    pub(crate) next_m: u64,
    /// The next unused leaf of the tree of secret states.
    pub(crate) next_s: u64,
    /// Which database folder belongs to it.
    pub(crate) database_id: [u8; 16],
    /// Hides row names.
    pub(crate) name_key: Seed,
    /// Hides row headers.
    pub(crate) header_key: Seed,
    /// One leaf for each second at which a row can die.
    pub(crate) times: Tree,
    /// One leaf for each version of a message or application row.
    pub(crate) messages: Tree,
    /// One leaf for each version of a secret state.
    pub(crate) states: Tree,
}

impl Keyring {
    /// A new vault's keys.
    pub(crate) fn generate() -> Result<Self, NoEntropy> {
        let seed = || random::<32>().map(Zeroizing::new);
        Ok(Self {
            vault_id: random()?,
            generation: 0,
            last_seen: Time::ZERO,
            commit_seq: 0,
            next_m: 0,
            next_s: 0,
            database_id: random()?,
            name_key: seed()?,
            header_key: seed()?,
            times: Tree::new(TIMES_DEPTH, seed()?),
            messages: Tree::new(VERSIONS_DEPTH, seed()?),
            states: Tree::new(VERSIONS_DEPTH, seed()?),
        })
    }

    /// The payload, padded to `room`; `None` when it does not fit.
    pub(crate) fn encode(&self, room: usize) -> Option<Zeroizing<Vec<u8>>> {
        let trees = [&self.times, &self.messages, &self.states];
        let len = FIXED_LEN + trees.iter().map(|tree| tree.encoded_len()).sum::<usize>();
        if len > room {
            return None;
        }
        // All the room is taken at once: a vector that grows would leave keys behind in freed memory.
        let mut out = Zeroizing::new(Vec::with_capacity(room));
        out.extend_from_slice(&self.vault_id);
        for number in [self.generation, self.last_seen.ms(), self.commit_seq, self.next_m, self.next_s] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.database_id);
        out.extend_from_slice(&self.name_key[..]);
        out.extend_from_slice(&self.header_key[..]);
        for tree in trees {
            tree.encode(&mut out);
        }
        out.resize(room, 0);
        Some(out)
    }

    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let mut from = Cursor(payload);
        let keyring = Self {
            vault_id: from.array()?,
            generation: from.u64()?,
            last_seen: Time::from_ms(from.u64()?),
            commit_seq: from.u64()?,
            next_m: from.u64()?,
            next_s: from.u64()?,
            database_id: from.array()?,
            name_key: from.secret()?,
            header_key: from.secret()?,
            times: Tree::decode(TIMES_DEPTH, &mut from)?,
            messages: Tree::decode(VERSIONS_DEPTH, &mut from)?,
            states: Tree::decode(VERSIONS_DEPTH, &mut from)?,
        };
        from.0.iter().all(|byte| *byte == 0).then_some(keyring)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring(generation {}, commit {}, ..)", self.generation, self.commit_seq)
    }
}

/// What a slot's first bytes say before anything is decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotHeader {
    /// Salt of the passphrase.
    pub(crate) salt: [u8; 32],
    /// What a guess costs.
    pub(crate) cost: KdfCost,
    nonce: [u8; 24],
}

/// Why a slot cannot even be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Written by a newer version.
    Newer,
    /// Not a header: a slot that is not in use, or a damaged one.
    Noise,
}

impl SlotHeader {
    /// Reads a slot's header.
    pub(crate) fn parse(slot: &[u8]) -> Result<Self, HeaderError> {
        let mut from = Cursor(slot);
        Self::fields(&mut from).ok_or(HeaderError::Noise).and_then(|(header, format, flags)| {
            // A cost inside its bounds tells a header from noise: 1 random slot in 2^70 has one.
            if (format, flags) == (FORMAT, NO_FLAGS) { Ok(header) } else { Err(HeaderError::Newer) }
        })
    }

    fn fields(from: &mut Cursor<'_>) -> Option<(Self, u8, u8)> {
        let salt = from.array()?;
        let cost = KdfCost::new(from.u32()?, from.u32()?, from.u32()?)?;
        let (format, flags) = (from.u8()?, from.u8()?);
        Some((Self { salt, cost, nonce: from.array()? }, format, flags))
    }

    pub(crate) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let fields: [&[u8]; 4] = [&self.salt, &self.cost.to_bytes(), &[FORMAT, NO_FLAGS], &self.nonce];
        for (room, byte) in out.iter_mut().zip(fields.into_iter().flatten()) {
            *room = *byte;
        }
        out
    }
}

/// Why a slot cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealError {
    /// No randomness for the nonce.
    NoEntropy,
    /// The trees no longer fit.
    Full,
}

/// Seals the keyring into one slot of `slot_len` bytes.
pub(crate) fn seal(
    keyring: &Keyring,
    kek: &Kek,
    salt: [u8; 32],
    cost: KdfCost,
    slot_len: usize,
) -> Result<Vec<u8>, SealError> {
    let nonce = random().map_err(|NoEntropy| SealError::NoEntropy)?;
    let header = SlotHeader { salt, cost, nonce }.to_bytes();
    let room = slot_len.checked_sub(HEADER_LEN + TAG_LEN).ok_or(SealError::Full)?;
    let mut payload = keyring.encode(room).ok_or(SealError::Full)?;
    let tag = XChaCha20Poly1305::new(kek.0[..].into())
        .encrypt_in_place_detached(XNonce::from_slice(&nonce), &header, &mut payload)
        .map_err(|_| SealError::Full)?;
    Ok([&header, &payload[..], &tag].concat())
}

/// Opens one slot; `None` when the key or any byte of the slot is wrong.
pub(crate) fn open(slot: &[u8], kek: &Kek) -> Option<Keyring> {
    let (header, rest) = slot.split_first_chunk::<HEADER_LEN>()?;
    let (sealed, tag) = rest.split_last_chunk::<TAG_LEN>()?;
    let nonce = header.last_chunk::<24>()?;
    let mut payload = Zeroizing::new(sealed.to_vec());
    XChaCha20Poly1305::new(kek.0[..].into())
        .decrypt_in_place_detached(XNonce::from_slice(nonce), header, &mut payload, Tag::from_slice(tag))
        .ok()?;
    Keyring::decode(&payload)
}

/// Seconds until the year 4147.
pub(crate) const TIMES_DEPTH: u8 = 36;
/// A thousand versions a second for 34 years.
pub(crate) const VERSIONS_DEPTH: u8 = 40;

const FORMAT: u8 = 1;
const NO_FLAGS: u8 = 0;
const HEADER_LEN: usize = 32 + COST_LEN + 2 + 24;
const TAG_LEN: usize = 16;
const FIXED_LEN: usize = 16 + 5 * 8 + 16 + 32 + 32;

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: usize = 1024;

    fn cheap() -> KdfCost {
        KdfCost::new(8, 1, 1).unwrap()
    }

    fn kek(pass: &[u8]) -> Kek {
        Kek::derive(pass, &[3; 32], cheap()).unwrap()
    }

    fn sealed() -> (Keyring, Vec<u8>) {
        let mut keyring = Keyring::generate().unwrap();
        keyring.generation = 5;
        keyring.last_seen = Time::from_ms(77);
        keyring.commit_seq = 9;
        keyring.next_m = 10;
        keyring.next_s = 11;
        let slot = seal(&keyring, &kek(b"pass"), [3; 32], cheap(), SLOT).unwrap();
        (keyring, slot)
    }

    #[test]
    fn a_slot_gives_back_what_was_sealed() {
        let (keyring, slot) = sealed();
        assert_eq!(slot.len(), SLOT);
        assert_eq!(SlotHeader::parse(&slot).unwrap().cost, cheap());
        let back = open(&slot, &kek(b"pass")).unwrap();
        assert_eq!(back.encode(800), keyring.encode(800));
        assert_eq!(back.times.derive(1 << 35), keyring.times.derive(1 << 35));
        assert!(back.times.derive(1 << 36).is_none());
        assert!(back.messages.derive((1 << 40) - 1).is_some());
    }

    #[test]
    fn another_passphrase_opens_nothing() {
        assert!(open(&sealed().1, &kek(b"Pass")).is_none());
    }

    #[test]
    fn no_byte_of_a_slot_can_be_changed() {
        let (_, slot) = sealed();
        for at in 0..slot.len() {
            for bit in [1, 0x80] {
                let mut changed = slot.clone();
                changed[at] ^= bit;
                assert!(open(&changed, &kek(b"pass")).is_none(), "byte {at}");
            }
        }
    }

    #[test]
    fn a_newer_format_and_noise_are_told_apart() {
        let (_, mut slot) = sealed();
        slot[44] = 2;
        assert_eq!(SlotHeader::parse(&slot), Err(HeaderError::Newer));
        slot[44] = 1;
        slot[45] = 1;
        assert_eq!(SlotHeader::parse(&slot), Err(HeaderError::Newer));
        assert_eq!(SlotHeader::parse(&[0xA5; SLOT]), Err(HeaderError::Noise));
        assert_eq!(SlotHeader::parse(&[0; 69]), Err(HeaderError::Noise));
    }

    #[test]
    fn a_keyring_that_does_not_fit_is_refused_not_cut() {
        let (keyring, _) = sealed();
        assert_eq!(seal(&keyring, &kek(b"pass"), [3; 32], cheap(), 300), Err(SealError::Full));
    }

    #[test]
    fn debug_shows_no_key() {
        let (keyring, _) = sealed();
        assert_eq!(format!("{keyring:?}"), "Keyring(generation 5, commit 9, ..)");
        assert_eq!(format!("{:?}", kek(b"pass")), "Kek(..)");
    }
}
