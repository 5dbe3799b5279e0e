//! Coming back to a group, and what only looks like one.

use kinfold_protocol::error::{Error, Refusal};
use kinfold_protocol::persist::Table;
use kinfold_protocol::step::{Command, Event, Input, MessageState, Standing};
use zeroize::Zeroizing;

use crate::stage::{ANA, BEN, CHI, Stage};

/// Ben is removed, invited again, and finds what he had, in one group.
#[test]
fn who_is_invited_again_finds_one_group_with_what_was_there() {
    let (mut stage, group) = Stage::three();
    stage.say(CHI, "before");
    stage.pass(2_000);
    let chi = stage.member(CHI);
    stage.ask(BEN, Command::Verify { group, member: chi, verified: true });
    stage.ask(BEN, Command::MarkRead { group, upto: None });
    stage.say(ANA, "not read yet");
    stage.pass(2_000);
    stage.offline(BEN);
    let unsent = stage.say(BEN, "never left");
    let (old, member) = (stage.net(BEN), stage.member(BEN));
    stage.ask(ANA, Command::Remove { group, member });
    stage.online(BEN);
    let invite = stage.invite(group, 3_600);
    stage.try_join(BEN, invite);
    stage.pass(60_000);

    let groups = stage.person(BEN).client.groups();
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].group, groups[0].connected, groups[0].unread), (group, 2, 1));
    assert_ne!(stage.member(BEN), member);
    assert_eq!(stage.texts(BEN), ["before", "not read yet", "never left"]);
    assert_eq!(stage.texts(ANA), ["before", "not read yet"]);
    // Signed by who he was, it cannot leave any more, and nobody claims that it did.
    assert_eq!(stage.state(BEN, unsent), Some(MessageState::Kept));
    let release = Command::Release { group, id: unsent };
    assert_eq!(stage.give(BEN, Input::Command(release)), Err(Error::UnknownMessage));
    let members = stage.person(BEN).client.members(group).unwrap();
    assert!(members.iter().any(|seen| seen.member == chi && seen.verified));
    stage.restart(BEN);
    stage.pass(60_000);
    stage.say(BEN, "back");
    stage.pass(5_000);
    assert_eq!(stage.texts(ANA), ["before", "not read yet", "back"]);
    assert_eq!(stage.texts(BEN).len(), 4);
    let rows = stage.person(BEN).disk.rows();
    let left = rows.keys().filter(|key| key.table != Table::Device && key.name.starts_with(&old.0.to_be_bytes()));
    assert_eq!(left.count(), 0);
}

/// Ben lost patience, asked for another invite, and Ana comes only now: he comes in once.
#[test]
fn a_second_invite_of_the_same_group_goes_on_with_the_same_join() {
    let (mut stage, group) = Stage::group([0; 3], &[CHI]);
    let (one, two) = (stage.invite(group, 3_600), stage.invite(group, 3_600));
    stage.offline(ANA);
    for (invite, name) in [(&one, "Ben"), (&two, "Benny")] {
        stage.ask(BEN, Command::Join { invite: invite.clone(), display_name: name.into() });
        stage.pass(20_000);
        assert_eq!(stage.person(BEN).client.joins().len(), 1);
    }
    stage.online(ANA);
    assert_eq!(stage.person(BEN).client.joins().len(), 0);
    assert_eq!(stage.names(BEN), ["Ana", "Benny", "Chi"]);
    assert_eq!(stage.names(ANA), ["Ana", "Benny", "Chi"]);
}

/// PROTOCOL J3. The name is refused before anybody is let in, and the invite stays good.
#[test]
fn nobody_comes_in_under_the_name_of_somebody_there() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    let invite = stage.invite(group, 3_600);
    let join =
        |name: &str, invite: &Zeroizing<String>| Command::Join { invite: invite.clone(), display_name: name.into() };
    stage.ask(CHI, join("aNA", &invite));
    stage.pass(3_000);
    let failed = |event: &Event| matches!(event, Event::JoinFailed { why: Refusal::NameTaken, .. });
    assert!(stage.person(CHI).events.iter().any(failed));
    assert_eq!(stage.names(ANA), ["Ana", "Ben"]);
    stage.ask(CHI, join("Anna", &invite));
    stage.pass(3_000);
    assert_eq!(stage.names(ANA), ["Ana", "Anna", "Ben"]);
}

/// Tickets that come to the founder all at once, by one member who carries them, are each a commit of their own: none
/// grows beyond an envelope, however many they are.
#[test]
fn many_who_leave_while_the_founder_is_away_are_let_go_by_who_is_there_in_few_changes() {
    const PEOPLE: usize = 9;
    let mut stage = Stage::empty(&[0; PEOPLE]);
    let guests: Vec<usize> = (1..PEOPLE).collect();
    let group = stage.found(&guests);
    let commits =
        |stage: &mut Stage| stage.person(ANA).disk.rows().into_keys().filter(|key| key.table == Table::Commit).count();
    let before = commits(&mut stage);
    stage.offline(ANA);
    let leaving = &guests[1..];
    for who in leaving {
        stage.ask(*who, Command::Leave { group });
    }
    stage.pass(60_000);
    // Ben, who is no facilitator, was there.
    assert_eq!(stage.names(BEN), ["Ana", "Ben"]);
    for who in leaving {
        stage.offline(*who);
    }
    stage.online(ANA);
    assert_eq!(stage.names(ANA), ["Ana", "Ben"]);
    assert_eq!(stage.view(ANA).standing, Standing::Active);
    assert!((1..=2).contains(&(commits(&mut stage) - before)));
    assert_eq!(stage.names(BEN), ["Ana", "Ben"]);
}
