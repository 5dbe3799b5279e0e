//! Bytes to types and back. Every value is CBOR with integer keys, bounded before it is decoded; unknown fields are
//! passed over. docs/wire.md describes each.

pub(crate) mod commit;
pub(crate) mod content;
pub(crate) mod control;
pub(crate) mod envelope;
pub(crate) mod invite;
pub(crate) mod message;
pub(crate) mod signed;
#[cfg(test)]
mod vectors;

use minicbor::{Decode, Encode};

/// Bytes that are no value of the type asked for, or too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Encodes a value.
pub(crate) fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to memory cannot fail")
}

/// Decodes a value that must fill all of `bytes`, which must be at most `max` long.
pub(crate) fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8], max: usize) -> Result<T, Malformed> {
    if bytes.len() > max {
        return Err(Malformed);
    }
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode().map_err(|_| Malformed)?;
    if decoder.position() == bytes.len() { Ok(value) } else { Err(Malformed) }
}

/// Refuses lists that are longer than their bound.
pub(crate) fn bounded<T>(list: &[T], max: usize) -> Result<(), Malformed> {
    if list.len() <= max { Ok(()) } else { Err(Malformed) }
}
