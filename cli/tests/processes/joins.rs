//! A join is cut short at any moment, on either side.

use std::time::Duration;

use serde_json::json;

use crate::device::{Device, place, text};
use crate::wait::{pause, seen_within, until};

const GROUP: &str = "Circle";
/// Kills after the request: a join takes a few dozen milliseconds.
const DELAYS_MS: [u64; 14] = [0, 1, 2, 3, 5, 7, 9, 12, 15, 19, 24, 30, 40, 60];
/// How long a join that was begun needs to end by itself once both are up.
const BY_ITSELF: Duration = Duration::from_secs(12);

/// Whether the device is in the group.
fn is_in(device: &Device) -> bool {
    device.rows(&["group", "list"]).iter().any(|row| row["name"] == GROUP && row["standing"] == "active")
}

/// Everybody sees the same people, each once.
fn same_people(ana: &Device, guest: &Device, expected: &[String]) {
    let names: Vec<&str> = expected.iter().map(String::as_str).collect();
    ana.until_people(GROUP, &names);
    guest.until_people(GROUP, &names);
    let ids = |device: &Device| {
        let mut ids: Vec<_> = device.rows(&["members", GROUP]).iter().map(|row| text(&row["member_id"])).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(ana), ids(guest), "no ghost and nobody twice");
    let text = format!("welcome {}", guest.name);
    ana.done(&["send", GROUP, &text]);
    until("a message for the newcomer", || guest.texts(GROUP).iter().any(|(_, said)| *said == text).then_some(()));
}

#[test]
fn a_guest_whose_power_goes_while_joining_comes_in_once() {
    let place = place();
    let ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    let mut people = vec!["Ana".to_owned()];
    let mut by_itself = 0;
    for (number, delay) in DELAYS_MS.into_iter().enumerate() {
        let mut guest = Device::started(place.path(), &format!("Guest {number:02}"));
        let invite = ana.invite(GROUP);
        guest.api().ask("join", &json!({ "invite": invite, "name": guest.name }));
        pause(Duration::from_millis(delay));
        guest.kill();
        guest.up();
        // The first kills can come before the request was kept; then nothing was begun, and the person asks again.
        let patience = if delay < 3 { Duration::from_millis(500) } else { BY_ITSELF };
        if seen_within(patience, || is_in(&guest).then_some(())).is_some() {
            by_itself += 1;
        } else {
            assert_eq!(guest.done(&["join", &invite, "--name", &guest.name])["name"], GROUP, "after {delay} ms");
        }
        people.push(guest.name.clone());
        same_people(&ana, &guest, &people);
        let again = guest.refused(&["join", &invite]);
        assert_eq!(again, (1, "already_member".to_owned()), "after {delay} ms");
    }
    assert!(by_itself >= DELAYS_MS.len() / 2, "only {by_itself} joins ended by themselves");
}

#[test]
fn a_guest_comes_in_once_although_the_power_of_the_inviter_goes() {
    let place = place();
    let mut ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    let mut people = vec!["Ana".to_owned()];
    for (number, delay) in DELAYS_MS.into_iter().enumerate() {
        let guest = Device::started(place.path(), &format!("Guest {number:02}"));
        let invite = ana.invite(GROUP);
        let mut waiting = guest.api();
        waiting.ask("join", &json!({ "invite": invite, "name": guest.name }));
        pause(Duration::from_millis(delay));
        ana.kill();
        ana.up();
        let answer = waiting.answer().expect("the join ends by itself");
        assert_eq!(answer["result"]["name"], GROUP, "after {delay} ms: {answer}");
        people.push(guest.name.clone());
        same_people(&ana, &guest, &people);
    }
}
