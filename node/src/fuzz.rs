//! What a fuzzer calls: each function takes any bytes, panics where a promise of a parser is broken, and says how far the
//! bytes came. For tests only.

use std::sync::OnceLock;

use kinfold_protocol::fuzz::Reach;

use crate::control::frame;
use crate::store::meta::Meta;
use crate::vault::keyring::{Keyring, SlotHeader};
use crate::vault::row::{Class, Header, Leaves, Name, OpenRowError, Part, Row};

/// The leaves of every row here.
const LEAVES: Leaves = Leaves { class: Class::State, time: None, version: 0 };
/// The table of every row here.
const TABLE: u8 = 1;
/// The logical name of every row here.
const LOGICAL: &[u8] = b"name";

/// A line of a client of the local API.
pub fn local_api(line: &[u8], reach: Reach<'_>) {
    let (id, request) = frame::parse(line);
    assert!(id.is_null() || id.is_number() || id.is_string());
    match request {
        Ok(request) => {
            reach(request.method());
            let said = serde_json::to_value(&request).expect("a request is JSON");
            assert!(serde_json::from_value(said).is_ok_and(|again| request == again));
        }
        Err(error) => reach(&format!("error {:?}", error.kind)),
    }
}

/// What is on the disk, as whoever can write there can change it.
pub fn stored_row(bytes: &[u8], reach: Reach<'_>) {
    static KEYRING: OnceLock<Keyring> = OnceLock::new();
    let keyring = KEYRING.get_or_init(|| Keyring::generate().expect("the system has entropy"));
    let name = keyring.row_name(TABLE, LOGICAL);
    match keyring.open_row(&name, bytes, |_| Ok(None)) {
        Ok(_) => panic!("nobody sealed it"),
        Err(OpenRowError::Newer) => reach("newer"),
        Err(OpenRowError::Unreadable) => reach("unreadable"),
    }
    sealed_row(keyring, &name, bytes, reach);
    row_inside(bytes, reach);
    if let Ok(meta) = Meta::decode(bytes) {
        reach("counters");
        assert_eq!(meta.encode(), bytes);
    }
    if let Ok(header) = SlotHeader::parse(bytes) {
        reach("slot");
        assert!(bytes.starts_with(&header.to_bytes()));
    }
    if let Some(keyring) = Keyring::decode(bytes) {
        reach("keyring");
        assert!(keyring.encode(bytes.len()).is_some_and(|again| again.as_slice() == bytes));
    }
}

/// The bytes as a value come back; as changes of its head, a place and what is flipped there, they make it unreadable.
fn sealed_row(keyring: &Keyring, name: &Name, bytes: &[u8], reach: Reach<'_>) {
    let Ok(mut parts) = keyring.seal_row(TABLE, LOGICAL, bytes, LEAVES) else { return reach("too large") };
    reach(if parts.len() > 1 { "in chunks" } else { "in one" });
    let open = |parts: &[(Name, Vec<u8>)]| {
        let (_, head) = parts.first().expect("a row has a head");
        let find = |name: &Name| parts.iter().find(|part| part.0 == *name).map(|part| part.1.clone());
        keyring.open_row(name, head, |name| Ok::<_, OpenRowError>(find(name)))
    };
    assert!(open(&parts).is_ok_and(|row| *row.value == bytes));
    let (_, head) = parts.first_mut().expect("a row has a head");
    let before = head.clone();
    for [high, low, flip] in bytes.as_chunks().0 {
        if let Some(byte) = head.get_mut(usize::from(u16::from_be_bytes([*high, *low]))) {
            *byte ^= flip;
        }
    }
    if *head != before {
        reach("changed");
        assert!(open(&parts).is_err(), "a row that was changed opens");
    }
}

/// The bytes as what the key of a row opens.
fn row_inside(bytes: &[u8], reach: Reach<'_>) {
    for part in [Part::Head(0), Part::Head(1)] {
        if let Some((row, len)) = Row::parse_head(bytes, Header { leaves: LEAVES, part }) {
            let lens =
                [&[row.table][..], &(row.logical.len() as u64).to_be_bytes()[6..], &(len as u64).to_be_bytes()[4..]];
            assert!(bytes.starts_with(&[&lens.concat()[..], &row.logical, &row.value].concat()));
            reach("head");
        }
    }
}
