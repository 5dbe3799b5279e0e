//! The disk fails at the k-th change of a file, for one k after the other. Whatever was accepted is there afterwards,
//! once; whatever was refused is not; and each ending is one of few.

use std::fs::{self, File};
use std::process::Stdio;

use rustix::io::Errno;
use tempfile::TempDir;

use crate::broken_disk::BrokenDisk;
use crate::device::{Device, LOOPBACK, Ran, place, text, two};
use crate::told::{NOT_SENT_FULL, READ_ONLY, STORAGE_FAILED, UNSETTLED, Words};
use crate::wait::until;

const GROUP: &str = "Circle";
const NOT_SENT: Words = Words(
    5,
    "storage_failed",
    "the disk does not work as it should; your message was not sent, what was accepted before is safe",
    STORAGE_FAILED.3,
);
const SENT_OR_NOT: Words = Words(
    5,
    "unsettled",
    "the disk stopped working before it was known whether your message was kept; what was accepted before is safe",
    UNSETTLED.3,
);
/// Of the database; a message takes twice its length and more.
const SEGMENT_BYTES: usize = 512 * 1024;
/// Nearly the longest message.
const LONG: usize = 16_000;
/// No verb changes files so often.
const MORE_THAN_ANY: u64 = 400;

/// Each change up to the last, or some of them.
fn numbers(last: u64, some: usize) -> impl Iterator<Item = u64> {
    let all = std::env::var_os("FAULTS").is_some_and(|how| how == "all");
    (1..=last).step_by(if all { 1 } else { some })
}

/// What was said, and what was refused.
#[derive(Default)]
struct Said {
    accepted: Vec<String>,
    /// Nobody knows whether they were kept.
    open: Vec<String>,
}

impl Said {
    fn send(&mut self, from: &Device, words: &str, refusals: &[Words]) {
        let ran = from.run(&["send", GROUP, words, "--json"]);
        if ran.code == 0 {
            self.accepted.push(words.to_owned());
        } else if SENT_OR_NOT.fit(&ran) {
            self.open.push(words.to_owned());
        } else {
            assert!(refusals.iter().any(|refusal| refusal.fit(&ran)), "{words:.40}: {}{}", ran.out, ran.talk);
        }
    }

    /// Holds what is shown against what was told.
    fn is_shown_at(&self, device: &Device) {
        let shown: Vec<String> = device.texts(GROUP).into_iter().map(|(_, text)| text).collect();
        for words in &self.accepted {
            let times = shown.iter().filter(|shown| *shown == words).count();
            assert_eq!(times, 1, "{:.40} at {}, of {}", words, device.name, shown.len());
        }
        for words in &shown {
            assert!(self.accepted.contains(words) || self.open.contains(words), "{words:.40} was not sent");
        }
    }
}

/// Waits until a device whose disk works again shows its group.
fn recovers(device: &Device) {
    until("the store to open again", || (device.run(&["history", GROUP, "--keep-unread"]).code == 0).then_some(()));
}

/// Ana with a group of her own, and such a disk for when she starts again.
fn ana_alone(place: &TempDir) -> (Device, BrokenDisk) {
    let mut ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ana.down();
    let disk = BrokenDisk::below(&mut ana);
    (ana, disk)
}

#[test]
fn a_message_that_the_disk_fails_is_refused_or_kept_and_never_both() {
    let place = place();
    let [mut ana, ben] = two(place.path(), GROUP);
    ana.down();
    let disk = BrokenDisk::below(&mut ana);
    ana.up();
    let mut said = Said::default();
    let before = disk.changes();
    said.send(&ana, "whole", &[]);
    let changes = disk.changes() - before;
    assert!(changes >= 2, "a message is written and made durable");
    let mut failed = 0;
    for (why, refusal) in [(Errno::IO, NOT_SENT), (Errno::NOSPC, NOT_SENT_FULL)] {
        // The keyring is stored up to a second later.
        for number in numbers(changes + 6, 1) {
            disk.fail_once(number, why);
            said.send(&ana, &format!("{why:?} at {number}"), &[refusal]);
            recovers(&ana);
            failed += disk.failed();
            disk.mend();
            said.is_shown_at(&ana);
        }
    }
    assert!(failed > changes, "{failed} of {changes}");
    let all = said.accepted.len();
    until("all of it at Ben", || (ben.texts(GROUP).len() >= all).then_some(()));
    said.is_shown_at(&ben);
    ana.down();
    ana.environment.clear();
    ana.up();
    said.is_shown_at(&ana);
    assert!(ana.done(&["status"])["lost"].is_null());
}

/// The database writes a full segment behind the back of whoever waits, and does not wake it when that fails.
#[test]
fn a_write_that_fails_late_keeps_nobody_waiting() {
    let place = place();
    let (mut ana, disk) = ana_alone(&place);
    ana.up();
    disk.fail_late();
    let (mut said, mut failed) = (Said::default(), 0);
    let long = "x".repeat(LONG);
    // Every other message is written, so that segments come to their end.
    for number in 0..SEGMENT_BYTES / LONG {
        said.send(&ana, &format!("{number} is kept {long}"), &[]);
        disk.fail_once(1, Errno::IO);
        said.send(&ana, &format!("{number} is not {long}"), &[NOT_SENT]);
        failed += disk.failed();
        disk.mend();
        recovers(&ana);
    }
    assert!(failed > 0);
    said.is_shown_at(&ana);
}

#[test]
fn while_the_disk_stays_broken_it_is_said_and_then_everything_goes_on_by_itself() {
    let place = place();
    let (mut ana, disk) = ana_alone(&place);
    ana.up();
    let mut said = Said::default();
    said.send(&ana, "before", &[]);
    for (why, words) in [(Errno::IO, STORAGE_FAILED), (Errno::ROFS, READ_ONLY)] {
        disk.fail_on(1, why);
        let asked = format!("{why:?}");
        let ran = ana.run(&["send", GROUP, &asked, "--json"]);
        SENT_OR_NOT.are(&ran);
        said.open.push(asked);
        words.told_by(&ana, &["history", GROUP]);
        words.told_by(&ana, &["status"]);
        disk.mend();
        recovers(&ana);
        said.send(&ana, &format!("after {why:?}"), &[]);
        said.is_shown_at(&ana);
    }
    ana.down();
    ana.up();
    said.is_shown_at(&ana);
}

/// Starts the node, and waits until it is ready, which it then ends in order, or has ended.
fn up_and_down(device: &Device) -> Ran {
    let (out, talk) = (device.dir.with_extension("out"), device.dir.with_extension("talk"));
    let mut command = device.command(&["up", "--json", "--listen", LOOPBACK]);
    command.stdout(File::create(&out).expect("a file")).stderr(File::create(&talk).expect("a file"));
    let mut child = command.stdin(Stdio::null()).spawn().expect("starts");
    let read = |path| fs::read_to_string(path).expect("text");
    let mut asked = false;
    let status = until("a start or an end", || {
        if !asked && read(&out).contains("\"ready\"") {
            asked = true;
            device.run(&["down"]);
        }
        child.try_wait().expect("a child")
    });
    Ran { code: status.code().expect("an exit code"), out: read(&out), talk: read(&talk) }
}

#[test]
fn a_start_or_a_stop_that_the_disk_fails_loses_nothing() {
    let place = place();
    let (mut ana, disk) = ana_alone(&place);
    ana.up();
    let mut said = Said::default();
    said.send(&ana, "before", &[]);
    ana.down();
    let before = disk.changes();
    assert_eq!(up_and_down(&ana).code, 0);
    let changes = disk.changes() - before;
    let (mut ended, mut hit, mut tried) = (0, 0, 0);
    for number in numbers(changes, 2) {
        disk.fail_once(number, Errno::IO);
        let ran = up_and_down(&ana);
        hit += disk.failed();
        tried += 1;
        disk.mend();
        if ran.code != 0 {
            assert!(STORAGE_FAILED.fit(&ran), "at {number}: {}{}", ran.out, ran.talk);
            ended += 1;
        }
        assert!(!ran.talk.contains("panicked at"), "at {number}: {}", ran.talk);
        ana.up();
        said.is_shown_at(&ana);
        assert!(ana.done(&["status"])["lost"].is_null(), "at {number}");
        ana.down();
    }
    assert!(ended > 0 && hit * 2 > tried, "{hit} of {tried} hit, {ended} ended");
}

#[test]
fn a_group_that_the_disk_fails_is_made_whole_or_not_at_all() {
    let place = place();
    let mut ana = Device::new(place.path(), "Ana");
    let disk = BrokenDisk::below(&mut ana);
    ana.up();
    let before = disk.changes();
    ana.done(&["group", "create", "Whole", "--name", "Ana"]);
    let changes = disk.changes() - before;
    let mut made = vec!["Whole".to_owned()];
    for number in numbers(changes + 2, 2) {
        let name = format!("Group {number}");
        disk.fail_once(number, Errno::IO);
        let ran = ana.run(&["group", "create", &name, "--name", "Ana", "--json"]);
        let listed = until("the store to open again", || {
            let ran = ana.run(&["group", "list", "--json"]);
            (ran.code == 0).then(|| ran.out.lines().map(row_name).collect::<Vec<_>>())
        });
        disk.mend();
        match ran.code {
            0 => made.push(name),
            _ => assert!(STORAGE_FAILED.fit(&ran), "at {number}: {}{}", ran.out, ran.talk),
        }
        made.sort();
        assert_eq!(listed, made, "at {number}");
    }
    ana.down();
    ana.up();
    assert_eq!(ana.rows(&["group", "list"]).len(), made.len());
}

fn row_name(line: &str) -> String {
    text(&serde_json::from_str::<serde_json::Value>(line).expect("JSON")["name"])
}

#[test]
fn a_join_that_the_disk_fails_comes_to_its_end_or_can_be_done_again() {
    let place = place();
    let ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    let mut changes = MORE_THAN_ANY;
    for number in [MORE_THAN_ANY].into_iter().chain(numbers(16, 5)) {
        if number != MORE_THAN_ANY && number > changes {
            break;
        }
        let name = format!("Ben {number}");
        let mut ben = Device::new(place.path(), &name);
        let disk = BrokenDisk::below(&mut ben);
        ben.up();
        let (before, invite) = (disk.changes(), ana.invite(GROUP));
        disk.fail_once(number, Errno::IO);
        let ran = ben.run(&["join", &invite, "--name", &name, "--json"]);
        changes = changes.min(disk.changes() - before);
        if ran.code != 0 {
            assert!(STORAGE_FAILED.fit(&ran), "at {number}: {}{}", ran.out, ran.talk);
            disk.mend();
            until("a second try", || {
                let again = ben.run(&["join", &invite, "--name", &name, "--json"]);
                let done = again.code == 0 || again.out.contains("\"already_member\"");
                assert!(done || again.code == 5, "at {number}: {}", again.out);
                done.then_some(())
            });
        }
        recovers(&ben);
        disk.mend();
        ben.down();
        ben.up();
        ana.done(&["send", GROUP, &format!("hello {name}")]);
        until("a message", || ben.texts(GROUP).iter().any(|(_, text)| *text == format!("hello {name}")).then_some(()));
        assert_eq!(ben.people(GROUP).iter().filter(|known| **known == name).count(), 1);
        ana.done(&["remove", GROUP, &name, "--yes"]);
    }
}

#[test]
fn a_join_that_the_inviters_disk_fails_comes_to_its_end_and_makes_one_member() {
    let place = place();
    let (mut ana, disk) = ana_alone(&place);
    ana.up();
    let mut failed = 0;
    // She writes the round of the join, its end, and what both then tell each other.
    for number in numbers(12, 2) {
        let name = format!("Ben {number}");
        let ben = Device::started(place.path(), &name);
        let invite = ana.invite(GROUP);
        disk.fail_once(number, Errno::IO);
        let ran = ben.run(&["join", &invite, "--name", &name, "--json"]);
        assert!(ran.code == 0 || ran.code == 3, "at {number}: {}{}", ran.out, ran.talk);
        until("Ben to be in", || (ben.people(GROUP).len() == 2).then_some(()));
        failed += disk.failed();
        disk.mend();
        recovers(&ana);
        ana.done(&["send", GROUP, &format!("hello {name}")]);
        until("a message", || ben.texts(GROUP).iter().any(|(_, text)| *text == format!("hello {name}")).then_some(()));
        assert_eq!(ana.people(GROUP).iter().filter(|known| **known == name).count(), 1);
        ana.done(&["remove", GROUP, &name, "--yes"]);
    }
    assert!(failed >= 4, "{failed}");
}

#[test]
fn setting_up_on_a_disk_that_fails_can_be_done_again_or_is_done() {
    let place = place();
    let mut first = Device::bare(place.path().join("first"), "first");
    let disk = BrokenDisk::below(&mut first);
    first.done(&["init"]);
    let changes = disk.changes();
    assert!(changes > 10, "{changes}");
    for number in numbers(changes, 7) {
        let name = format!("at {number}");
        let mut ana = Device::bare(place.path().join(&name), &name);
        let disk = BrokenDisk::below(&mut ana);
        disk.fail_once(number, Errno::IO);
        let ran = ana.run(&["init", "--json"]);
        assert!(!ran.talk.contains("panicked at"), "at {number}: {}", ran.talk);
        disk.mend();
        if ran.code != 0 {
            assert!(STORAGE_FAILED.fit(&ran), "at {number}: {}", ran.out);
            let again = ana.run(&["init", "--json"]);
            assert!(again.code == 0 || again.out.contains("\"already_set_up\""), "at {number}: {}", again.out);
        }
        ana.up();
        ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    }
}
