//! The table of operations and states at the head of the group's module, walked cell by cell.

use std::collections::BTreeMap;
use std::time::Duration;

use kinfold_protocol::error::Error;
use kinfold_protocol::id::GroupId;
use kinfold_protocol::persist::{Table, WriteBatch};
use kinfold_protocol::step::{Command, Event, Input, LineKind, Outcome, Standing};
use zeroize::Zeroizing;

use crate::stage::{ANA, BEN, CHI, Stage};

/// The file whose head comment has the same table.
const DOCUMENTED: &str = include_str!("../../../protocol/src/group/mod.rs");

/// What comes of each operation in each state. `yes` took effect, `forgets` took the group from this device; `facilitator`
/// and `member` are `yes` for that role, and for the other `NotFacilitator` and `LastFacilitator`. Everything else is
/// the error or refusal.
const TABLE: [[&str; 6]; 7] = [
    ["operation", "Active", "Leaving", "Removed", "Left", "Broken"],
    ["send", "yes", "GroupLeft", "GroupRemoved", "UnknownGroup", "GroupBroken"],
    ["receive", "yes", "yes", "UnknownLink", "UnknownLink", "UnknownLink"],
    ["commit", "facilitator", "GroupLeft", "GroupRemoved", "UnknownGroup", "GroupBroken"],
    ["invite", "facilitator", "GroupLeft", "GroupRemoved", "UnknownGroup", "GroupBroken"],
    ["look", "yes", "yes", "yes", "UnknownGroup", "yes"],
    ["leave", "member", "forgets", "forgets", "UnknownGroup", "forgets"],
];

const STATES: [Standing; 5] =
    [Standing::Active, Standing::Leaving, Standing::Removed, Standing::Left, Standing::Broken];

#[test]
fn the_documented_table_of_operations_and_states_is_the_one_that_is_walked() {
    let rows = DOCUMENTED.lines().filter_map(|line| line.strip_prefix("//! |")).filter(|row| !row.starts_with('-'));
    let documented: Vec<Vec<&str>> = rows
        .map(|row| row.trim_end_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    assert_eq!(documented, TABLE);
    assert_eq!(STATES.map(|state| format!("{state:?}")), TABLE[0][1..]);
}

/// For a founder and for a plain member.
#[test]
fn every_operation_in_every_state_ends_as_the_table_says() {
    for who in [ANA, BEN] {
        // No way leads a founder to the others, as the next test shows.
        let states = STATES.into_iter().filter(|state| who == BEN || !is_of_members_only(*state));
        for state in states {
            for row in &TABLE[1..] {
                let column = STATES.iter().position(|other| *other == state).unwrap() + 1;
                let expected = match (row[column], who) {
                    ("facilitator", ANA) | ("member", BEN) => "yes",
                    ("facilitator", _) => "NotFacilitator",
                    ("member", _) => "LastFacilitator",
                    (cell, _) => cell,
                };
                assert_eq!(tried(who, state, row[0]), expected, "{} in {state:?} by {who}", row[0]);
            }
        }
    }
}

/// The ways that would lead a founder to `Leaving` and `Removed` are closed.
#[test]
fn a_founder_is_neither_leaving_nor_removed_and_leaves_alone_only() {
    let (mut stage, group) = Stage::three();
    let ana = stage.member(ANA);
    let remove = Command::Remove { group, member: ana };
    assert_eq!(stage.give(ANA, Input::Command(Command::Leave { group })), Err(Error::LastFacilitator));
    assert_eq!(stage.give(ANA, Input::Command(remove.clone())), Err(Error::RemoveSelf));
    assert_eq!(stage.give(BEN, Input::Command(remove)), Err(Error::NotFacilitator));
    assert_eq!(stage.view(ANA).standing, Standing::Active);
    let (mut alone, group) = Stage::group([0; 3], &[]);
    alone.ask(ANA, Command::Leave { group });
    assert!(alone.person(ANA).client.groups().is_empty());
}

const fn is_of_members_only(state: Standing) -> bool {
    matches!(state, Standing::Leaving | Standing::Removed)
}

/// What comes of one operation by a device that is in a state. What is refused to a person must change nothing.
fn tried(who: usize, state: Standing, operation: &str) -> String {
    let (mut stage, group) = Stage::three();
    stage.say(CHI, "before");
    let net = stage.net(who);
    bring(&mut stage, group, who, state);
    let rows = stage.person(who).disk.rows();
    let text = |text: &str| Zeroizing::new(text.to_owned());
    let command = match operation {
        "send" => Command::Send { group, text: text("mine"), expires: None },
        "commit" => Command::SetRetention { group, retention: Duration::from_secs(3_600) },
        "invite" => Command::Invite { group, valid: Duration::from_secs(3_600) },
        "leave" => Command::Leave { group },
        "look" => return looked(&mut stage, group, who),
        "receive" => {
            let bytes = said_by_chi(&mut stage);
            let outcome = stage.give(who, Input::Gossip { net, link: None, bytes }).unwrap();
            return match outcome {
                Outcome::Applied(_) if stage.texts(who).contains(&"later".to_owned()) => "yes".to_owned(),
                Outcome::Refused(refusal) => format!("{refusal:?}"),
                other => panic!("{other:?}"),
            };
        }
        other => panic!("no such operation: {other}"),
    };
    match stage.give(who, Input::Command(command)) {
        Ok(Outcome::Applied(_)) if stage.person(who).client.groups().is_empty() => {
            assert!(stage.person(who).disk.rows().keys().all(|key| key.table == Table::Device));
            "forgets".to_owned()
        }
        Ok(Outcome::Applied(_)) => "yes".to_owned(),
        Err(error) => {
            assert_eq!(stage.person(who).disk.rows(), rows);
            format!("{error:?}")
        }
        other => panic!("{other:?}"),
    }
}

/// Brings a device into a state, by what people do and what befalls a disk.
fn bring(stage: &mut Stage, group: GroupId, who: usize, state: Standing) {
    match state {
        Standing::Active => {}
        // Somebody's device has yet to hear of it, and to carry it out.
        Standing::Leaving => {
            stage.offline(who);
            stage.ask(who, Command::Leave { group });
        }
        Standing::Removed => {
            let member = stage.member(who);
            stage.ask(ANA, Command::Remove { group, member });
            // Nobody says anything before the group stands still.
            stage.pass(600);
        }
        Standing::Left if who == ANA => {
            for other in [BEN, CHI] {
                stage.ask(other, Command::Leave { group });
                stage.pass(20_000);
            }
            // The only facilitator leaves last.
            stage.ask(ANA, Command::Leave { group });
        }
        Standing::Left => {
            stage.ask(who, Command::Leave { group });
            stage.pass(20_000);
        }
        Standing::Broken => break_rows(stage, who),
    }
    let standing = stage.person(who).client.groups().first().map(|view| view.standing);
    assert_eq!(standing, Some(state).filter(|state| *state != Standing::Left));
    let told = |event: &Event| matches!(event, Event::Standing { standing, .. } if *standing == state);
    let silent = state == Standing::Active || (state == Standing::Left && who == ANA);
    assert!(silent || stage.person(who).events.iter().any(told));
}

/// The disk loses the MLS state of every epoch while the device has none of it in memory; then a message comes.
fn break_rows(stage: &mut Stage, who: usize) {
    stage.restart(who);
    let rows = stage.person(who).disk.rows().into_keys().filter(|key| key.table == Table::Mls);
    let rows: BTreeMap<_, _> = rows.map(|key| (key, None)).collect();
    assert!(!rows.is_empty());
    stage.person(who).disk.stage(WriteBatch { rows, urgent: false });
    stage.person(who).disk.flush();
    let bytes = said_by_chi(stage);
    assert_eq!(stage.gossip(who, &bytes), Outcome::Refused(kinfold_protocol::error::Refusal::Broken));
}

/// An envelope with something new, which nobody has heard yet. Chi may be out by now: then anything will do.
fn said_by_chi(stage: &mut Stage) -> Vec<u8> {
    stage.hold = true;
    if !stage.person(CHI).client.groups().is_empty() {
        stage.say(CHI, "later");
    }
    stage.hold = false;
    stage.published.last().unwrap().bytes.clone()
}

/// Looks at everything there is to see of a group.
fn looked(stage: &mut Stage, group: GroupId, who: usize) -> String {
    let now = stage.clock(who);
    let client = &mut stage.person(who).client;
    let members = client.members(group);
    let chi = members.iter().flatten().find(|member| member.name == "Chi").map(|member| member.member);
    let code = chi.map(|chi| client.safety_code(group, chi)).transpose();
    let all = members
        .and(code)
        .and_then(|_| client.outbox(group, now))
        .and_then(|_| client.invites(group, now))
        .and_then(|_| client.history(group, None, now));
    match all {
        Ok(lines) => {
            let before = |kind: &LineKind| matches!(kind, LineKind::Text(text) if **text == "before");
            assert!(lines.iter().any(|line| before(&line.kind)) && chi.is_some());
            "yes".to_owned()
        }
        Err(error) => format!("{error:?}"),
    }
}
