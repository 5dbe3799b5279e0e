//! How one OpenMLS value is stored: CBOR, with every array of small numbers packed into a byte string.
//!
//! OpenMLS's values reach serde as arrays of numbers where they mean bytes, which CBOR writes at almost two bytes for
//! one. Packing works on the finished encoding, so that it needs to know nothing of the types, and is undone before
//! they are read. It also drops the one time stamp that OpenMLS takes from the system clock: nothing here reads it,
//! and with it two runs of one seed would store different bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const NULL: u8 = 0xf6;
const TIMESTAMP: &[u8] = b"added_at";

/// A value could not be encoded or decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored value not readable")]
pub(super) struct CodecError;

/// Encodes one value.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Zeroizing<Vec<u8>>, CodecError> {
    let mut plain = Zeroizing::new(Vec::new());
    ciborium::into_writer(value, &mut *plain).map_err(|_| CodecError)?;
    pack(&plain).ok_or(CodecError)
}

/// Decodes what [`encode`] wrote.
pub(super) fn decode<T: DeserializeOwned>(stored: &[u8]) -> Result<T, CodecError> {
    let plain = unpack(stored).ok_or(CodecError)?;
    ciborium::from_reader(plain.as_slice()).map_err(|_| CodecError)
}

/// One CBOR item without its content.
struct Head {
    major: u8,
    /// Missing in an item of indefinite length and in its end mark.
    argument: Option<u64>,
    len: usize,
}

fn head(bytes: &[u8]) -> Option<Head> {
    let (&first, rest) = bytes.split_first()?;
    let (argument, len) = match first & 0x1f {
        info @ 0..=23 => (Some(u64::from(info)), 1),
        24 => (Some(u64::from(*rest.first()?)), 2),
        25 => (Some(u64::from(u16::from_be_bytes(*rest.first_chunk()?))), 3),
        26 => (Some(u64::from(u32::from_be_bytes(*rest.first_chunk()?))), 5),
        27 => (Some(u64::from_be_bytes(*rest.first_chunk()?)), 9),
        31 => (None, 1),
        _ => return None,
    };
    Some(Head { major: first >> 5, argument, len })
}

fn write_head(out: &mut Vec<u8>, major: u8, argument: usize) {
    let major = major << 5;
    match argument {
        0..=23 => out.push(major | u8::try_from(argument).unwrap_or(u8::MAX)),
        24..=0xff => out.extend([major | 24, u8::try_from(argument).unwrap_or(u8::MAX)]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend(u16::try_from(argument).unwrap_or(u16::MAX).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend((argument as u64).to_be_bytes());
        }
    }
}

fn copy<'a>(out: &mut Vec<u8>, rest: &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (item, rest) = rest.split_at_checked(len)?;
    out.extend_from_slice(item);
    Some(rest)
}

/// The length of an item with its head, for items whose content is bytes.
fn span(head: &Head) -> Option<usize> {
    match (head.major, head.argument) {
        (BYTES | TEXT, argument) => head.len.checked_add(usize::try_from(argument?).ok()?),
        _ => Some(head.len),
    }
}

fn pack(plain: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(plain.len()));
    let mut rest = plain;
    while !rest.is_empty() {
        let item = head(rest)?;
        let len = span(&item)?;
        match item.major {
            ARRAY => rest = pack_array(&mut out, rest, &item)?,
            // Means a packed array here; a true byte string would come back as another type than it went.
            BYTES => return None,
            TEXT => {
                let stamp = rest.get(item.len..len)? == TIMESTAMP;
                rest = copy(&mut out, rest, len)?;
                if stamp {
                    rest = skip(rest)?;
                    out.push(NULL);
                }
            }
            _ => rest = copy(&mut out, rest, len)?,
        }
    }
    Some(out)
}

/// Writes an array as a byte string if all its items are numbers that fit a byte, otherwise only its head.
fn pack_array<'a>(out: &mut Vec<u8>, array: &'a [u8], item: &Head) -> Option<&'a [u8]> {
    let count = item.argument.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let start = out.len();
    write_head(out, BYTES, count);
    let mut rest = array.get(item.len..)?;
    for _ in 0..count {
        let number = head(rest)?;
        let byte = number.argument.and_then(|number| u8::try_from(number).ok());
        match (number.major, byte) {
            (UNSIGNED, Some(byte)) => {
                out.push(byte);
                rest = rest.get(number.len..)?;
            }
            _ => {
                out.truncate(start);
                return copy(out, array, item.len);
            }
        }
    }
    if count == 0 {
        // An empty array, or one whose length its head does not tell.
        out.truncate(start);
        return copy(out, array, item.len);
    }
    Some(rest)
}

/// What follows one item of definite length.
fn skip(mut rest: &[u8]) -> Option<&[u8]> {
    let mut pending = 1_u64;
    while pending > 0 {
        let item = head(rest)?;
        let inner = match item.major {
            ARRAY => item.argument?,
            MAP => item.argument?.checked_mul(2)?,
            TAG => 1,
            _ => 0,
        };
        pending = pending.checked_sub(1)?.checked_add(inner)?;
        rest = rest.get(span(&item)?..)?;
    }
    Some(rest)
}

fn unpack(stored: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(stored.len().checked_mul(2)?));
    let mut rest = stored;
    while !rest.is_empty() {
        let item = head(rest)?;
        let len = span(&item)?;
        if item.major == BYTES {
            let bytes = rest.get(item.len..len)?;
            write_head(&mut out, ARRAY, bytes.len());
            for byte in bytes {
                write_head(&mut out, UNSIGNED, usize::from(*byte));
            }
            rest = rest.get(len..)?;
        } else {
            rest = copy(&mut out, rest, len)?;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use ciborium::Value;
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            ".{0,300}".prop_map(Value::from),
            Just(Value::Null),
            prop::collection::vec(any::<u8>(), 0..300)
                .prop_map(|bytes| Value::Array(bytes.into_iter().map(Value::from).collect())),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
                prop::collection::vec((".{0,9}".prop_map(Value::from), inner), 0..8).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_come_back(value in value()) {
            let stored = encode(&value).unwrap();
            prop_assert_eq!(decode::<Value>(&stored).unwrap(), value);
        }

        #[test]
        fn bytes_from_nowhere_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            decode::<Value>(&bytes).ok();
            pack(&bytes);
        }
    }

    #[test]
    fn bytes_take_one_byte_each() {
        let stored = encode(&vec![200_u8; 1_000]).unwrap();
        assert_eq!(stored.len(), 1_003);
        assert_eq!(decode::<Vec<u8>>(&stored).unwrap(), vec![200; 1_000]);
    }

    #[test]
    fn a_time_stamp_is_not_kept() {
        #[derive(serde::Serialize)]
        struct Stamped {
            added_at: Option<std::time::SystemTime>,
            after: u8,
        }
        let stamped = Stamped { added_at: Some(std::time::UNIX_EPOCH), after: 7 };
        let kept: Value = decode(&encode(&stamped).unwrap()).unwrap();
        let expected = [(Value::from("added_at"), Value::Null), (Value::from("after"), Value::from(7))];
        assert_eq!(kept, Value::Map(expected.to_vec()));
    }
}
