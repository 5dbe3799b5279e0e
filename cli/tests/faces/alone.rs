//! Without a node.

use std::path::Path;

use kinfold_node::paths::DataDir;
use serde_json::json;
use tempfile::TempDir;

use crate::fake::{command, run};

fn alone(line: &[&str]) -> crate::fake::Ran {
    let directory = TempDir::new().expect("a folder");
    run(directory.path(), line, "")
}

/// With a data directory in which something was set up.
fn set_up(line: &[&str]) -> crate::fake::Ran {
    let directory = TempDir::new().expect("a folder");
    std::fs::write(DataDir::new(directory.path()).keyring(), "").expect("writes");
    run(directory.path(), line, "")
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_verb_that_needs_the_node_says_that_it_is_not_running() {
    let ran = set_up(&["status"]);
    let expected = "Error: Kinfold is not running here; nothing was lost\n\
        hint: start it with `kinfold up` in another window\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.talk.as_str()), (3, "", expected));
    let ran = set_up(&["--json", "send", "Circle", "hello"]);
    assert_eq!((ran.code, ran.talk.as_str()), (3, ""));
    let expected = json!({"ok": false, "error": {
        "code": "not_running",
        "message": "Kinfold is not running here; your message was not sent",
        "hint": "start it with `kinfold up` in another window"
    }});
    assert_eq!(ran.json(), expected);
    assert!(set_up(&["chat", "Circle"]).talk.contains("your message was not sent"));
}

#[test]
fn stopping_what_does_not_run_is_done_already() {
    let ran = set_up(&["down"]);
    assert_eq!((ran.code, ran.talk.as_str()), (0, "Kinfold was not running.\n"));
    assert_eq!(set_up(&["down", "--json"]).json(), json!({"ok": true}));
}

#[test]
fn before_it_is_set_up_every_verb_ends_with_three_and_says_how_to_start() {
    for line in [
        &["group", "create", "Circle"][..],
        &["group", "list"],
        &["group", "show", "g"],
        &["group", "leave", "g"],
        &["invite", "g"],
        &["invite", "list", "g"],
        &["invite", "revoke", "g", "ab12"],
        &["join", "kinfold:abc"],
        &["join"],
        &["join", "--cancel"],
        &["chat", "g"],
        &["send", "g", "hello"],
        &["history", "g"],
        &["follow"],
        &["members", "g"],
        &["verify", "g", "Ana"],
        &["remove", "g", "Ana"],
        &["retention", "g", "7d"],
        &["outbox"],
        &["outbox", "send", "ab12"],
        &["outbox", "drop", "ab12"],
        &["connect", "g", "/ip4/127.0.0.1/tcp/1"],
        &["lock"],
        &["unlock"],
        &["down"],
    ] {
        let ran = alone(line);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{line:?}: {}", ran.talk);
        assert!(ran.talk.starts_with("Error: Kinfold is not set up here yet"), "{line:?}: {}", ran.talk);
        assert!(ran.talk.contains("start with `kinfold init`"), "{line:?}: {}", ran.talk);
    }
}

#[test]
fn what_is_not_understood_ends_with_two_and_says_what_is_near() {
    let ran = alone(&["hitsory", "Circle"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.talk.contains("history"), "{}", ran.talk);
    let ran = alone(&["retention", "Circle", "soon"]);
    assert_eq!(ran.code, 2);
    assert!(ran.talk.contains("write a span as 5s, 30m, 12h or 7d"), "{}", ran.talk);
    assert_eq!(alone(&[]).code, 2);
    let ran = alone(&["leave", "Circle"]);
    assert_eq!(ran.code, 2);
    assert!(ran.talk.contains("tip: that is `kinfold group leave`") && !ran.talk.contains("remove"), "{}", ran.talk);
    let ran = alone(&["connect", "Circle", "nonsense"]);
    assert_eq!(ran.code, 2);
    let why = "that is not an address; it looks like /ip4/192.168.1.20/tcp/4001; nothing was tried";
    assert!(ran.talk.contains(why), "{}", ran.talk);
    for (last, why) in [("x", "a whole number, as 20"), ("0", "a whole number from 1 on, as 20")] {
        let ran = alone(&["history", "Circle", "--last", last]);
        assert!(ran.code == 2 && ran.talk.contains(why), "{}", ran.talk);
    }
    let ran = alone(&["invite", "Circle", "list"]);
    assert_eq!(ran.code, 2);
    assert!(ran.talk.contains("kinfold invite list <GROUP>"), "{}", ran.talk);
    let ran = alone(&["group", "create", "Tuesday", "circle"]);
    assert!(ran.talk.contains("a name of several words goes in quotes"), "{}", ran.talk);
    assert_eq!(alone(&["send", "Circle", "soon gone", "--expire", "5s"]).code, 2, "no message for a week by a slip");
}

#[test]
fn what_is_not_understood_is_json_when_json_was_asked_for() {
    let ran = alone(&["hitsory", "--json"]);
    assert_eq!((ran.code, ran.talk.as_str()), (2, ""));
    let answer = ran.json();
    assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!("usage")));
    assert!(answer["error"]["hint"].as_str().expect("a hint").contains("history"));
}

#[test]
fn help_and_version_need_nothing() {
    let ran = alone(&["--help"]);
    assert_eq!((ran.code, ran.talk.as_str()), (0, ""));
    assert!(ran.out.contains("kinfold init"));
    let ran = alone(&["version"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "kinfold 0.1.0 (local API 1, group protocol 1)\n"));
    let answer = alone(&["version", "--json"]).json();
    assert_eq!(answer, json!({"ok": true, "version": "0.1.0", "api": 1, "protocol": 1}));
    let ran = alone(&["completions", "bash"]);
    assert!(ran.code == 0 && ran.out.contains("kinfold"));
}

#[test]
fn a_passphrase_is_never_waited_for_without_a_terminal() {
    let ran = alone(&["init"]);
    assert_eq!(ran.code, 2);
    assert!(ran.talk.contains("hint: give it with --passphrase-fd N or in KINFOLD_PASSPHRASE"), "{}", ran.talk);
    assert!(on_one_line(&ran.talk).contains("Nobody can reset it"), "{}", ran.talk);
    assert!(on_one_line(&ran.talk).contains("not even we."), "{}", ran.talk);
    assert!(ran.talk.lines().all(|line| line.chars().count() <= 80), "{}", ran.talk);
}

#[test]
fn a_short_passphrase_is_warned_of() {
    let warned = |passphrase: &str| {
        let directory = TempDir::new().expect("a folder");
        let place = directory.path().join("data");
        let mut init = command(&place, &["init"]);
        let ran = crate::fake::Ran::from(init.env("KINFOLD_PASSPHRASE", passphrase).output().expect("ends"));
        assert_eq!(ran.code, 0, "{}", ran.talk);
        ran.talk.contains("That passphrase is short")
    };
    assert!(warned("1234567"));
    assert!(!warned("four unrelated words"));
}

#[test]
fn starting_what_was_not_set_up_says_how() {
    let ran = run(Path::new("/nowhere"), &["up", "--json"], "");
    assert_eq!((ran.code, ran.json()["error"]["code"].clone()), (1, json!("not_set_up")));
}
