//! What a person is told is so.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::device::{Device, LOOPBACK, PASSPHRASE, Ran, place, text};
use crate::wait::until;

const GROUP: &str = "Tuesday circle";

fn founder(place: &std::path::Path) -> Device {
    let ana = Device::started(place, "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ana
}

fn unread(device: &Device) -> Value {
    device.done(&["status"])["groups"][0]["unread"].clone()
}

#[test]
fn an_invite_made_right_after_unlocking_leads_to_the_group() {
    let place = place();
    let ana = founder(place.path());
    let ben = Device::started(place.path(), "Ben");
    ana.done(&["lock"]);
    assert_eq!(ana.run(&["lock"]).talk, "Kinfold was locked already.\n");
    let mut api = ana.api();
    // Both at once: nothing between them gives the network time.
    api.ask("unlock", &json!({ "passphrase": PASSPHRASE }));
    api.ask("invite.create", &json!({ "group": GROUP }));
    let unlocked = api.answer().expect("an answer");
    assert!(unlocked["error"].is_null(), "{unlocked}");
    let made = api.answer().expect("an answer");
    let invite = made["result"]["invite"].as_str().unwrap_or_else(|| panic!("{made}"));
    assert_eq!(invite.len(), ana.invite(GROUP).len(), "it names as many addresses as a later one");
    assert_eq!(ben.done(&["join", invite, "--name", "Ben"])["name"], GROUP);
}

#[test]
fn a_join_that_is_given_up_ends_and_lets_nobody_in() {
    let place = place();
    let mut ana = founder(place.path());
    let ben = Device::started(place.path(), "Ben");
    ana.done(&["group", "create", "Second", "--name", "Ana"]);
    let invites = [ana.invite(GROUP), ana.invite(GROUP), ana.invite("Second")];
    ana.down();
    let waiting = || ben.rows(&["status"])[0]["joining"].as_array().map_or(0, Vec::len);

    // Ctrl-C in the window of the join.
    let mut join = ben.command(&["join", &invites[0], "--name", "Ben"]);
    let mut join = join.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut talk = BufReader::new(join.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    until("a join under way", || (waiting() == 1).then_some(()));
    let told = ben.run(&["status"]).out;
    assert!(told.contains("Waiting to be let in to a group; Kinfold keeps trying while it runs"), "{told}");
    let pid = Pid::from_raw(i32::try_from(join.id()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::INT).expect("told");
    assert!(talk.any(|line| line == "Error: Kinfold has stopped trying to join; you are not in the group here"));
    assert_eq!(join.wait().expect("ends").code(), Some(1));
    assert_eq!(waiting(), 0);

    // Another one goes on without its window, until it is told to stop.
    ben.api().ask("join", &json!({ "invite": invites[1], "name": "Ben" }));
    ben.api().ask("join", &json!({ "invite": invites[2], "name": "Ben" }));
    until("two joins under way", || (waiting() == 2).then_some(()));
    let one: Value = ben.api().call("join.cancel", &json!({ "invite": invites[1] }));
    assert_eq!((one["cancelled"].clone(), waiting()), (json!(1), 1));
    assert_eq!(ben.done(&["join", "--cancel"])["cancelled"], 1);
    assert_eq!(waiting(), 0);
    assert_eq!(ben.run(&["join", "--cancel"]).talk, "Kinfold is not trying to join any group.\n");

    ana.up();
    // Who joins in earnest shows that Ana's device lets people in, and has not let in Ben.
    let chi = Device::started(place.path(), "Chi");
    chi.join(&ana, GROUP);
    assert_eq!(ana.people(GROUP), ["Ana", "Chi"]);
    assert_eq!(ben.rows(&["group", "list"]), Vec::<Value>::new());
}

#[test]
fn only_what_was_shown_counts_as_read() {
    let place = place();
    let ana = founder(place.path());
    let ben = Device::started(place.path(), "Ben");
    ben.join(&ana, GROUP);
    ben.run(&["history", GROUP]);
    let say = |number: u32| drop(ana.done(&["send", GROUP, &format!("number {number}")]));
    (1..=5).for_each(say);
    ben.texts_of(GROUP, 5);
    let ran = ben.run(&["history", GROUP, "--last", "2"]);
    assert!(ran.talk.starts_with("3 earlier unread messages in Tuesday circle; they stay unread:"), "{}", ran.talk);
    assert_eq!(unread(&ben), 5);
    let ran = ben.run(&["history", GROUP, "--last", "6"]);
    assert_eq!((ran.talk.as_str(), unread(&ben)), ("", json!(0)));
    (6..=8).for_each(say);
    ben.texts_of(GROUP, 8);
    let ran = ben.run_typing(&["chat", GROUP, "--last", "1"], "/quit\n");
    for number in 6..=8 {
        assert!(ran.out.contains(&format!("number {number}")), "{}", ran.out);
    }
    assert!(!ran.out.contains("number 5"), "{}", ran.out);
    assert_eq!(unread(&ben), 0);
}

#[test]
fn who_joins_and_who_is_removed_reads_so() {
    let place = place();
    let ana = founder(place.path());
    let chi = Device::started(place.path(), "Chi");
    chi.join(&ana, GROUP);
    let shown = ana.run(&["history", GROUP]).out;
    assert!(shown.contains("  Chi joined."), "{shown}");
    assert!(chi.run(&["history", GROUP]).out.contains("  You joined."));
    ana.done(&["remove", GROUP, "Chi", "--yes"]);
    until("the removal at Chi", || {
        chi.rows(&["group", "list"]).iter().any(|row| row["standing"] == "removed").then_some(())
    });
    let shown = chi.run(&["history", GROUP]).out;
    assert!(shown.contains("  Ana removed you."), "{shown}");
    assert!(ana.run(&["history", GROUP]).out.contains("  You removed Chi."));
}

#[test]
fn what_is_so_already_is_told_and_not_done_again() {
    let place = place();
    let ana = founder(place.path());
    let words = |line: &[&str]| {
        let ran: Ran = ana.run(line);
        assert_eq!(ran.code, 0, "{}", ran.talk);
        format!("{}{}", ran.out, ran.talk)
    };
    assert_eq!(words(&["retention", GROUP, "7d"]), "Messages are gone after 7 days; it was so already.\n");
    let id = text(&ana.done(&["invite", GROUP])["invite_id"]);
    ana.done(&["invite", "revoke", GROUP, &id]);
    let again = "The invite was taken back already; nobody can come in by it.\n";
    assert_eq!(words(&["invite", "revoke", GROUP, &id]), again);
    let ran = ana.run(&["verify", GROUP, "Ana"]);
    let expected = "Error: that is you; there is nothing to compare\n\
        hint: `kinfold members \"Tuesday circle\"` shows the others\n";
    assert_eq!((ran.code, ran.talk.as_str()), (1, expected));
    assert_eq!(ana.refused(&["up", "--listen", LOOPBACK]), (1, "in_use".to_owned()));
}

#[test]
fn a_safety_code_that_was_confirmed_can_be_taken_back() {
    let place = place();
    let ana = founder(place.path());
    let ben = Device::started(place.path(), "Ben");
    ben.join(&ana, GROUP);
    assert_eq!(ana.done(&["verify", GROUP, "Ben", "--confirm"])["verified"], true);
    assert_eq!(ana.done(&["verify", GROUP, "Ben", "--undo"])["verified"], false);
    let row = ana.rows(&["members", GROUP]).into_iter().find(|row| row["name"] == "Ben").expect("Ben");
    assert_eq!(row["verified"], false);
    // Confirming takes a whole name; looking and talking take its beginning.
    assert_eq!(ana.refused(&["verify", GROUP, "Be", "--confirm"]), (1, "unknown_member".to_owned()));
    assert_eq!(ana.done(&["send", "tues", "hello"])["state"], "kept");
}

#[test]
fn what_is_outside_a_limit_is_refused_for_that_limit() {
    let place = place();
    let ana = founder(place.path());
    for (line, message, hint) in [
        (&["send", GROUP, " "][..], "the message is empty; it was not sent", "write something, then send it"),
        (
            &["send", GROUP, "x", "--expires", "8d"],
            "that span is too long; your message was not sent",
            "a message of this group can live from 5 seconds to 7 days",
        ),
        (
            &["retention", GROUP, "5m"],
            "that span is too short; nothing was changed",
            "messages of a group can live from 1 hour to 90 days",
        ),
        (
            &["invite", GROUP, "--valid", "31d"],
            "that span is too long; nothing was changed",
            "an invite can be good from 1 second to 30 days",
        ),
        (
            &["group", "create", "", "--name", "Ana"],
            "the group's name is empty; nothing was changed",
            "choose a plain name, such as Tuesday circle or Ana",
        ),
    ] {
        let ran = ana.run(&[line, &["--json"]].concat());
        assert_eq!(ran.code, 1, "{line:?}: {}", ran.out);
        let error = &ran.json()["error"];
        assert_eq!((text(&error["message"]).as_str(), text(&error["hint"]).as_str()), (message, hint), "{line:?}");
    }
}

#[test]
fn a_message_that_has_not_left_is_told_of_by_status() {
    let place = place();
    let ana = founder(place.path());
    let mut ben = Device::started(place.path(), "Ben");
    ben.join(&ana, GROUP);
    ben.down();
    ana.done(&["send", GROUP, "hello?"]);
    let told = ana.run(&["status"]).out;
    assert!(told.contains("1 of yours only on this device so far"), "{told}");
    assert!(told.contains("`kinfold outbox` shows the messages that no other device has yet."), "{told}");
    ben.up();
    until("the message at Ben", || (ana.done(&["status"])["groups"][0]["unsent"] == 0).then_some(()));
    assert!(!ana.run(&["status"]).out.contains("kinfold outbox"));
}
