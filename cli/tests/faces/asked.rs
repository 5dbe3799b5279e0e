//! One question, one answer.

use std::fs;
use std::io::{BufRead, BufReader};
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
    assert_eq!(fake.last("history"), json!({"group": "Circle", "mark_read": false}));
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
    let ran = fake.run(&["history", "Circle", "--last", "1"]);
    let expected = "292 earlier unread messages in Circle; they stay unread: `kinfold history\n\"Circle\"`\n";
    assert_eq!(ran.talk, expected);
    let ran = fake.run(&["history", "Circle"]);
    let expected = "You are here since Sunday 22 November 2026 at 13:00; what was said before is not\nshown.\n";
    assert_eq!(ran.talk, expected, "a newcomer is told");
}

#[test]
fn an_invite_is_data_and_what_to_do_with_it_is_talk() {
    let fake = Fake::start();
    let ran = fake.run(&["invite", "Circle"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "kinfold:abc\n"));
    let expected = "\n\
        This lets one person into Circle, until Monday 23 November 2026 at 13:00.\n\
        Whoever has it can use it: hand it over in a way that only that person sees.\n\
        Leave Kinfold running until they have joined.\n\
        They set up Kinfold, type  kinfold join  and paste the invite when asked.\n\
        To take it back:\n  kinfold invite revoke \"Circle\" ab12ab12\n\
        With --qr it is shown as a picture for a camera, too.\n";
    assert_eq!(ran.talk, expected);
    assert!(fake.run(&["invite", "Circle", "--qr"]).talk.starts_with('█'));
    assert!(!fake.run(&["invite", "Circle", "--no-qr"]).talk.contains("--qr"));
}

#[test]
fn verifying_shows_the_code_and_confirms_only_when_told_to() {
    let fake = Fake::start();
    let ran = fake.run(&["verify", "Circle", "Ana", "--no-qr"]);
    assert_eq!(ran.out, "11111 22222 33333 44444 55555 66666\n");
    let use_of_it = "Ana sees the same numbers if nobody stands between you. Compare them when you\n\
        meet, or in a call where you know the voice.\n\
        If they are the same, run this again with --confirm. If not, do not, and tell\n\
        the others in another way.\n";
    assert_eq!(ran.talk, use_of_it);
    assert_eq!(fake.last("verify"), json!({"group": "Circle", "member": "Ana", "confirm": false}));
    let ran = fake.run(&["verify", "Circle", "Ana", "--confirm"]);
    let done = "You have compared this safety code with Ana. If that was a mistake, run this\n\
        again with --undo.\n";
    assert_eq!(ran.talk, done);
    let ran = fake.run(&["verify", "Circle", "Ana", "--undo"]);
    assert_eq!(fake.last("verify")["undo"], true);
    assert_eq!(ran.talk, "The safety code of Ana counts as not compared.\n");
    assert_eq!(fake.run(&["verify", "Circle", "Ana", "--undo", "--confirm"]).code, 2);
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
    let expected =
        "Error: there is no such group on this device; nothing was changed\nhint: did you mean \"Circle\"?\n";
    assert_eq!(ran.talk, expected);
}

#[test]
fn a_message_that_was_not_sent_is_said_to_be_so() {
    let fake = Fake::start();
    for (group, code, why) in [
        ("Cirlce", 1, "Error: there is no such group on this device; your message was not sent\n"),
        ("locked", 4, "Error: Kinfold is locked; your message was not sent\n"),
        ("full", 5, "Error: the disk is full; your message was not sent, and nothing was lost\n"),
    ] {
        let ran = fake.run(&["send", group, "hello"]);
        assert_eq!(ran.code, code, "{}", ran.talk);
        assert!(ran.talk.starts_with(why), "{}", ran.talk);
    }
    let ran = fake.run(&["send", "Tuesday", "circle", "hello"]);
    let expected = "Error: there is no such group on this device; your message was not sent\n\
        hint: put the group's name in quotes: \"Tuesday circle\"\n";
    assert_eq!((ran.code, ran.talk.as_str()), (1, expected));
    assert_ne!(fake.last("send")["group"], "Tuesday", "nothing was sent");
}

#[test]
fn an_answer_that_cannot_be_written_is_the_disks_fault_and_says_what_was_done() {
    let fake = Fake::start();
    let full = |line: &[&str]| {
        let file = fs::File::options().write(true).open("/dev/full").expect("opens");
        Ran::from(command(&fake.directory, line).stdout(file).output().expect("ends"))
    };
    let hint = "hint: perhaps the disk that the output goes to is full\n";
    for (line, words) in [
        (&["send", "Circle", "hello"][..], "Error: sent, but the answer could not be written\n"),
        (&["send", "Circle", "hello", "--json"], "Error: sent, but the answer could not be written\n"),
        (&["retention", "Circle", "2d"], "Error: it was done, but the answer could not be written\n"),
        (&["members", "Circle"], "Error: the answer could not be written; nothing was lost\n"),
    ] {
        let ran = full(line);
        assert_eq!((ran.code, ran.talk), (5, format!("{words}{hint}")), "{line:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_news() {
    let fake = Fake::start();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ran = Ran::from(
        command(&fake.directory, &["history", "Circle", "--last", "5"]).stdout(writer).output().expect("ends"),
    );
    assert_eq!(ran.talk, "");
}

/// How often a core was told that something was read, in whichever way.
fn marked(fake: &Fake) -> usize {
    let asked = fake.asked.lock().expect("unpoisoned");
    let read = |asked: &&Value| {
        asked["method"] == "read" || asked.pointer("/params/mark_read").and_then(Value::as_bool) == Some(true)
    };
    asked.iter().filter(read).count()
}

#[test]
fn what_was_shown_is_read_and_no_more_than_that() {
    let fake = Fake::start();
    assert_eq!((fake.run(&["history", "Circle", "--keep-unread"]).code, marked(&fake)), (0, 0));
    assert_eq!((fake.run(&["history", "Circle", "--last", "1"]).code, marked(&fake)), (0, 0), "some are left out");
    for line in [&["history", "Circle"][..], &["history", "Circle", "--json"], &["chat", "Circle"]] {
        assert_eq!(fake.run(line).code, 0, "{line:?}");
        assert_eq!(fake.last("read"), json!({"group": GROUP, "mark": 7}), "{line:?}");
        fake.asked.lock().expect("unpoisoned").clear();
    }
}

#[test]
fn what_could_not_be_shown_stays_unread() {
    let fake = Fake::start();
    for line in [&["history", "Circle"][..], &["history", "Circle", "--json"], &["chat", "Circle"]] {
        let file = fs::File::options().write(true).open("/dev/full").expect("opens");
        let ran = Ran::from(command(&fake.directory, line).stdout(file).output().expect("ends"));
        assert_eq!((ran.code, marked(&fake)), (5, 0), "{line:?}: {}", ran.talk);
        assert!(line.contains(&"--json") || ran.talk.contains("the answer could not be written"), "{}", ran.talk);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ran = Ran::from(command(&fake.directory, line).stdout(writer).output().expect("ends"));
        assert_eq!((ran.code, marked(&fake)), (1, 0), "{line:?}: {}", ran.talk);
        assert!(!ran.talk.contains("Error"), "nobody is left to tell: {}", ran.talk);
        assert_eq!(fake.asked("history"), 2, "{line:?}: it was to be shown");
        fake.asked.lock().expect("unpoisoned").clear();
    }
}

/// As `head` does. It is given another chance where the machine was too busy to let it go in time.
#[test]
fn a_reader_that_goes_after_the_first_line_leaves_the_rest_unread() {
    let fake = Fake::start();
    let left_unread = (0..20).any(|_| {
        fake.asked.lock().expect("unpoisoned").clear();
        let mut child = crate::fake::start(&fake.directory, &["history", "Circle"]);
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        out.read_line(&mut String::new()).expect("reads");
        drop(out);
        (child.wait().expect("ends").code(), marked(&fake)) == (Some(1), 0)
    });
    assert!(left_unread, "it was marked as read each time");
}

#[test]
fn what_cannot_be_undone_is_not_done_where_nobody_can_be_asked() {
    let fake = Fake::start();
    for (line, method) in [
        (&["group", "leave", "Circle"][..], "group.leave"),
        (&["remove", "Circle", "Ana"], "remove"),
        (&["outbox", "drop", "ab12"], "outbox.drop"),
    ] {
        let ran = fake.run(line);
        let expected = "Error: this cannot be undone, and there is no terminal to ask whether it is meant; nothing was \
            changed\nhint: if it is meant, add --yes\n";
        assert_eq!((ran.code, ran.talk.as_str(), fake.asked(method)), (1, expected, 0), "{line:?}");
        let ran = fake.run(&[line, &["--json"]].concat());
        assert_eq!((ran.code, &ran.json()["error"]["code"]), (1, &json!("not_confirmed")), "{line:?}");
        assert_eq!((fake.run(&[line, &["--yes"]].concat()).code, fake.asked(method)), (0, 1), "{line:?}");
    }
}

#[test]
fn what_is_so_already_is_said_to_be_so() {
    let fake = Fake::start();
    let ran = fake.run(&["unlock"]);
    assert_eq!((ran.code, ran.talk.as_str()), (0, "Kinfold is not locked.\n"), "nobody is asked for a passphrase");
    fs::write(kinfold_node::paths::DataDir::new(&fake.directory).keyring(), "").expect("writes");
    let ran = fake.run(&["up"]);
    let expected = "Error: Kinfold is already running with this data; nothing was changed\n";
    assert!(ran.code == 1 && ran.talk.starts_with(expected), "{}", ran.talk);
    let ran = fake.run(&["group", "create", "circle", "--name", "Ben"]);
    let expected = "You are in a group called circle already [0a0b0c0d].";
    assert!(ran.code == 0 && ran.talk.starts_with(expected), "a script is warned and goes on: {}", ran.talk);
}

#[test]
fn an_invite_is_looked_at_before_anything_is_promised() {
    let fake = Fake::start();
    let ran = fake.run(&["join", "kinfold:BROKEN", "--name", "Ben"]);
    let expected = "Error: this is not a whole invite; nothing was changed\n\
        hint: copy all of it again, from `kinfold:` to its end\n";
    assert_eq!((ran.code, ran.talk.as_str()), (1, expected));
    assert_eq!(fake.last("join"), Value::Null);
    let ran = run(&fake.directory, &["join", "--name", "Ben"], "  kinfold:ab\nc\n");
    assert_eq!((ran.code, ran.out.as_str()), (0, "Circle  [0a0b0c0d]\n"));
    assert_eq!(fake.last("join"), json!({"invite": "kinfold:abc", "name": "Ben"}));
    assert_eq!(run(&fake.directory, &["join", "--name", "Ben"], "abc").code, 0);
    assert_eq!(fake.last("join")["invite"], "kinfold:abc", "its beginning may be left out");
    assert!(fake.run(&["join", "--cancel"]).talk.starts_with("Kinfold has stopped trying to join."));
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
    let kept = "Kept on this device; it goes out when somebody is connected.  [02]\n";
    assert_eq!((ran.code, ran.out.as_str()), (0, kept));
    assert_eq!(fake.last("send")["text"], "one\ntwo");
    assert_eq!(run(&fake.directory, &["send", "Circle", "-"], &"x".repeat(20_000)).code, 1);
    let ran = fake.run(&["send", "Circle", "is anybody there?"]);
    assert_eq!(ran.out, "Sent; another device has it.  [02]\n");
    let ran = fake.run(&["send", "Circle", "- first", "--json"]);
    assert_eq!((ran.code, fake.last("send")["text"].clone()), (0, json!("- first")));
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
