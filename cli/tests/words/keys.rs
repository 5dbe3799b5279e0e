//! The passphrase, the file of the keys, and the database.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use kinfold_node::paths::DataDir;

use crate::device::{Device, LOOPBACK, PASSPHRASE, place};
use crate::told::{DAMAGED, MISPLACED, WRONG_PASSPHRASE, Words, contents};
use crate::wait::until;

const GROUP: &str = "Circle";
const UP: [&str; 3] = ["up", "--listen", LOOPBACK];
const OPENING: &str = "Opening...\n";
/// Half of the keyring: one of its two slots.
const SLOT: u64 = 32 * 1024;
/// Where a slot says by which rules it was written.
const FORMAT_AT: u64 = 44;

const NEWER: Words = Words(
    5,
    "newer_version",
    "this data was written by a newer Kinfold; nothing was changed",
    "use the newer one; `kinfold version` shows which one this is",
);
const KEYS_MISSING: Words = Words(
    5,
    "keys_missing",
    "the file with the keys is missing, and nobody can read the data here without it; nothing was changed",
    "if `keyring` was moved out of the data folder, put it back; to start anew in another place, use --data-dir and ask \
     for new invites",
);

/// Ana, alone in a group in which she has said something; her node does not run.
fn asleep() -> (tempfile::TempDir, Device) {
    let place = place();
    let mut ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ana.done(&["send", GROUP, "before"]);
    ana.down();
    (place, ana)
}

/// It starts, and everything is there.
fn wakes(ana: &mut Device) {
    ana.up();
    assert_eq!(ana.texts_of(GROUP, 1)[0].1, "before");
    ana.down();
}

fn keyring(ana: &Device) -> PathBuf {
    DataDir::new(&ana.dir).keyring()
}

fn database(ana: &Device) -> PathBuf {
    let mut entries = fs::read_dir(&ana.dir).expect("reads").map(|entry| entry.expect("an entry").path());
    entries.find(|path| path.is_dir()).expect("a database")
}

#[test]
fn a_wrong_passphrase_opens_nothing_and_changes_no_byte() {
    let (_place, mut ana) = asleep();
    let before = contents(&ana.dir);
    for wrong in ["Four plain words here", "four plain words here ", ""] {
        for json in [false, true] {
            let mut command = ana.command(&UP);
            command.env("KINFOLD_PASSPHRASE", wrong).stderr(std::process::Stdio::piped());
            let ran: crate::device::Ran = command.args(json.then_some("--json")).output().expect("runs").into();
            if json {
                WRONG_PASSPHRASE.are(&ran);
            } else {
                let Words(code, _, message, hint) = WRONG_PASSPHRASE;
                assert_eq!(ran.talk, format!("{OPENING}Error: {message}\nhint: {hint}\n"));
                assert_eq!((ran.code, ran.out.as_str()), (code, ""));
            }
        }
    }
    assert!(contents(&ana.dir) == before, "something was changed");
    ana.up();
    ana.done(&["lock"]);
    WRONG_PASSPHRASE.are(&ana.run_typing(&["unlock", "--json", "--passphrase-fd", "0"], "not these words\n"));
    assert_eq!(ana.done(&["status"])["locked"], true);
    let right = ana.run_typing(&["unlock", "--passphrase-fd", "0"], &format!("{PASSPHRASE}\n"));
    assert_eq!((right.code, ana.texts_of(GROUP, 1).len()), (0, 1));
}

#[test]
fn data_of_a_newer_version_is_left_to_it() {
    let (_place, mut ana) = asleep();
    let whole = fs::read(keyring(&ana)).expect("reads");
    let file = fs::File::options().write(true).open(keyring(&ana)).expect("opens");
    for slot in [0, SLOT] {
        file.write_all_at(&[2], slot + FORMAT_AT).expect("written");
    }
    let before = contents(&ana.dir);
    NEWER.told_after(OPENING, &ana, &UP);
    assert!(contents(&ana.dir) == before, "something was changed");
    file.write_all_at(&whole, 0).expect("written");
    wakes(&mut ana);
}

#[test]
fn a_keyring_that_is_missing_is_no_reason_to_set_up_anew() {
    let (place, mut ana) = asleep();
    let aside = place.path().join("aside");
    fs::rename(keyring(&ana), &aside).expect("moved");
    let before = contents(&ana.dir);
    KEYS_MISSING.told_by(&ana, &UP);
    KEYS_MISSING.told_by(&ana, &["init"]);
    assert!(contents(&ana.dir) == before, "something was changed");
    fs::rename(&aside, keyring(&ana)).expect("moved");
    wakes(&mut ana);
}

#[test]
fn a_keyring_that_is_damaged_or_cut_opens_if_one_half_is_whole_and_else_is_left_alone() {
    let (_place, mut ana) = asleep();
    let whole = fs::read(keyring(&ana)).expect("reads");
    // Zeros; cut so that nothing is left, a part of one half, or one half.
    let mut opened = 0;
    for (broken, both) in [
        (vec![0; whole.len()], true),
        (Vec::new(), true),
        (whole[..100].to_vec(), true),
        (whole[..whole.len() / 2].to_vec(), false),
        ([vec![0; whole.len() / 2], whole[whole.len() / 2..].to_vec()].concat(), false),
    ] {
        fs::write(keyring(&ana), &broken).expect("written");
        let before = contents(&ana.dir);
        let ran = ana.run(&["status"]);
        assert_eq!(ran.code, 3, "{}", ran.talk);
        if both || !is_whole(&ana, &broken) {
            DAMAGED.told_after(OPENING, &ana, &UP);
            assert!(contents(&ana.dir) == before, "something was changed");
        } else {
            wakes(&mut ana);
            opened += 1;
        }
        fs::write(keyring(&ana), &whole).expect("written");
    }
    assert_eq!(opened, 1, "one of the two halves holds the keys");
    wakes(&mut ana);
}

/// Whether a keyring of which one half is gone still has the half that counts: the other is noise.
fn is_whole(ana: &Device, keyring: &[u8]) -> bool {
    let copy = ana.dir.with_extension("copy");
    fs::create_dir(&copy).expect("a folder");
    fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("private");
    let dir = DataDir::new(&copy);
    fs::write(dir.keyring(), keyring).expect("written");
    let opened = kinfold_node::store::SealedStore::open(&dir, PASSPHRASE.as_bytes());
    let damaged = matches!(&opened, Err(error) if error.code() == "store_keyring_damaged");
    drop(opened);
    fs::remove_dir_all(&copy).expect("removed");
    !damaged
}

#[test]
fn a_keyring_whose_content_is_damaged_looks_like_a_wrong_passphrase_and_says_that_it_may() {
    let (_place, ana) = asleep();
    let file = fs::File::options().write(true).open(keyring(&ana)).expect("opens");
    for slot in [0, SLOT] {
        file.write_all_at(&[7; 16], slot + 200).expect("written");
    }
    let before = contents(&ana.dir);
    WRONG_PASSPHRASE.told_after(OPENING, &ana, &UP);
    assert!(contents(&ana.dir) == before, "something was changed");
}

#[test]
fn a_database_that_cannot_be_opened_is_damaged_and_a_whole_one_in_its_place_opens() {
    let (place, mut ana) = asleep();
    let (database, aside) = (database(&ana), place.path().join("aside"));
    fs::rename(&database, &aside).expect("moved");
    MISPLACED.told_after(OPENING, &ana, &UP);
    assert!(!database.exists(), "an empty one would look like a loss of everything");
    fs::rename(&aside, &database).expect("moved");
    wakes(&mut ana);
    let conf = fs::read(database.join("conf")).expect("reads");
    fs::write(database.join("conf"), [9; 64]).expect("written");
    let warned = ana.run(&UP);
    assert!(warned.talk.ends_with(&format!("Error: {}\nhint: {}\n", DAMAGED.2, DAMAGED.3)), "{}", warned.talk);
    assert_eq!(warned.code, 5);
    DAMAGED.are_after(&ana.run(&[&UP[..], &["--json"]].concat()));
    fs::write(database.join("conf"), conf).expect("written");
    wakes(&mut ana);
}

/// What is written to a file that has lost its name is gone with the node: nothing of that is said to be kept.
#[test]
fn files_that_are_moved_away_under_a_running_node_are_missed_before_anything_is_accepted() {
    let not_sent = |words: Words| {
        let message = words.2.replace("nothing new was kept", "your message was not sent");
        message.replace("nothing was changed", "your message was not sent")
    };
    let place = place();
    let aside = place.path().join("aside");
    let mut ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ana.done(&["send", GROUP, "before"]);
    let mut kept = vec!["before".to_owned()];
    for moved in [keyring(&ana), database(&ana), database(&ana).join("db")] {
        fs::rename(&moved, &aside).expect("moved");
        let ran = ana.run(&["send", GROUP, "never", "--json"]);
        assert_eq!(ran.refusal(), (5, "misplaced".to_owned()), "{moved:?}: {}", ran.out);
        assert_eq!(ran.json()["error"]["message"], not_sent(MISPLACED));
        assert_eq!(ana.run(&["send", GROUP, "never"]).code, 5, "{moved:?}");
        assert!(!moved.exists(), "an empty one would look like a loss of everything");
        fs::rename(&aside, &moved).expect("moved");
        until("the files are found", || (ana.run(&["send", GROUP, "after"]).code == 0).then_some(()));
        kept.push("after".to_owned());
        let texts: Vec<_> = ana.texts_of(GROUP, kept.len()).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, kept, "{moved:?}");
    }
    // The whole folder, with the socket in it.
    let dir = ana.dir.clone();
    fs::rename(&dir, &aside).expect("moved");
    ana.dir.clone_from(&aside);
    assert_eq!(ana.refused(&["send", GROUP, "never"]), (5, "misplaced".to_owned()));
    assert_eq!(ana.refused(&["send", GROUP, "never"]), (5, "misplaced".to_owned()));
    fs::rename(&aside, &dir).expect("moved");
    ana.dir = dir;
    until("the folder is found", || (ana.run(&["send", GROUP, "after"]).code == 0).then_some(()));
    kept.push("after".to_owned());
    ana.down();
    ana.up();
    let texts: Vec<_> = ana.texts_of(GROUP, kept.len()).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, kept);
}

const LOST: &str = "This device has lost something that Kinfold had stored on it: its files were damaged, or an older \
    copy of them was put back. What the others in your groups still have comes again by itself. What only this device \
    had may be gone. A group that no longer works here can be joined again with a new invite.";

#[test]
fn a_database_that_has_lost_everything_opens_and_says_what_that_means() {
    for size in [0, 512 * 1024] {
        let (_place, mut ana) = asleep();
        fs::write(database(&ana).join("db"), vec![0; size]).expect("written");
        ana.up();
        let status = ana.run(&["status"]);
        assert_eq!((status.code, status.out.lines().last()), (0, Some(LOST)), "{}", status.out);
        let told = ana.done(&["status"]);
        assert!(told["lost"]["commits"].as_u64().expect("a count") > 0, "{told}");
        ana.done(&["group", "create", "Another", "--name", "Ana"]);
        ana.down();
    }
}
