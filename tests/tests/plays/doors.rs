//! Joins that go another way than they should.

use std::time::Duration;

use kinfold_protocol::limits::INVITES_MAX;
use kinfold_protocol::step::{Address, Command, Event, Input};
use zeroize::Zeroizing;

use crate::stage::{ANA, BEN, CHI, Stage};

fn join(invite: &Zeroizing<String>, name: &str) -> Input {
    Input::Command(Command::Join { invite: invite.clone(), display_name: name.into() })
}

/// Ben was let in, the answer was lost; Ana makes as many invites as there can be and one more.
#[test]
fn who_was_let_in_is_not_forgotten_when_invites_are_made() {
    let (mut stage, group) = Stage::group([0; 3], &[]);
    let invite = stage.invite(group, 3_600);
    stage.give(BEN, join(&invite, "Ben")).unwrap();
    stage.settle_until(|stage| stage.names(ANA).len() == 2);
    stage.lose(BEN);
    for _ in 0..INVITES_MAX {
        let valid = Duration::from_secs(30 * 86_400);
        stage.give(ANA, Input::Command(Command::Invite { group, valid })).ok();
    }
    stage.online(BEN);
    stage.pass(600_000);
    let failed: Vec<_> =
        stage.person(BEN).events.iter().filter(|event| matches!(event, Event::JoinFailed { .. })).cloned().collect();
    assert_eq!(stage.names(ANA), ["Ana", "Ben"]);
    assert_eq!(stage.person(BEN).client.groups().len(), 1, "{failed:?}");
}

/// Ben's first request was lost, the first invite ended, and Ana gives him another one.
#[test]
fn a_good_second_invite_opens_the_door_when_the_first_has_ended() {
    let (mut stage, group) = Stage::group([0; 3], &[]);
    two_addresses(&mut stage);
    let one = stage.invite(group, 60);
    stage.give(BEN, join(&one, "Ben")).unwrap();
    stage.settle_until(|stage| stage.frames.iter().filter(|(from, to, _)| (*from, *to) == (BEN, ANA)).count() == 4);
    stage.lose(ANA);
    assert_eq!(stage.names(ANA), ["Ana"]);
    stage.pass(5 * 3_600_000);
    let two = stage.invite(group, 86_400);
    stage.online(ANA);
    stage.give(BEN, join(&two, "Ben")).unwrap();
    stage.pass(3_600_000);
    assert_eq!(stage.names(ANA), ["Ana", "Ben"]);
}

/// An invite names two places of which one cannot be reached, as for every device with two networks.
fn two_addresses(stage: &mut Stage) {
    let net = stage.net(ANA);
    let addresses = vec![Address(format!("{ANA}/{}", net.0)), Address(format!("{ANA}/{}", 1))];
    stage.give(ANA, Input::Listening { net, port: 1, addresses }).unwrap();
}

/// A name that looks like another one.
#[test]
fn nobody_comes_in_under_a_name_that_looks_the_same() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    let invite = stage.invite(group, 3_600);
    let result = stage.give(CHI, join(&invite, "Be\u{200b}n"));
    stage.pass(3_000);
    assert_eq!(stage.names(ANA).len(), 2, "{:?}", result.is_ok());
}
