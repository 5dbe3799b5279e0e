//! Coming back: what was missed is brought once, in order, and by whoever keeps bringing.

use std::time::Duration;

use super::rogue::Rogue;
use super::room::{ANA, BEN, CHI, DAN, Room};
use crate::group::delivery::Delivery;
use crate::group::link::Link;
use crate::group::sync::Bundle;
use crate::id::{LinkId, MemberId};
use crate::persist::Table;
use crate::step::{Input, Transmit};
use crate::time::Time;
use crate::wire::message::{Bytes, Message, Push};

/// What each of the others says while one is away: some times what is on its way at once.
const SAID: usize = 400;

/// The others say so much while somebody is away; the envelopes.
fn miss(room: &mut Room, away: usize, others: &[usize]) -> Vec<Vec<u8>> {
    room.lose(away);
    let from = room.published.len();
    for n in 0..SAID {
        others.iter().for_each(|who| room.says(*who, &format!("{n} of {who}, and this is some text to go with it")));
    }
    room.published[from..].to_vec()
}

/// PROTOCOL M4: three have all of it, and gossip brings Ben the last of it first.
#[test]
fn what_was_missed_comes_once_and_no_keys_are_kept_for_it() {
    let mut room = Room::of(4);
    let missed = miss(&mut room, BEN, &[ANA, CHI, DAN]);
    let (before, needed) = (room.carried_to(BEN), missed.iter().map(Vec::len).sum::<usize>());
    for who in [ANA, CHI, DAN] {
        room.connect(BEN, who);
    }
    while room.see(BEN, |group| group.full_links().len()) < 3 {
        assert!(room.step());
    }
    for envelope in missed.iter().rev().take(60) {
        room.hear(BEN, envelope.clone());
    }
    let mut largest = 0;
    // Each frame takes a while.
    while room.step() {
        room.now = room.now + Duration::from_millis(50);
        room.give(BEN, Input::Deadline);
        largest = largest.max(room.disk(BEN).largest(Table::Mls));
    }
    room.pass(20_000);
    assert_eq!(room.texts(BEN).len(), 3 * SAID);
    // With a key for each of those before the last, it is some 100 bytes for each.
    assert!(largest < 10_000, "{largest} bytes of message secrets");
    let carried = room.carried_to(BEN) - before;
    assert!(carried < needed * 7 / 5, "{carried} bytes came, {needed} were missing");
}

/// Chi's device brings one thing at a time and never ends; somebody else has it all, and either end compares.
#[test]
fn who_delivers_slowly_holds_up_nobody() {
    for (back, other) in [(BEN, ANA), (ANA, BEN)] {
        let mut room = Room::of(3);
        let chi = room.disk(CHI).copy();
        let missed = miss(&mut room, back, &[other]);
        // Chi has said that she holds it: its author has no reason to push it of its own accord.
        room.pass(12_000);
        room.lose(CHI);
        let mut rogue = Rogue::link(&mut room, &chi, back);
        // Its turn has begun when the other comes.
        for (at, envelope) in missed[..13].iter().enumerate() {
            let push = Push { envelopes: vec![Bytes(envelope.clone())], more: true };
            rogue.say(&mut room, &Message::Push(push));
            if at == 0 {
                room.connect(back, other);
            }
            room.pass(4_000);
        }
        assert!(rogue.is_up(&room));
        assert_eq!(room.texts(back).len(), SAID);
    }
}

/// A frame is padded to a power of two: a page with what is around it must not come to a little more than one.
#[test]
fn a_page_of_any_envelopes_fills_its_frame() {
    let mut room = Room::of(2);
    let link = room.link(ANA, BEN);
    for size in [512, 1_024, 4_096] {
        let ((), frames) = room.inside(ANA, |group, cx| {
            let mut bundle = Bundle::default();
            while bundle.add(vec![0; size]) {}
            group.say(cx, link, &bundle.into_push(true));
        });
        let [Transmit::Frame { bytes, .. }] = &frames[..] else { panic!("no frame") };
        assert_eq!(bytes.len(), 64 * 1_024, "{size}");
    }
}

#[test]
fn one_delivers_at_a_time_as_long_as_it_is_of_use() {
    let [ana, chi] = [1, 2].map(|n| (LinkId(n), MemberId::from_bytes([u8::try_from(n).unwrap(); 32])));
    let now = Time::from_ms(1_790_000_000_000);
    let later = |ms| now + Duration::from_millis(ms);
    let delivers = |events: &[((LinkId, MemberId), bool, bool)]| {
        let mut delivery = Delivery::default();
        events.iter().for_each(|(link, more, useful)| delivery.brought(*link, (*more, *useful), 2, now));
        delivery
    };
    // What more is to come, and is of use, makes one's turn; another's page does not end it, the last page does.
    for (events, turn) in [
        (&[(ana, true, true)][..], Some(ana)),
        (&[(ana, true, true), (chi, true, true)], Some(ana)),
        (&[(ana, true, true), (chi, false, true)], Some(ana)),
        (&[(ana, true, true), (ana, false, true)], None),
        (&[(ana, true, true), (ana, true, false)], None),
        (&[(ana, true, false)], None),
        (&[(ana, false, true)], None),
        (&[(ana, true, true), (ana, true, false), (chi, true, true)], Some(chi)),
    ] {
        let delivery = delivers(events);
        let told = [ana, chi].map(|(link, _)| delivery.is_by_another(link, later(4_999)));
        assert_eq!(told, [turn == Some(chi), turn == Some(ana)]);
        assert_eq!(delivery.until(now), turn.map(|_| later(5_000)));
        assert!(!delivery.is_by_another(chi.0, later(5_000)) && delivery.until(later(5_000)).is_none());
    }
    // A turn ends, however useful, and is another's before it is the same one's again.
    let mut delivery = Delivery::default();
    for at in 0..20 {
        delivery.brought(ana, (true, true), 2, later(1_000 * at));
    }
    assert!(delivery.is_by_another(chi.0, later(19_999)) && !delivery.is_by_another(chi.0, later(20_000)));
    // Nor does it begin anew on another link. What comes is expected all the same.
    for at in [20_000, 38_999] {
        for link in [ana.0, LinkId(3)] {
            delivery.brought((link, ana.1), (true, true), 2, later(at));
            assert!(!delivery.is_by_another(chi.0, later(at)));
            assert_eq!(delivery.until(later(at)), Some(later(at + 5_000)));
        }
    }
    delivery.brought(chi, (true, true), 2, later(38_999));
    assert!(delivery.is_by_another(ana.0, later(39_000)));
    let mut delivery = delivers(&[(ana, true, true)]);
    delivery.lost(ana.0, later(19_000));
    assert_eq!(delivery.until(later(19_000)), None);
    delivery.brought((LinkId(3), ana.1), (true, true), 2, later(20_000));
    assert!(!delivery.is_by_another(chi.0, later(20_000)));
    let mut delivery = delivers(&[(ana, true, true)]);
    delivery.lost(chi.0, now);
    assert!(delivery.is_by_another(chi.0, now));
    delivery.clock_went_back(Time::from_ms(1_000));
    assert_eq!(delivery.until(Time::from_ms(1_000)), Some(Time::from_ms(6_000)));
    delivery.lost(ana.0, Time::from_ms(1_000));
    assert!(!delivery.is_by_another(chi.0, Time::from_ms(1_000)));
}

/// Ana and Chi take over from each other, always first.
#[test]
fn two_friends_do_not_have_all_turns() {
    let [ana, chi, dan] = [1, 2, 3].map(|n| (LinkId(n), MemberId::from_bytes([u8::try_from(n).unwrap(); 32])));
    let begin = Time::from_ms(1_790_000_000_000);
    let mut delivery = Delivery::default();
    let mut free = 0;
    for second in 0..180 {
        let now = begin + Duration::from_secs(second);
        [ana, chi, dan].into_iter().for_each(|who| delivery.brought(who, (true, true), 3, now));
        free += usize::from(delivery.is_by_another(ana.0, now) && delivery.is_by_another(chi.0, now));
    }
    assert!((58..=62).contains(&free), "{free} seconds of 180");
}

/// A comparison names everything in the log, on each link: that is not kept once it has ended.
#[test]
fn a_comparison_that_ended_takes_no_memory() {
    let mut room = Room::of(3);
    let missed = miss(&mut room, BEN, &[ANA]);
    assert_eq!(missed.len(), SAID);
    room.connect(BEN, ANA);
    room.connect(BEN, CHI);
    room.pass(70_000);
    assert_eq!(room.texts(BEN).len(), SAID);
    for who in [ANA, BEN, CHI] {
        let (links, idle) = room.see(who, |group| {
            let idle = |link: &&Link| link.session.is_none() && link.wants.capacity() + link.wanted.capacity() == 0;
            (group.links.len(), group.links.values().filter(idle).count())
        });
        assert_eq!((links, idle), (2, 2));
    }
}

/// Ben's disk failed in a step that had sealed frames for Ana. What she says meanwhile does not save the link: she waits
/// on it for what is lost.
#[test]
fn a_link_on_which_frames_were_lost_ends_whatever_the_peer_says() {
    let mut room = Room::of(2);
    let link = room.link(ANA, BEN);
    room.inside(BEN, |group, _| group.links.get_mut(&link).unwrap().closes = Some(Time::ZERO));
    let head = room.stands(BEN).head;
    room.change_rules();
    assert!(room.stands(BEN).head != head && room.see(BEN, |group| group.links.contains_key(&link)));
    room.pass(1);
    assert!(room.see(BEN, |group| !group.links.contains_key(&link)));
}
