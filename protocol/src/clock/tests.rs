//! What peers may do to a device's time, and what they may not.

use super::*;

const HOUR: u64 = 3_600_000;
const YEARS: u64 = 10 * 365 * 24 * HOUR;
const TRUE: u64 = 1_800_000_000_000;

fn at(ms: u64) -> Time {
    Time::from_ms(ms)
}

fn member(n: u8) -> (NetId, MemberId) {
    (NetId(1), MemberId::from_bytes([n; 32]))
}

fn lived() -> Clock {
    let mut clock = Clock::default();
    clock.tick(at(TRUE));
    clock
}

#[test]
fn a_clock_ten_years_fast_destroys_nothing_and_is_corrected_by_one_peer() {
    let mut clock = lived();
    let now = clock.tick(at(TRUE + YEARS));
    assert_eq!((now.sweep, now.stamp), (at(TRUE), at(TRUE + YEARS)));
    let (net, ben) = member(2);
    assert!(clock.heard(net, ben, at(TRUE + 1_000), at(TRUE + YEARS)).is_some());
    let now = clock.tick(at(TRUE + YEARS + 5_000));
    assert!(now.stamp < at(TRUE + HOUR) && now.sweep < at(TRUE + HOUR));
    // Set right again: no repair.
    clock.heard(net, ben, at(TRUE + 10_000), at(TRUE + 10_000));
    assert_eq!(clock.tick(at(TRUE + 11_000)).stamp, at(TRUE + 11_000));
}

#[test]
fn a_clock_two_hours_slow_goes_on_from_the_mark_and_is_corrected() {
    let mut clock = lived();
    assert_eq!(clock.tick(at(TRUE - 2 * HOUR)).sweep, at(TRUE));
    let (net, ben) = member(2);
    clock.heard(net, ben, at(TRUE), at(TRUE - 2 * HOUR));
    assert_eq!(clock.tick(at(TRUE - 2 * HOUR)).stamp, at(TRUE));
}

#[test]
fn a_jump_is_believed_when_peers_agree_or_after_a_day() {
    let mut clock = lived();
    let later = TRUE + 40 * 24 * HOUR;
    assert_eq!(clock.tick(at(later)).sweep, at(TRUE));
    assert_eq!(clock.deadline(), Some(at(later + 24 * HOUR)));
    assert_eq!(clock.tick(at(later + 24 * HOUR)).sweep, at(later + 24 * HOUR));
    let mut clock = lived();
    clock.tick(at(later));
    let (net, ben) = member(2);
    clock.heard(net, ben, at(later), at(later));
    assert_eq!(clock.tick(at(later)).sweep, at(later));
}

#[test]
fn a_clock_that_is_set_right_does_not_take_the_mark_along() {
    let (net, ben) = member(2);
    for (skew, sign) in [(2 * HOUR, -1), (2 * HOUR, 1)] {
        let mut clock = lived();
        let wrong = at(TRUE).shifted(sign * i64::try_from(skew).unwrap());
        clock.row.offset = -sign * i64::try_from(skew).unwrap();
        clock.tick(wrong);
        clock.heard(net, ben, at(TRUE), wrong);
        let now = clock.tick(at(TRUE + 5_000));
        assert!(now.sweep <= at(TRUE + 5_000) && now.stamp == at(TRUE + 5_000), "{sign}");
    }
}

#[test]
fn an_honest_clock_is_not_moved_by_one_wrong_peer() {
    let mut clock = lived();
    let ((net, ben), (_, chi)) = (member(2), member(3));
    let off = |offset| Some(Off { offset, corrected: false });
    assert_eq!(clock.heard(net, ben, at(TRUE + YEARS), at(TRUE)), off(i64::try_from(YEARS).unwrap()));
    assert_eq!(clock.tick(at(TRUE)).stamp, at(TRUE));
    assert_eq!(clock.heard(net, chi, at(TRUE), at(TRUE)), off(0));
    assert_eq!(clock.tick(at(TRUE)).stamp, at(TRUE));
}

#[test]
fn liars_who_greet_first_lead_the_mark_a_day_ahead_at_most_and_the_stamps_come_back() {
    const DAY: u64 = 24 * HOUR;
    for lie in [2 * DAY, 20 * DAY, 29 * DAY, YEARS] {
        let mut clock = lived();
        let (net, eve) = member(2);
        let mut wall = TRUE;
        for (liar, step) in [(2_u8, 0), (3, 1_000), (4, 1_200_000), (5, 0), (2, 5_000), (3, 0)] {
            wall += step;
            clock.heard(net, member(liar).1, at(wall + lie), at(wall));
            assert!(clock.tick(at(wall)).sweep <= at(wall + DAY), "{lie} {liar}");
            // Also across a restart, which forgets who was heard.
            clock = Clock::from_row(clock.row().clone());
            assert!(clock.tick(at(wall)).sweep <= at(wall + DAY), "{lie} {liar}");
        }
        clock.heard(net, eve, at(wall + lie), at(wall));
        for honest in 10..13 {
            clock.heard(net, member(honest).1, at(wall), at(wall));
        }
        let now = clock.tick(at(wall));
        assert_eq!(now.stamp, at(wall), "{lie}");
        assert!(now.sweep <= at(wall + DAY), "{lie}");
    }
}

#[test]
fn a_mark_that_followed_a_wrong_clock_restarts() {
    let mut clock = lived();
    clock.tick(at(TRUE + YEARS));
    clock.tick(at(TRUE + YEARS + 25 * HOUR));
    let ((net, ben), (_, chi)) = (member(2), member(3));
    clock.heard(net, ben, at(TRUE), at(TRUE));
    clock.heard(net, chi, at(TRUE), at(TRUE));
    assert_eq!(clock.tick(at(TRUE + 1_000)).sweep, at(TRUE + 1_000));
}

/// Away for a month and a day; the first member who is there says that it is ten years later.
#[test]
fn one_liar_destroys_nothing_after_a_month_away() {
    const DAY: u64 = 24 * HOUR;
    let back = TRUE + 31 * DAY;
    let mut clock = lived();
    let (net, eve) = member(2);
    clock.tick(at(back));
    for minutes in (0..26 * 60).step_by(5) {
        let wall = back + minutes * 60_000;
        clock.tick(at(wall));
        clock.heard(net, eve, at(wall + YEARS), at(wall));
        assert!(clock.tick(at(wall)).sweep <= at(wall + DAY), "after {minutes} minutes");
    }
}

/// The same, and it says that it is a year earlier.
#[test]
fn one_liar_does_not_take_the_mark_back_after_a_month_away() {
    const DAY: u64 = 24 * HOUR;
    let back = TRUE + 31 * DAY;
    let mut clock = lived();
    let (net, eve) = member(2);
    clock.tick(at(back));
    clock.heard(net, eve, EARLIEST, at(back));
    assert!(clock.tick(at(back)).sweep >= at(TRUE));
    let after = at(back + 26 * HOUR);
    clock.heard(net, eve, EARLIEST, after);
    assert!(clock.tick(after).sweep >= at(back), "what is past its time dies although a liar is there");
}

/// The own clock was set two hours back, so that it says nothing until the mark is reached.
#[test]
fn one_liar_does_not_take_the_mark_back_while_the_own_clock_is_behind_it() {
    let mut clock = lived();
    let wall = at(TRUE - 2 * HOUR);
    clock.tick(wall);
    let (net, eve) = member(2);
    clock.heard(net, eve, EARLIEST, wall);
    assert!(clock.tick(wall).sweep >= at(TRUE));
}

#[test]
fn a_peer_with_another_clock_each_time_is_told_of_a_few_times_and_then_once_an_hour() {
    let mut clock = lived();
    let (net, ben) = member(2);
    let tell = |clock: &mut Clock, minute: u64| {
        let wall = TRUE + minute * 60_000;
        clock.tick(at(wall));
        let off = clock.heard(net, ben, at(wall + (minute % 7) * HOUR), at(wall));
        // Whatever was told last stays so until the next.
        off.inspect(|off| assert_eq!(clock.told, *off)).is_some()
    };
    let told = (0..180).filter(|minute| tell(&mut clock, *minute)).count();
    assert!((4..=4 + 3).contains(&told), "{told}");
    // What was not told is told when it may be: the clocks agree again.
    let wall = at(TRUE + 4 * HOUR);
    clock.tick(wall);
    assert_eq!(clock.heard(net, ben, wall, wall), Some(Off::default()));
}
