//! A join is cut short at any moment, on either side.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::device::{Device, place, text};
use crate::wait::{pause, seen_within, until};

const GROUP: &str = "Circle";
/// Kills after the request, from its first moment to the last of the join.
const KILLS: u32 = 14;
/// Before this the request may not have been kept yet.
const KEPT_WITHIN: Duration = Duration::from_millis(3);
/// How long a join that was begun needs to end by itself once both are up.
const BY_ITSELF: Duration = Duration::from_secs(12);

/// Founds the group, and lets a first guest in at leisure: moments spread over the time that this takes.
fn founded(place: &Path, ana: &Device) -> Vec<Duration> {
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    let (guest, invite) = (Device::started(place, "Guest"), ana.invite(GROUP));
    let (mut api, begun) = (guest.api(), Instant::now());
    api.call("join", &json!({ "invite": invite, "name": guest.name }));
    let took = begun.elapsed();
    (0..KILLS).map(|number| took * number / KILLS).collect()
}

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
    let delays = founded(place.path(), &ana);
    let mut people = ["Ana", "Guest"].map(str::to_owned).to_vec();
    let mut by_itself = 0;
    for (number, delay) in delays.into_iter().enumerate() {
        let mut guest = Device::started(place.path(), &format!("Guest {number:02}"));
        let invite = ana.invite(GROUP);
        guest.api().ask("join", &json!({ "invite": invite, "name": guest.name }));
        pause(delay);
        guest.kill();
        guest.up();
        // The first kills can come before the request was kept; then nothing was begun, and the person asks again.
        let patience = if delay < KEPT_WITHIN { Duration::from_millis(500) } else { BY_ITSELF };
        if seen_within(patience, || is_in(&guest).then_some(())).is_some() {
            by_itself += 1;
        } else {
            assert_eq!(guest.done(&["join", &invite, "--name", &guest.name])["name"], GROUP, "after {delay:?}");
        }
        people.push(guest.name.clone());
        same_people(&ana, &guest, &people);
        let again = guest.refused(&["join", &invite]);
        assert_eq!(again, (1, "already_member".to_owned()), "after {delay:?}");
    }
    assert!(by_itself >= KILLS / 2, "only {by_itself} joins ended by themselves");
}

#[test]
fn a_guest_comes_in_once_although_the_power_of_the_inviter_goes() {
    let place = place();
    let mut ana = Device::started(place.path(), "Ana");
    let delays = founded(place.path(), &ana);
    let mut people = ["Ana", "Guest"].map(str::to_owned).to_vec();
    for (number, delay) in delays.into_iter().enumerate() {
        let guest = Device::started(place.path(), &format!("Guest {number:02}"));
        let invite = ana.invite(GROUP);
        let mut waiting = guest.api();
        waiting.ask("join", &json!({ "invite": invite, "name": guest.name }));
        pause(delay);
        ana.kill();
        ana.up();
        let answer = waiting.answer().expect("the join ends by itself");
        assert_eq!(answer["result"]["name"], GROUP, "after {delay:?}: {answer}");
        people.push(guest.name.clone());
        same_people(&ana, &guest, &people);
    }
}
