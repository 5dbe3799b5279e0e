//! How one OpenMLS value is stored: CBOR, with every array of small numbers packed into a byte string.
//!
//! OpenMLS's values reach serde as arrays of numbers where they mean bytes, which CBOR writes at almost two bytes for
//! one. Packing knows nothing of the types, and is undone before they are read. It also drops the one time stamp that OpenMLS takes from the system clock: nothing here reads it,
//! and with it two runs of one seed would store different bytes.

mod pack;

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Serialize, ser};
use zeroize::Zeroizing;

use self::pack::Packer;

const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const NULL: u8 = 0xf6;
const TIMESTAMP: &str = "added_at";

/// A value could not be encoded or decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored value not readable")]
pub(super) struct CodecError;

impl ser::Error for CodecError {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Encodes one value that takes about so many bytes: what outgrows them leaves copies behind that nobody wipes.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T, about: usize) -> Result<Zeroizing<Vec<u8>>, CodecError> {
    let mut out = Zeroizing::new(Vec::with_capacity(about));
    value.serialize(Packer(&mut out))?;
    Ok(out)
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
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend(u32::try_from(argument).unwrap_or(u32::MAX).to_be_bytes());
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
            let stored = encode(&value, 0).unwrap();
            prop_assert_eq!(decode::<Value>(&stored).unwrap(), value);
        }

        #[test]
        fn bytes_from_nowhere_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            decode::<Value>(&bytes).ok();
        }
    }

    #[test]
    fn bytes_take_one_byte_each() {
        let stored = encode(&vec![200_u8; 1_000], 0).unwrap();
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
        let kept: Value = decode(&encode(&stamped, 0).unwrap()).unwrap();
        let expected = [(Value::from("added_at"), Value::Null), (Value::from("after"), Value::from(7))];
        assert_eq!(kept, Value::Map(expected.to_vec()));
    }
}
