//! One row as the database holds it: a name that says nothing and bytes that say nothing but their class of size.
//!
//! ```text
//! name   = BLAKE3-keyed(name key, table u8 | logical name)[..24]
//! stored = format u8 | nonce 24 | header 24, masked | XChaCha20-Poly1305(row key, nonce, plaintext, AAD) with tag
//! header = tree u8 | part u8 | chunks or chunk number u16 | 0 u32 | time leaf u64 | version leaf u64
//! AAD    = vault id | masked header | name
//! head   = table u8 | name length u16 | value length u32 | logical name | value if not in chunks | zeros
//! chunk  = its slice of the value | zeros
//! ```
//!
//! The mask is XChaCha20 under the header key with the row's nonce, from the cipher's second block on. It has no
//! tag of its own: a changed header gives other leaves or another AAD, and the body refuses. All chunks of one
//! version of a row hang on that version's leaves, so they die together.

use std::fmt;

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, Zeroizing};

use super::bytes::Cursor;
use super::keyring::{Keyring, TIMES_DEPTH};
use super::tree::{Seed, Trail};
use super::{NoEntropy, random};

/// What the database calls a row.
pub(crate) type Name = [u8; 24];

/// Which tree holds a row's version leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Message and application rows.
    Message,
    /// Secret states.
    State,
}

/// The leaves that a version of a row hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaves {
    /// The tree of the version leaf.
    pub(crate) class: Class,
    /// The second at which the row dies, if it does.
    pub(crate) time: Option<u64>,
    /// The version leaf.
    pub(crate) version: u64,
}

/// What a row's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The leaves.
    pub(crate) leaves: Leaves,
    /// Which part of the row this is.
    pub(crate) part: Part,
}

/// A row is a head, alone or with chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The chunk of this number.
    Chunk(u16),
    /// The head of a row with so many chunks; without any, the head holds the value.
    Head(u16),
}

/// An opened row.
pub(crate) struct Row {
    /// The table's number.
    pub(crate) table: u8,
    /// The logical name.
    pub(crate) logical: Zeroizing<Vec<u8>>,
    /// The value.
    pub(crate) value: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Row(table {}, {} bytes)", self.table, self.value.len())
    }
}

/// The ways to the keys of rows that are opened one after the other.
#[derive(Default)]
pub(crate) struct Trails {
    times: Trail,
    messages: Trail,
    states: Trail,
}

/// A row cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealRowError {
    /// A leaf it would hang on is gone.
    #[error("a key of the row is gone")]
    NoLeaf,
    /// No randomness for the nonce.
    #[error("the system gave no randomness")]
    NoEntropy,
    /// The name or the value is past its bound.
    #[error("the row is too large")]
    TooLarge,
}

/// A row cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenRowError {
    /// A newer version wrote it.
    #[error("the row was written by a newer version")]
    Newer,
    /// Its key is gone, or its bytes are not what was sealed under this name.
    #[error("the row cannot be opened")]
    Unreadable,
}

impl Keyring {
    /// The database's name of a row.
    pub(crate) fn row_name(&self, table: u8, logical: &[u8]) -> Name {
        self.name_of(&[&[table], logical])
    }

    /// The database's name of one chunk of a row.
    pub(crate) fn chunk_name(&self, head: &Name, number: u16) -> Name {
        self.name_of(&[&[CHUNK_TABLE], head, &number.to_be_bytes()])
    }

    fn name_of(&self, parts: &[&[u8]]) -> Name {
        let mut hasher = blake3::Hasher::new_keyed(&self.name_key);
        for part in parts {
            hasher.update(part);
        }
        let mut name = Name::default();
        hasher.finalize_xof().fill(&mut name);
        hasher.zeroize();
        name
    }

    /// Seals one version of a row: its head first, then its chunks.
    pub(crate) fn seal_row(
        &self,
        table: u8,
        logical: &[u8],
        value: &[u8],
        leaves: Leaves,
    ) -> Result<Vec<(Name, Vec<u8>)>, SealRowError> {
        let name = self.row_name(table, logical);
        let name_len = u16::try_from(logical.len()).ok().filter(|_| logical.len() <= NAME_LEN_MAX);
        let name_len = name_len.ok_or(SealRowError::TooLarge)?;
        let value_len = u32::try_from(value.len()).ok().filter(|_| value.len() <= VALUE_LEN_MAX);
        let value_len = value_len.ok_or(SealRowError::TooLarge)?;
        let key = self.row_key(leaves, &mut Trails::default()).ok_or(SealRowError::NoLeaf)?;

        let inline = HEAD_LEN + logical.len() + value.len() <= PLAINTEXT_LEN_MAX;
        let slices: Vec<&[u8]> = if inline { Vec::new() } else { value.chunks(PLAINTEXT_LEN_MAX).collect() };
        let chunks = u16::try_from(slices.len()).map_err(|_| SealRowError::TooLarge)?;

        let fields: [&[u8]; 5] =
            [&[table], &name_len.to_be_bytes(), &value_len.to_be_bytes(), logical, if inline { value } else { &[] }];
        let head = Header { leaves, part: Part::Head(chunks) };
        let mut parts = vec![(name, self.seal_part(&name, head, &key, &fields)?)];
        for (number, slice) in (0..chunks).zip(slices) {
            let name = self.chunk_name(&name, number);
            let header = Header { leaves, part: Part::Chunk(number) };
            parts.push((name, self.seal_part(&name, header, &chunk_key(&key, number), &[slice])?));
        }
        Ok(parts)
    }

    fn seal_part(&self, name: &Name, header: Header, key: &Seed, fields: &[&[u8]]) -> Result<Vec<u8>, SealRowError> {
        let nonce = random::<NONCE_LEN>().map_err(|NoEntropy| SealRowError::NoEntropy)?;
        let len: usize = fields.iter().map(|field| field.len()).sum();
        let class = SIZE_CLASSES.into_iter().find(|class| *class >= len).ok_or(SealRowError::TooLarge)?;
        let mut body = Zeroizing::new(Vec::with_capacity(class));
        for field in fields {
            body.extend_from_slice(field);
        }
        body.resize(class, 0);
        let mut masked = header.to_bytes();
        self.mask(&nonce, &mut masked);
        let tag = XChaCha20Poly1305::new(key[..].into())
            .encrypt_in_place_detached(XNonce::from_slice(&nonce), &self.bound_to(&masked, name), &mut body)
            .map_err(|_| SealRowError::TooLarge)?;
        Ok([&[FORMAT], &nonce[..], &masked, &body, &tag].concat())
    }

    /// Opens a row, fetching its chunks by name.
    pub(crate) fn open_row<E: From<OpenRowError>>(
        &self,
        name: &Name,
        head: &[u8],
        fetch: impl FnMut(&Name) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Row, E> {
        self.open_row_along(name, head, &mut Trails::default(), fetch)
    }

    /// What a stored value says of itself, which only opening proves true.
    pub(crate) fn header(&self, stored: &[u8]) -> Result<Header, OpenRowError> {
        self.split(stored).map(|(header, _)| header)
    }

    /// Opens a row, as one of many.
    pub(crate) fn open_row_along<E: From<OpenRowError>>(
        &self,
        name: &Name,
        head: &[u8],
        trails: &mut Trails,
        mut fetch: impl FnMut(&Name) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Row, E> {
        let (header, sealed) = self.split(head)?;
        let Part::Head(chunks) = header.part else { return Err(OpenRowError::Unreadable.into()) };
        let key = self.row_key(header.leaves, trails).ok_or(OpenRowError::Unreadable)?;
        let body = self.open_part(name, &sealed, &key)?;
        let (mut row, value_len) = Row::parse_head(&body, header).ok_or(OpenRowError::Unreadable)?;
        for number in 0..chunks {
            let name = self.chunk_name(name, number);
            let stored = fetch(&name)?.ok_or(OpenRowError::Unreadable)?;
            let (chunk, sealed) = self.split(&stored)?;
            if chunk != (Header { part: Part::Chunk(number), ..header }) {
                return Err(OpenRowError::Unreadable.into());
            }
            let slice = self.open_part(&name, &sealed, &chunk_key(&key, number))?;
            let len = (value_len - row.value.len()).min(PLAINTEXT_LEN_MAX);
            row.value.extend_from_slice(slice.get(..len).ok_or(OpenRowError::Unreadable)?);
        }
        if row.value.len() == value_len { Ok(row) } else { Err(OpenRowError::Unreadable.into()) }
    }

    fn open_part(&self, name: &Name, sealed: &Sealed<'_>, key: &Seed) -> Result<Zeroizing<Vec<u8>>, OpenRowError> {
        let mut body = Zeroizing::new(sealed.body.to_vec());
        XChaCha20Poly1305::new(key[..].into())
            .decrypt_in_place_detached(
                XNonce::from_slice(sealed.nonce),
                &self.bound_to(sealed.masked, name),
                &mut body,
                Tag::from_slice(sealed.tag),
            )
            .map_err(|_| OpenRowError::Unreadable)?;
        Ok(body)
    }

    /// The header and the rest.
    fn split<'a>(&self, stored: &'a [u8]) -> Result<(Header, Sealed<'a>), OpenRowError> {
        let mut from = Cursor(stored);
        if from.u8().is_some_and(|format| format > FORMAT) {
            return Err(OpenRowError::Newer);
        }
        let sealed = Sealed::parse(stored).ok_or(OpenRowError::Unreadable)?;
        let mut header = *sealed.masked;
        self.mask(sealed.nonce, &mut header);
        Ok((Header::parse(&header).ok_or(OpenRowError::Unreadable)?, sealed))
    }

    /// Puts the mask on a header, or takes it off: it is a stream.
    fn mask(&self, nonce: &[u8; NONCE_LEN], header: &mut [u8; HEADER_LEN]) {
        // The tag is not used; the body's AAD holds the header.
        let _tag = XChaCha20Poly1305::new(self.header_key[..].into())
            .encrypt_in_place_detached(XNonce::from_slice(nonce), &[], header)
            .expect("24 bytes are far below the cipher's limit");
    }

    fn bound_to(&self, masked: &[u8; HEADER_LEN], name: &Name) -> [u8; 64] {
        let mut aad = [0; 64];
        for (room, byte) in aad.iter_mut().zip([&self.vault_id[..], masked, name].into_iter().flatten()) {
            *room = *byte;
        }
        aad
    }

    fn row_key(&self, leaves: Leaves, trails: &mut Trails) -> Option<Seed> {
        let time = match leaves.time {
            Some(second) => self.times.derive_along(second, &mut trails.times)?,
            None => Zeroizing::new([0; 32]),
        };
        let version = match leaves.class {
            Class::Message => self.messages.derive_along(leaves.version, &mut trails.messages)?,
            Class::State => self.states.derive_along(leaves.version, &mut trails.states)?,
        };
        Some(derive_key(ROW_CONTEXT, &[&time[..], &version[..]]))
    }
}

impl Row {
    /// Reads a head's plaintext; also returns how long the value is.
    pub(crate) fn parse_head(body: &[u8], header: Header) -> Option<(Self, usize)> {
        let mut from = Cursor(body);
        let table = from.u8()?;
        let name_len = usize::from(from.u16()?);
        let value_len = usize::try_from(from.u32()?).ok().filter(|len| *len <= VALUE_LEN_MAX)?;
        let logical = Zeroizing::new(from.slice(name_len)?.to_vec());
        let mut value = Zeroizing::new(Vec::with_capacity(value_len));
        if header.part == Part::Head(0) {
            value.extend_from_slice(from.slice(value_len)?);
        }
        Some((Self { table, logical, value }, value_len))
    }
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER_LEN] {
        let (part, number) = match self.part {
            Part::Head(chunks) => (0, chunks),
            Part::Chunk(number) => (1, number),
        };
        let class = match self.leaves.class {
            Class::Message => 0,
            Class::State => 1,
        };
        let fields: [&[u8]; 5] = [
            &[class, part],
            &number.to_be_bytes(),
            &[0; 4],
            &self.leaves.time.unwrap_or(NEVER).to_be_bytes(),
            &self.leaves.version.to_be_bytes(),
        ];
        let mut out = [0; HEADER_LEN];
        for (room, byte) in out.iter_mut().zip(fields.into_iter().flatten()) {
            *room = *byte;
        }
        out
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut from = Cursor(bytes);
        let class = match from.u8()? {
            0 => Class::Message,
            1 => Class::State,
            _ => return None,
        };
        let part = from.u8()?;
        let number = from.u16()?;
        let part = match part {
            0 => Part::Head(number),
            1 => Part::Chunk(number),
            _ => return None,
        };
        let reserved = from.u32()?;
        let time = Some(from.u64()?).filter(|second| *second != NEVER);
        let leaves = Leaves { class, time, version: from.u64()? };
        (reserved == 0).then_some(Self { leaves, part })
    }
}

struct Sealed<'a> {
    nonce: &'a [u8; NONCE_LEN],
    masked: &'a [u8; HEADER_LEN],
    body: &'a [u8],
    tag: &'a [u8; TAG_LEN],
}

impl<'a> Sealed<'a> {
    fn parse(stored: &'a [u8]) -> Option<Self> {
        let (format, rest) = stored.split_first()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (masked, rest) = rest.split_first_chunk()?;
        let (body, tag) = rest.split_last_chunk()?;
        (*format == FORMAT).then_some(Self { nonce, masked, body, tag })
    }
}

fn chunk_key(row_key: &Seed, number: u16) -> Seed {
    derive_key(CHUNK_CONTEXT, &[&row_key[..], &number.to_be_bytes()])
}

fn derive_key(context: &str, material: &[&[u8]]) -> Seed {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in material {
        hasher.update(part);
    }
    let mut key = Zeroizing::new([0; 32]);
    hasher.finalize_xof().fill(&mut key[..]);
    hasher.zeroize();
    key
}

/// The last second that a row can die at; a later deadline dies then.
pub(crate) const LAST_SECOND: u64 = (1 << TIMES_DEPTH) - 1;
/// No stored value is longer: sled moves pages with longer ones to files that it never makes durable.
pub(crate) const STORED_LEN_MAX: usize = 7_000;
/// The largest value of a row. Group states of 150 members stay far below it.
pub(crate) const VALUE_LEN_MAX: usize = 16 * 1024 * 1024;
/// The longest logical name; it must leave room in a head.
pub(crate) const NAME_LEN_MAX: usize = 4_096;

const FORMAT: u8 = 1;
/// No table has this number, so no row has a chunk's name.
const CHUNK_TABLE: u8 = 0xFF;
/// A time leaf that no second has.
const NEVER: u64 = u64::MAX;
const NONCE_LEN: usize = 24;
const HEADER_LEN: usize = 24;
const TAG_LEN: usize = 16;
const HEAD_LEN: usize = 1 + 2 + 4;
/// What a plaintext is padded to; all that the length of a stored row shows. An envelope with its name fits the class of
/// its size, for most of what is stored is envelopes.
const SIZE_CLASSES: [usize; 7] =
    [128, 256, 512 + NAMED_LEN, 1_024 + NAMED_LEN, 2_048 + NAMED_LEN, 4_096 + NAMED_LEN, PLAINTEXT_LEN_MAX];
/// What stands before the value of a row of a group: lengths, network, a name of 32 bytes, and some more.
const NAMED_LEN: usize = 64;
const PLAINTEXT_LEN_MAX: usize = 6_912;
const _: () = assert!(1 + NONCE_LEN + HEADER_LEN + PLAINTEXT_LEN_MAX + TAG_LEN <= STORED_LEN_MAX);
const _: () = assert!(HEAD_LEN + NAME_LEN_MAX <= PLAINTEXT_LEN_MAX);
const _: () = assert!(VALUE_LEN_MAX.div_ceil(PLAINTEXT_LEN_MAX) <= u16::MAX as usize);
const ROW_CONTEXT: &str = "kinfold 2026-01 row key v1";
const CHUNK_CONTEXT: &str = "kinfold 2026-01 chunk key v1";

#[cfg(test)]
mod tests;
