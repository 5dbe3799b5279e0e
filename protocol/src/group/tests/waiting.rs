//! What waits: whose room it takes, how it goes on once it is opened, and what it costs.

use std::time::Duration;

use crate::error::{Refusal, Why};
use crate::group::log::Came;
use crate::id::EnvelopeId;
use crate::limits::{RATCHET_WINDOW, WAITING_BY_PEER_MAX, WAITING_MAX};
use crate::mls::{Provider, Signer, State};
use crate::step::{Input, Outcome, Transmit};
use crate::wire::envelope::Envelope;

use super::commits::TAKEN;
use super::gaps::{PARKED, forged, said, said_after};
use super::room::{ANA, BEN, CHI, DAN, Room};

fn id_of(bytes: &[u8]) -> EnvelopeId {
    Envelope::parse(bytes.to_vec()).unwrap().id()
}

/// What is not opened may be nobody's: it goes on when it is, whether it waited for another or for its epoch.
#[test]
fn what_waits_goes_on_by_gossip_when_it_is_opened() {
    let mut room = Room::of(3);
    let [first, second] = ["first", "second"].map(|text| said(&mut room, text, 0));
    room.deaf = Some(ANA);
    assert_eq!(room.hear(CHI, second.clone()), PARKED);
    assert!(room.passed_on.is_empty());
    assert_eq!(room.hear(CHI, first), TAKEN);
    assert_eq!(room.passed_on, [(CHI, id_of(&second))]);

    let day = Duration::from_secs(86_400);
    let ((), sent) = room.inside(ANA, |group, cx| group.set_retention(cx, day).unwrap());
    let published = |sent| if let Transmit::Publish { bytes, .. } = sent { Some(bytes) } else { None };
    let commit = sent.into_iter().find_map(published).unwrap();
    let next = said(&mut room, "next", 0);
    assert_eq!(room.hear(CHI, next.clone()), Outcome::Parked(Why::UnknownEpoch));
    assert_eq!(room.passed_on.len(), 1);
    assert_eq!(room.hear(CHI, commit), TAKEN);
    assert_eq!(room.passed_on[1..], [(CHI, id_of(&next))]);
}

/// Reasons to compare that come at once are one wish, for each wish is work for the peer.
#[test]
fn a_peer_is_asked_to_compare_once_in_a_while_for_however_many_reasons() {
    let mut room = Room::of(4);
    let wishes = |room: &mut Room| {
        let ((), sent) = room.inside(BEN, |group, cx| (0..100).for_each(|_| group.ask_around(cx)));
        sent.len()
    };
    // Whoever opened a link compares on it by itself.
    let opened = room.see(BEN, |group| group.links.values().filter(|link| link.talk.is_opener()).count());
    assert_eq!(wishes(&mut room), 3 - opened);
    assert!(opened < 3);
    room.pass(4_000);
    assert_eq!(wishes(&mut room), 0);
    room.pass(1_000);
    assert_eq!(wishes(&mut room), 3 - opened);
}

/// Fills the room of what waits with what nobody ever opens.
fn fill(room: &mut Room, placed: bool) {
    let junk: Vec<_> = (0..WAITING_MAX).map(|_| forged(room, CHI, 5_000, 0)).collect();
    let names = [ANA, BEN, CHI, DAN].map(|who| room.see(who, |group| group.me.member()));
    room.inside(BEN, |group, cx| {
        for (bytes, by) in junk.into_iter().zip(names.into_iter().cycle()) {
            let came = Came { by: Some(by), gossiped: None, placed };
            let net = group.net;
            group.log.keep_waiting(cx, net, &Envelope::parse(bytes).unwrap(), came);
        }
    });
}

/// Ana's first word is gone for ever, and there is no room for more that waits.
#[test]
fn without_room_to_wait_nothing_is_lost_that_can_be_opened() {
    let mut room = Room::of(4);
    let (_, second) = (said(&mut room, "first", 0), said(&mut room, "second", 0));
    let far = said_after(&mut room, "far", RATCHET_WINDOW, 0);
    fill(&mut room, true);
    room.deaf = Some(ANA);
    let (net, link) = (room.net(BEN), room.link(BEN, CHI));
    let hear = |room: &mut Room, bytes| room.give(BEN, Input::Gossip { net, link: Some(link), bytes });
    assert_eq!(hear(&mut room, far), Outcome::Refused(Refusal::OverBudget));
    assert_eq!(hear(&mut room, second), TAKEN);
    assert_eq!(room.texts(BEN), ["second"]);
}

/// Tags that nobody knows fill up their own room.
#[test]
fn what_nobody_can_read_takes_no_room_from_what_waits_for_its_turn() {
    let mut room = Room::of(4);
    let (first, second) = (said(&mut room, "first", 0), said(&mut room, "second", 0));
    fill(&mut room, false);
    room.deaf = Some(ANA);
    let (net, link) = (room.net(BEN), room.link(BEN, CHI));
    assert_eq!(room.give(BEN, Input::Gossip { net, link: Some(link), bytes: second }), PARKED);
    assert_eq!(room.hear(BEN, first), TAKEN);
    assert_eq!(room.texts(BEN), ["first", "second"]);
    const { assert!(4 * WAITING_BY_PEER_MAX <= WAITING_MAX) };
}

/// Ana has said more than a ratchet goes, and nobody has it any more.
fn says_much_that_is_gone(room: &mut Room) {
    room.inside(ANA, |group, cx| {
        let (head, signer) = (group.facts.head, Signer::new(&group.me.device_secret()));
        for _ in 0..1_100 {
            let burn = |state: &mut State, mls: &Provider| state.encrypt(mls, &signer, &[], &[]);
            group.epochs.with(cx, group.net, group.id, &head, burn).unwrap().unwrap();
        }
        group.epochs.count_sent(cx, group.net, &head, 1_100);
    });
}

/// What Ana says from then on comes by hand within seconds.
#[test]
fn whoever_missed_more_than_a_ratchet_goes_is_told_by_hand_and_soon() {
    let mut room = Room::of(2);
    says_much_that_is_gone(&mut room);
    for n in 0..60 {
        room.says(ANA, &n.to_string());
        room.pass(1_000);
    }
    let shown = room.texts(BEN).len();
    assert!(shown >= 50, "{shown}");
    room.pass(8_000);
    assert_eq!(room.texts(BEN).len(), 60);
}

/// Nobody was there to ask when it was given up; then Ana comes, and sees in comparing that Ben has it.
#[test]
fn who_comes_later_is_asked_too_for_what_cannot_be_opened() {
    let mut room = Room::of(2);
    says_much_that_is_gone(&mut room);
    room.deaf = Some(ANA);
    room.says(ANA, "hello");
    room.restart(BEN);
    room.pass(50_000);
    assert_eq!(room.see(BEN, |group| group.log.waiting().len()), 1);
    room.deaf = None;
    room.restart(ANA);
    room.connect(ANA, BEN);
    room.pass(8_000);
    assert_eq!(room.texts(BEN), ["hello"]);
}

/// PROTOCOL E: ten minutes after a commit the replay half of the state before it dies, and no message's key with it.
#[test]
fn the_end_of_a_replay_half_hurries_nothing_that_waits() {
    for before in [true, false] {
        let mut room = Room::of(2);
        if !before {
            room.change_rules();
        }
        let first = said(&mut room, "first", 0);
        let [far, beyond] = ["far", "beyond"].map(|text| said_after(&mut room, text, 980, 0));
        if before {
            room.change_rules();
        }
        room.pass(595_000);
        room.deaf = Some(ANA);
        assert_eq!(room.hear(BEN, far), PARKED);
        assert_eq!(room.hear(BEN, beyond), PARKED);
        room.drop_frames_to(BEN);
        room.pass(8_000);
        assert_eq!(room.texts(BEN), ["far"], "{before}");
        assert_eq!(room.hear(BEN, first), TAKEN, "{before}");
    }
}
