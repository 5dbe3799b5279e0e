//! Vectors: every value of docs/wire.md as recorded bytes, in `tests/vectors`. A format or a label that changes by
//! accident fails here. After a change that is meant, `BLESS=1 cargo test -p kinfold-protocol vectors` records it anew
//! and prints what differs.

mod objects;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use minicbor::{Decode, Encode};

use super::signed::{Body, Signed};
use super::{decode, encode};
use crate::limits::FRAME_BYTES_MAX;

/// One value: its bytes, what they say, and what is derived from it.
struct Vector {
    name: &'static str,
    bytes: Vec<u8>,
    /// Names and values of what the bytes say or give, in the order of the file.
    facts: Vec<(&'static str, String)>,
    /// Decodes bytes and encodes what they said.
    again: fn(&[u8]) -> Option<Vec<u8>>,
}

impl Vector {
    /// A CBOR value whose type is decoded as it stands.
    fn value<T: Encode<()> + for<'b> Decode<'b, ()>>(name: &'static str, value: &T) -> Self {
        let bytes = encode(value);
        let facts = vec![("says", said(&bytes))];
        let again = |bytes: &[u8]| decode::<T>(bytes, FRAME_BYTES_MAX).ok().map(|value| encode(&value));
        Self { name, bytes, facts, again }
    }

    /// A signed body, whose signature is checked and whose body is decoded, too.
    fn signed<T: Body>(name: &'static str, signed: &Signed) -> Self {
        let facts = vec![("says", said(&signed.body))];
        let again = |bytes: &[u8]| {
            let signed: Signed = decode(bytes, FRAME_BYTES_MAX).ok()?;
            let body: T = signed.open(objects::GROUP).ok()?;
            (encode(&body) == signed.body).then(|| encode(&signed))
        };
        Self { name, bytes: encode(signed), facts, again }
    }

    fn with(mut self, name: &'static str, bytes: &[u8]) -> Self {
        self.facts.push((name, HEXLOWER.encode(bytes)));
        self
    }

    fn text(&self) -> String {
        let mut text = format!("bytes: {}\n", HEXLOWER.encode(&self.bytes));
        for (name, value) in &self.facts {
            let _ = writeln!(text, "{name}: {value}");
        }
        text
    }
}

/// CBOR as people read it: RFC 8949, diagnostic notation.
fn said(bytes: &[u8]) -> String {
    let value: ciborium::Value = ciborium::from_reader(bytes).unwrap();
    notation(&value)
}

fn notation(value: &ciborium::Value) -> String {
    use ciborium::Value;
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", list(items.iter().map(notation).collect())),
        Value::Bool(is) => is.to_string(),
        Value::Bytes(bytes) => format!("h'{}'", HEXLOWER.encode(bytes)),
        Value::Integer(number) => i128::from(*number).to_string(),
        Value::Map(entries) => {
            let entry = |(key, value): &(Value, Value)| format!("{}: {}", notation(key), notation(value));
            format!("{{{}}}", list(entries.iter().map(entry).collect()))
        }
        Value::Null => "null".to_owned(),
        Value::Text(text) => format!("{text:?}"),
        other => panic!("nothing on the wire is {other:?}"),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/wire")
}

/// The lines that one text has and the other has not.
fn difference(recorded: &str, made: &str) -> String {
    let mut shown = String::new();
    for (sign, these, those) in [('-', recorded, made), ('+', made, recorded)] {
        for line in these.lines().filter(|line| !those.lines().any(|other| other == *line)) {
            let _ = writeln!(shown, "{sign} {line}");
        }
    }
    shown
}

#[test]
fn every_value_on_the_wire_has_the_recorded_bytes_and_gives_the_recorded_names() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = String::new();
    let mut names = BTreeSet::new();
    for vector in objects::all() {
        let path = folder().join(format!("{}.txt", vector.name));
        assert!(names.insert(path.clone()), "two vectors are called {}", vector.name);
        let (recorded, made) = (fs::read_to_string(&path).unwrap_or_default(), vector.text());
        if recorded != made {
            let _ = write!(wrong, "{}:\n{}", vector.name, difference(&recorded, &made));
        }
        if bless {
            fs::write(&path, &made).unwrap();
        }
    }
    let stored: BTreeSet<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in stored.difference(&names) {
        let _ = writeln!(wrong, "no vector is called {}", path.display());
    }
    println!("{wrong}");
    assert!(bless || wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_recorded_bytes_are_decoded_and_encoded_to_themselves() {
    if std::env::var_os("BLESS").is_some() {
        // The other test is writing them.
        return;
    }
    for vector in objects::all() {
        let text = fs::read_to_string(folder().join(format!("{}.txt", vector.name))).unwrap();
        let hex = text.lines().find_map(|line| line.strip_prefix("bytes: ")).unwrap();
        let bytes = HEXLOWER.decode(hex.as_bytes()).unwrap();
        assert_eq!((vector.again)(&bytes).as_ref(), Some(&bytes), "{}", vector.name);
        let cut = bytes.split_last().map(|(_, rest)| (vector.again)(rest));
        assert_eq!(cut, Some(None), "{} is still read without its last byte", vector.name);
    }
}
