//! An invite lets one person in, for a while, unless it is taken back; everything else gets its own clear refusal.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::device::{Device, place, text};
use crate::wait::pause;

const GROUP: &str = "Circle";

fn refused(code: &str) -> (i32, String) {
    (1, code.to_owned())
}

fn founder(place: &Path) -> Device {
    let ana = Device::started(place, "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ana
}

/// A refused join has left nothing behind, on either side.
fn nothing_changed(ana: &Device, people: &[&str], guest: &Device) {
    assert_eq!(guest.rows(&["group", "list"]), Vec::<Value>::new());
    assert_eq!(ana.people(GROUP), people);
}

fn state_of(device: &Device, id: &str) -> String {
    let invites = device.rows(&["invite", "list", GROUP]);
    let found = invites.iter().find(|row| row["invite_id"] == id).expect("the invite is listed");
    text(&found["state"])
}

#[test]
fn an_invite_lets_one_person_in_and_the_next_is_told_that_it_is_used() {
    let place = place();
    let ana = founder(place.path());
    let [ben, chi] = ["Ben", "Chi"].map(|name| Device::started(place.path(), name));
    let made = ana.done(&["invite", GROUP]);
    let (invite, id) = (text(&made["invite"]), text(&made["invite_id"]));
    assert!(invite.starts_with("kinfold:"), "the prefix that people recognise");
    assert_eq!(state_of(&ana, &id), "open");
    ben.done(&["join", &invite, "--name", "Ben"]);
    assert_eq!(state_of(&ana, &id), "used");
    assert_eq!(chi.refused(&["join", &invite, "--name", "Chi"]), refused("invite_used"));
    nothing_changed(&ana, &["Ana", "Ben"], &chi);
    assert_eq!(ben.refused(&["join", &invite, "--name", "Ben again"]), refused("already_member"));
    assert_eq!(ana.people(GROUP), ["Ana", "Ben"]);
}

#[test]
fn an_invite_lives_for_a_day_unless_said_otherwise_and_is_refused_afterwards() {
    let place = place();
    let ana = founder(place.path());
    let ben = Device::started(place.path(), "Ben");
    let seconds = |made: &Value| {
        let expires: jiff::Timestamp = text(&made["expires"]).parse().expect("a moment");
        expires.duration_since(jiff::Timestamp::now()).as_secs()
    };
    let day = seconds(&ana.done(&["invite", GROUP]));
    assert!((86_340..=86_400).contains(&day), "{day} s");
    let made = ana.done(&["invite", GROUP, "--valid", "5s"]);
    let id = text(&made["invite_id"]);
    assert_eq!(state_of(&ana, &id), "open");
    // The end of an invite is a moment of the clock, not a state that comes.
    pause(Duration::from_millis(5_100));
    assert_eq!(state_of(&ana, &id), "expired");
    assert_eq!(ben.refused(&["join", &text(&made["invite"]), "--name", "Ben"]), refused("invite_expired"));
    nothing_changed(&ana, &["Ana"], &ben);
}

#[test]
fn an_invite_that_was_taken_back_lets_nobody_in() {
    let place = place();
    let ana = founder(place.path());
    let ben = Device::started(place.path(), "Ben");
    let made = ana.done(&["invite", GROUP]);
    let id = text(&made["invite_id"]);
    ana.done(&["invite", "revoke", GROUP, &id[..6]]);
    assert_eq!(state_of(&ana, &id), "revoked");
    assert_eq!(ben.refused(&["join", &text(&made["invite"]), "--name", "Ben"]), refused("invite_revoked"));
    nothing_changed(&ana, &["Ana"], &ben);
    assert_eq!(ana.refused(&["invite", "revoke", GROUP, "zzzz"]), refused("unknown_invite"));
}

#[test]
fn an_invite_that_is_not_whole_is_refused_before_anybody_is_asked() {
    let place = place();
    let ana = founder(place.path());
    let ben = Device::started(place.path(), "Ben");
    let invite = ana.invite(GROUP);
    let middle = invite.len() / 2;
    let swapped = format!("{}{}{}", &invite[..middle - 1], &invite[middle..=middle], &invite[middle..]);
    for cut in ["", "kinfold:", &invite[..20], &invite[..middle], &invite[..invite.len() - 1], &invite[1..], &swapped] {
        assert_eq!(ben.refused(&["join", cut, "--name", "Ben"]), refused("invite_malformed"), "{cut}");
    }
    nothing_changed(&ana, &["Ana"], &ben);
    // A mail program may break it into lines, and a phone's keyboard may begin it with a capital letter.
    let broken = format!("  {}\n{}  ", &invite[..30], &invite[30..]);
    ben.done(&["join", &broken, "--name", "Ben"]);
}

#[test]
fn an_invite_that_reaches_a_device_of_another_group_is_refused_and_still_good() {
    let place = place();
    let mut ana = founder(place.path());
    let [mut eve, mut ben] = ["Eve", "Ben"].map(|name| Device::new(place.path(), name));
    ben.up();
    let invite = ana.invite(GROUP);
    let shown = ana.done(&["group", "show", GROUP]);
    let address = text(&shown["addresses"][0]);
    ana.down();
    // Somebody else's group listens where Ana's did.
    eve.up_at(&address);
    eve.done(&["group", "create", "Elsewhere", "--name", "Eve"]);
    assert_eq!(ben.refused(&["join", &invite, "--name", "Ben"]), refused("join_refused"));
    assert_eq!(ben.rows(&["group", "list"]), Vec::<Value>::new());
    assert_eq!(eve.people("Elsewhere"), ["Eve"]);
    eve.down();
    ana.up();
    ben.done(&["join", &invite, "--name", "Ben"]);
    ana.until_people(GROUP, &["Ana", "Ben"]);
}
