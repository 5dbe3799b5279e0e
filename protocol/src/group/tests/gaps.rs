//! Messages that come before earlier ones of their sender: what is missing is asked for, and not for ever.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::{Refusal, Why};
use crate::group::sync::Bundle;
use crate::group::{Cx, Group};
use crate::id::EpochId;
use crate::mls::{MlsError, Provider, Signer, State, Under};
use crate::step::{Input, Outcome, Transmit};
use crate::time::Time;
use crate::wire;
use crate::wire::content::{Content, Numbered};
use crate::wire::envelope::Envelope;
use crate::wire::message::Span;

use super::commits::TAKEN;
use super::content::{body, words};
use super::room::{ANA, BEN, CHI, DAN, Room};

pub(super) const PARKED: Outcome = Outcome::Parked(Why::Gap);

/// Ana says something; nobody hears of it yet. `burnt` keys before it were never used.
pub(super) fn said(room: &mut Room, text: &str, burnt: u32) -> Vec<u8> {
    said_after(room, text, burnt, burnt)
}

/// The same, and a bit of it is turned over: only who derives its key learns that it is nobody's.
pub(super) fn spoilt(room: &mut Room, keys: u32) -> Vec<u8> {
    sealed(room, "spoilt", (keys, 0), |mls| *mls.last_mut().unwrap() ^= 1)
}

/// The same, after so many keys, with a word of how many were burnt.
pub(super) fn said_after(room: &mut Room, text: &str, keys: u32, burnt: u32) -> Vec<u8> {
    sealed(room, text, (keys, burnt), |_| {})
}

/// However much this device says, it does not end the epoch for that (PROTOCOL C7).
pub(super) fn rests_never(group: &mut Group) {
    group.commit_due = Some(Time::from_ms(u64::MAX >> 1));
}

fn sealed(room: &mut Room, text: &str, (keys, burnt): (u32, u32), spoil: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    room.pass(1);
    let ana = room.see(ANA, |group| group.me.key());
    let content = words(room, ana, text);
    let content = Content { deadline: content.pos + Duration::from_secs(7 * 86_400), ..content };
    let sealed = room.inside(ANA, |group, cx| {
        let signed = group.me.sign(group.id, &content);
        let (head, signer) = (group.facts.head, Signer::new(&group.me.device_secret()));
        for _ in 0..keys {
            let burn = |state: &mut State, mls: &Provider| state.encrypt(mls, &signer, &[], &[]);
            group.epochs.with(cx, group.net, group.id, &head, burn).unwrap().unwrap();
        }
        group.epochs.count_sent(cx, group.net, &head, keys);
        rests_never(group);
        let generation = group.newest().unwrap().clone();
        let cover = group.cover(cx, &generation).unwrap();
        let (key, mut numbered) = body(group, cx, &cover, &signed, (None, burnt));
        spoil(&mut numbered.mls);
        Envelope::seal(&key, &cover, &wire::encode(&numbered)).unwrap().into_bytes()
    });
    sealed.0
}

/// Ana said much, and then nothing for so long that nobody remembers a word: her next is not taken for one that much is
/// missing before.
#[test]
fn whoever_was_silent_for_long_goes_on_where_they_were() {
    let mut room = Room::of(2);
    for n in 0..1_200 {
        let bytes = said(&mut room, &n.to_string(), 0);
        assert_eq!(room.hear(BEN, bytes), TAKEN);
    }
    room.skip_hours(9 * 24);
    room.pass(1_000);
    assert!(room.texts(BEN).is_empty());
    for restarts in [false, true] {
        if restarts {
            room.restart(BEN);
            room.pass(1_000);
        }
        let next = said(&mut room, "again", 0);
        assert_eq!(room.hear(BEN, next), TAKEN, "{restarts}");
    }
}

/// PROTOCOL M4: Ben hears the third word first, from Chi, and asks her for what is before it.
#[test]
fn what_is_missing_is_asked_for_before_what_follows_is_opened() {
    let mut room = Room::of(3);
    let said = ["first", "second", "third"].map(|text| said(&mut room, text, 0));
    for bytes in &said {
        assert_eq!(room.hear(CHI, bytes.clone()), TAKEN);
    }
    let (net, link) = (room.net(BEN), room.link(BEN, CHI));
    let [_, _, third] = said;
    assert_eq!(room.give(BEN, Input::Gossip { net, link: Some(link), bytes: third }), PARKED);
    assert!(room.texts(BEN).is_empty());
    room.settle();
    assert_eq!(room.texts(BEN), ["first", "second", "third"]);
    assert_eq!(room.told(BEN), ["first", "second", "third"]);
}

/// PROTOCOL M4: nobody has it any more, and one of whom it is asked does not answer.
#[test]
fn what_nobody_has_is_not_waited_for() {
    for deaf in [None, Some(ANA)] {
        let mut room = Room::of(2);
        let (_, second) = (said(&mut room, "first", 0), said(&mut room, "second", 0));
        room.deaf = deaf;
        assert_eq!(room.hear(BEN, second), PARKED);
        room.settle();
        assert_eq!(room.texts(BEN).is_empty(), deaf.is_some());
        room.pass(1_900);
        assert_eq!(room.texts(BEN).is_empty(), deaf.is_some());
        room.pass(200);
        assert_eq!(room.texts(BEN), ["second"]);
    }
}

/// PROTOCOL M4: of three thousand that Ana said, Chi brings three, each as far after the last as a ratchet goes, together
/// or one after the other, and says that there are no others. Opening them would destroy the keys of the first, which Ana
/// has. A restart lets go of none either.
#[test]
fn nobody_has_keys_destroyed_by_what_is_far_ahead() {
    for (together, restarts) in [(true, false), (false, false), (true, true)] {
        let mut room = Room::of(3);
        let first = said(&mut room, "first", 0);
        let far: Vec<_> = (1..=3).map(|n| said_after(&mut room, &n.to_string(), 980, 0)).collect();
        let (net, link) = (room.net(BEN), room.link(BEN, CHI));
        let leaf = room.see(BEN, |group| group.roster().unwrap().seats()[0].leaf);
        room.deaf = Some(CHI);
        for bytes in &far {
            assert_eq!(room.give(BEN, Input::Gossip { net, link: Some(link), bytes: bytes.clone() }), PARKED);
            if !together {
                absent(&mut room, leaf);
                assert_eq!(room.texts(BEN), ["1"]);
            }
        }
        if restarts {
            for who in [ANA, CHI] {
                room.lose(who);
            }
            room.restart(BEN);
        } else {
            absent(&mut room, leaf);
            room.drop_frames_to(BEN);
        }
        room.pass(10_000);
        assert_eq!(room.texts(BEN), ["1"]);
        assert_eq!(room.hear(BEN, first), TAKEN);
        assert_eq!(room.texts(BEN), ["first", "1"]);
        // What nobody has is not waited for for ever.
        room.pass(61_000);
        assert_eq!(room.texts(BEN), ["first", "1", "2", "3"], "{together} {restarts}");
    }
}

/// Chi has none of what Ana said.
pub(super) fn absent(room: &mut Room, leaf: u32) {
    let ((), _) = room.inside(BEN, |group, cx| {
        let span = Span { epoch: group.facts.head, leaf, from: 0, to: u32::MAX };
        group.on_absent(cx, span).unwrap();
    });
}

/// An envelope by anybody's hand that says to be Ana's.
pub(super) fn forged(room: &mut Room, by: usize, count: u32, burnt: u32) -> Vec<u8> {
    let ana = room.see(ANA, |group| group.roster().unwrap().seat(&group.me.member()).unwrap().leaf);
    forged_as(room, by, ana, (count, burnt))
}

/// The same, under any leaf.
pub(super) fn forged_as(room: &mut Room, by: usize, leaf: u32, (count, burnt): (u32, u32)) -> Vec<u8> {
    let (bytes, _) = room.inside(by, |group, cx| {
        let key = group.head().unwrap().keys.as_ref().unwrap().content.clone();
        let bytes = wire::encode(&Numbered { leaf, count, burnt, mls: vec![7; 200] });
        let generation = group.newest().unwrap().clone();
        group.seal_envelope(cx, &key, &generation, &bytes).unwrap().into_bytes()
    });
    bytes
}

/// To learn that one is not Ana's, nine hundred keys are derived: whoever brings many pays for that, and is not heard for
/// a while.
#[test]
fn what_waits_in_vain_is_on_the_account_of_whoever_brought_it() {
    for moves in [false, true] {
        in_vain(moves);
    }
}

fn in_vain(moves: bool) {
    let mut room = Room::of(3);
    let (net, link, chi) = (room.net(BEN), room.link(BEN, CHI), room.see(CHI, |group| group.me.member()));
    room.deaf = Some(CHI);
    for _ in 0..500 {
        let bytes = forged(&mut room, CHI, 900, 0);
        assert_eq!(room.give(BEN, Input::Gossip { net, link: Some(link), bytes }), PARKED);
    }
    if moves {
        room.change_rules();
    }
    room.pass(2_500);
    assert!(room.see(BEN, |group| group.conduct.is_muted(&chi)), "{moves}");
    assert!(room.see(BEN, |group| group.log.waiting.is_empty() && group.link_to(&chi).is_none()));
    room.says(ANA, "hello");
    assert_eq!(room.texts(BEN), ["hello"]);
}

/// Dan makes a chain of what says to be Ana's, each link of which is near to the last.
#[test]
fn what_may_be_nobodys_is_not_passed_on_however_near_it_is_to_another() {
    let mut room = Room::of(4);
    let (net, dan) = (room.net(CHI), room.link(CHI, DAN));
    for count in [80, 161, 242] {
        let bytes = forged(&mut room, DAN, count, 64);
        assert_eq!(room.give(CHI, Input::Gossip { net, link: Some(dan), bytes }), PARKED, "{count}");
    }
    // Nor by comparing.
    let link = room.link(CHI, BEN);
    let ((), frames) = room.inside(CHI, |group, cx| {
        let waiting: Vec<_> = group.log.waiting.ids().collect();
        assert_eq!(waiting.len(), 3);
        group.enqueue(cx, link, waiting).unwrap();
    });
    assert!(frames.is_empty());
    room.pass(60_000);
    assert!(room.passed_on.is_empty());
}

/// Ben hears of others only through Chi, who hears the last words first and then all that were before them.
#[test]
fn what_was_not_passed_on_reaches_others_once_it_was_opened() {
    for (moves, straggles) in [(false, false), (true, false), (false, true)] {
        not_passed_on(moves, straggles);
    }
}

fn not_passed_on(moves: bool, straggles: bool) {
    let mut room = Room::of(3);
    let said: Vec<_> = (0..120).map(|n| said(&mut room, &n.to_string(), 0)).collect();
    let (net, link) = (room.net(CHI), room.link(CHI, ANA));
    let last = said[119].clone();
    room.deaf = Some(ANA);
    assert_eq!(room.give(CHI, Input::Gossip { net, link: Some(link), bytes: last }), PARKED);
    // Ana is about to bring it; the comparison that it asks for is over before she does.
    let ana = room.see(ANA, |group| group.me.member());
    for _ in 0..8 {
        room.inside(CHI, |group, cx| group.delivery.brought((link, ana), (true, true), 2, cx.now.wall));
        room.pass(1_000);
    }
    assert!(room.texts(CHI).is_empty());
    if moves {
        room.change_rules();
    }
    if straggles {
        // What may be Ana's too, and is never opened.
        let far = forged(&mut room, BEN, 1_100, 0);
        assert_eq!(room.hear(CHI, far), PARKED);
    }
    for bytes in &said[..119] {
        assert!(matches!(room.hear(CHI, bytes.clone()), Outcome::Applied(_)));
    }
    assert_eq!((room.texts(CHI).len(), room.texts(BEN).len()), (120, 0));
    room.pass(12_000);
    assert_eq!(room.texts(BEN).len(), 120, "{moves} {straggles}");
}

/// The second of two words waits at Chi for the first, longer than gossip remembers it, and Ben compares with her
/// meanwhile, or does not.
#[test]
fn what_waits_while_it_is_asked_for_comes_when_it_was_opened() {
    for compares in [true, false] {
        comes_when_opened(compares);
    }
}

fn comes_when_opened(compares: bool) {
    let mut room = Room::of(3);
    let [first, second] = ["first", "second"].map(|text| said(&mut room, text, 0));
    let (net, link, ana) = (room.net(CHI), room.link(CHI, ANA), room.see(ANA, |group| group.me.member()));
    room.deaf = Some(ANA);
    assert_eq!(room.give(CHI, Input::Gossip { net, link: Some(link), bytes: second }), PARKED);
    for n in 0..8 {
        room.inside(CHI, |group, cx| {
            group.delivery.brought((link, ana), (true, true), 2, cx.now.wall);
        });
        if compares && n == 0 {
            let link = room.link(BEN, CHI);
            let ((), frames) = room.inside(BEN, |group, cx| group.open_session(cx, link).unwrap());
            let [Transmit::Frame { bytes, .. }] = &frames[..] else { panic!("no round") };
            room.give(CHI, Input::Frame { link, bytes: bytes.clone() });
        }
        room.pass(1_000);
    }
    assert!(room.texts(CHI).is_empty());
    assert_eq!(room.hear(CHI, first), TAKEN);
    room.pass(12_000);
    assert!(room.texts(BEN).contains(&"second".to_owned()), "{compares}");
}

/// Chi cannot open what is beyond her ratchet, and Ben may: it is his to judge.
#[test]
fn what_can_never_be_opened_here_is_given_to_who_may_open_it() {
    let mut room = Room::of(3);
    let far = said_after(&mut room, "far", 1_100, 0);
    room.deaf = Some(ANA);
    assert_eq!(room.hear(CHI, far), PARKED);
    let link = room.link(CHI, BEN);
    for (ms, given) in [(1_000, 0), (40_000, 1)] {
        room.pass(ms);
        let ((), frames) = room.inside(CHI, |group, cx| {
            let waiting: Vec<_> = group.log.waiting.ids().collect();
            assert_eq!(waiting.len(), 1);
            group.enqueue(cx, link, waiting).unwrap();
        });
        assert_eq!(frames.len(), given);
    }
}

/// Keys that were burnt long ago look like words that are missing, to a device that starts anew.
#[test]
fn nobody_waits_after_a_restart_for_what_was_burnt_long_ago() {
    let mut room = Room::of(2);
    for (n, burnt) in (0..1_000).map(|n| (n, if n == 1 { 64 } else { 0 })) {
        let bytes = said(&mut room, &n.to_string(), burnt);
        assert_eq!(room.hear(BEN, bytes), TAKEN);
    }
    room.skip_hours(2);
    room.restart(BEN);
    for n in 1_000..1_010 {
        let bytes = said(&mut room, &n.to_string(), 0);
        assert_eq!(room.hear(BEN, bytes), TAKEN);
    }
}

/// PROTOCOL G3: so many are burnt at once, and no more.
#[test]
fn nobody_says_that_more_was_burnt_than_is() {
    let mut room = Room::of(3);
    for (burnt, outcome) in [(64, Refusal::BadSeal), (65, Refusal::Malformed)] {
        let bytes = forged(&mut room, CHI, burnt, burnt);
        assert_eq!(room.hear(BEN, bytes), Outcome::Refused(outcome));
    }
}

/// Dan brings one that says to be Ana's and is as far as can be; then Ben hears the last of thirty that Ana said.
#[test]
fn what_another_brought_keeps_no_question_from_being_asked() {
    let mut room = Room::of(4);
    let said: Vec<_> = (0..30).map(|n| said(&mut room, &n.to_string(), 0)).collect();
    let (net, chi, dan) = (room.net(BEN), room.link(BEN, CHI), room.link(BEN, DAN));
    let far = forged(&mut room, DAN, 5_000, 0);
    assert_eq!(room.give(BEN, Input::Gossip { net, link: Some(dan), bytes: far }), PARKED);
    // The comparison that this asks for is over before Chi has anything.
    room.pass(15_000);
    for bytes in &said {
        assert_eq!(room.hear(CHI, bytes.clone()), TAKEN);
    }
    let last = said.last().unwrap().clone();
    assert_eq!(room.give(BEN, Input::Gossip { net, link: Some(chi), bytes: last }), PARKED);
    room.pass(10_000);
    assert_eq!(room.texts(BEN).len(), 30);
}

/// PROTOCOL G3, M4: keys that were burnt have no messages.
#[test]
fn what_was_burnt_is_not_asked_for() {
    let mut room = Room::of(2);
    let (first, second) = (said(&mut room, "first", 0), said(&mut room, "second", 64));
    assert_eq!(room.hear(BEN, first), TAKEN);
    assert_eq!(room.hear(BEN, second), TAKEN);
    assert_eq!(room.texts(BEN), ["first", "second"]);
}

/// PROTOCOL M4: nobody is there to ask.
#[test]
fn nobody_waits_for_a_word_that_nobody_can_be_asked_for() {
    let mut room = Room::of(2);
    let (_, second) = (said(&mut room, "first", 0), said(&mut room, "second", 0));
    room.lose(ANA);
    assert_eq!(room.gossip(BEN, second), TAKEN);
    assert_eq!(room.texts(BEN), ["second"]);
}

/// PROTOCOL M4, M5: the power goes while a word waits.
#[test]
fn what_waits_when_the_power_goes_is_opened_afterwards() {
    let mut room = Room::of(2);
    let (_, second) = (said(&mut room, "first", 0), said(&mut room, "second", 0));
    room.deaf = Some(ANA);
    assert_eq!(room.hear(BEN, second), PARKED);
    room.restart(BEN);
    assert!(room.texts(BEN).is_empty());
    room.lose(ANA);
    room.pass(10);
    assert_eq!(room.texts(BEN), ["second"]);
}

/// PROTOCOL M4: anybody in the group can seal an envelope that says to be Ana's third; it does not take the place of
/// hers, and does not wait for ever.
#[test]
fn what_waits_is_not_driven_out_by_what_claims_its_place() {
    let mut room = Room::of(3);
    let said = ["first", "second", "third"].map(|text| said(&mut room, text, 0));
    let (net, link) = (room.net(BEN), room.link(BEN, CHI));
    room.deaf = Some(CHI);
    let hear = |room: &mut Room, bytes| room.give(BEN, Input::Gossip { net, link: Some(link), bytes });
    let forged = forged(&mut room, CHI, 2, 0);
    let [_, _, third] = said;
    assert_eq!(hear(&mut room, third), PARKED);
    assert_eq!(hear(&mut room, forged), PARKED);
    room.pass(2_100);
    assert_eq!(room.texts(BEN), ["third"]);
    assert!(room.see(BEN, |group| group.log.waiting.is_empty()), "what is nobody's is not kept");
}

/// PROTOCOL M4, E: Ben's device falls asleep for four days while a word waits for the one before it.
#[test]
fn what_waits_while_the_device_sleeps_is_opened_before_its_keys_die() {
    for restarts in [false, true] {
        let mut room = Room::of(2);
        let (_, second) = (said(&mut room, "first", 0), said(&mut room, "second", 0));
        room.change_rules();
        room.deaf = Some(ANA);
        assert_eq!(room.hear(BEN, second), PARKED);
        room.drop_frames_to(BEN);
        room.lose(ANA);
        room.skip_hours(80);
        if restarts {
            room.restart(BEN);
        }
        room.pass(10);
        assert_eq!(room.texts(BEN), ["second"], "{restarts}");
    }
}

/// PROTOCOL E: the keys of all that came together are gone from the disk when the step has ended, in whatever epochs.
#[test]
fn what_came_together_is_used_up_on_the_disk() {
    for epochs in [1, 6] {
        let mut room = Room::of(2);
        let mut envelopes = Vec::new();
        for n in 0..6 {
            envelopes.push(said(&mut room, &n.to_string(), 0));
            if epochs > 1 {
                room.change_rules();
            }
        }
        // So that Ben has none of the states at hand.
        room.restart(BEN);
        room.pass(5_000);
        let link = room.link(ANA, BEN);
        let ((), frames) = room.inside(ANA, |group, cx| {
            let mut bundle = Bundle::default();
            assert!(envelopes.iter().all(|envelope| bundle.add(envelope.clone())));
            group.say(cx, link, &bundle.into_push(false));
        });
        let [Transmit::Frame { bytes, .. }] = &frames[..] else { panic!("no frame") };
        assert_eq!(room.give(BEN, Input::Frame { link, bytes: bytes.clone() }), TAKEN);
        assert_eq!(room.texts(BEN).len(), 6);
        room.restart(BEN);
        for envelope in envelopes {
            let opened = room.inside(BEN, |group, cx| open_again(group, cx, &Envelope::parse(envelope).unwrap()));
            assert_eq!(opened.0.unwrap_err(), MlsError::Reused);
        }
    }
}

fn open_again(group: &mut Group, cx: &mut Cx<'_>, envelope: &Envelope) -> Result<Zeroizing<Vec<u8>>, MlsError> {
    let of_epoch = |id: &&EpochId| group.numbered(id, envelope).is_ok();
    let epoch = *group.epochs.iter().map(|(id, _)| id).find(of_epoch).unwrap();
    let Numbered { leaf, count, burnt, mls } = group.numbered(&epoch, envelope).unwrap();
    let binding = envelope.cover().binding(leaf, count, burnt);
    let under = Under { leaf, count, binding: &binding };
    group.epochs.decrypt(cx, group.net, group.id, (&epoch, &mls, under)).unwrap()
}
