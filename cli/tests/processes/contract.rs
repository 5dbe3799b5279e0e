//! What scripts rely on, word for word.

use std::collections::BTreeSet;
use std::net::TcpListener;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::device::{Device, LOOPBACK, PASSPHRASE, place, text, two};
use crate::wait::until;

const GROUP: &str = "Circle";

fn has(row: &Value, fields: &[&str]) {
    for field in fields {
        assert!(!row[field].is_null(), "{field} in {row}");
    }
}

#[test]
fn a_node_is_set_up_at_the_end_of_a_long_path_and_answers_in_the_promised_fields() {
    let place = place();
    let room = 200 - place.path().as_os_str().len() - 1;
    let mut ana = Device::bare(place.path().join("d".repeat(room)), "Ana");
    assert_eq!(ana.dir.as_os_str().len(), 200);
    assert_eq!(ana.refused(&["up"]), (1, "not_set_up".to_owned()));
    assert_eq!(ana.done(&["init"])["ok"], true);
    assert_eq!(ana.refused(&["init"]), (1, "already_set_up".to_owned()));
    assert_eq!(ana.up_at(LOOPBACK), json!({ "event": "ready", "addresses": [] }));
    let made = ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    has(&made, &["group_id", "name"]);
    has(&ana.done(&["invite", GROUP]), &["invite", "invite_id", "expires"]);
    let sent = ana.done(&["send", &text(&made["group_id"])[..8], "hello", "--expires", "1h"]);
    assert_eq!(sent["state"], "kept");
    has(&sent, &["id"]);
    let typed = ana.run_typing(&["send", GROUP, "-", "--json"], "two\nlines\n");
    assert_eq!((typed.code, &typed.json()["ok"]), (0, &json!(true)));
    let rows = ana.rows(&["history", GROUP]);
    let texts: Vec<_> = rows.iter().filter(|row| row["kind"] == "text").collect();
    assert_eq!(texts.iter().map(|row| text(&row["text"])).collect::<Vec<_>>(), ["hello", "two\nlines"]);
    for row in texts {
        has(row, &["id", "author", "author_id", "sent", "expires", "state"]);
    }
    assert_eq!(ana.rows(&["history", GROUP, "--last", "1"])[0]["text"], "two\nlines");
    has(&ana.rows(&["members", GROUP])[0], &["member_id", "name", "role", "self", "connected", "verified"]);
    let status = ana.done(&["status"]);
    assert_eq!(status["locked"], false);
    has(&status["groups"][0], &["group_id", "name", "members", "connected", "unread", "waiting"]);
    ana.down();
    let ready = ana.up_at(LOOPBACK);
    has(&ready["addresses"][0], &["group", "address"]);
}

#[test]
fn flags_stand_before_or_after_the_verb_and_a_near_miss_is_asked_about() {
    let place = place();
    let mut ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    let dir = ana.dir.clone();
    // The environment names a place where nothing is; the flag wins wherever it stands.
    ana.dir = place.path().join("nowhere");
    let at = dir.to_str().expect("a path");
    for line in [["--json", "--data-dir", at, "status"], ["status", "--json", "--data-dir", at]] {
        assert_eq!(ana.run(&line).json()["groups"][0]["name"], GROUP, "{line:?}");
    }
    assert_eq!(ana.refused(&["status"]), (3, "not_running".to_owned()));
    assert_eq!(ana.refused(&["retention", GROUP, "soon"]), (2, "usage".to_owned()));
    ana.dir = dir;
    for (line, code, hint) in [
        (&["send", "Cirle", "x", "--json"][..], "unknown_group", "did you mean \"Circle\"?"),
        (&["remove", GROUP, "Anna", "--yes", "--json"], "unknown_member", "did you mean \"Ana\"?"),
    ] {
        let ran = ana.run(line);
        assert_eq!(ran.refusal(), (1, code.to_owned()));
        assert_eq!(ran.json()["error"]["hint"], hint);
    }
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    assert_eq!(ana.refused(&["send", GROUP, "x"]), (1, "ambiguous_group".to_owned()));
}

#[test]
fn one_node_serves_a_directory_and_it_starts_again_however_the_last_one_ended() {
    let place = place();
    let mut ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    assert_eq!(ana.refused(&["up", "--listen", LOOPBACK]), (1, "in_use".to_owned()));
    assert_eq!(ana.people(GROUP), ["Ana"]);
    ana.done(&["send", GROUP, "kept before the power went"]);
    ana.kill();
    assert_eq!(ana.refused(&["status"]), (3, "not_running".to_owned()), "the socket it left is stale");
    ana.up();
    assert_eq!(ana.texts_of(GROUP, 1)[0].1, "kept before the power went");
    ana.signal(Signal::TERM);
    assert_eq!(ana.ended(), 0, "it stops cleanly");
    ana.up();
    assert_eq!(ana.texts_of(GROUP, 1).len(), 1);
    ana.down();
}

#[test]
fn a_locked_node_says_so_until_the_right_passphrase_opens_it() {
    let place = place();
    let ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ana.done(&["lock"]);
    assert_eq!(ana.done(&["status"])["locked"], true);
    assert_eq!(ana.refused(&["send", GROUP, "x"]), (4, "locked".to_owned()));
    let wrong = ana.run_typing(&["unlock", "--json", "--passphrase-fd", "0"], "not these words\n");
    assert_eq!(wrong.refusal(), (4, "wrong_passphrase".to_owned()));
    assert_eq!(ana.done(&["status"])["locked"], true);
    let right = ana.run_typing(&["unlock", "--json", "--passphrase-fd", "0"], &format!("{PASSPHRASE}\n"));
    assert_eq!(right.code, 0, "{}", right.out);
    assert_eq!(ana.people(GROUP), ["Ana"]);
}

/// An address on this machine where nobody listens.
fn free_address() -> String {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    format!("/ip4/127.0.0.1/tcp/{free}")
}

#[test]
fn a_fixed_port_serves_one_group_and_no_second() {
    let place = place();
    let mut ana = Device::new(place.path(), "Ana");
    let listen = free_address();
    ana.up_at(&listen);
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    assert_eq!(ana.done(&["group", "show", GROUP])["addresses"], json!([listen]));
    assert_eq!(ana.refused(&["group", "create", "Second", "--name", "Ana"]), (1, "port_shared".to_owned()));
    assert_eq!(ana.rows(&["group", "list"]).len(), 1);
}

#[test]
fn a_device_with_two_groups_does_not_start_on_a_fixed_port_and_has_both_on_their_own() {
    let place = place();
    let mut ana = Device::started(place.path(), "Ana");
    for name in [GROUP, "Second"] {
        ana.done(&["group", "create", name, "--name", "Ana"]);
    }
    ana.down();
    let ran = ana.run(&["up", "--json", "--listen", &free_address()]);
    assert_eq!(ran.refusal(), (1, "port_shared".to_owned()));
    assert!(text(&ran.json()["error"]["hint"]).contains("port 0"), "{}", ran.out);
    let ready = ana.up_at(LOOPBACK);
    let listening = ready["addresses"].as_array().expect("rows");
    let addresses: BTreeSet<_> = listening.iter().map(|row| text(&row["address"])).collect();
    assert_eq!((listening.len(), addresses.len()), (2, 2), "each its own: {ready}");
}

#[test]
fn an_address_typed_by_hand_finds_whom_nobody_else_could_and_a_slip_is_refused() {
    let place = place();
    let [mut ana, mut ben] = two(place.path(), GROUP);
    ana.down();
    ben.down();
    // Both have moved, and neither knows where the other is.
    let moved = free_address();
    ana.up_at(&free_address());
    ben.up_at(&moved);
    for slip in ["", "Ben", "127.0.0.1:4001", "/ip4/127.0.0.1", "/ip4/127.0.0.1/udp/4001", "/ip4/127.0.0.1/tcp/0"] {
        let ran = ana.run(&["connect", GROUP, slip, "--json"]);
        assert_eq!(ran.refusal(), (2, "bad_address".to_owned()), "{slip}");
        assert!(text(&ran.json()["error"]["hint"]).contains("/ip4/"), "{slip}: what an address looks like");
    }
    assert_eq!(ana.refused(&["connect", "Elsewhere", &moved]), (1, "unknown_group".to_owned()));
    let connected = |device: &Device| device.done(&["group", "show", GROUP])["connected"] == 1;
    assert!(!connected(&ana) && !connected(&ben));
    assert_eq!(ana.done(&["connect", GROUP, &moved]), json!({ "ok": true }));
    for device in [&ana, &ben] {
        until("a link", || connected(device).then_some(()));
    }
    ben.done(&["send", GROUP, "found"]);
    assert_eq!(ana.texts_of(GROUP, 1)[0].1, "found");
}

#[test]
fn a_keyring_that_is_damaged_is_the_disks_fault() {
    let place = place();
    let ana = Device::new(place.path(), "Ana");
    let keyring = kinfold_node::paths::DataDir::new(&ana.dir).keyring();
    let length = std::fs::metadata(&keyring).expect("a file").len();
    std::fs::write(&keyring, vec![0; usize::try_from(length).expect("a length")]).expect("written");
    assert_eq!(ana.refused(&["up", "--listen", LOOPBACK]), (5, "damaged".to_owned()));
}

#[test]
fn an_interface_named_without_a_port_is_listened_on_at_a_port_that_is_kept() {
    let place = place();
    let mut ana = Device::new(place.path(), "Ana");
    ana.up_at("/ip4/127.0.0.1");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ana.done(&["group", "create", "Second", "--name", "Ana"]);
    let addresses = |device: &Device| device.done(&["group", "show", GROUP])["addresses"].clone();
    let first = until("an address", || Some(addresses(&ana)).filter(|found| found != &json!([])));
    assert!(text(&first[0]).starts_with("/ip4/127.0.0.1/tcp/"), "{first}");
    ana.down();
    ana.up_at("/ip4/127.0.0.1");
    assert_eq!(until("an address", || Some(addresses(&ana)).filter(|found| found != &json!([]))), first);
    ana.down();
}
