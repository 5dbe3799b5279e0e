//! Everything that was ever said, told again, in any order, and to those who are out.

use kinfold_protocol::error::Refusal;
use kinfold_protocol::step::{Command, Outcome, Reply, Standing};

use crate::stage::{ANA, BEN, CHI, Stage};

/// PROTOCOL M4.
#[test]
fn a_whole_epoch_told_newest_first_shows_once_and_in_order() {
    let (mut stage, _) = Stage::three();
    stage.offline(BEN);
    let from = stage.published.len();
    let said: Vec<String> = (0..250).map(|n| format!("number {n}")).collect();
    for text in &said {
        stage.say(ANA, text);
    }
    let envelopes: Vec<_> = stage.published[from..].iter().map(|sent| sent.bytes.clone()).collect();
    assert_eq!(envelopes.len(), 250);
    for bytes in envelopes.iter().rev() {
        assert_eq!(stage.gossip(BEN, bytes), Outcome::Applied(Reply::Done));
    }
    assert_eq!(stage.texts(BEN), said);
    assert_eq!(stage.told(BEN), said.iter().rev().cloned().collect::<Vec<_>>());
}

/// PROTOCOL M2, V.
#[test]
fn a_removed_member_opens_nothing_that_is_fed_to_it_and_is_served_nothing() {
    let (mut stage, group) = Stage::three();
    stage.say(ANA, "before");
    stage.offline(CHI);
    let (chi, from) = (stage.member(CHI), stage.published.len());
    stage.ask(ANA, Command::Remove { group, member: chi });
    for n in 0..3 {
        stage.say(ANA, &format!("Ana {n}"));
        stage.say(BEN, &format!("Ben {n}"));
        stage.pass(3_000);
    }
    let of_others = stage.published[from..].iter().filter(|sent| sent.by != CHI);
    let after: Vec<_> = of_others.map(|sent| sent.bytes.clone()).collect();
    let (commit, later) = after.split_first().unwrap();
    // Without the commit: only the shape of the history and votes can be read, which show nothing.
    let outcomes: Vec<_> = later.iter().map(|bytes| stage.gossip(CHI, bytes)).collect();
    let (read, unread): (Vec<_>, Vec<_>) =
        outcomes.into_iter().partition(|outcome| matches!(outcome, Outcome::Applied(_)));
    assert!((1..=3).contains(&read.len()) && unread.len() >= 6);
    assert!(unread.iter().all(|outcome| *outcome == Outcome::Refused(Refusal::WrongLane)), "{unread:?}");
    assert_eq!(stage.texts(CHI), ["before"]);
    // Back on the network it is shown its removal; nobody serves it anything else.
    stage.online(CHI);
    assert_eq!(stage.view(CHI).standing, Standing::Removed);
    assert_eq!(
        (stage.names(ANA), stage.names(BEN)),
        (vec!["Ana".into(), "Ben".into()], vec!["Ana".into(), "Ben".into()])
    );
    let frames = stage.frames.len();
    stage.say(BEN, "still here");
    stage.pass(30_000);
    assert!(stage.frames[frames..].iter().all(|(_, to, _)| *to != CHI));
    assert!(stage.texts(ANA).contains(&"still here".to_owned()));
    for bytes in after.iter().chain([commit]) {
        assert!(matches!(stage.gossip(CHI, bytes), Outcome::Refused(_)));
    }
    assert_eq!((stage.texts(CHI), stage.told(CHI)), (vec!["before".to_owned()], vec!["before".to_owned()]));
}

/// PROTOCOL D3.
#[test]
fn an_envelope_told_again_shows_nothing_again_not_even_after_a_restart() {
    let (mut stage, _) = Stage::three();
    let from = stage.published.len();
    for n in 0..5 {
        for who in [ANA, BEN, CHI] {
            stage.say(who, &format!("{who} says {n}"));
        }
        stage.pass(2_000);
    }
    let envelopes: Vec<_> = stage.published[from..].iter().map(|sent| sent.bytes.clone()).collect();
    for who in [ANA, BEN, CHI] {
        let (shown, told) = (stage.texts(who), stage.told(who));
        assert_eq!(shown.len(), 15);
        for restarted in [false, false, true] {
            if restarted {
                stage.restart(who);
            }
            for bytes in &envelopes {
                assert_eq!(stage.gossip(who, bytes), Outcome::Duplicate);
            }
            assert_eq!((stage.texts(who), stage.told(who)), (shown.clone(), told.clone()));
        }
    }
}

/// What Ana or Ben alone sends to Chi's device, reopened as it was before it was taken out: the length of each frame.
fn served(by: usize, said_after: bool) -> Vec<usize> {
    let (mut stage, group) = Stage::three();
    stage.say(ANA, "before");
    stage.pass(60_000);
    let (before, chi) = (stage.person(CHI).disk.copy(), stage.member(CHI));
    stage.lose(CHI);
    stage.ask(ANA, Command::Remove { group, member: chi });
    stage.pass(3_000);
    for who in [ANA, BEN].into_iter().filter(|_| said_after) {
        // Too long to hide in what a frame is padded with.
        stage.say(who, &"after".repeat(3_000));
    }
    stage.pass(60_000);
    stage.lose(ANA + BEN - by);
    stage.person(CHI).disk = before;
    stage.restart(CHI);
    assert_eq!((stage.view(CHI).standing, stage.names(CHI).len()), (Standing::Active, 3));
    let frames = stage.frames.len();
    stage.online(CHI);
    assert_eq!(stage.view(CHI).standing, Standing::Removed);
    stage.pass(1_800_000);
    assert_eq!(stage.texts(CHI), ["before"]);
    let to_chi = stage.frames[frames..].iter().filter(|(_, to, _)| *to == CHI);
    let served: Vec<_> = to_chi.map(|(from, _, length)| (*from, *length)).collect();
    assert!(!served.is_empty() && served.iter().all(|(from, _)| *from == by));
    served.into_iter().map(|(_, length)| length).collect()
}

/// PROTOCOL M2: whatever was said after it is not in what they send, not even for a device to keep unread.
#[test]
fn who_is_out_is_sent_its_removal_and_not_a_byte_of_what_was_said_since() {
    for by in [ANA, BEN] {
        assert_eq!(served(by, true), served(by, false), "{by}");
    }
}
