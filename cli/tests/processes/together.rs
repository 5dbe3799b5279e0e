//! Three people with clocks an hour apart and nodes that stand still now and then, who all talk at once.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::device::{Device, place};
use crate::wait::{pause, until};
use crate::wrong_clock::WrongClock;

const GROUP: &str = "Circle";
const NAMES: [&str; 3] = ["Ana", "Ben", "Chi"];
/// What each clock is off by, each right one being nobody's.
const OFF: [&str; 3] = ["+0s", "+1h", "-1h"];
/// Messages of each.
const EACH: usize = 25;
/// How often each node stands still while everybody talks, and for how long: a lid that is closed and opened again.
const STOPS: usize = 4;
const STILL: Duration = Duration::from_millis(300);

#[test]
fn three_who_talk_at_once_with_clocks_hours_apart_all_show_everything_once_and_in_one_order() {
    let place = place();
    let mut devices = NAMES.map(|name| Device::new(place.path(), name));
    for (device, off) in devices.iter_mut().zip(OFF) {
        let Some(clock) = WrongClock::new(place.path().join(format!("clock of {}", device.name)), off) else { return };
        device.clock = Some(clock);
        device.up();
    }
    let [ana, ben, chi] = &devices;
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ben.join(ana, GROUP);
    chi.join(ana, GROUP);
    for device in &devices {
        device.until_people(GROUP, &NAMES);
    }
    std::thread::scope(|scope| {
        for device in &devices {
            scope.spawn(|| {
                let mut api = device.api();
                for number in 0..EACH {
                    api.call("send", &json!({ "group": GROUP, "text": format!("{} {number}", device.name) }));
                }
            });
        }
        // Each in turn, in the middle of it: what is on the way to a node that stands still, and from it, waits or is lost.
        for at in 0..STOPS * devices.len() {
            let device = &devices[at % devices.len()];
            device.signal(Signal::STOP);
            pause(STILL);
            device.signal(Signal::CONT);
        }
    });
    let count = EACH * NAMES.len();
    let shown = devices.each_ref().map(|device| device.texts_of(GROUP, count));
    let wanted: BTreeSet<String> =
        NAMES.iter().flat_map(|name| (0..EACH).map(move |number| format!("{name} {number}"))).collect();
    for (device, texts) in devices.iter().zip(&shown) {
        let seen: BTreeSet<String> = texts.iter().map(|(_, text)| text.clone()).collect();
        assert_eq!(seen, wanted, "{} shows all of it", device.name);
        assert_eq!(texts, &shown[0], "{} and {} show one order", device.name, devices[0].name);
    }
    for name in NAMES {
        let said = shown[0].iter().filter(|(_, text)| text.starts_with(name));
        let expected: Vec<String> = (0..EACH).map(|number| format!("{name} {number}")).collect();
        assert_eq!(said.map(|(_, text)| text.clone()).collect::<Vec<_>>(), expected, "{name}'s own stay in order");
    }
    // It is the end: what comes later changes nothing.
    for device in &devices {
        until("the end of an outbox", || device.rows(&["outbox"]).is_empty().then_some(()));
    }
    for (device, texts) in devices.iter().zip(&shown) {
        assert_eq!(&device.texts_of(GROUP, count), texts, "at {}", device.name);
    }
}
