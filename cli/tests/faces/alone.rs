//! Without a node.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use crate::fake::run;

fn alone(line: &[&str]) -> crate::fake::Ran {
    let directory = TempDir::new().expect("a folder");
    run(directory.path(), line, "")
}

#[test]
fn a_verb_that_needs_the_node_says_that_it_is_not_running() {
    let ran = alone(&["status"]);
    let expected = "Error: Kinfold is not running here; nothing was lost\n\
        hint: start it with `kinfold up` in another window\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.talk.as_str()), (3, "", expected));
    let ran = alone(&["--json", "send", "Circle", "hello"]);
    assert_eq!((ran.code, ran.talk.as_str()), (3, ""));
    let expected = json!({"ok": false, "error": {
        "code": "not_running",
        "message": "Kinfold is not running here; nothing was lost",
        "hint": "start it with `kinfold up` in another window"
    }});
    assert_eq!(ran.json(), expected);
}

#[test]
fn every_verb_that_needs_the_node_ends_with_three_before_it_asks_for_anything() {
    for line in [
        &["group", "create", "Circle"][..],
        &["group", "list"],
        &["group", "show", "g"],
        &["group", "leave", "g"],
        &["invite", "g"],
        &["invite", "list", "g"],
        &["invite", "revoke", "g", "ab12"],
        &["join", "kinfold:abc"],
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
    assert!(ran.talk.contains("Nobody can reset it"), "{}", ran.talk);
}

#[test]
fn starting_what_was_not_set_up_says_how() {
    let ran = run(Path::new("/nowhere"), &["up", "--json"], "");
    assert_eq!((ran.code, ran.json()["error"]["code"].clone()), (1, json!("not_set_up")));
}
