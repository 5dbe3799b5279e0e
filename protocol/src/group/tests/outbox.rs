//! What the outbox keeps, and for how long.

use zeroize::Zeroizing;

use crate::group::log::Order;
use crate::id::{MsgId, MsgStem};
use crate::persist::Table;
use crate::step::{Command, Input, Reply};
use crate::wire::content::RECEIPTS_MAX;
use crate::wire::envelope::Envelope;

use super::room::{ANA, BEN, Room};

/// A little longer than receipts take to spread.
const RECEIPTS_WATCHED: usize = 4_000;

/// PROTOCOL D1: what its author took back is forgotten at its deadline.
#[test]
fn what_was_taken_back_is_forgotten_at_its_deadline() {
    let mut room = Room::of(2);
    room.lose(BEN);
    let (group, text) = (room.group, Zeroizing::new("a slip".to_owned()));
    let Reply::Message { id, .. } = room.ask(ANA, Command::Send { group, text, expires: None }) else { panic!() };
    room.ask(ANA, Command::Drop { group, id });
    assert_eq!(room.see(ANA, |group| group.outbox.iter().count()), 1);
    room.skip_hours(8 * 24);
    room.give(ANA, Input::Deadline);
    assert_eq!(room.see(ANA, |group| group.outbox.iter().count()), 0);
}

/// PROTOCOL D5: receipts are many, go to everybody and are kept by everybody.
#[test]
fn receipts_of_many_are_small_and_reach_each_of_them() {
    let mut room = Room::of(2);
    let from = room.published.len();
    for n in 0..RECEIPTS_MAX {
        room.says(ANA, &n.to_string());
    }
    let said = room.published.len() - from;
    assert_eq!(said, RECEIPTS_MAX);
    room.pass(15_000);
    let sizes: Vec<usize> = room.published[from + said..].iter().map(Vec::len).collect();
    // The first may have left at once.
    assert!(sizes.len() <= 2 && sizes.iter().all(|size| *size <= 4_096), "{sizes:?}");
    let received = room.see(ANA, |group| group.outbox.iter().filter(|(_, entry)| entry.received.len() == 1).count());
    assert_eq!(received, RECEIPTS_MAX);
}

#[test]
fn a_receipt_for_what_nobody_here_said_marks_nothing() {
    let mut room = Room::of(2);
    room.says(ANA, "one");
    room.says(ANA, "two");
    let ids: Vec<MsgId> = room.see(ANA, |group| group.outbox.iter().map(|(id, _)| *id).collect());
    room.see(ANA, |group| {
        for id in &ids {
            assert!(group.outbox.find(&id.stem()).is_some_and(|(found, _)| found == *id));
            for at in 0..MsgStem::LEN {
                for by in [1, 255] {
                    let mut bytes = *id.stem().as_bytes();
                    bytes[at] = bytes[at].wrapping_add(by);
                    assert!(group.outbox.find(&MsgStem::from_bytes(bytes)).is_none());
                }
            }
        }
        assert!(group.outbox.find(&MsgStem::from_bytes([255; 12])).is_none());
    });
}

/// What was said is in its row once.
#[test]
fn a_line_is_little_longer_than_its_text() {
    let mut room = Room::of(2);
    room.says(ANA, &"x".repeat(2_000));
    for who in [ANA, BEN] {
        let longest = room.disk(who).largest(Table::Line);
        assert!(longest < 2_000 + 450, "{longest}");
        room.restart(who);
        assert_eq!(room.texts(who), ["x".repeat(2_000)]);
    }
}

/// PROTOCOL D5: each costs every member an envelope.
#[test]
fn receipts_of_a_large_group_are_no_more_than_those_of_a_smaller_one() {
    let [small, large] = [25, 40].map(|people| {
        let mut room = Room::of(people);
        room.pass(30_000);
        let from = room.published.len();
        for n in 0..60 {
            room.says(ANA, &n.to_string());
            room.pass(1_000);
        }
        let receipts = room.published.len() - from - 60;
        // In this room gossip goes no farther than a link.
        let linked = room.see(ANA, |group| group.linked().len());
        people * receipts / linked
    });
    assert!(small > 100 && large < small + small / 5, "{small} {large}");
}

/// Whatever else happens before they have left.
#[test]
fn a_change_does_not_bring_all_receipts_in_one_moment() {
    let mut room = Room::of(12);
    room.pass(20_000);
    room.says(ANA, "hello");
    room.pass(500);
    let from = room.published.len();
    room.change_rules();
    // Beside what is said of the change, and the votes for it.
    let receipts = |room: &mut Room| {
        let said: Vec<_> =
            room.published[from..].iter().map(|bytes| Envelope::parse(bytes.clone()).unwrap().id()).collect();
        let aside = |order: &Order| *order == Order::CONTROL || order.is_commit();
        room.see(ANA, |group| said.iter().filter(|id| !group.log.tells(id, aside)).count())
    };
    room.pass(1_300);
    let soon = receipts(&mut room);
    room.pass(5_000);
    let linked = room.see(ANA, |group| group.linked().len());
    assert!((1..linked).contains(&soon) && receipts(&mut room) == linked, "{soon} of {linked}");
}

/// PROTOCOL D5: of a few, receipts come while the author looks; of many, not all in one moment.
#[test]
fn receipts_of_a_large_group_come_one_after_the_other() {
    for (people, spread) in [(3, 0), (12, 2_400)] {
        let mut room = Room::of(people);
        room.pass(20_000);
        let from = room.published.len();
        room.says(ANA, "hello");
        let mut came = Vec::new();
        for at in (0..RECEIPTS_WATCHED).step_by(100) {
            came.push((at, room.published.len() - from - 1));
            room.pass(100);
        }
        let count = |ms| came.iter().find(|(at, _)| *at == ms).unwrap().1;
        assert_eq!(count(900), 0);
        // In this room gossip goes no farther than a link.
        let linked = room.see(ANA, |group| group.linked().len());
        assert!(linked >= people.min(10) - 1);
        assert_eq!(count(1_100 + spread), linked);
        let half = count(1_100 + spread / 2);
        assert!(spread == 0 || (2..people - 2).contains(&half), "{half} of {people} in half of the time");
    }
}
