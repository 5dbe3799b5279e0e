//! Clocks that are wrong, jump or lie, and what must go on all the same.

use std::time::Duration;

use kinfold_protocol::step::{Command, Event, Input, MessageState};
use kinfold_protocol::view::ClockView;
use kinfold_tests::disk::Trouble;
use zeroize::Zeroizing;

use crate::stage::{ANA, BEN, CHI, Stage};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How often a device asks to be woken within a span.
fn wakes(stage: &mut Stage, who: usize, span_ms: i64) -> usize {
    let mut passed = 0;
    let mut wakes = 0;
    while wakes < 10_000 {
        let now = stage.clock(who);
        let Some(due) = stage.person(who).client.deadline() else { break };
        let wait = i64::try_from(due.since(now).as_millis()).unwrap();
        passed += wait;
        if passed > span_ms {
            break;
        }
        stage.person(who).ahead_ms += wait;
        stage.give(who, Input::Deadline).unwrap();
        wakes += 1;
    }
    wakes
}

/// Alone; a message is about to die; the clock is set back nine minutes.
#[test]
fn a_mark_that_stands_still_does_not_keep_the_device_awake() {
    let (mut stage, group) = Stage::group([0; 3], &[]);
    let expires = Some(Duration::from_secs(5));
    stage.ask(ANA, Command::Send { group, text: Zeroizing::new("short".into()), expires });
    stage.pass(4_900);
    stage.give(ANA, Input::Deadline).unwrap();
    stage.person(ANA).ahead_ms = -9 * 60_000;
    stage.give(ANA, Input::Deadline).unwrap();
    let count = wakes(&mut stage, ANA, 60_000);
    assert!(count < 30, "{count} wakes in a minute");
}

/// Alone; the clock jumps ten years; for a day nothing is destroyed.
#[test]
fn a_jump_that_is_not_believed_yet_does_not_keep_the_device_awake() {
    let (mut stage, group) = Stage::group([0; 3], &[]);
    let expires = Some(Duration::from_secs(5));
    stage.ask(ANA, Command::Send { group, text: Zeroizing::new("short".into()), expires });
    stage.pass(4_900);
    stage.give(ANA, Input::Deadline).unwrap();
    stage.person(ANA).ahead_ms = 3_650 * DAY_MS;
    stage.give(ANA, Input::Deadline).unwrap();
    let count = wakes(&mut stage, ANA, 60_000);
    assert!(count < 30, "{count} wakes in a minute");
}

/// Everybody was off for a while; then one member greets with a clock at the end of time.
#[test]
fn a_clock_at_the_end_of_time_does_not_keep_others_awake() {
    let (mut stage, _) = Stage::group([0; 3], &[BEN]);
    stage.offline(BEN);
    // Ana is off for 31 days.
    stage.person(ANA).ahead_ms = 31 * DAY_MS;
    stage.restart(ANA);
    let honest = stage.people[BEN].ahead_ms;
    stage.person(BEN).ahead_ms = 9_000_000_000_000_000_000;
    stage.meet(BEN);
    assert_eq!(stage.view(ANA).connected, 1);
    stage.person(BEN).ahead_ms = honest;
    stage.offline(BEN);
    let count = wakes(&mut stage, ANA, 60_000);
    assert!(count < 200, "{count} wakes in a minute");
}

/// Off for 40 days; Ben's clock is twenty minutes fast; they meet twice a day.
#[test]
fn what_is_past_its_time_is_destroyed_although_clocks_differ_by_twenty_minutes() {
    for off_ms in [0, 20 * 60_000] {
        let (mut stage, _) = Stage::group([0, off_ms, 0], &[BEN]);
        stage.say(ANA, "to be forgotten");
        stage.pass(60_000);
        stage.offline(BEN);
        for who in [ANA, BEN] {
            stage.person(who).ahead_ms += 40 * DAY_MS;
            stage.restart(who);
        }
        for _ in 0..8 {
            stage.online(BEN);
            stage.pass(60_000);
            stage.offline(BEN);
            stage.pass(12 * 3_600_000);
        }
        assert!(stage.texts(BEN).is_empty() && stage.texts(ANA).is_empty());
        let left = [ANA, BEN].map(|who| stage.person(who).disk.holds(b"to be forgotten"));
        assert_eq!(left, [false, false], "{off_ms}");
    }
}

/// A look comes first after the clock was set: the links must still be closed and the clocks compared anew.
#[test]
fn a_look_does_not_swallow_a_leap_of_the_clock() {
    let (mut stage, _) = Stage::three();
    stage.pass(1_000_000);
    stage.person(BEN).ahead_ms = 2 * HOUR_MS;
    stage.texts(BEN);
    stage.pass(60_000);
    stage.say(BEN, "now");
    stage.pass(2_000);
    let truth = stage.truth();
    let sent = stage.lines(CHI).pop().unwrap().sent;
    assert!(sent <= truth, "{:?} ahead", sent.since(truth));
}

/// A look comes first after the clock was set back: what waits must not wait for hours.
#[test]
fn a_look_does_not_swallow_a_clock_that_went_back() {
    let (mut stage, _) = Stage::group([0, 2 * HOUR_MS, 0], &[BEN]);
    stage.pass(60_000);
    let id = stage.say(ANA, "tell me");
    stage.person(BEN).ahead_ms = 0;
    stage.texts(BEN);
    stage.pass(600_000);
    assert_eq!(stage.state(ANA, id), Some(MessageState::Received { by: 1, of: 1 }));
}

/// Ana and Ben greet Chi, and all sleep for four days before she has read it, or the half: it says nothing of their clocks as they
/// are now.
#[test]
fn a_greeting_from_before_a_sleep_says_nothing_of_a_clock() {
    for carried in 0..40 {
        let (mut stage, _) = Stage::three();
        stage.pass(60_000);
        stage.offline(CHI);
        stage.appear(CHI);
        let pass_unseen = |stage: &mut Stage, ms| [ANA, BEN, CHI].map(|who| stage.person(who).ahead_ms += ms);
        // Chi is due to dial both.
        pass_unseen(&mut stage, 300_000);
        stage.give(CHI, Input::Deadline).unwrap();
        stage.settle_for(carried);
        pass_unseen(&mut stage, 96 * HOUR_MS);
        stage.settle();
        stage.say(CHI, "here");
        let (sent, now) = (stage.lines(CHI).pop().unwrap().sent, stage.clock(CHI));
        assert!(now.since(sent) < Duration::from_secs(60), "after {carried}: {:?}", now.since(sent));
    }
}

/// The first input after a leap is a person's mistake: the links must be closed all the same.
#[test]
fn a_mistake_does_not_swallow_a_leap_of_the_clock() {
    let (mut stage, group) = Stage::three();
    stage.pass(60_000);
    stage.person(BEN).ahead_ms = HOUR_MS;
    let command = Command::Send { group, text: Zeroizing::new(" ".into()), expires: None };
    assert!(stage.give(BEN, Input::Command(command)).is_err());
    stage.settle();
    // Either the links are closed for both, or they are open for both.
    let seen = (stage.view(ANA).connected, stage.view(BEN).connected);
    assert!(seen == (1, 0) || seen == (2, 2), "{seen:?}");
}

/// A clock two hours slow, known as such; the device sleeps for three hours, offline.
#[test]
fn a_correction_outlives_a_sleep() {
    let (mut stage, group) = Stage::group([0, -2 * HOUR_MS, 0], &[BEN, CHI]);
    stage.pass(60_000);
    stage.say(BEN, "corrected");
    stage.pass(2_000);
    let truth = stage.truth();
    assert!(truth.since(stage.lines(CHI).pop().unwrap().sent) < Duration::from_secs(60));
    stage.offline(BEN);
    // Asleep: time passes, and Ben's device is not asked.
    for who in [ANA, BEN, CHI] {
        stage.person(who).ahead_ms += 3 * HOUR_MS;
    }
    for who in [ANA, CHI] {
        stage.give(who, Input::Deadline).unwrap();
    }
    let expires = Some(Duration::from_secs(3_600));
    stage.ask(BEN, Command::Send { group, text: Zeroizing::new("within the hour".into()), expires });
    stage.online(BEN);
    stage.pass(10_000);
    assert_eq!(stage.texts(CHI), ["corrected", "within the hour"]);
}

/// A disk that cannot be read at all: the device waits before it tries again.
#[test]
fn a_disk_that_cannot_be_read_does_not_keep_the_device_awake() {
    let (mut stage, _) = Stage::three();
    stage.say(ANA, "x");
    stage.pass(60_000);
    stage.person(BEN).disk.trouble(Trouble { after: 0, times: u64::MAX, failed: 0 });
    let net = stage.net(BEN);
    let result = stage.give(BEN, Input::Command(Command::Forget { net }));
    assert!(result.is_err());
    let mut tries = 0;
    for _ in 0..100 {
        let due = stage.person(BEN).client.deadline().unwrap();
        let now = stage.clock(BEN);
        if due > now {
            break;
        }
        assert!(stage.give(BEN, Input::Deadline).is_err());
        tries += 1;
    }
    assert!(tries < 3, "{tries}");
}

/// Two people whose addresses never change, and who switch their devices off every night.
#[test]
fn two_people_find_each_other_after_a_hundred_days() {
    let (mut stage, _) = Stage::group([0; 3], &[BEN]);
    for day in 0..100 {
        for who in [ANA, BEN] {
            stage.person(who).ahead_ms += DAY_MS;
        }
        stage.lose(ANA);
        stage.lose(BEN);
        stage.restart(ANA);
        stage.restart(BEN);
        stage.online(ANA);
        stage.online(BEN);
        assert_eq!(stage.view(ANA).connected, 1, "day {day}");
    }
}

/// The clock jumps forty days; history hides what would be past its time, and so must the outbox.
#[test]
fn what_history_hides_the_outbox_hides_too() {
    let (mut stage, group) = Stage::group([0; 3], &[]);
    stage.say(ANA, "not for ever");
    stage.person(ANA).ahead_ms = 40 * DAY_MS;
    stage.give(ANA, Input::Deadline).unwrap();
    assert!(stage.texts(ANA).is_empty());
    let now = stage.clock(ANA);
    let shown: Vec<_> =
        stage.person(ANA).client.outbox(group, now).unwrap().iter().map(|view| view.text.to_string()).collect();
    assert_eq!(shown, Vec::<String>::new());
}

/// Three of Ana's guests are three hours fast, and outvote her; then they are taken out, and somebody comes whose clock
/// is as right as hers.
#[test]
fn the_clocks_of_those_who_are_out_do_not_count() {
    let fast = 3 * HOUR_MS;
    let mut stage = Stage::empty(&[0, fast, fast, fast, 0]);
    let group = stage.found(&[1, 2, 3]);
    let sent = |stage: &mut Stage| {
        let id = stage.say(ANA, "what time is it");
        let line = stage.lines(ANA).into_iter().find(|line| line.id == id).unwrap();
        line.sent.since(stage.truth())
    };
    assert!(sent(&mut stage) > Duration::from_secs(2 * 3_600));
    for who in [1, 2, 3] {
        let member = stage.member(who);
        stage.ask(ANA, Command::Remove { group, member });
    }
    stage.pass(10_000);
    stage.join(group, 4);
    stage.pass(60_000);
    assert_eq!(stage.view(ANA).connected, 1);
    assert!(sent(&mut stage) < Duration::from_secs(600));
    assert_eq!(stage.texts(4), ["what time is it"]);
}

/// Two people, and one clock is a day and more ahead: which one, neither device can know. Both are told; nobody is told
/// "received" of what is not shown; whoever wrote it sees it; and with the clock right it is there for both.
#[test]
fn of_two_clocks_that_differ_both_people_are_told_and_no_tick_is_false() {
    for ahead_ms in [25 * HOUR_MS, 6 * DAY_MS, 8 * DAY_MS] {
        let (mut stage, _) = Stage::group([0; 3], &[BEN]);
        stage.say(ANA, "before");
        stage.pass(60_000);
        stage.person(BEN).ahead_ms = ahead_ms;
        stage.restart(BEN);
        stage.online(BEN);
        stage.pass(60_000);
        for (who, sign) in [(ANA, -1), (BEN, 1)] {
            let wall = stage.clock(who);
            let doubt = stage.person(who).client.clock(wall);
            assert!(
                matches!(doubt, Some(ClockView::Off { ahead_ms: told, corrected: false })
                    if told.abs_diff(sign * ahead_ms) < 60_000),
                "{who}: {doubt:?}"
            );
            let told = |event: &Event| matches!(event, Event::ClockOff { corrected: false, .. });
            assert_eq!(stage.people[who].events.iter().filter(|event| told(event)).count(), 1, "{who}");
        }
        let from_ben = stage.say(BEN, "ahead");
        stage.pass(60_000);
        assert!(!stage.texts(ANA).contains(&"ahead".to_owned()));
        assert_eq!(stage.state(BEN, from_ben), Some(MessageState::Held), "not shown, so not received");
        // A restart of who hides it changes nothing of that.
        stage.restart(ANA);
        stage.online(ANA);
        stage.pass(60_000);
        assert_eq!(stage.state(BEN, from_ben), Some(MessageState::Held), "after a restart");

        stage.person(BEN).ahead_ms = 0;
        stage.restart(BEN);
        stage.online(BEN);
        stage.pass(60_000);
        assert!(stage.texts(BEN).contains(&"ahead".to_owned()), "its author sees it: {:?}", stage.texts(BEN));
        for who in [ANA, BEN] {
            let wall = stage.clock(who);
            assert_eq!(stage.person(who).client.clock(wall), None, "{who} has nothing to doubt any more");
        }
        // Its time comes.
        for _ in 0..ahead_ms / HOUR_MS - 23 {
            stage.pass(3_600_000);
        }
        assert!(stage.texts(ANA).contains(&"ahead".to_owned()));
        assert_eq!(stage.state(BEN, from_ben), Some(MessageState::Received { by: 1, of: 1 }));
        let lines = |event: &&Event| matches!(event, Event::Line { line, .. } if line.id == from_ben);
        for who in [ANA, BEN] {
            assert_eq!(stage.people[who].events.iter().filter(lines).count(), 1, "told once at {who}");
        }
    }
}

/// Ben's clock is nearly a day ahead, so Ana sees what he says. Hers is set back nine minutes before she has told him so:
/// then it is hidden, and told when it can be seen again, without anything else that happens.
#[test]
fn a_receipt_that_a_clock_set_back_holds_up_leaves_when_it_can() {
    const MINUTE: u64 = 60_000;
    let (mut stage, _) = Stage::group([0; 3], &[BEN]);
    stage.person(BEN).ahead_ms = DAY_MS - 5 * 60_000;
    stage.restart(BEN);
    stage.online(BEN);
    let said = stage.say(BEN, "ahead");
    assert_eq!(stage.texts(ANA), ["ahead"]);
    stage.person(ANA).ahead_ms = -9 * 60_000;
    stage.give(ANA, Input::Deadline).unwrap();
    stage.pass(2 * MINUTE);
    assert!(stage.texts(ANA).is_empty());
    assert_eq!(stage.state(BEN, said), Some(MessageState::Held));
    stage.pass(3 * MINUTE);
    assert_eq!(stage.texts(ANA), ["ahead"]);
    assert_eq!(stage.state(BEN, said), Some(MessageState::Received { by: 1, of: 1 }));
}
