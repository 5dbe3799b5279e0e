//! The writing half: a serde serializer that packs as it goes.

use serde::ser::{
    Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{ARRAY, BYTES, CodecError, MAP, NULL, TEXT, TIMESTAMP, UNSIGNED, head, write_head};

/// Negative numbers.
const NEGATIVE: u8 = 1;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
/// How a number from 24 to 255 begins; smaller ones are their own head.
const ONE_BYTE_FOLLOWS: u8 = 24;

/// Appends values to what is written.
pub(super) struct Packer<'a>(pub(super) &'a mut Vec<u8>);

impl Packer<'_> {
    fn head(&mut self, major: u8, argument: usize) {
        write_head(self.0, major, argument);
    }

    fn number(&mut self, major: u8, number: u64) -> Result<(), CodecError> {
        self.head(major, usize::try_from(number).map_err(|_| CodecError)?);
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.head(TEXT, text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A variant with content is a map of one pair.
    fn variant(&mut self, name: &str) {
        self.head(MAP, 1);
        self.text(name);
    }
}

/// An array: a byte string as long as each item is a number that fits a byte.
pub(super) struct List<'a> {
    out: &'a mut Vec<u8>,
    /// Where the byte string begins.
    packed: Option<usize>,
}

impl List<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), CodecError> {
        if let Some(start) = self.packed {
            if let Ok(byte) = item.serialize(Byte) {
                self.out.push(byte);
                return Ok(());
            }
            self.unpack(start)?;
        }
        item.serialize(Packer(self.out))
    }

    /// The next item is no number that fits a byte: the byte string from `start` on becomes an array. Both have heads of
    /// one length.
    fn unpack(&mut self, start: usize) -> Result<(), CodecError> {
        self.packed = None;
        let at = self.out.len();
        let written = self.out.get_mut(start..).ok_or(CodecError)?;
        let first = written.first_mut().ok_or(CodecError)?;
        *first ^= (BYTES ^ ARRAY) << 5;
        let items = start.saturating_add(head(written).ok_or(CodecError)?.len);
        for index in (items..at).rev() {
            if self.out.get(index).is_some_and(|number| *number >= ONE_BYTE_FOLLOWS) {
                self.out.insert(index, ONE_BYTE_FOLLOWS);
            }
        }
        Ok(())
    }
}

macro_rules! numbers {
    ($($name:ident($number:ty))*) => {
        $(fn $name(mut self, number: $number) -> Result<(), CodecError> {
            self.number(UNSIGNED, number.into())
        })*
    };
}

macro_rules! signed_numbers {
    ($($name:ident($number:ty))*) => {
        $(fn $name(mut self, number: $number) -> Result<(), CodecError> {
            match u64::try_from(number) {
                Ok(number) => self.number(UNSIGNED, number),
                Err(_) => self.number(NEGATIVE, (!i64::from(number)).unsigned_abs()),
            }
        })*
    };
}

macro_rules! not_in_mls {
    ($($name:ident($value:ty))*) => {
        $(fn $name(self, _: $value) -> Result<(), CodecError> {
            Err(CodecError)
        })*
    };
}

impl<'a> Serializer for Packer<'a> {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers! { serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) }
    signed_numbers! { serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) }
    // A true byte string would come back as another type than it went.
    not_in_mls! { serialize_f32(f32) serialize_f64(f64) serialize_char(char) serialize_bytes(&[u8]) }

    fn serialize_bool(self, yes: bool) -> Result<(), CodecError> {
        self.0.push(if yes { TRUE } else { FALSE });
        Ok(())
    }

    fn serialize_str(mut self, text: &str) -> Result<(), CodecError> {
        self.text(text);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), CodecError> {
        self.0.push(NULL);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CodecError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), CodecError> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), CodecError> {
        self.serialize_none()
    }

    fn serialize_unit_variant(mut self, _: &'static str, _: u32, variant: &'static str) -> Result<(), CodecError> {
        self.text(variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), CodecError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        self.variant(variant);
        value.serialize(self)
    }

    fn serialize_seq(self, count: Option<usize>) -> Result<List<'a>, CodecError> {
        self.serialize_tuple(count.ok_or(CodecError)?)
    }

    fn serialize_tuple(mut self, count: usize) -> Result<List<'a>, CodecError> {
        // An empty one is an array: nobody can tell what its items would be.
        let packed = (count > 0).then_some(self.0.len());
        self.head(if count > 0 { BYTES } else { ARRAY }, count);
        Ok(List { out: self.0, packed })
    }

    fn serialize_tuple_struct(self, _: &'static str, count: usize) -> Result<List<'a>, CodecError> {
        self.serialize_tuple(count)
    }

    fn serialize_tuple_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<List<'a>, CodecError> {
        self.variant(variant);
        self.serialize_tuple(count)
    }

    fn serialize_map(mut self, count: Option<usize>) -> Result<Self, CodecError> {
        self.head(MAP, count.ok_or(CodecError)?);
        Ok(self)
    }

    fn serialize_struct(mut self, _: &'static str, count: usize) -> Result<Self, CodecError> {
        self.head(MAP, count);
        Ok(self)
    }

    fn serialize_struct_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<Self, CodecError> {
        self.variant(variant);
        self.head(MAP, count);
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! lists {
    ($($of:ident $item:ident)*) => {
        $(impl $of for List<'_> {
            type Ok = ();
            type Error = CodecError;

            fn $item<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), CodecError> {
                self.item(item)
            }

            fn end(self) -> Result<(), CodecError> {
                Ok(())
            }
        })*
    };
}

lists! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! structs {
    ($($of:ident)*) => {
        $(impl $of for Packer<'_> {
            type Ok = ();
            type Error = CodecError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), CodecError> {
                self.text(key);
                if key == TIMESTAMP { self.0.push(NULL) } else { value.serialize(Packer(self.0))? }
                Ok(())
            }

            fn end(self) -> Result<(), CodecError> {
                Ok(())
            }
        })*
    };
}

structs! { SerializeStruct SerializeStructVariant }

/// Takes numbers that fit a byte, and nothing else. Keys are most of what is written, byte by byte and each message
/// anew.
struct Byte;

macro_rules! fits {
    ($($name:ident($number:ty))*) => {
        $(fn $name(self, number: $number) -> Result<u8, CodecError> {
            u8::try_from(number).map_err(|_| CodecError)
        })*
    };
}

macro_rules! no_byte {
    ($($name:ident($($value:ty),*) -> $made:ty;)*) => {
        $(fn $name(self, $(_: $value),*) -> Result<$made, CodecError> {
            Err(CodecError)
        })*
    };
}

type Never = Impossible<u8, CodecError>;

impl Serializer for Byte {
    type Ok = u8;
    type Error = CodecError;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    fits! { serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) }
    fits! { serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) }
    no_byte! {
        serialize_f32(f32) -> u8;
        serialize_f64(f64) -> u8;
        serialize_char(char) -> u8;
        serialize_bytes(&[u8]) -> u8;
        serialize_bool(bool) -> u8;
        serialize_str(&str) -> u8;
        serialize_none() -> u8;
        serialize_unit() -> u8;
        serialize_unit_struct(&'static str) -> u8;
        serialize_unit_variant(&'static str, u32, &'static str) -> u8;
        serialize_seq(Option<usize>) -> Never;
        serialize_tuple(usize) -> Never;
        serialize_tuple_struct(&'static str, usize) -> Never;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_map(Option<usize>) -> Never;
        serialize_struct(&'static str, usize) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<u8, CodecError> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<u8, CodecError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<u8, CodecError> {
        Err(CodecError)
    }
}

impl SerializeMap for Packer<'_> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CodecError> {
        key.serialize(Packer(self.0))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        value.serialize(Packer(self.0))
    }

    fn end(self) -> Result<(), CodecError> {
        Ok(())
    }
}
