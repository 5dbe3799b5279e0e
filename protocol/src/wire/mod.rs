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
use zeroize::Zeroizing;

/// Bytes that are no value of the type asked for, or too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Encodes a value.
pub(crate) fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to memory cannot fail")
}

/// The same for what nobody may find in memory: room for all of it is had first, so that no shorter buffer is left behind.
pub(crate) fn encode_secret<T: Encode<()>>(value: &T) -> Zeroizing<Vec<u8>> {
    let mut length = Length(0);
    minicbor::encode(value, &mut length).expect("counting cannot fail");
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
    minicbor::encode(value, &mut *bytes).expect("writing to memory cannot fail");
    bytes
}

struct Length(usize);

impl minicbor::encode::Write for Length {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_secret_is_encoded_as_everything_is_and_in_one_piece(value: (u64, Option<String>, Vec<u32>)) {
            let bytes = encode_secret(&value);
            proptest::prop_assert_eq!(&*bytes, &encode(&value));
            proptest::prop_assert_eq!(bytes.capacity(), bytes.len());
        }
    }
}
