//! Invites that must not open the door.

use kinfold_protocol::error::{Error, Refusal};
use kinfold_protocol::id::{GroupId, InviteId, NetId};
use kinfold_protocol::limits::INVITES_MAX;
use kinfold_protocol::persist::{Key, Table, WriteBatch};
use kinfold_protocol::step::{Command, Event, Input};
use kinfold_protocol::view::InviteState;

use crate::stage::{ANA, BEN, CHI, Stage};

/// Why a guest did not come in, and that nothing of the try is left.
fn refused(stage: &mut Stage, guest: usize) -> Vec<Refusal> {
    let failed = |event: &Event| if let Event::JoinFailed { why, .. } = event { Some(*why) } else { None };
    let client = &stage.person(guest).client;
    assert!(client.groups().is_empty() && client.joins().is_empty());
    stage.person(guest).events.iter().filter_map(failed).collect()
}

/// PROTOCOL J3.
#[test]
fn a_used_invite_lets_nobody_else_in() {
    let (mut stage, group) = Stage::group([0; 3], &[]);
    let invite = stage.invite(group, 3_600);
    stage.try_join(BEN, invite.clone());
    assert_eq!(stage.names(ANA), ["Ana", "Ben"]);
    stage.try_join(CHI, invite);
    assert_eq!(refused(&mut stage, CHI), [Refusal::InviteUsed]);
    assert_eq!(stage.names(ANA), ["Ana", "Ben"]);
}

/// PROTOCOL J3.
#[test]
fn a_revoked_invite_lets_nobody_in() {
    let (mut stage, group) = Stage::group([0; 3], &[]);
    let invite = stage.invite(group, 3_600);
    let now = stage.clock(ANA);
    let id = stage.person(ANA).client.invites(group, now).unwrap()[0].id;
    stage.ask(ANA, Command::RevokeInvite { group, invite: id });
    stage.try_join(BEN, invite);
    assert_eq!(refused(&mut stage, BEN), [Refusal::InviteRevoked]);
    assert_eq!(stage.names(ANA), ["Ana"]);
}

/// PROTOCOL J3. Its maker's clock decides to the second; its text says the hour only.
#[test]
fn an_expired_invite_lets_nobody_in() {
    let (mut stage, group) = Stage::group([0; 3], &[]);
    let invite = stage.invite(group, 60);
    stage.pass(60_000);
    stage.try_join(BEN, invite.clone());
    assert_eq!(refused(&mut stage, BEN), [Refusal::InviteExpired]);
    stage.pass(2 * 3_600_000);
    let join = Command::Join { invite, display_name: "Chi".into() };
    assert_eq!(stage.give(CHI, Input::Command(join)), Err(Error::InviteExpired));
    assert_eq!(stage.names(ANA), ["Ana"]);
}

/// PROTOCOL J2. Ben's request was taken in time, the answer was lost, and the invite ended while he was away.
#[test]
fn who_was_let_in_hears_of_it_after_the_invite_has_ended() {
    let (mut stage, group) = Stage::group([0; 3], &[]);
    let invite = stage.invite(group, 60);
    stage.give(BEN, Input::Command(Command::Join { invite, display_name: "Ben".into() })).unwrap();
    stage.settle_until(|stage| stage.names(ANA).len() == 2);
    stage.lose(BEN);
    stage.restart(BEN);
    stage.pass(5 * 3_600_000);
    stage.online(BEN);
    assert_eq!(stage.names(BEN), ["Ana", "Ben"]);
    assert_eq!(stage.view(ANA).connected, 1);
}

/// PROTOCOL J3: the invite of one group is answered in another.
#[test]
fn an_invite_that_another_group_answers_ends_without_a_group() {
    let (mut stage, group) = Stage::group([0; 3], &[]);
    let (named, invite) = (stage.net(ANA), stage.invite(group, 3_600));
    stage.ask(ANA, Command::CreateGroup { name: "Trap".into(), display_name: "Ana".into() });
    let groups = stage.person(ANA).client.groups();
    let trap = groups.iter().find(|view| view.net != named).unwrap().clone();
    move_invite(&mut stage, named, Some(trap.net));
    stage.redirects.insert(named, trap.net);
    stage.try_join(BEN, invite);
    assert_eq!(refused(&mut stage, BEN), [Refusal::WrongGroup]);
}

/// PROTOCOL J3: nobody there knows the seed any more.
#[test]
fn an_invite_that_its_maker_has_forgotten_is_not_admitted() {
    let (mut stage, group) = Stage::group([0; 3], &[]);
    let (net, invite) = (stage.net(ANA), stage.invite(group, 3_600));
    move_invite(&mut stage, net, None);
    stage.try_join(BEN, invite);
    assert_eq!(refused(&mut stage, BEN), [Refusal::NotAdmitted]);
    assert_eq!(stage.names(ANA), ["Ana"]);
}

/// Moves Ana's only invite from one of her groups to another, or away.
fn move_invite(stage: &mut Stage, from: NetId, to: Option<NetId>) {
    let rows = stage.person(ANA).disk.rows();
    let (key, value) = rows.into_iter().find(|(key, _)| key.table == Table::Invite).unwrap();
    assert!(key.name.starts_with(&from.0.to_be_bytes()));
    let moved = to.map(|to| (Key::new(Table::Invite, to, &[&key.name[8..]]), Some(value)));
    let rows = moved.into_iter().chain([(key, None)]).collect();
    stage.person(ANA).disk.stage(WriteBatch { rows, urgent: false });
    stage.person(ANA).disk.flush();
    stage.restart(ANA);
}

/// Used and revoked invites make room for new ones; open ones do not.
#[test]
fn a_facilitator_can_invite_as_many_as_the_group_holds() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    let now = stage.clock(ANA);
    for _ in 0..2 * INVITES_MAX {
        stage.invite(group, 3_600);
        let id = open(&mut stage, group)[0];
        stage.ask(ANA, Command::RevokeInvite { group, invite: id });
    }
    let listed = stage.person(ANA).client.invites(group, now).unwrap();
    assert!(listed.iter().any(|invite| invite.state == InviteState::Used), "Ben's answer may still be needed");
    for _ in 0..INVITES_MAX {
        stage.invite(group, 3_600);
    }
    let invite = Command::Invite { group, valid: std::time::Duration::from_secs(3_600) };
    assert_eq!(stage.give(ANA, Input::Command(invite)), Err(Error::Full));
    assert_eq!(open(&mut stage, group).len(), INVITES_MAX);
}

fn open(stage: &mut Stage, group: GroupId) -> Vec<InviteId> {
    let now = stage.clock(ANA);
    let invites = stage.person(ANA).client.invites(group, now).unwrap();
    invites.iter().filter(|invite| invite.state == InviteState::Open).map(|invite| invite.id).collect()
}
