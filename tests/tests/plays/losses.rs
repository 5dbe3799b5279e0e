//! Nothing is lost, ticked or told twice because somebody was away, or a disk failed for a moment.

use std::time::Duration;

use kinfold_protocol::step::{Command, Event, Input, MessageState};
use kinfold_tests::disk::Trouble;
use zeroize::Zeroizing;

use crate::stage::{ANA, BEN, CHI, Stage};

const HOUR_MS: u64 = 3_600_000;

/// Ben is away for four days; meanwhile a rule changes. What he wrote offline is sealed under the head he left.
#[test]
fn what_was_written_during_a_long_absence_arrives() {
    let (mut stage, group) = Stage::three();
    stage.offline(BEN);
    stage.ask(ANA, Command::SetRetention { group, retention: Duration::from_secs(6 * 86_400) });
    for _ in 0..80 {
        stage.pass(HOUR_MS);
    }
    let id = stage.say(BEN, "after long");
    stage.online(BEN);
    for _ in 0..3 {
        stage.pass(HOUR_MS);
    }
    let state = stage.state(BEN, id);
    assert_eq!(
        (stage.texts(ANA), stage.texts(CHI)),
        (vec!["after long".to_owned()], vec!["after long".to_owned()]),
        "{state:?}"
    );
}

/// Founded while Ana's clock was three days fast; then the clock is set right.
#[test]
fn a_group_founded_under_a_fast_clock_talks_after_it_was_set_right() {
    let ahead = 3 * 24 * i64::try_from(HOUR_MS).unwrap();
    let (mut stage, _) = Stage::group([ahead, 0, 0], &[BEN, CHI]);
    stage.say(BEN, "while wrong");
    stage.pass(60_000);
    stage.person(ANA).ahead_ms = 0;
    stage.give(ANA, Input::Deadline).unwrap();
    stage.pass(60_000);
    stage.say(ANA, "from Ana");
    stage.say(BEN, "from Ben");
    stage.pass(HOUR_MS);
    let seen = [ANA, BEN, CHI].map(|who| {
        let mut texts = stage.texts(who);
        texts.sort();
        texts
    });
    assert_eq!(
        seen,
        ["from Ana", "from Ben", "while wrong"].map(|_| vec![
            "from Ana".to_owned(),
            "from Ben".into(),
            "while wrong".into()
        ])
    );
}

/// The same with two people: nobody's clock is ever corrected, and both can read each other.
#[test]
fn two_people_two_days_apart_read_each_other() {
    let ahead = 2 * 24 * i64::try_from(HOUR_MS).unwrap();
    let (mut stage, _) = Stage::group([ahead, 0, 0], &[BEN]);
    let id = stage.say(BEN, "from Ben");
    stage.pass(HOUR_MS);
    let state = stage.state(BEN, id);
    assert_eq!(stage.texts(ANA), ["from Ben"], "{state:?}");
}

/// A disk that cannot be read for a moment when receipts are due.
#[test]
fn receipts_survive_a_read_error() {
    let mut failures = 0;
    for after in 0..40 {
        let (mut stage, _) = Stage::group([0; 3], &[BEN]);
        stage.pass(60_000);
        let id = stage.say(ANA, "tell me");
        stage.restart(BEN);
        stage.settle();
        stage.person(BEN).disk.trouble(Trouble { after, times: 1, failed: 0 });
        let failed = stage.give(BEN, Input::Deadline).is_err();
        stage.person(BEN).disk.heal();
        failures += usize::from(failed);
        stage.pass(HOUR_MS);
        let state = stage.state(ANA, id);
        assert_eq!(state, Some(MessageState::Received { by: 1, of: 1 }), "after {after} reads, {failed}");
        if !failed {
            break;
        }
    }
    assert!(failures > 0);
}

/// Chi is told that Ben is connected, and never that he no longer is.
#[test]
fn who_goes_while_a_removal_spreads_is_told_to_be_gone() {
    let (mut stage, group) = Stage::three();
    let (ben, chi) = (stage.member(BEN), stage.member(CHI));
    stage.give(ANA, Input::Command(Command::Remove { group, member: chi })).unwrap();
    stage.lose(BEN);
    stage.settle();
    assert_eq!(stage.view(ANA).connected, 0);
    let last = stage.person(ANA).events.iter().rev().find_map(|event| match event {
        Event::Connected { member, up, .. } if *member == ben => Some(*up),
        _ => None,
    });
    assert_eq!(last, Some(false));
}

/// Written far ahead and told; told again when the clock was set back for a while.
#[test]
fn what_was_told_is_not_told_again_after_the_clock_went_back_and_came_right() {
    let (mut stage, _) = Stage::group([0; 3], &[BEN]);
    stage.offline(BEN);
    stage.person(BEN).ahead_ms = 24 * 3_600_000 - 60_000;
    stage.give(BEN, Input::Deadline).unwrap();
    stage.say(BEN, "tomorrow");
    stage.online(BEN);
    assert_eq!(stage.told(ANA), ["tomorrow"]);
    stage.offline(BEN);
    // Five minutes back, as a person does who sets a watch.
    stage.person(ANA).ahead_ms = -300_000;
    stage.give(ANA, Input::Deadline).unwrap();
    stage.pass(60_000);
    stage.person(ANA).ahead_ms = 0;
    stage.give(ANA, Input::Deadline).unwrap();
    stage.pass(600_000);
    assert_eq!(stage.told(ANA), ["tomorrow"]);
}

/// What is ahead of the clock is told when its time comes, also if the disk could not be read just then.
#[test]
fn what_was_ahead_is_told_although_the_disk_failed_when_its_time_came() {
    let (mut stage, _) = Stage::group([0; 3], &[BEN]);
    stage.person(BEN).ahead_ms = 25 * 3_600_000;
    stage.say(BEN, "tomorrow");
    stage.pass(60_000);
    stage.offline(BEN);
    assert_eq!(stage.told(ANA).len(), 0);
    for _ in 0..200 {
        let due = stage.person(ANA).client.deadline().unwrap();
        let now = stage.clock(ANA);
        stage.pass(u64::try_from(due.since(now).as_millis()).unwrap().saturating_sub(1));
        stage.person(ANA).ahead_ms += 1;
        stage.person(ANA).disk.heal();
        stage.person(ANA).disk.trouble(Trouble { after: 0, times: 1, failed: 0 });
        let failed = stage.give(ANA, Input::Deadline).is_err();
        stage.person(ANA).disk.heal();
        stage.give(ANA, Input::Deadline).unwrap();
        stage.settle();
        if failed && stage.texts(ANA) == ["tomorrow"] {
            break;
        }
    }
    stage.pass(HOUR_MS * 3);
    assert_eq!(stage.texts(ANA), ["tomorrow"]);
    assert_eq!(stage.told(ANA), ["tomorrow"]);
}

/// What a removal makes of the topics must reach the network, although the disk failed in the middle of it.
#[test]
fn new_topics_are_told_to_the_network_although_a_read_failed() {
    use kinfold_protocol::step::Transmit;
    let mut bad = Vec::new();
    for after in 0..60 {
        let (mut stage, group) = Stage::three();
        let from = stage.published.len();
        let chi = stage.member(CHI);
        stage.give(ANA, Input::Command(Command::Remove { group, member: chi })).unwrap();
        stage.lose(BEN);
        let commit = stage.published[from].bytes.clone();
        stage.restart(BEN);
        let input = Input::Gossip { net: stage.net(BEN), link: None, bytes: commit };
        stage.person(BEN).disk.trouble(Trouble { after, times: 1, failed: 0 });
        let now = stage.clock(BEN);
        let mut topics = 0;
        let mut failed = false;
        for _ in 0..2 {
            match stage.person(BEN).client.handle(input.clone(), now) {
                Ok(output) => {
                    topics +=
                        output.transmits.iter().filter(|transmit| matches!(transmit, Transmit::Topics { .. })).count();
                    stage.make_true(BEN, output);
                }
                Err(_) => failed = true,
            }
        }
        stage.person(BEN).disk.heal();
        assert_eq!(stage.names(BEN), ["Ana", "Ben"]);
        if topics == 0 {
            bad.push(after);
        }
        if !failed {
            break;
        }
    }
    assert_eq!(bad, Vec::<u64>::new());
}

/// Sealed while Chi was linked, whom it did not reach; then Ben is away for three days and a rule changes.
#[test]
fn what_was_sealed_before_a_long_absence_arrives() {
    for hours in [60, 80] {
        let (mut stage, group) = Stage::three();
        stage.offline(ANA);
        stage.hold = true;
        let text = Zeroizing::new("sealed".to_owned());
        stage.give(BEN, Input::Command(Command::Send { group, text, expires: None })).unwrap();
        stage.lose(BEN);
        stage.hold = false;
        stage.online(ANA);
        stage.ask(ANA, Command::SetRetention { group, retention: Duration::from_secs(6 * 86_400) });
        for _ in 0..hours {
            stage.pass(HOUR_MS);
        }
        stage.online(BEN);
        for _ in 0..3 {
            stage.pass(HOUR_MS);
        }
        let state = stage.lines(BEN).last().map(|line| line.state);
        assert_eq!(stage.texts(ANA), ["sealed"], "after {hours} hours; Ben is told {state:?}");
    }
}

/// A step that opened one message and failed at the next is taken back whole: nobody says that anything was received.
#[test]
fn what_a_failed_step_opened_is_not_receipted() {
    let mut failures = 0;
    for after in 0..60 {
        let (mut stage, group) = Stage::group([0; 3], &[BEN]);
        stage.pass(60_000);
        stage.hold = true;
        let id = stage.say(ANA, "m0");
        stage.ask(ANA, Command::SetRetention { group, retention: Duration::from_secs(86_400) });
        stage.say(ANA, "m1");
        stage.lose(BEN);
        stage.restart(BEN);
        stage.appear(BEN);
        stage.person(BEN).ahead_ms += 2_000;
        assert!(stage.texts(BEN).is_empty());
        stage.person(BEN).disk.trouble(Trouble { after, times: 1, failed: 0 });
        let mut failed = usize::from(stage.give(BEN, Input::Deadline).is_err());
        failed += stage.settle_through();
        stage.person(BEN).disk.heal();
        // Ana is gone at once.
        stage.lose(ANA);
        if failed == 0 {
            break;
        }
        failures += 1;
        let texts = stage.texts(BEN);
        let before = stage.published.iter().filter(|sent| sent.by == BEN).count();
        stage.pass(60_000);
        let said = stage.published.iter().filter(|sent| sent.by == BEN).count() - before;
        if texts.is_empty() {
            assert_eq!(said, 0, "after {after} reads: Ben has nothing and says that he received {said}");
        }
        let _ = id;
    }
    assert!(failures > 0);
}
