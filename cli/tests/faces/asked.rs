//! One question, one answer.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::fake::{ANA, Fake, GROUP, Ran, command, row, run};

#[test]
fn answers_for_scripts_are_one_object_with_ok() {
    let fake = Fake::start();
    let created = fake.run(&["group", "create", "Circle", "--name", "Ben", "--json"]);
    assert_eq!(created.json(), json!({"ok": true, "group_id": GROUP, "name": "Circle"}));
    assert_eq!(fake.last("group.create"), json!({"name": "Circle", "display_name": "Ben"}));
    let invite = fake.run(&["--json", "invite", "Circle"]).json();
    let expected = json!({"ok": true, "invite": "kinfold:abc", "invite_id": "ab12ab12ab12ab12",
        "expires": "2026-11-23T13:00:00.000Z"});
    assert_eq!(invite, expected);
    assert_eq!(fake.last("invite.create"), json!({"group": "Circle"}));
    let sent = fake.run(&["send", "Circle", "hello", "--expires", "5s", "--json"]);
    assert_eq!(sent.json(), json!({"ok": true, "id": "02", "state": "kept"}));
    assert_eq!(fake.last("send"), json!({"group": "Circle", "text": "hello", "expires_secs": 5}));
    let status = fake.run(&["status", "--json"]).json();
    assert_eq!((&status["ok"], &status["locked"]), (&json!(true), &json!(false)));
    for field in ["group_id", "name", "members", "connected", "unread", "waiting"] {
        assert!(!status["groups"][0][field].is_null(), "{field}");
    }
    assert_eq!(fake.run(&["lock", "--json"]).json(), json!({"ok": true}));
}

#[test]
fn lists_for_scripts_are_bare_objects_one_a_line() {
    let fake = Fake::start();
    assert_eq!(fake.run(&["history", "Circle", "--json"]).json(), row("01", "How is\neveryone?\u{1b}[2J", false));
    assert_eq!(fake.last("history"), json!({"group": "Circle", "mark_read": true}));
    let members = fake.run(&["members", "Circle", "--json"]).json();
    let expected = json!({"member_id": ANA, "name": "Ana", "role": "facilitator", "self": false, "connected": true,
        "verified": false});
    assert_eq!(members, expected);
    assert_eq!(fake.run(&["group", "list", "--json"]).json()["group_id"], GROUP);
    assert_eq!(fake.run(&["invite", "list", "Circle", "--json"]).json()["state"], "used");
    assert_eq!(fake.run(&["outbox", "--json"]).out, "");
}

#[test]
fn history_is_plain_lines_that_nobody_elses_text_can_steer() {
    let fake = Fake::start();
    let ran = fake.run(&["history", "Circle", "--last", "5", "--keep-unread"]);
    let expected = "Sunday 22 November 2026\n13:05  Ana: How is\n       everyone?␛[2J  (gone Sun 29 Nov at 13:05)\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.talk.as_str()), (0, expected, ""));
    assert_eq!(fake.last("history"), json!({"group": "Circle", "last": 5, "mark_read": false}));
    let ran = fake.run(&["history", "Circle"]);
    let expected = "You are here since Sunday 22 November 2026 at 13:00; what was said before is not shown.\n";
    assert_eq!(ran.talk, expected, "a newcomer is told");
}

#[test]
fn an_invite_is_data_and_what_to_do_with_it_is_talk() {
    let fake = Fake::start();
    let ran = fake.run(&["invite", "Circle"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "kinfold:abc\n"));
    assert!(ran.talk.contains('▄') && ran.talk.contains("This lets one person into the group"), "{}", ran.talk);
    assert!(ran.talk.contains("until Monday 23 November 2026 at 13:00"), "{}", ran.talk);
    assert!(!fake.run(&["invite", "Circle", "--no-qr"]).talk.contains('▄'));
}

#[test]
fn verifying_shows_the_code_and_confirms_only_when_told_to() {
    let fake = Fake::start();
    let ran = fake.run(&["verify", "Circle", "Ana", "--no-qr"]);
    assert_eq!(ran.out, "11111 22222 33333 44444 55555 66666\n");
    assert!(ran.talk.contains("If they are the same, run this again with --confirm."), "{}", ran.talk);
    assert_eq!(fake.last("verify"), json!({"group": "Circle", "member": "Ana", "confirm": false}));
    let ran = fake.run(&["verify", "Circle", "Ana", "--confirm"]);
    assert_eq!(ran.talk, "You have compared this safety code with Ana.\n");
}

#[test]
fn refusals_end_with_the_number_of_their_family() {
    let fake = Fake::start();
    let ending = |group: &str| fake.run(&["members", group]).code;
    assert_eq!(
        [ending("Circle"), ending("Cirlce"), ending("locked"), ending("full"), ending("broken")],
        [0, 1, 4, 5, 70]
    );
    let ran = fake.run(&["members", "Cirlce"]);
    assert_eq!(ran.talk, "Error: there is no such group on this device\nhint: did you mean \"Circle\"?\n");
}

#[test]
fn a_name_is_suggested_when_there_is_nobody_to_ask() {
    let fake = Fake::start();
    let ran = fake.run(&["join", "kinfold:abc", "--json"]);
    assert_eq!(ran.json(), json!({"ok": true, "group_id": GROUP, "name": "Circle"}));
    let asked = fake.last("join");
    assert_eq!(asked["invite"], "kinfold:abc");
    assert_eq!(asked["name"].as_str().map(|name| name.split(' ').count()), Some(2));
}

#[test]
fn texts_and_invites_can_come_by_standard_input() {
    let fake = Fake::start();
    let ran = run(&fake.directory, &["send", "Circle", "-"], "one\ntwo\n");
    assert_eq!((ran.code, ran.out.as_str()), (0, "Sent; on this device only so far.  [02]\n"));
    assert_eq!(fake.last("send")["text"], "one\ntwo");
    assert_eq!(run(&fake.directory, &["send", "Circle", "-"], &"x".repeat(20_000)).code, 1);
    assert_eq!(run(&fake.directory, &["join", "-", "--name", "Ben"], "kinfold:abc\n").code, 0);
    assert_eq!(fake.last("join"), json!({"invite": "kinfold:abc", "name": "Ben"}));
}

#[test]
fn a_passphrase_comes_by_the_environment_or_by_an_open_file() {
    let fake = Fake::start();
    let mut unlock = command(&fake.directory, &["unlock"]);
    let ran = Ran::from(unlock.env("KINFOLD_PASSPHRASE", "from the environment").output().expect("ends"));
    assert_eq!((ran.code, ran.talk.as_str()), (0, "Unlocked.\n"));
    assert_eq!(fake.last("unlock"), json!({"passphrase": "from the environment"}));

    let file = fake.directory.join("passphrase");
    fs::write(&file, "from a file\n").expect("writes");
    let mut unlock = command(&fake.directory, &["unlock", "--passphrase-fd", "0"]);
    unlock.stdin(Stdio::from(fs::File::open(&file).expect("opens")));
    assert_eq!(Ran::from(unlock.output().expect("ends")).code, 0);
    assert_eq!(fake.last("unlock"), json!({"passphrase": "from a file"}));
    let ran = fake.run(&["unlock", "--passphrase-fd", "99", "--json"]);
    assert_eq!((ran.code, ran.json()["error"]["code"].clone()), (2, json!("usage")));
}

#[test]
fn a_span_is_set_in_seconds_and_told_in_words() {
    let fake = Fake::start();
    let ran = fake.run(&["retention", "Circle", "12h"]);
    let expected = "From now on, messages are gone after 12 hours. What was said before keeps its own time.\n";
    assert_eq!(ran.out, expected);
    assert_eq!(fake.last("retention"), json!({"group": "Circle", "secs": 43_200}));
    assert_eq!(fake.run(&["retention", "Circle"]).out, "Messages are gone after 7 days.\n");
    let answer = fake.run(&["retention", "Circle", "--json"]).json();
    assert_eq!(answer, json!({"ok": true, "group_id": GROUP, "retention_secs": 604_800}));
}

#[test]
fn down_returns_when_the_node_has_let_go() {
    let fake = Fake::start();
    let ran = fake.run(&["down", "--json"]);
    assert_eq!((ran.code, ran.json()), (0, json!({"ok": true})));
    assert_eq!(fake.last("down"), json!({}));
    assert_ne!(fake.last("down"), Value::Null);
}
