//! After its deadline a message is gone from the store, not only from what is shown.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kinfold_node::paths::DataDir;
use kinfold_node::store::{SealedStore, Store};

use crate::device::{Device, PASSPHRASE, place};
use crate::wait::{pause, until};
use rustix::process::Signal;

const GROUP: &str = "Circle";
const DYING: &str = "heron-lantern-quartz";
const LASTING: &str = "meadow-anchor-violet";

/// In how many rows of a stopped node's store words stand in the plain, under the seal.
fn rows_with(device: &Device, words: &str) -> usize {
    let store = SealedStore::open(&DataDir::new(&device.dir), PASSPHRASE.as_bytes()).expect("opens");
    let mut found = 0;
    let reader = store.reader();
    reader
        .scan(&mut |_, bytes| {
            found += usize::from(bytes.windows(words.len()).any(|window| window == words.as_bytes()));
        })
        .expect("reads");
    drop(reader);
    Store::close(Box::new(store)).expect("closes");
    found
}

#[test]
fn the_rows_of_an_expired_message_are_gone_on_every_device_also_on_one_that_slept() {
    let place = place();
    let [mut ana, mut ben, mut chi] = ["Ana", "Ben", "Chi"].map(|name| Device::started(place.path(), name));
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ben.join(&ana, GROUP);
    chi.join(&ana, GROUP);
    ana.done(&["send", GROUP, LASTING]);
    ana.done(&["send", GROUP, DYING, "--expires", "12s"]);
    for device in [&ana, &ben, &chi] {
        assert_eq!(device.texts_of(GROUP, 2)[1].1, DYING);
    }
    chi.kill();
    assert_ne!(rows_with(&chi, DYING), 0, "before the deadline the words stand in the store");
    for device in [&ana, &ben] {
        until("the end of a message", || (device.texts(GROUP).len() == 1).then_some(()));
        assert_eq!(device.texts_of(GROUP, 1)[0].1, LASTING);
    }
    chi.up();
    assert_eq!(chi.texts(GROUP).len(), 1, "swept before anything is shown");
    pause(std::time::Duration::from_secs(1));
    for device in [&mut ana, &mut ben, &mut chi] {
        assert!(!device.rows(&["history", GROUP]).iter().any(|row| row.to_string().contains(DYING)));
        device.down();
        assert_eq!(rows_with(device, DYING), 0, "at {}", device.name);
        assert_ne!(rows_with(device, LASTING), 0, "the look into the store sees what lives, at {}", device.name);
    }
}

/// A copy of a running node's files, as they would be found if the power went at this moment.
fn frozen_copy(device: &Device, into: &Path) -> DataDir {
    device.signal(Signal::STOP);
    copy(&device.dir, into);
    device.signal(Signal::CONT);
    DataDir::new(into)
}

fn copy(from: &Path, into: &Path) {
    fs::create_dir(into).expect("a folder");
    fs::set_permissions(into, fs::Permissions::from_mode(0o700)).expect("private");
    for entry in fs::read_dir(from).expect("reads") {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).expect("reads");
        if path.is_dir() {
            copy(&path, &into.join(name));
        } else if path.is_file() {
            fs::copy(&path, into.join(name)).expect("copied");
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The keys of everything that a store has of these words: the line with them, the outbox entry, and the envelope that
/// the line names, which is sealed and shows no words. Each with its table's name.
macro_rules! keys_of {
    ($store:expr, $words:expr) => {{
        let mut rows = Vec::new();
        $store.reader().scan(&mut |key, bytes| rows.push((key.clone(), bytes.to_vec()))).expect("reads");
        let table = |key: &dyn std::fmt::Debug| format!("{key:?}");
        let with_words = |bytes: &[u8]| $words.iter().any(|words: &&str| contains(bytes, words.as_bytes()));
        let lines: Vec<_> = rows.iter().filter(|(key, bytes)| table(key) == "Line(..)" && with_words(bytes)).collect();
        let mut found = BTreeMap::new();
        for (key, _) in &rows {
            // A name is that of the network, eight bytes, and what it is about.
            let named = || key.name.get(8..).is_some_and(|id| lines.iter().any(|(_, line)| contains(line, id)));
            let of_line = || lines.iter().any(|(line, _)| line.name == key.name);
            let wanted = match table(key).as_str() {
                "Envelope(..)" => named(),
                "Line(..)" | "Outbox(..)" => of_line(),
                _ => false,
            };
            if wanted {
                found.entry(table(key)).or_insert_with(Vec::new).push(key.clone());
            }
        }
        found
    }};
}

#[test]
fn no_row_of_an_expired_message_answers_to_its_key_on_any_device_also_with_the_clock_set_back() {
    let place = place();
    let [mut ana, mut ben, mut chi] = ["Ana", "Ben", "Chi"].map(|name| Device::started(place.path(), name));
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ben.join(&ana, GROUP);
    chi.join(&ana, GROUP);
    ana.done(&["send", GROUP, DYING, "--expires", "20s"]);
    for device in [&ana, &ben, &chi] {
        device.texts_of(GROUP, 1);
    }
    // Nobody can take this one yet, so that it stands in Ana's outbox.
    for device in [&ben, &chi] {
        device.signal(Signal::STOP);
    }
    let waiting = "pebble-harbour-indigo";
    ana.done(&["send", GROUP, waiting, "--expires", "20s"]);

    let both = [DYING, waiting];
    let noted = [&ana, &ben, &chi].map(|device| {
        let dir = frozen_copy(device, &place.path().join(format!("copy of {}", device.name)));
        let store = SealedStore::open(&dir, PASSPHRASE.as_bytes()).expect("opens");
        let keys = keys_of!(store, both);
        let count = |table: &str| keys.get(table).map_or(0, Vec::len);
        let expected = if device.name == "Ana" { (2, 2) } else { (1, 1) };
        assert_eq!((count("Line(..)"), count("Envelope(..)")), expected, "at {}", device.name);
        assert!(device.name != "Ana" || count("Outbox(..)") > 0, "it waits in the outbox");
        for key in keys.values().flatten() {
            assert!(store.reader().get(key).expect("reads").is_some(), "it answers to its key before the deadline");
        }
        (keys, store.now())
    });

    for device in [&ana, &ben, &chi] {
        until("the end of the messages", || device.texts(GROUP).is_empty().then_some(()));
    }
    pause(std::time::Duration::from_secs(1));
    for (device, (keys, then)) in [&mut ana, &mut ben, &mut chi].into_iter().zip(noted) {
        device.kill();
        let mut store = SealedStore::open(&DataDir::new(&device.dir), PASSPHRASE.as_bytes()).expect("opens");
        // A store hides what is past its clock; at the moment when the keys were noted it would show it, if it had it.
        store.restart_clock(then);
        for (table, key) in keys.iter().flat_map(|(table, keys)| keys.iter().map(move |key| (table, key))) {
            assert_eq!(store.reader().get(key).map(|row| row.is_some()), Ok(false), "{table} at {}", device.name);
        }
        assert!(keys_of!(store, both).is_empty(), "at {}", device.name);
    }
}
