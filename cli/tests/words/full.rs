//! A disk with no space left, and one that can only be read.

use std::fs;
use std::path::Path;

use crate::device::{Device, LOOPBACK, place};
use crate::small_disk::{fill, on_a_small_disk, remount};
use crate::told::{FULL, NOT_SENT_FULL, READ_ONLY, contents};
use crate::wait::until;

const GROUP: &str = "Circle";
const UP: [&str; 3] = ["up", "--listen", LOOPBACK];
const STATUS: &str = "The disk is full. What is here can be read; nothing is sent, and nothing new comes in, until there is \
    room. Free some space; nothing else needs to be done.";

fn room(disk: &Path) {
    fs::remove_file(disk.join("filler")).expect("removed");
}

fn said(device: &Device) -> Vec<String> {
    device.texts(GROUP).into_iter().map(|(_, text)| text).collect()
}

/// Nothing is sent, what is there is shown, and both faces are told why.
fn shows_and_sends_nothing(ana: &Device, expected: &[String]) {
    NOT_SENT_FULL.told_by(ana, &["send", GROUP, "never said"]);
    FULL.told_by(ana, &["group", "create", "Another", "--name", "Ana"]);
    assert_eq!(said(ana), expected);
    assert_eq!(ana.run(&["history", GROUP]).code, 0, "also when it would be marked as read");
    assert_eq!(ana.run(&["status"]).out.lines().last(), Some(STATUS));
    assert_eq!(ana.people(GROUP), ["Ana", "Ben"]);
}

#[test]
fn on_a_full_disk_nothing_is_sent_nor_lost_all_is_shown_and_with_room_it_goes_on_by_itself() {
    let test = "full::on_a_full_disk_nothing_is_sent_nor_lost_all_is_shown_and_with_room_it_goes_on_by_itself";
    on_a_small_disk(test, |disk| {
        let elsewhere = place();
        let (mut ana, ben) = (Device::started(disk, "Ana"), Device::started(elsewhere.path(), "Ben"));
        ana.done(&["group", "create", GROUP, "--name", "Ana"]);
        ben.join(&ana, GROUP);
        ana.done(&["send", GROUP, "before"]);
        ben.texts_of(GROUP, 1);
        // Whatever is accepted until it is full counts.
        let mut expected = vec!["before".to_owned()];
        fill(disk);
        let refused = (0..500).find_map(|number| {
            let text = format!("{number} {}", "x".repeat(9_000));
            let ran = ana.run(&["send", GROUP, &text, "--json"]);
            if ran.code == 0 {
                expected.push(text);
                return None;
            }
            Some(ran)
        });
        NOT_SENT_FULL.are(&refused.expect("the disk is full"));
        shows_and_sends_nothing(&ana, &expected);
        ben.done(&["send", GROUP, "while it was full"]);
        ana.down();
        fill(disk);
        ana.up();
        shows_and_sends_nothing(&ana, &expected);
        ana.kill();
        fill(disk);
        ana.up();
        shows_and_sends_nothing(&ana, &expected);

        room(disk);
        ana.done(&["send", GROUP, "room again"]);
        assert!(ana.done(&["status"])["full"].is_null());
        expected.extend(["while it was full".to_owned(), "room again".to_owned()]);
        expected.sort();
        for device in [&ana, &ben] {
            let mut texts: Vec<_> = device.texts_of(GROUP, expected.len()).into_iter().map(|(_, text)| text).collect();
            texts.sort();
            assert_eq!(texts, expected, "at {}", device.name);
        }
        ana.down();
        ana.up();
        assert_eq!(said(&ana).len(), expected.len());
    });
}

#[test]
fn a_full_disk_is_not_set_up_and_is_when_there_is_room() {
    let test = "full::a_full_disk_is_not_set_up_and_is_when_there_is_room";
    on_a_small_disk(test, |disk| {
        let mut ana = Device::bare(disk.join("Ana"), "Ana");
        fill(disk);
        FULL.are(&ana.run(&["init", "--json"]));
        assert_eq!(ana.refused(&UP), (1, "not_set_up".to_owned()));
        room(disk);
        ana.done(&["init"]);
        ana.up();
        ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    });
}

#[test]
fn a_disk_that_can_only_be_read_is_named_and_left_as_it_is() {
    let test = "full::a_disk_that_can_only_be_read_is_named_and_left_as_it_is";
    on_a_small_disk(test, |disk| {
        let mut ana = Device::started(disk, "Ana");
        ana.done(&["group", "create", GROUP, "--name", "Ana"]);
        ana.done(&["send", GROUP, "before"]);
        ana.down();
        let before = contents(disk);
        until("the end of the node", || {
            let done = std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(disk).status();
            done.expect("runs").success().then_some(())
        });
        READ_ONLY.told_after("Opening...\n", &ana, &UP);
        READ_ONLY.are(&Device::bare(disk.join("Ben"), "Ben").run(&["init", "--json"]));
        assert!(contents(disk) == before, "something was changed");
        remount(disk, "rw");
        ana.up();
        assert_eq!(said(&ana), ["before"]);
    });
}
