//! Long absences, broken rows, and whose addresses are whose.

use std::collections::BTreeMap;
use std::time::Duration;

use kinfold_protocol::Client;
use kinfold_protocol::persist::{Table, WriteBatch};
use kinfold_protocol::step::{Address, Command, Event, Input, MessageState, Reply, Transmit};

use crate::comebacks::dials;
use crate::stage::{ANA, BEN, CHI, Stage};

const DAY_MS: i64 = 24 * 3_600_000;

fn hours(stage: &mut Stage, hours: u64) {
    for _ in 0..hours {
        stage.pass(3_600_000);
    }
}

/// Ben leaves while the founder is away for eight days.
#[test]
fn a_leave_is_carried_out_although_the_founder_was_away_for_a_week() {
    let (mut stage, group) = Stage::three();
    stage.offline(ANA);
    stage.ask(BEN, Command::Leave { group });
    hours(&mut stage, 8 * 24 + 2);
    stage.online(ANA);
    hours(&mut stage, 2);
    assert_eq!(stage.names(ANA), ["Ana", "Chi"]);
}

/// Ben's clock is a day fast, and his device drops at once what lives an hour.
#[test]
fn what_a_device_dropped_unseen_is_not_held() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    stage.offline(BEN);
    stage.person(BEN).ahead_ms = DAY_MS;
    stage.give(BEN, Input::Deadline).unwrap();
    stage.online(BEN);
    assert_eq!(stage.view(ANA).connected, 1);
    let expires = Some(Duration::from_secs(3_600));
    let text = zeroize::Zeroizing::new("anybody there".to_owned());
    let Reply::Message { id, .. } = stage.ask(ANA, Command::Send { group, text, expires }) else { panic!() };
    stage.pass(60_000);
    assert!(stage.texts(BEN).is_empty() && stage.told(BEN).is_empty());
    assert_eq!(stage.state(ANA, id), Some(MessageState::Kept));
}

/// A disk has lost rows of one group; the device opens all the same, and the other group goes on.
#[test]
fn one_group_that_cannot_be_read_does_not_keep_the_device_closed() {
    let (mut stage, group) = Stage::three();
    stage.ask(BEN, Command::CreateGroup { name: "Other".into(), display_name: "Ben".into() });
    stage.ask(ANA, Command::SetRetention { group, retention: Duration::from_secs(86_400) });
    stage.pass(2_000);
    let net = stage.person(BEN).client.groups().into_iter().find(|view| view.group == group).unwrap().net;
    let rows = stage.person(BEN).disk.rows().into_keys();
    let rows = rows.filter(|key| key.table == Table::Mls && key.name.starts_with(&net.0.to_be_bytes()));
    let rows: BTreeMap<_, _> = rows.map(|key| (key, None)).take(1).collect();
    assert_eq!(rows.len(), 1);
    stage.person(BEN).disk.stage(WriteBatch { rows, urgent: false });
    stage.person(BEN).disk.flush();
    stage.person(BEN).ahead_ms += 3_600_000;
    let (disk, now) = (stage.person(BEN).disk.clone(), stage.clock(BEN));
    let opened = Client::open_seeded(Box::new(disk), [77; 32], now);
    assert!(opened.is_ok(), "{:?}", opened.err());
}

/// Ana was off for forty days; Ben comes in before any member confirms the time, and loses the answer.
#[test]
fn who_comes_in_while_a_jump_is_not_believed_is_no_ghost() {
    let (mut stage, group) = Stage::group([0; 3], &[CHI]);
    stage.offline(CHI);
    for who in [ANA, BEN, CHI] {
        stage.person(who).ahead_ms += 40 * DAY_MS;
        stage.restart(who);
    }
    let invite = stage.invite(group, 86_400);
    stage.give(BEN, Input::Command(Command::Join { invite, display_name: "Ben".into() })).unwrap();
    stage.settle_until(|stage| stage.names(ANA).len() == 3);
    stage.lose(BEN);
    stage.online(CHI);
    assert_eq!(stage.view(ANA).connected, 1);
    stage.online(BEN);
    stage.pass(600_000);
    let failed: Vec<_> =
        stage.person(BEN).events.iter().filter(|event| matches!(event, Event::JoinFailed { .. })).cloned().collect();
    assert_eq!(stage.names(ANA), ["Ana", "Ben", "Chi"]);
    assert_eq!(stage.person(BEN).client.groups().len(), 1, "{failed:?}");
}

/// A member names Ben's new address as its own before Ben himself can.
#[test]
fn nobody_can_take_anothers_address() {
    for claimed in [false, true] {
        let (mut stage, _) = Stage::three();
        stage.offline(BEN);
        let net = stage.net(CHI);
        // Where Ben will be: a changed program knows it from him.
        let place = Address(format!("{BEN}/9"));
        let own = Address(format!("{CHI}/{}", net.0));
        let addresses = if claimed { vec![own, place.clone()] } else { vec![own] };
        stage.give(CHI, Input::Listening { net, port: 1, addresses }).unwrap();
        stage.settle();
        stage.online(BEN);
        let net = stage.net(BEN);
        stage.give(BEN, Input::Listening { net, port: 1, addresses: vec![place.clone()] }).unwrap();
        stage.settle();
        stage.offline(BEN);
        assert!(dials(&mut stage, ANA, &place), "Ana never dials Ben, claimed {claimed}");
    }
}

/// The network falls into two parts of ten people each for an hour, and comes together again.
#[test]
fn two_halves_of_a_large_group_find_each_other_again() {
    const HALF: usize = 10;
    let mut stage = Stage::empty(&[0; 2 * HALF]);
    let create = Command::CreateGroup { name: "Circle".into(), display_name: "Ana".into() };
    let Reply::Group(group) = stage.ask(ANA, create) else { panic!("no group") };
    for guest in 1..2 * HALF {
        stage.join(group, guest);
    }
    stage.pass(60_000);
    let id = stage.say(1, "together");
    stage.pass(60_000);
    let all =
        |stage: &mut Stage, id| (0..2 * HALF).filter(|who| stage.lines(*who).iter().any(|line| line.id == id)).count();
    // The stage's gossip goes one hop only: what matters is who is reached at all, by any way.
    let _ = all(&mut stage, id);
    stage.split(HALF);
    stage.pass(600_000);
    stage.wall = None;
    for _ in 0..12 {
        stage.pass(300_000);
    }
    let across = (0..HALF).any(|one| (HALF..2 * HALF).any(|other| stage.linked(one, other)));
    let links: Vec<_> = (0..2 * HALF).map(|who| stage.view(who).connected).collect();
    assert!(across, "nobody is linked across after an hour: {links:?}");
}

/// Two people; Ben's clock is ten years fast, and after a day alone it is believed.
#[test]
fn what_comes_from_too_far_ahead_is_not_lost_and_ticked() {
    let (mut stage, _) = Stage::group([0; 3], &[BEN]);
    stage.offline(BEN);
    stage.person(BEN).ahead_ms = 3_650 * DAY_MS;
    stage.give(BEN, Input::Deadline).unwrap();
    hours(&mut stage, 26);
    stage.online(BEN);
    assert_eq!(stage.view(BEN).connected, 1);
    let text = zeroize::Zeroizing::new("hello".to_owned());
    let group = stage.view(BEN).group;
    let Reply::Message { id, .. } = stage.ask(BEN, Command::Send { group, text, expires: None }) else { panic!() };
    stage.pass(60_000);
    let ticked = stage.state(BEN, id);
    stage.person(BEN).ahead_ms = 0;
    stage.give(BEN, Input::Deadline).unwrap();
    hours(&mut stage, 2);
    assert!(stage.texts(ANA) == ["hello"] || ticked == Some(MessageState::Kept), "{ticked:?}");
}

/// The head moved while Ben's clock was twenty days fast; then the clock was set right.
#[test]
fn the_keys_of_a_state_die_in_time_although_the_clock_was_wrong() {
    let (mut stage, group) = Stage::group([0; 3], &[BEN]);
    stage.offline(BEN);
    stage.person(BEN).ahead_ms = 20 * DAY_MS;
    stage.give(BEN, Input::Deadline).unwrap();
    stage.online(BEN);
    stage.ask(ANA, Command::SetRetention { group, retention: Duration::from_secs(86_400) });
    stage.pass(60_000);
    assert_eq!(stage.view(BEN).retention, Duration::from_secs(86_400));
    stage.person(BEN).ahead_ms = 0;
    stage.give(BEN, Input::Deadline).unwrap();
    hours(&mut stage, 100);
    let rows = stage.person(BEN).disk.rows();
    let states: std::collections::BTreeSet<_> =
        rows.keys().filter(|key| key.table == Table::Mls).map(|key| key.name[8..40].to_vec()).collect();
    assert_eq!(states.len(), 1);
}

/// An invite that was just taken makes no joiner wait for a stranger who visits it.
#[test]
fn a_joiner_bounds_the_links_that_strangers_open() {
    let (mut stage, group) = Stage::group([0; 3], &[]);
    let invite = stage.invite(group, 3_600);
    stage.offline(ANA);
    stage.give(BEN, Input::Command(Command::Join { invite, display_name: "Ben".into() })).unwrap();
    stage.settle();
    let net = stage.person(BEN).client.joins()[0];
    let mut refused = 0;
    for n in 0..5_000_u64 {
        let ends = kinfold_protocol::step::Ends { local: vec![1], remote: n.to_be_bytes().to_vec() };
        let link = kinfold_protocol::id::LinkId(1_000_000 + n);
        let now = stage.clock(BEN);
        let output = stage.person(BEN).client.handle(Input::Connected { net, link, ends, address: None }, now).unwrap();
        refused += output.transmits.iter().filter(|transmit| matches!(transmit, Transmit::Disconnect { .. })).count();
    }
    assert!(refused > 0, "5,000 links were taken");
}
