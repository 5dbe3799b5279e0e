//! A clock that is far off: the person is told, in words, and nothing is lost by it.

use crate::device::{Device, place, two};
use crate::wait::until;
use crate::wrong_clock::WrongClock;

const GROUP: &str = "Circle";

/// The last line of `status`.
fn told(device: &Device) -> String {
    let ran = device.run(&["status"]);
    assert_eq!(ran.code, 0, "{}", ran.talk);
    ran.out.lines().last().expect("a line").to_owned()
}

/// Ana and Ben have talked, and both are away.
fn asleep(place: &std::path::Path) -> [Device; 2] {
    let [mut ana, mut ben] = two(place, GROUP);
    ana.done(&["send", GROUP, "before"]);
    ben.texts_of(GROUP, 1);
    ana.down();
    ben.down();
    [ana, ben]
}

#[test]
fn a_clock_ten_years_fast_is_told_before_anybody_is_reached_and_after() {
    let place = place();
    let Some(clock) = WrongClock::new(place.path().join("clock"), "+10y") else { return };
    let [mut ana, mut ben] = asleep(place.path());
    ana.clock = Some(clock);
    let talk = place.path().join("talk");
    ana.up_telling(&talk);
    let said = std::fs::read_to_string(&talk).expect("talk");
    assert!(said.contains("this device's clock may be far off; `kinfold status` says more"), "{said}");
    let now = jiff::Zoned::now();
    let line = told(&ana);
    let (says, rest) = line
        .strip_prefix("This device's clock says that it is ")
        .and_then(|rest| rest.split_once(", and Kinfold last ran on "))
        .expect("both moments");
    let (last, advice) = rest.split_once(". ").expect("advice");
    assert!(says.contains(&format!(" {} at ", now.year() + 10)), "{line}");
    assert!(last.contains(&format!(" {} at ", now.year())), "{line}");
    assert_eq!(
        advice,
        "If the clock is not right, set it within a day: until then, messages whose time seems to be over are hidden and \
         not deleted."
    );
    assert!(ana.done(&["status"])["clock"]["last"].is_string());

    ben.up();
    until("the others' word", || ana.done(&["status"])["clock"]["ahead_secs"].is_i64().then_some(()));
    let line = told(&ana);
    assert_eq!(line, "This device's clock is 3650 days ahead of the others'. Messages carry the corrected time.");
    assert_eq!(ana.texts_of(GROUP, 1)[0].1, "before", "what was hidden is shown");
    ana.down();
    ana.clock = None;
    ana.up();
    until("the right time", || ana.done(&["status"])["clock"].is_null().then_some(()));
    assert_eq!(ana.texts_of(GROUP, 1)[0].1, "before");
}

#[test]
fn a_clock_ten_years_slow_is_told_also_to_who_looks_for_what_it_hides() {
    let place = place();
    let Some(clock) = WrongClock::new(place.path().join("clock"), "-10y") else { return };
    let [mut ana, _ben] = asleep(place.path());
    ana.clock = Some(clock);
    ana.up();
    let now = jiff::Zoned::now();
    let line = told(&ana);
    let (says, rest) = line
        .strip_prefix("This device's clock says that it is ")
        .and_then(|rest| rest.split_once(", but it is later than "))
        .expect("both moments");
    let (last, advice) = rest.split_once(". ").expect("advice");
    assert!(says.contains(&format!(" {} at ", now.year() - 10)), "{line}");
    assert!(last.contains(&format!(" {} at ", now.year())), "{line}");
    assert_eq!(
        advice,
        "Set the clock right: until then, or until somebody of your groups is connected, what was said later is hidden, and \
         what you write carries its time."
    );
    let history = ana.run(&["history", GROUP]);
    let talk = history.talk.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(talk.ends_with(&line), "who finds nothing is told why: {talk}");
    ana.down();
    ana.clock = None;
    ana.up();
    assert_eq!(ana.texts_of(GROUP, 1)[0].1, "before", "nothing was lost");
    assert!(!ana.run(&["history", GROUP]).talk.contains("clock"));
}

#[test]
fn a_clock_that_is_right_is_not_spoken_of() {
    let place = place();
    let [ana, _ben] = two(place.path(), GROUP);
    assert!(ana.done(&["status"])["clock"].is_null());
}
