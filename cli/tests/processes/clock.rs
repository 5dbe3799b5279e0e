//! A device whose system clock is wrong: the people who use it see true times, lose nothing, and the group goes on.

use serde_json::Value;

use crate::device::{Device, Window, place, text};
use crate::wait::until;
use crate::wrong_clock::{FAST, SLOW, WrongClock};

const GROUP: &str = "Circle";
const ANA: usize = 0;
const BEN: usize = 1;
const CHI: usize = 2;
const NAMES: [&str; 3] = ["Ana", "Ben", "Chi"];
/// How far a shown time may be from the truth: the test's own slowness, on a busy machine.
const NEAR_SECS: i64 = 60;

/// Everybody in one group, each having said something, all seen by all; and nobody's node runs any more.
fn asleep(place: &std::path::Path) -> ([Device; 3], Vec<(String, String)>) {
    let mut devices = NAMES.map(|name| Device::started(place, name));
    devices[ANA].done(&["group", "create", GROUP, "--name", "Ana"]);
    devices[BEN].join(&devices[ANA], GROUP);
    devices[CHI].join(&devices[ANA], GROUP);
    for device in &devices {
        device.until_people(GROUP, &NAMES);
    }
    for device in &devices {
        device.done(&["send", GROUP, &format!("{} was here", device.name)]);
    }
    let before = devices[ANA].texts_of(GROUP, devices.len());
    for device in &devices {
        assert_eq!(device.texts_of(GROUP, before.len()), before);
        until_held(device);
    }
    for device in &mut devices {
        device.down();
    }
    (devices, before)
}

/// Waits until others are known to hold everything that was said here; before that, a change of the members holds it back.
fn until_held(device: &Device) {
    until("the end of an outbox", || device.rows(&["outbox"]).is_empty().then_some(()));
}

/// Waits until the device is told that its clock is off; by how much.
fn told_ahead(window: &Window) -> i64 {
    loop {
        let row = window.next();
        if row["event"] == "clock_off" {
            return row["ahead_secs"].as_i64().expect("seconds");
        }
    }
}

/// Two people talk: each sees both messages, in one order, at the time that it is.
fn talk(one: &Device, other: &Device, said: &mut Vec<(String, String)>) {
    for (from, to) in [(one, other), (other, one)] {
        let words = format!("{} says {}", from.name, said.len());
        from.done(&["send", GROUP, &words]);
        *said = to.texts_of(GROUP, said.len() + 1);
        assert_eq!(said.last().map(|(_, text)| text), Some(&words), "the newest stands last");
        assert_eq!(from.texts(GROUP), *said, "{} and {} show the same", from.name, to.name);
        until_held(from);
    }
    let now = jiff::Timestamp::now();
    for device in [one, other] {
        let rows = device.rows(&["history", GROUP, "--last", "2"]);
        for row in &rows {
            assert!(away_secs(&row["sent"], now).abs() <= NEAR_SECS, "{} shows {row} at {now}", device.name);
            let lives = away_secs(&row["expires"], now) - 7 * 86_400;
            assert!(lives.abs() <= NEAR_SECS, "{} lets {row} live at {now}", device.name);
        }
    }
}

/// By how much a moment is after another.
fn away_secs(moment: &Value, than: jiff::Timestamp) -> i64 {
    let moment: jiff::Timestamp = text(moment).parse().expect("a moment");
    moment.duration_since(than).as_secs()
}

/// One of the three gets a wrong clock while all are away, and is up first; the others find it, talk with it, and the
/// group changes; then its clock is set right.
fn play(wrong: usize, (off, ahead): (&str, i64)) {
    let place = place();
    let Some(clock) = WrongClock::new(place.path().join("clock"), off) else { return };
    let (mut devices, mut said) = asleep(place.path());
    devices[wrong].clock = Some(clock);
    devices[wrong].up();
    let alone = devices[wrong].texts(GROUP);
    if ahead < 0 {
        assert_eq!(alone, said, "a slow clock hides nothing");
    }
    let window = devices[wrong].follow(&[GROUP, "--events"]);
    for at in (0..NAMES.len()).filter(|at| *at != wrong) {
        devices[at].up();
    }
    let told = told_ahead(&window);
    assert!((told - ahead).abs() <= NEAR_SECS, "{told} s ahead");
    drop(window);
    assert_eq!(devices[wrong].texts_of(GROUP, said.len()), said, "what was hidden is shown, and nothing is lost");

    let [ana, ben, _] = &devices;
    talk(ana, ben, &mut said);
    let mut dan = Device::started(place.path(), "Dan");
    dan.join(ana, GROUP);
    for device in devices.iter().chain([&dan]) {
        device.until_people(GROUP, &["Ana", "Ben", "Chi", "Dan"]);
    }
    ana.done(&["remove", GROUP, "Chi", "--yes"]);
    for device in [ana, ben, &dan] {
        device.until_people(GROUP, &["Ana", "Ben", "Dan"]);
    }
    talk(ana, ben, &mut said);
    assert_eq!(dan.texts_of(GROUP, 2), said[said.len() - 2..], "who came in under the wrong clock talks too");

    devices[wrong].down();
    devices[wrong].clock = None;
    devices[wrong].up();
    assert_eq!(devices[wrong].texts_of(GROUP, said.len()), said, "everything is there at once");
    let [ana, ben, _] = &devices;
    talk(ana, ben, &mut said);
    for device in [ana, ben] {
        device.until_people(GROUP, &["Ana", "Ben", "Dan"]);
        let shown = device.done(&["group", "show", GROUP]);
        assert_eq!((&shown["standing"], &shown["waiting"]), (&"active".into(), &0.into()), "at {}", device.name);
    }
    dan.down();
}

#[test]
fn a_member_two_hours_slow_takes_part_in_everything() {
    play(BEN, SLOW);
}

#[test]
fn a_member_ten_years_fast_takes_part_in_everything() {
    play(BEN, FAST);
}

#[test]
fn a_facilitator_two_hours_slow_changes_the_group() {
    play(ANA, SLOW);
}

#[test]
fn a_facilitator_ten_years_fast_changes_the_group() {
    play(ANA, FAST);
}

/// Ben's clock is turned while he is connected, and back.
fn turned(off: &str) {
    let place = place();
    let Some(clock) = WrongClock::new(place.path().join("clock"), "+0s") else { return };
    let (mut devices, mut said) = asleep(place.path());
    devices[BEN].clock = Some(clock.clone());
    for device in &mut devices {
        device.up();
    }
    for device in &devices {
        until("links", || (device.done(&["group", "show", GROUP])["connected"] == 2).then_some(()));
    }
    clock.turn(off);
    devices[BEN].texts_of(GROUP, said.len());
    talk(&devices[ANA], &devices[BEN], &mut said);
    clock.turn("+0s");
    talk(&devices[ANA], &devices[BEN], &mut said);
}

#[test]
fn a_clock_turned_two_hours_back_under_way_is_corrected_by_those_connected() {
    turned("-2h");
}

#[test]
fn a_clock_turned_ten_years_on_under_way_is_corrected_by_those_connected() {
    turned("+10y");
}
