//! New keys for everybody's leaf, and epochs that end where people talk (PROTOCOL C7); and votes that come though the head
//! never stands still (C4).

use std::collections::BTreeSet;

use crate::group::Group;
use crate::id::MemberId;
use crate::step::{Command, Input};

use super::room::{ANA, BEN, CHI, Room};

const HOUR_MS: u64 = 3_600_000;

/// Who has made a commit until now, as Ana knows, and how many there are.
fn committers(room: &mut Room) -> (BTreeSet<MemberId>, usize) {
    let made = |group: &Group| group.commits.all_judged().map(|known| known.committer).collect::<Vec<_>>();
    let made = room.see(ANA, made);
    (made.iter().copied().collect(), made.len())
}

fn number(room: &mut Room, who: usize) -> u64 {
    room.see(who, |group| group.head().unwrap().number)
}

fn agree(room: &mut Room) {
    assert!([BEN, CHI].into_iter().all(|who| room.stands(who).head == room.stands(ANA).head));
}

/// PROTOCOL C7: nobody says anything, and nobody sees that anything happens.
#[test]
fn every_device_gives_its_leaf_new_keys_within_nine_days() {
    let mut room = Room::of(3);
    let people: BTreeSet<MemberId> = [ANA, BEN, CHI].map(|who| room.see(who, |group| group.me.member())).into();
    let (_, before) = committers(&mut room);
    let lines = room.see(BEN, |group| group.history.by_arrival().len());
    room.pass(5 * 24 * HOUR_MS);
    assert_eq!(committers(&mut room).1, before, "too soon");
    room.pass(4 * 24 * HOUR_MS);
    let (who, all) = committers(&mut room);
    assert_eq!(who, people);
    assert!((before + 3..=before + 6).contains(&all), "{before} {all}");
    assert_eq!(room.see(BEN, |group| group.history.by_arrival().len()), lines);
    agree(&mut room);
}

/// PROTOCOL C7, E: one of those who are there ends the epoch, and an epoch in which nothing was said goes on.
#[test]
fn an_epoch_in_which_something_was_said_ends_after_a_day() {
    let mut room = Room::of(3);
    let before = number(&mut room, ANA);
    room.pass(23 * HOUR_MS);
    room.says(BEN, "hello");
    // As old as this one is, and then as long as nothing is said.
    for (hours, later) in [(0, 0), (2, 1), (50, 1)] {
        room.pass(hours * HOUR_MS + 30_000);
        assert_eq!(number(&mut room, ANA), before + later, "{hours}");
        agree(&mut room);
    }
    room.says(CHI, "hello");
    room.pass(30_000);
    assert_eq!(number(&mut room, ANA), before + 2);
    agree(&mut room);
}

/// PROTOCOL C7, C1: alone it would only make a branch.
#[test]
fn whoever_is_alone_gives_its_leaf_no_keys_until_somebody_is_there() {
    let mut room = Room::of(2);
    room.lose(BEN);
    let before = number(&mut room, ANA);
    for _ in 0..10 {
        room.pass(24 * HOUR_MS);
    }
    assert_eq!(number(&mut room, ANA), before);
    room.connect(ANA, BEN);
    room.pass(60_000);
    assert!(number(&mut room, ANA) > before);
    assert_eq!(room.stands(ANA).head, room.stands(BEN).head);
}

/// PROTOCOL C7: after days of absence all dates are past, and Ana changes the group each minute, as often as it may be.
#[test]
fn whoever_is_late_has_its_turn_though_the_group_never_stands_still() {
    for (days, turn) in [(8, false), (20, true)] {
        let mut room = Room::of(3);
        let others = [BEN, CHI].map(|who| room.see(who, |group| group.me.member()));
        [ANA, BEN, CHI].into_iter().for_each(|who| room.lose(who));
        room.skip_hours(24 * days);
        for (one, other) in [(ANA, BEN), (BEN, CHI), (ANA, CHI)] {
            room.connect(one, other);
        }
        for _ in 0..20 {
            room.change_rules();
            room.pass(60_000);
        }
        let (who, _) = committers(&mut room);
        assert_eq!(others.iter().all(|other| who.contains(other)), turn, "{days}");
        agree(&mut room);
    }
}

/// PROTOCOL C7, M4.
#[test]
fn whoever_says_very_much_begins_a_new_epoch_and_loses_nothing() {
    let mut room = Room::of(2);
    let before = number(&mut room, ANA);
    for (said, ended) in [(0..499, false), (499..500, true)] {
        said.for_each(|n| room.says(ANA, &n.to_string()));
        room.pass(1_500);
        assert_eq!(number(&mut room, BEN) > before, ended);
    }
    // Nothing goes out under keys that others' ratchets do not reach.
    for n in 500..1_500 {
        room.says_on(ANA, &n.to_string());
    }
    room.settle();
    let published = room.published.len();
    room.says(ANA, "1500");
    assert_eq!(room.published.len(), published);
    room.inside(ANA, |group, _| group.commit_due = None);
    room.pass(1_500);
    assert!(room.texts(BEN).into_iter().eq((0..=1_500).map(|n| n.to_string())));
}

/// Both who may change the group want to leave it at once. One must stay, and Chi cannot carry that wish out.
#[test]
fn what_cannot_be_carried_out_holds_up_no_new_keys_and_no_words() {
    let mut room = Room::of(3);
    let (group, member) = (room.group, room.see(BEN, |group| group.me.member()));
    room.ask(ANA, Command::SetFacilitator { group, member, may: true });
    room.pass(20_000);
    for who in [ANA, BEN] {
        room.give(who, Input::Command(Command::Leave { group }));
    }
    room.pass(60_000);
    assert_eq!(room.stands(CHI).people.len(), 2);
    let before = number(&mut room, CHI);
    room.says(CHI, "hello");
    room.pass(1_000);
    assert!([ANA, BEN].into_iter().any(|who| room.texts(who) == ["hello"]));
    room.pass(26 * HOUR_MS);
    assert!(number(&mut room, CHI) > before);
}

/// PROTOCOL C4: one who moves the head again and again keeps nobody from voting.
#[test]
fn a_head_that_never_stands_still_is_voted_for_after_five_to_ten_seconds() {
    let mut room = Room::of(3);
    room.pass(20_000);
    room.change_rules();
    let voted =
        |group: &Group| group.controls.vote_of(&group.me.member()).map(|(epoch, _)| epoch) == Some(group.facts.head);
    let mut waited = 0;
    while !room.see(BEN, voted) {
        room.inside(BEN, |group, cx| group.vote_soon(cx));
        room.pass(300);
        waited += 300;
        assert!(waited <= 10_500);
    }
    assert!(waited >= 4_800, "{waited}");
}
