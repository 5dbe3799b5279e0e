//! One order on all devices, whatever their clocks say; and who may read what was said alone.

use std::time::Duration;

use kinfold_protocol::error::Refusal;
use kinfold_protocol::id::MsgId;
use kinfold_protocol::step::{Command, Event, Input, MessageState, Outcome, Reply};

use zeroize::Zeroizing;

use crate::stage::{ANA, BEN, CHI, Stage};

const HOUR_MS: i64 = 3_600_000;
const YEARS_MS: i64 = 10 * 365 * 24 * HOUR_MS;

/// The lines that everybody must see alike.
fn order(stage: &mut Stage, who: usize) -> Vec<MsgId> {
    let lines = stage.lines(who);
    lines.iter().filter(|line| line.expires.is_some()).map(|line| line.id).collect()
}

fn all_agree(stage: &mut Stage, count: usize) {
    let seen = order(stage, ANA);
    assert_eq!(seen.len(), count);
    assert_eq!(order(stage, BEN), seen);
    assert_eq!(order(stage, CHI), seen);
}

/// PROTOCOL D3.
#[test]
fn three_clocks_an_hour_apart_show_one_order() {
    let (mut stage, _) = Stage::group([0, HOUR_MS, -HOUR_MS], &[BEN, CHI]);
    for n in 0..4 {
        for who in [CHI, ANA, BEN] {
            stage.say(who, &format!("{who} says {n}"));
        }
        stage.pass(2_000);
    }
    all_agree(&mut stage, 12);
    // Said apart, met later.
    stage.offline(CHI);
    for n in 0..3 {
        stage.say(CHI, &format!("alone {n}"));
        stage.say(ANA, &format!("Ana to Ben {n}"));
        stage.say(BEN, &format!("Ben to Ana {n}"));
        stage.pass(1_000);
    }
    stage.online(CHI);
    all_agree(&mut stage, 21);
}

/// Sets Ben's clock while he is away, brings him back, and talks.
fn set_wrong(stage: &mut Stage, ahead_ms: i64, retention_days: u64, said: usize) {
    let group = stage.view(BEN).group;
    stage.offline(BEN);
    stage.person(BEN).ahead_ms = ahead_ms;
    stage.give(BEN, Input::Deadline).unwrap();
    stage.online(BEN);
    let retention = Duration::from_secs(retention_days * 86_400);
    stage.ask(ANA, Command::SetRetention { group, retention });
    stage.pass(2_000);
    assert_eq!(stage.view(BEN).retention, retention);
    let id = stage.say(BEN, "what time is it");
    stage.say(ANA, "just now");
    stage.pass(2_000);
    let truth = stage.truth();
    let line = stage.lines(CHI).into_iter().find(|line| line.id == id).unwrap();
    let off = line.sent.since(truth).max(truth.since(line.sent));
    assert!(off < Duration::from_secs(600), "{off:?}");
    all_agree(stage, said + 2);
    assert!(!stage.person(BEN).events.iter().any(|event| matches!(event, Event::Gone { .. })));
}

/// PROTOCOL V1, D4, E1.
#[test]
fn a_clock_set_ten_years_fast_and_two_hours_slow_destroys_nothing_and_is_corrected() {
    let (mut stage, _) = Stage::three();
    for who in [ANA, BEN, CHI] {
        stage.say(who, "before");
    }
    stage.pass(2_000);
    set_wrong(&mut stage, YEARS_MS, 6, 3);
    set_wrong(&mut stage, -2 * HOUR_MS, 5, 5);
    set_wrong(&mut stage, 0, 4, 7);
}

/// PROTOCOL D4, E1: the clock is set while everybody is connected.
#[test]
fn a_clock_that_is_set_under_way_is_corrected_by_those_who_are_there() {
    for ahead_ms in [-2 * HOUR_MS, 24 * HOUR_MS, YEARS_MS] {
        let (mut stage, _) = Stage::three();
        stage.say(ANA, "before");
        stage.pass(1_000_000);
        stage.person(BEN).ahead_ms = ahead_ms;
        stage.give(BEN, Input::Deadline).unwrap();
        stage.pass(60_000);
        assert_eq!(stage.view(BEN).connected, 2);
        assert_eq!(stage.texts(BEN), ["before"]);
        let asked = stage.say(ANA, "what time is it");
        let answered = stage.say(BEN, "the same as with you");
        stage.pass(2_000);
        assert_eq!(order(&mut stage, CHI)[1..], [asked, answered]);
        all_agree(&mut stage, 3);
        // And back, without any repair.
        stage.person(BEN).ahead_ms = 0;
        stage.give(BEN, Input::Deadline).unwrap();
        stage.pass(60_000);
        stage.say(BEN, "set right");
        stage.pass(2_000);
        all_agree(&mut stage, 4);
        let truth = stage.truth();
        let last = stage.lines(CHI).pop().unwrap().sent;
        assert!(last <= truth && truth.since(last) < Duration::from_secs(60), "{ahead_ms}");
    }
}

/// PROTOCOL D1.
#[test]
fn what_was_said_alone_waits_for_its_author_when_somebody_joins() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    stage.offline(BEN);
    let (kept, dropped) = (stage.say(ANA, "for Ben"), stage.say(ANA, "for nobody"));
    assert_eq!(stage.state(ANA, kept), Some(MessageState::Kept));
    stage.join(group, CHI);
    stage.online(BEN);
    for id in [kept, dropped] {
        assert_eq!(stage.state(ANA, id), Some(MessageState::Waiting));
    }
    assert_eq!(stage.view(ANA).waiting, 2);
    assert!(stage.texts(BEN).is_empty() && stage.texts(CHI).is_empty());
    assert!(stage.ask(ANA, Command::Drop { group, id: dropped }) == Reply::Done);
    assert!(stage.ask(ANA, Command::Release { group, id: kept }) == Reply::Done);
    stage.pass(20_000);
    for who in [ANA, BEN, CHI] {
        assert_eq!(stage.texts(who), ["for Ben"]);
    }
    assert_eq!(stage.state(ANA, kept), Some(MessageState::Received { by: 2, of: 2 }));
    assert_eq!((stage.state(ANA, dropped), stage.view(ANA).waiting), (None, 0));
    assert!(!stage.person(ANA).disk.holds(b"for nobody"));
}

/// PROTOCOL D1: Ben learns that Chi has joined when he meets Ana again.
#[test]
fn what_was_said_alone_waits_although_its_author_does_not_know_yet_who_has_joined() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    stage.offline(BEN);
    let id = stage.say(BEN, "for Ana");
    stage.join(group, CHI);
    stage.offline(CHI);
    stage.online(BEN);
    assert_eq!(stage.state(BEN, id), Some(MessageState::Waiting));
    assert!(stage.texts(ANA).is_empty());
}

/// Whether a person's disk holds an envelope.
fn holds(stage: &mut Stage, who: usize, envelope: &[u8]) -> bool {
    stage.person(who).disk.rows().values().any(|row| row.bytes.as_slice() == envelope)
}

/// PROTOCOL D1.
#[test]
fn what_was_sealed_and_reached_nobody_is_sealed_anew_without_the_one_who_went() {
    let (mut stage, group) = Stage::three();
    let chi = stage.member(CHI);
    stage.lose(CHI);
    stage.hold = true;
    let (from, id) = (stage.published.len(), stage.say(ANA, "not for Chi"));
    let old = stage.published[from].bytes.clone();
    assert!(holds(&mut stage, ANA, &old) && stage.texts(BEN).is_empty());
    stage.ask(ANA, Command::Remove { group, member: chi });
    stage.hold = false;
    assert!(!holds(&mut stage, ANA, &old));
    stage.pass(1_000);
    let since: Vec<_> = stage.published[from + 1..].iter().map(|sent| sent.bytes.clone()).collect();
    // Chi has not seen the commit, so that nothing but the seal keeps the rest from him.
    let mut refuses = |bytes: &&Vec<u8>| stage.gossip(CHI, bytes) == Outcome::Refused(Refusal::WrongLane);
    let anew: Vec<_> = since[1..].iter().filter(|bytes| refuses(bytes)).collect();
    // Beside the commit, what follows it and votes, there is one more: the message.
    assert_eq!(anew.len(), 1);
    stage.pass(1_800_000);
    assert!(holds(&mut stage, ANA, anew[0]) && holds(&mut stage, BEN, anew[0]) && !holds(&mut stage, BEN, &old));
    let line = stage.lines(BEN).into_iter().find(|line| line.expires.is_some()).unwrap();
    assert_eq!((line.id, stage.told(BEN)), (id, vec!["not for Chi".to_owned()]));
    assert_eq!(stage.state(ANA, id), Some(MessageState::Received { by: 1, of: 1 }));
    assert!(stage.texts(CHI).is_empty());
    // What was withdrawn he could have read.
    assert_eq!(stage.gossip(CHI, &old), Outcome::Applied(Reply::Done));
    assert_eq!(stage.texts(CHI), ["not for Chi"]);
}

/// PROTOCOL D3: two clocks of which nobody can say which one is right.
#[test]
fn what_was_written_more_than_a_day_ahead_is_told_once_when_its_time_comes() {
    let (mut stage, _) = Stage::group([0; 3], &[BEN]);
    stage.person(BEN).ahead_ms = 26 * HOUR_MS;
    stage.say(BEN, "tomorrow");
    stage.pass(60_000);
    assert_eq!((stage.texts(ANA).len(), stage.told(ANA).len()), (0, 0));
    // Also over a restart, which must not forget to tell.
    stage.restart(ANA);
    stage.pass(HOUR_MS.unsigned_abs());
    assert_eq!((stage.texts(ANA).len(), stage.told(ANA).len()), (0, 0));
    stage.pass(2 * HOUR_MS.unsigned_abs());
    assert_eq!(stage.texts(ANA), ["tomorrow"]);
    assert_eq!(stage.told(ANA), ["tomorrow"]);
}

/// PROTOCOL D5.
#[test]
fn a_receipt_that_a_crash_prevented_is_sent_after_it() {
    let (mut stage, _) = Stage::group([0; 3], &[BEN]);
    for text in ["one", "two"] {
        let id = stage.say(ANA, text);
        assert_eq!(stage.texts(BEN).last().unwrap(), text);
        stage.restart(BEN);
        assert_ne!(stage.state(ANA, id), Some(MessageState::Received { by: 1, of: 1 }));
        stage.pass(60_000);
        assert_eq!(stage.state(ANA, id), Some(MessageState::Received { by: 1, of: 1 }));
    }
}

/// PROTOCOL D5: what a peer lists in reconciliation, it holds; which of the two opened the link makes no difference.
#[test]
fn an_author_learns_at_the_next_meeting_that_others_hold_what_was_said_before_the_power_went() {
    for (author, peer) in [(ANA, BEN), (BEN, ANA)] {
        let (mut stage, _) = Stage::three();
        let id = stage.say(author, "was here");
        assert_eq!(stage.texts(peer), ["was here"]);
        // The power goes everywhere before the 200 ms of a `have` are over.
        for who in [ANA, BEN, CHI] {
            stage.offline(who);
            stage.restart(who);
        }
        stage.online(ANA);
        stage.online(BEN);
        stage.pass(3_600_000);
        let state = stage.state(author, id);
        assert!(matches!(state, Some(MessageState::Held | MessageState::Received { .. })), "{author}: {state:?}");
    }
}

/// What reached nobody in its time is told to its author, and to nobody else.
#[test]
fn a_message_that_reached_nobody_is_told_when_its_time_ends() {
    let (mut stage, group) = Stage::three();
    stage.offline(ANA);
    let expires = Some(Duration::from_secs(60));
    let alone = Command::Send { group, text: Zeroizing::new("alone".into()), expires };
    let Reply::Message { id, .. } = stage.ask(ANA, alone.clone()) else { panic!("no message") };
    stage.pass(61_000);
    let told = |stage: &mut Stage| {
        let expired = |event: &&Event| matches!(event, Event::State { state: MessageState::Expired, .. });
        stage.person(ANA).events.iter().filter(expired).count()
    };
    let of_it = |event: &Event| matches!(event, Event::State { id: of, state: MessageState::Expired, .. } if *of == id);
    assert!(stage.person(ANA).events.iter().any(of_it));
    stage.online(ANA);
    stage.ask(ANA, alone);
    stage.pass(61_000);
    assert_eq!(told(&mut stage), 1, "what others held is not told so");
}
