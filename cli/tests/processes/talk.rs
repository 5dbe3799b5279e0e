//! Three people talk.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::device::{Device, Window, place, text};
use crate::wait::pause;

const GROUP: &str = "Circle";

/// Ana founds a group; Ben and Chi come in.
fn three(place: &std::path::Path) -> [Device; 3] {
    let [ana, ben, chi] = ["Ana", "Ben", "Chi"].map(|name| Device::started(place, name));
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ben.join(&ana, GROUP);
    chi.join(&ana, GROUP);
    [ana, ben, chi]
}

/// What a window was told, until it has so many texts.
fn told(window: &Window, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let row = window.next();
        if row["kind"] == "text" {
            texts.push(text(&row["text"]));
        }
    }
    texts
}

/// Processor time that a process has used so far, in the ticks of 10 ms that the kernel counts it in.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("runs");
    let after_name = stat.rsplit(") ").next().expect("a line");
    after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

/// What a message leaves to be done later waits for its time, in everybody who has it.
#[test]
fn nobody_is_busy_when_all_is_said() {
    const LATER: Duration = Duration::from_secs(4);
    let place = place();
    let devices = three(place.path());
    for device in &devices {
        device.until_people(GROUP, &["Ana", "Ben", "Chi"]);
    }
    for text in ["hello", "and welcome"] {
        devices[0].done(&["send", GROUP, text]);
    }
    devices.iter().for_each(|device| drop(device.texts_of(GROUP, 2)));
    let before = devices.each_ref().map(|device| ticks(device.pid()));
    pause(LATER);
    for (device, before) in devices.iter().zip(before) {
        let (used, span) = (ticks(device.pid()) - before, LATER.as_millis() / 10);
        assert!(u128::from(used) < span / 10, "{} used {used} of {span} ticks", device.name);
    }
}

#[test]
fn three_who_send_at_once_all_see_every_message_once_and_in_the_same_order() {
    const EACH: usize = 12;
    let place = place();
    let devices = three(place.path());
    for device in &devices {
        device.until_people(GROUP, &["Ana", "Ben", "Chi"]);
    }
    let windows = devices.each_ref().map(|device| device.follow(&[GROUP]));
    std::thread::scope(|scope| {
        for device in &devices {
            scope.spawn(move || {
                for number in 0..EACH {
                    let sent = device.done(&["send", GROUP, &format!("{} {number}", device.name)]);
                    assert_eq!(sent["state"], "kept", "{sent}");
                }
            });
        }
    });
    let all: BTreeSet<String> =
        devices.iter().flat_map(|device| (0..EACH).map(|number| format!("{} {number}", device.name))).collect();
    for window in &windows {
        let told = told(window, all.len());
        assert_eq!(told.iter().cloned().collect::<BTreeSet<_>>(), all, "each was told, and none twice");
    }
    let [first, rest @ ..] = devices.each_ref().map(|device| device.texts_of(GROUP, all.len()));
    for other in rest {
        assert_eq!(first, other, "two devices show the same order");
    }
    for device in &devices {
        let own: Vec<_> = first.iter().filter(|(_, text)| text.starts_with(&device.name)).collect();
        let said: Vec<_> = (0..EACH).map(|number| format!("{} {number}", device.name)).collect();
        assert!(own.iter().map(|(_, text)| text).eq(&said), "nobody's own order is changed");
    }
}

/// The states that a window is told of one message, until it is received by all.
fn states(window: &Window, id: &str) -> Vec<Value> {
    let mut states = Vec::new();
    loop {
        let row = window.next();
        if row["event"] == "state" && row["id"] == id {
            let all = row["received_by"] == row["received_of"] && row["state"] == "received";
            states.push(row);
            if all {
                return states;
            }
        }
    }
}

#[test]
fn a_message_is_kept_while_nobody_is_there_then_held_then_received() {
    let place = place();
    let [ana, mut ben, mut chi] = three(place.path());
    ana.until_people(GROUP, &["Ana", "Ben", "Chi"]);
    ben.down();
    chi.down();
    let window = ana.follow(&[GROUP, "--events"]);
    let sent = ana.done(&["send", GROUP, "is anybody there?"]);
    let id = text(&sent["id"]);
    assert_eq!(sent["state"], "kept");
    let outbox = ana.rows(&["outbox"]);
    assert_eq!(outbox.iter().map(|row| text(&row["id"])).collect::<Vec<_>>(), std::slice::from_ref(&id));
    assert_eq!((&outbox[0]["state"], &outbox[0]["text"]), (&"kept".into(), &"is anybody there?".into()));

    ben.up();
    chi.up();
    let states = states(&window, &id);
    let named: Vec<String> = states.iter().map(|row| text(&row["state"])).collect();
    assert_eq!(named.first().map(String::as_str), Some("held"), "{states:?}");
    assert!(named[1..].iter().all(|state| state == "received"), "{states:?}");
    let counts: Vec<_> = states[1..].iter().map(|row| row["received_by"].as_u64().expect("a number")).collect();
    assert!(counts.is_sorted() && counts.last() == Some(&2), "{states:?}");
    assert!(states[1..].iter().all(|row| row["received_of"] == 2), "{states:?}");
    assert_eq!(ana.rows(&["outbox"]), Vec::<Value>::new(), "held by others, so no longer in the outbox");
    for device in [&ana, &ben, &chi] {
        assert_eq!(device.texts_of(GROUP, 1)[0].1, "is anybody there?");
    }
}
