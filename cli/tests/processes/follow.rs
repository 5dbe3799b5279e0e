//! What `follow` prints for scripts: every kind of row, with exactly these fields.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::device::{Device, PASSPHRASE, Window, place, text, two};
use crate::wait::until;
use crate::wrong_clock::{SLOW, WrongClock};

const GROUP: &str = "Circle";
/// What every line has.
const LINE: &[&str] =
    &["id", "kind", "author", "author_id", "sent", "expires", "state", "own", "late", "group_id", "group"];

/// The kinds of rows, each with all of its fields.
fn promised() -> BTreeMap<&'static str, BTreeSet<String>> {
    let fields = |names: &[&[&str]]| names.concat().iter().map(|name| (*name).to_owned()).collect();
    BTreeMap::from([
        ("clock_off", fields(&[&["event", "ahead_secs", "corrected"]])),
        ("connected", fields(&[&["event", "group_id", "member_id", "name", "connected"]])),
        ("gone", fields(&[&["event", "group_id", "ids"]])),
        ("joined", fields(&[LINE, &["member"]])),
        ("left", fields(&[LINE, &["member"]])),
        ("locked", fields(&[&["event"]])),
        ("received", fields(&[&["event", "group_id", "id", "state", "received_by", "received_of"]])),
        ("removed", fields(&[LINE, &["member"]])),
        ("retention", fields(&[LINE, &["retention_secs"]])),
        ("standing", fields(&[&["event", "group_id", "standing"]])),
        ("state", fields(&[&["event", "group_id", "id", "state"]])),
        ("text", fields(&[LINE, &["text"]])),
        ("unlocked", fields(&[&["event"]])),
    ])
}

/// Which kind of row it is; whose line it is makes no difference, what is counted does.
fn kind(row: &Value) -> String {
    let event = row["event"].as_str().map(|event| if row["state"] == "received" { "received" } else { event });
    event.map_or_else(|| text(&row["kind"]), str::to_owned)
}

/// Rows of a window up to one of a kind, each with the promised fields; the kinds seen are added.
fn rows_to(window: &Window, last: &str, seen: &mut BTreeSet<String>) -> Value {
    loop {
        let row = window.next();
        let kind = kind(&row);
        let fields: BTreeSet<String> = row.as_object().expect("an object").keys().cloned().collect();
        assert_eq!(Some(&fields), promised().get(kind.as_str()), "{row}");
        seen.insert(kind.clone());
        if kind == last {
            return row;
        }
    }
}

/// Everything that can be told happens while somebody follows, and is told.
#[test]
fn every_row_of_a_window_that_follows_has_exactly_the_promised_fields() {
    let place = place();
    let [ana, ben, chi] = ["Ana", "Ben", "Chi"].map(|name| Device::started(place.path(), name));
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    let (window, lines, mut seen) = (ana.follow(&["--events"]), ana.follow(&[GROUP]), BTreeSet::new());
    ben.join(&ana, GROUP);
    assert_eq!(rows_to(&window, "joined", &mut seen)["member"], "Ben");
    rows_to(&window, "connected", &mut seen);
    let sent = ana.done(&["send", GROUP, "hello", "--expires", "15s"]);
    let row = rows_to(&window, "text", &mut seen);
    assert_eq!((&row["id"], &row["text"], &row["own"]), (&sent["id"], &"hello".into(), &true.into()));
    let held = rows_to(&window, "state", &mut seen);
    assert_eq!((&held["id"], &held["state"]), (&sent["id"], &"held".into()));
    let received = rows_to(&window, "received", &mut seen);
    assert_eq!((&received["received_by"], &received["received_of"]), (&1.into(), &1.into()));
    ben.done(&["send", GROUP, "hello yourself"]);
    assert_eq!(rows_to(&window, "text", &mut seen)["own"], false);
    ana.done(&["retention", GROUP, "2d"]);
    let row = rows_to(&window, "retention", &mut seen);
    assert_eq!((&row["retention_secs"], &row["expires"]), (&172_800.into(), &Value::Null));
    assert_eq!(rows_to(&window, "gone", &mut seen)["ids"], Value::from([text(&sent["id"])].as_slice()));

    chi.join(&ana, GROUP);
    let (leaver, mut seen_by_leaver) = (chi.follow(&[GROUP, "--events"]), BTreeSet::new());
    chi.done(&["group", "leave", GROUP, "--yes"]);
    assert_eq!(rows_to(&leaver, "standing", &mut seen_by_leaver)["standing"], "leaving");
    assert_eq!(rows_to(&leaver, "standing", &mut seen_by_leaver)["standing"], "left");
    assert_eq!(rows_to(&window, "left", &mut seen)["member"], "Chi");
    ana.done(&["remove", GROUP, "Ben", "--yes"]);
    assert_eq!(rows_to(&window, "removed", &mut seen)["member"], "Ben");
    ana.done(&["lock"]);
    rows_to(&window, "locked", &mut seen);
    let unlocked = ana.run_typing(&["unlock", "--json", "--passphrase-fd", "0"], &format!("{PASSPHRASE}\n"));
    assert_eq!(unlocked.code, 0, "{}", unlocked.out);
    rows_to(&window, "unlocked", &mut seen);
    seen.extend(seen_by_leaver);
    seen.insert("clock_off".to_owned());
    assert_eq!(seen, promised().into_keys().map(str::to_owned).collect(), "everything was told once at least");

    // Without `--events` there are the lines, and nothing else.
    let mut seen = BTreeSet::new();
    rows_to(&lines, "removed", &mut seen);
    assert_eq!(seen, ["joined", "left", "removed", "retention", "text"].map(str::to_owned).into());
}

#[test]
fn a_window_that_follows_is_told_in_the_promised_fields_that_the_clock_is_off() {
    let place = place();
    let Some(clock) = WrongClock::new(place.path().join("clock"), SLOW.0) else { return };
    let [mut ana, mut ben] = two(place.path(), GROUP);
    ana.down();
    ben.down();
    ben.clock = Some(clock);
    ben.up();
    let window = ben.follow(&["--events"]);
    ana.up();
    rows_to(&window, "clock_off", &mut BTreeSet::new());
    until("a link", || (ana.done(&["group", "show", GROUP])["connected"] == 1).then_some(()));
}
