//! What a person has noted about somebody: kept over restarts, and for one key only.

use std::collections::BTreeMap;

use kinfold_protocol::id::GroupId;
use kinfold_protocol::persist::{Table, Value, WriteBatch};
use kinfold_protocol::step::Command;

use crate::stage::{ANA, BEN, Stage};

/// Whether Ana's device shows everybody called Ben as verified.
fn verified(stage: &mut Stage, group: GroupId) -> Vec<bool> {
    let members = stage.person(ANA).client.members(group).unwrap();
    members.into_iter().filter(|member| member.name == "Ben").map(|member| member.verified).collect()
}

#[test]
fn a_verified_member_stays_so_over_restarts_and_until_the_mark_is_taken_away() {
    let (mut stage, group) = Stage::three();
    let member = stage.member(BEN);
    for mark in [true, false, true] {
        stage.ask(ANA, Command::Verify { group, member, verified: mark });
        assert_eq!(verified(&mut stage, group), [mark]);
        stage.restart(ANA);
        assert_eq!(verified(&mut stage, group), [mark]);
    }
}

/// The stored mark names the key that was compared; with any other key in the roster it means nothing.
#[test]
fn a_mark_is_for_the_key_that_was_compared_and_no_other() {
    let (mut stage, group) = Stage::three();
    let member = stage.member(BEN);
    stage.ask(ANA, Command::Verify { group, member, verified: true });
    let rows = stage.person(ANA).disk.rows();
    let (key, value) = rows.into_iter().find(|(key, _)| key.table == Table::Member).unwrap();
    let mut bytes = value.bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let rows = BTreeMap::from([(key, Some(Value::lasting(bytes)))]);
    stage.person(ANA).disk.stage(WriteBatch { rows, urgent: false });
    stage.person(ANA).disk.flush();
    stage.restart(ANA);
    assert_eq!(verified(&mut stage, group), [false]);
}

#[test]
fn who_is_removed_and_let_in_again_is_not_verified() {
    let (mut stage, group) = Stage::three();
    let member = stage.member(BEN);
    stage.ask(ANA, Command::Verify { group, member, verified: true });
    stage.ask(ANA, Command::Remove { group, member });
    let net = stage.net(BEN);
    stage.ask(BEN, Command::Forget { net });
    stage.join(group, BEN);
    assert_ne!(stage.member(BEN), member);
    assert_eq!(verified(&mut stage, group), [false]);
}
