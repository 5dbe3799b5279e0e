//! A link to a peer that has not seen the latest removal: what comes on it is control, and judged like everything else.

use std::time::Duration;

use crate::error::Refusal;
use crate::group::Group;
use crate::group::sync::Bundle;
use crate::id::LinkId;
use crate::step::{Command, Input, Outcome, Transmit};
use crate::time::Time;

use super::commits::{Bad, REFUSED, TAKEN, forge};
use super::rogue::Rogue;
use super::room::{ANA, BEN, CHI, DAN, EVE, Room};
use super::{content, control};

/// Dan was away when Eve was taken out. He is linked to Chi again, and hears nothing of what she answers.
fn behind() -> (Room, LinkId) {
    let mut room = Room::of(5);
    room.lose(DAN);
    room.lose(EVE);
    room.remove(EVE);
    let link = room.connect(DAN, CHI);
    let greeted =
        |room: &mut Room| room.see(CHI, |group| group.links.get(&link).and_then(|link| link.member).is_some());
    while !greeted(&mut room) {
        assert!(room.step());
    }
    room.drop_frames_to(DAN);
    room.deaf = Some(DAN);
    room.settle();
    assert!(room.see(CHI, |group| !group.links.get(&link).unwrap().full));
    (room, link)
}

/// Dan pushes an envelope to Chi.
fn push(room: &mut Room, link: LinkId, bytes: Vec<u8>) -> Outcome {
    let (_, transmits) = room.inside(DAN, |group, cx| {
        let mut bundle = Bundle::default();
        assert!(bundle.add(bytes));
        group.say(cx, link, &bundle.into_push(false));
    });
    let Some(Transmit::Frame { bytes, .. }) = transmits.into_iter().last() else { panic!("no frame") };
    let outcome = room.give(CHI, Input::Frame { link, bytes });
    room.settle();
    outcome
}

/// PROTOCOL V2, M2.
#[test]
fn a_commit_that_the_rules_refuse_moves_nobody_when_a_peer_in_catch_up_brings_it() {
    let (mut room, link) = behind();
    for bad in Bad::ALL {
        let bytes = forge(&mut room, Some(bad));
        let before = room.stands(CHI);
        assert_eq!(push(&mut room, link, bytes), REFUSED, "{bad:?}");
        assert!(room.stands(CHI) == before, "{bad:?}");
        room.change_rules();
        assert!(room.stands(CHI).head == room.stands(ANA).head && room.stands(CHI).head != before.head, "{bad:?}");
    }
    let (bytes, before) = (forge(&mut room, None), room.stands(CHI));
    assert_eq!(push(&mut room, link, bytes), TAKEN);
    assert_ne!(room.stands(CHI).head, before.head);
}

/// PROTOCOL M2: what a member may say on a full link, and by gossip, it may not say on this one.
#[test]
fn a_message_is_not_taken_from_a_peer_in_catch_up_and_a_vote_is() {
    let (mut room, link) = behind();
    let ana = room.see(ANA, |group| group.me.key());
    let said = content::words(&mut room, ana, "hello");
    let signed = room.see(ANA, |group| group.me.sign(group.id, &said));
    let bytes = content::seal(&mut room, ANA, &signed, None);
    assert_eq!(push(&mut room, link, bytes.clone()), Outcome::Refused(Refusal::OutOfTurn));
    assert!(room.texts(CHI).is_empty());
    let vote = control::vote(&mut room, None);
    assert_eq!(push(&mut room, link, vote.into_bytes()), TAKEN);
    assert_eq!(room.gossip(CHI, bytes), TAKEN);
    assert_eq!(room.texts(CHI), ["hello"]);
}

/// PROTOCOL M2: Dan slept over a removal, and over a change of the rules after it. Until the two stand on one state,
/// nothing flows between him and Chi but what brings them there.
#[test]
fn a_link_in_catch_up_is_full_only_when_the_heads_agree() {
    let mut room = Room::of(5);
    room.lose(DAN);
    room.lose(EVE);
    room.remove(EVE);
    room.change_rules();
    let link = room.connect(DAN, CHI);
    let mut full = 0;
    while room.step() {
        for who in [CHI, DAN] {
            let (head, known) =
                room.see(who, |group| (group.facts.head, group.links.get(&link).map(|l| (l.full, l.head))));
            if let Some((true, theirs)) = known {
                full += 1;
                assert!(theirs.is_some_and(|theirs| theirs.epoch == head), "{who}");
            }
        }
    }
    assert!(full > 0 && room.see(CHI, |group| group.links.get(&link).unwrap().full));
    assert!(room.stands(CHI).head == room.stands(DAN).head);
}

/// PROTOCOL M2: Dan slept over a removal. Ana takes Ben out after she has greeted Dan, and before she knows who he is.
#[test]
fn a_link_is_full_although_the_head_moved_between_two_greetings() {
    let mut room = Room::of(5);
    room.lose(DAN);
    room.lose(EVE);
    room.remove(EVE);
    let link = room.connect(DAN, ANA);
    let greets =
        |group: &Group| group.links.get(&link).is_some_and(|link| link.admission.is_some() && link.member.is_none());
    while !room.see(ANA, greets) {
        assert!(room.step());
    }
    let member = room.see(BEN, |group| group.me.member());
    room.give(ANA, Input::Command(Command::Remove { group: room.group, member }));
    room.pass(30_000);
    assert!(room.stands(DAN).head == room.stands(ANA).head);
    for who in [ANA, DAN] {
        assert!(room.see(who, |group| group.links.get(&link).is_some_and(|link| link.full)), "{who}");
    }
}

/// PROTOCOL M2, M4: Ben came in while Chi was away. Of the two it is he who begins to compare, and she knows nothing of
/// him yet; what she missed reaches her all the same, and not ten minutes later.
#[test]
fn a_comparison_that_came_too_early_is_begun_again() {
    let mut room = Room::open(3, 1);
    room.join(CHI);
    room.lose(CHI);
    room.join(BEN);
    let text = zeroize::Zeroizing::new("hello".to_owned());
    room.ask(ANA, Command::Send { group: room.group, text, expires: None });
    assert_eq!(room.texts(BEN), ["hello"]);
    room.lose(ANA);
    let link = room.connect(BEN, CHI);
    room.pass(10_000);
    assert!(room.see(CHI, |group| group.links.get(&link).is_some_and(|link| link.full)));
    assert_eq!(room.texts(CHI), ["hello"]);
}

/// Chi's battery was empty, and her clock says 1970. Later it says yesterday: Ben's may have been fast when he came in.
#[test]
fn only_a_clock_that_can_be_right_says_that_more_is_for_us() {
    let mut room = Room::of(3);
    let rows = room.disk(CHI).copy();
    room.lose(CHI);
    let chi = rows.group();
    let number = chi.head().unwrap().number;
    let since = |room: &mut Room| room.see(BEN, |group| group.facts.since);
    let before = since(&mut room);
    let yesterday = room.now - Duration::from_secs(86_400);
    for (clock, expected) in [(Time::ZERO, before), (Time::MAX, before), (yesterday, yesterday.hour() - 25)] {
        Rogue::link_by(&mut room, (&chi, &chi.me), BEN, number, clock);
        assert_eq!(since(&mut room), expected);
    }
    assert!(since(&mut room) < before);
}
