//! What is said waits for a moment after the group has changed, and for the removals that are due (PROTOCOL C5).

use std::time::Duration;

use kinfold_protocol::step::Command;

use crate::stage::{ANA, BEN, CHI, Stage};

const DAN: usize = 3;

fn change(stage: &mut Stage, secs: u64) {
    let group = stage.view(ANA).group;
    stage.ask(ANA, Command::SetRetention { group, retention: Duration::from_secs(86_400 + secs) });
}

#[test]
fn what_is_said_right_after_a_change_waits_until_the_group_stands_still() {
    let (mut stage, _) = Stage::three();
    stage.pass(10_000);
    change(&mut stage, 1);
    stage.say(ANA, "for all");
    stage.say(BEN, "for all too");
    stage.pass(450);
    assert!(stage.texts(CHI).is_empty());
    stage.pass(100);
    assert_eq!(stage.texts(CHI).len(), 2);
}

/// PROTOCOL D1: Dan comes in meanwhile. What waited goes to those whom it was said to, and nobody is asked whether he may read it.
#[test]
fn what_waits_when_somebody_comes_in_goes_to_those_who_were_there() {
    let mut stage = Stage::empty(&[0; 4]);
    let group = stage.found(&[BEN, CHI]);
    let invite = stage.invite(group, 3_600);
    stage.pass(10_000);
    change(&mut stage, 1);
    stage.say(ANA, "for the two");
    stage.say(BEN, "for the two as well");
    assert!(stage.texts(CHI).is_empty());
    stage.ask(DAN, Command::Join { invite, display_name: "Dan".into() });
    assert_eq!(stage.names(ANA).len(), 4);
    stage.pass(3_000);
    assert_eq!((stage.view(ANA).waiting, stage.view(BEN).waiting), (0, 0));
    assert_eq!((stage.texts(CHI).len(), stage.texts(DAN).len()), (2, 0));
}

/// Whoever changes it again and again keeps nobody from being heard.
#[test]
fn what_is_said_while_the_group_never_stands_still_goes_after_five_seconds() {
    let (mut stage, _) = Stage::three();
    stage.pass(10_000);
    change(&mut stage, 1);
    stage.say(BEN, "at last");
    let mut waited = 0;
    while stage.texts(CHI).is_empty() && waited < 10_000 {
        stage.pass(400);
        waited += 400;
        change(&mut stage, 1 + waited);
    }
    assert!((4_800..=5_600).contains(&waited), "{waited}");
}

/// Dan wants to go, and Ben's turn to see to that has not come when he says something: Dan is out first.
#[test]
fn before_anything_is_said_whoever_is_to_go_is_out() {
    let mut stage = Stage::empty(&[0; 4]);
    let group = stage.found(&[BEN, CHI, DAN]);
    stage.pass(10_000);
    let dan = stage.member(DAN);
    stage.ask(DAN, Command::Leave { group });
    assert!(stage.person(BEN).client.members(group).unwrap().iter().any(|member| member.member == dan));
    stage.say(BEN, "not for Dan");
    stage.pass(1_000);
    assert_eq!(stage.names(ANA), ["Ana", "Ben", "Chi"]);
    assert_eq!((stage.texts(ANA), stage.told(DAN)), (vec!["not for Dan".to_owned()], vec![]));
}
