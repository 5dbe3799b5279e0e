//! Files that were put back from an older day: a device says so, and hurts nobody else.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::device::{Device, place, text};
use crate::wait::until;

const GROUP: &str = "Circle";

/// The folder in which a device has its rows.
fn database(device: &Device) -> PathBuf {
    let entries = fs::read_dir(&device.dir).expect("reads").map(|entry| entry.expect("reads").path());
    let is_database = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("db-"));
    entries.into_iter().find(is_database).expect("a database")
}

fn copy_files(from: &Path, into: &Path) {
    for entry in fs::read_dir(from).expect("reads") {
        let path = entry.expect("reads").path();
        if path.is_file() {
            fs::copy(&path, into.join(path.file_name().expect("a name"))).expect("copied");
        }
    }
}

fn status(device: &Device) -> Value {
    device.api().call("status", &json!({}))
}

#[test]
fn a_device_whose_files_were_put_back_says_so_at_the_start_and_when_asked_and_the_others_go_on() {
    let place = place();
    let (talk, backup) = (place.path().join("talk"), place.path().join("backup"));
    fs::create_dir(&backup).expect("a folder");
    let [ana, mut ben, chi] = ["Ana", "Ben", "Chi"].map(|name| Device::started(place.path(), name));
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ben.join(&ana, GROUP);
    chi.join(&ana, GROUP);
    ana.done(&["send", GROUP, "before"]);
    for device in [&ben, &chi] {
        device.texts_of(GROUP, 1);
    }
    ben.down();
    copy_files(&database(&ben), &backup);
    ben.up_telling(&talk);
    assert_eq!(status(&ben)["lost"], Value::Null, "nothing is lost yet");
    ben.done(&["send", GROUP, "after"]);
    let said = ana.texts_of(GROUP, 2);
    ben.down();
    assert_eq!(fs::read_to_string(&talk).expect("text"), "", "and nothing is said");

    let files = fs::read_dir(database(&ben)).expect("reads").map(|entry| entry.expect("reads").path());
    files.filter(|path| path.is_file()).for_each(|path| fs::remove_file(path).expect("removed"));
    copy_files(&backup, &database(&ben));
    ben.up_telling(&talk);
    let lost = status(&ben)["lost"].clone();
    assert!(lost["commits"].as_u64().is_some_and(|commits| commits > 0), "{lost}");
    let words = text(&lost["message"]);
    for part in ["lost something", "an older copy", "a new invite"] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!(ben.done(&["status"])["lost"], lost, "who asks at the command line is told");
    let told = fs::read_to_string(&talk).expect("text");
    assert!(told.contains(&words), "the window in which it runs says the same: {told}");

    // The others are not harmed, and hear nothing twice.
    ana.done(&["send", GROUP, "we go on"]);
    let expected = chi.texts_of(GROUP, 3);
    assert_eq!(ana.texts_of(GROUP, 3), expected);
    assert_eq!(expected[..2], said);
    ben.down();
    ben.up_telling(&talk);
    until("a clean start", || status(&ben)["lost"].is_null().then_some(()));
}
