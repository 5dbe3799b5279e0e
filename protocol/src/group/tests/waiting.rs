//! What waits: whose room it takes, how it goes on once it is opened, and what it costs.

use std::time::Duration;

use crate::error::{Refusal, Why};
use crate::group::Group;
use crate::group::log::Order;
use crate::group::sync::COMPARE_AFTER;
use crate::group::voting::Voting;
use crate::group::waiting::{Came, Placed};
use crate::id::EnvelopeId;
use crate::limits::{RATCHET_WINDOW, WAITING_BY_PEER_MAX, WAITING_MAX};
use crate::mls::{Provider, Signer, State};
use crate::step::{Input, Outcome, Transmit};
use crate::wire::envelope::{Envelope, EnvelopeKey, LifetimeClass};

use super::bringers::changed_unheard;
use super::commits::TAKEN;
use super::flood::OVER;
use super::gaps::{PARKED, forged, forged_as, rests_never, said, said_after, spoilt};
use super::rogue::{Outside, Rogue};
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
    let (_, sent) = room.inside(ANA, |group, cx| group.set_retention(cx, day).unwrap());
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
pub(super) fn fill(room: &mut Room, placed: bool, by: &[usize]) {
    let junk = (0..by.len() * WAITING_BY_PEER_MAX).map(|_| forged(room, CHI, 5_000, 0)).collect();
    fill_with(room, junk, placed, by);
}

fn fill_with(room: &mut Room, junk: Vec<Vec<u8>>, placed: bool, by: &[usize]) {
    let names: Vec<_> = by.iter().map(|who| room.see(*who, |group| group.me.member())).collect();
    room.inside(BEN, |group, cx| {
        for (bytes, by) in junk.into_iter().zip(names.iter().copied().cycle()) {
            let came = Came { by: Some(by), ..Came::default() };
            let said = Order::said(0, &group.facts.head, 0, 0);
            let (net, order) = (group.net, if placed { said } else { Order::UNKNOWN });
            let stands = Placed { order, spot: None };
            group.log.keep_waiting(cx, net, &Envelope::parse(bytes).unwrap(), (came, stands));
        }
    });
}

/// Ana's first word is gone for ever, and there is no room for more that waits.
#[test]
fn without_room_to_wait_nothing_is_lost_that_can_be_opened() {
    let mut room = Room::of(4);
    let (_, second) = (said(&mut room, "first", 0), said(&mut room, "second", 0));
    let far = said_after(&mut room, "far", RATCHET_WINDOW, 0);
    fill(&mut room, true, &[ANA, BEN, CHI, DAN]);
    room.deaf = Some(ANA);
    let (net, link) = (room.net(BEN), room.link(BEN, CHI));
    let hear = |room: &mut Room, bytes| room.give(BEN, Input::Gossip { net, link: Some(link), bytes });
    assert_eq!(hear(&mut room, far), Outcome::Refused(Refusal::NoRoom));
    assert_eq!(hear(&mut room, second), TAKEN);
    assert_eq!(room.texts(BEN), ["second"]);
}

/// Tags that nobody knows fill up their own room.
#[test]
fn what_nobody_can_read_takes_no_room_from_what_waits_for_its_turn() {
    let mut room = Room::of(4);
    let (first, second) = (said(&mut room, "first", 0), said(&mut room, "second", 0));
    fill(&mut room, false, &[ANA, BEN, CHI, DAN]);
    room.deaf = Some(ANA);
    let (net, link) = (room.net(BEN), room.link(BEN, CHI));
    assert_eq!(room.give(BEN, Input::Gossip { net, link: Some(link), bytes: second }), PARKED);
    assert_eq!(room.hear(BEN, first), TAKEN);
    assert_eq!(room.texts(BEN), ["first", "second"]);
    const { assert!(4 * WAITING_BY_PEER_MAX == WAITING_MAX) };
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
        rests_never(group);
    });
}

/// What Ana says from then on comes by hand within seconds.
#[test]
fn whoever_missed_more_than_a_ratchet_goes_is_told_by_hand_and_soon() {
    let mut room = Room::of(2);
    says_much_that_is_gone(&mut room);
    for n in 0..60 {
        room.says_on(ANA, &n.to_string());
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
    room.says_on(ANA, "hello");
    room.settle();
    room.restart(BEN);
    room.pass(50_000);
    assert_eq!(room.see(BEN, |group| group.log.waiting.ids().count()), 1);
    room.deaf = None;
    room.restart(ANA);
    room.inside(ANA, |group, _| rests_never(group));
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

/// Five hundred wait for a message that never comes: they are opened some at a time, and the device answers in between.
#[test]
fn what_has_waited_long_enough_is_tried_some_at_a_time() {
    let mut room = Room::of(3);
    room.deaf = Some(CHI);
    let (net, link) = (room.net(BEN), room.link(BEN, CHI));
    for _ in 0..500 {
        let bytes = forged(&mut room, CHI, 3, 0);
        assert_eq!(room.give(BEN, Input::Gossip { net, link: Some(link), bytes }), PARKED);
    }
    room.now = room.now + Duration::from_millis(2_100);
    for left in [500 - 128, 500 - 2 * 128] {
        let (waiting, _) = room.inside(BEN, |group, cx| {
            group.skip_gaps(cx).unwrap();
            assert!(group.gaps_deadline(cx.now.wall).unwrap() <= cx.now.wall);
            group.log.waiting.ids().count()
        });
        assert_eq!(waiting, left);
    }
}

/// Late words of states that the group has left come between those of today.
#[test]
fn the_state_of_today_is_not_read_again_for_words_of_yesterday() {
    let mut room = Room::of(2);
    let late: Vec<_> = (0..6)
        .map(|n| {
            let bytes = said(&mut room, &n.to_string(), 0);
            room.change_rules();
            bytes
        })
        .collect();
    assert!(room.see(BEN, |group| group.epochs.in_memory() <= 4));
    room.restart(BEN);
    room.pass(5_000);
    let cost = |room: &mut Room, text: &str| {
        let bytes = said(room, text, 0);
        let before = room.disk(BEN).reads();
        assert_eq!(room.hear(BEN, bytes), TAKEN);
        room.disk(BEN).reads() - before
    };
    cost(&mut room, "first");
    let before = cost(&mut room, "second");
    for bytes in late {
        assert_eq!(room.hear(BEN, bytes), TAKEN);
        assert_eq!(cost(&mut room, "between"), before);
    }
}

/// What is opened only for want of room costs its bringer as much as what waited.
#[test]
fn whoever_has_filled_its_room_pays_for_what_is_tried_at_once() {
    let mut room = Room::of(3);
    let (net, link, chi) = (room.net(BEN), room.link(BEN, CHI), room.see(CHI, |group| group.me.member()));
    let spoilt: Vec<_> = (0..400).map(|n| spoilt(&mut room, if n == 0 { 590 } else { 0 })).collect();
    fill(&mut room, true, &[CHI]);
    let muted = |room: &mut Room| room.see(BEN, |group| group.conduct.is_muted(&chi));
    let tried = spoilt.into_iter().take_while(|bytes| {
        let outcome = room.give(BEN, Input::Gossip { net, link: Some(link), bytes: bytes.clone() });
        assert_eq!(outcome, Outcome::Refused(Refusal::BadSeal));
        !muted(&mut room)
    });
    assert!((200..360).contains(&tried.count()));
    assert!(muted(&mut room));
}

/// Chi could not know that it is not Ana's, and gave it on by hand. Then Ben comes so far that he can.
#[test]
fn nobody_is_muted_for_what_it_gave_on_by_hand_and_could_not_judge() {
    let mut room = Room::of(3);
    let chi = room.see(CHI, |group| group.me.member());
    let real: Vec<_> = (0..1_000).map(|n| said(&mut room, &n.to_string(), 0)).collect();
    let spoilt: Vec<_> = (0..400).map(|n| spoilt(&mut room, if n == 0 { 500 } else { 0 })).collect();
    room.lose(ANA);
    for bytes in &spoilt {
        assert_eq!(room.hear(CHI, bytes.clone()), PARKED);
    }
    room.pass(90_000);
    assert_eq!(room.see(BEN, |group| group.log.waiting.ids().count()), 400);
    for bytes in real {
        assert_eq!(room.hear(BEN, bytes), TAKEN);
    }
    room.pass(60_000);
    assert_eq!(room.see(BEN, |group| group.log.waiting.ids().count()), 0);
    assert!(!room.see(BEN, |group| group.conduct.is_muted(&chi)));
}

/// PROTOCOL E: what waits beyond the window does not keep a state whose time is over, not even where nobody talks any more.
#[test]
fn what_never_opens_keeps_no_keys_alive() {
    for removed in [false, true] {
        let mut room = Room::of(2);
        says_much_that_is_gone(&mut room);
        let old = room.stands(BEN).head;
        for n in 0..130 {
            let bytes = said(&mut room, &n.to_string(), 0);
            assert_eq!(room.hear(BEN, bytes), PARKED);
        }
        room.change_rules();
        if removed {
            room.remove(BEN);
        }
        room.skip_hours(80);
        room.pass(1_000);
        let now = room.now;
        let (dead, due) = room
            .inside(BEN, |group, cx| {
                let dead = group.epochs.get(&old).is_none_or(|epoch| epoch.keys.is_none());
                (dead, group.deadline(cx.now))
            })
            .0;
        assert!(dead && due.is_none_or(|due| due > now), "{removed} {due:?}");
    }
}

/// A comparison may have begun before what another is wished for.
#[test]
fn a_wish_that_comes_during_a_comparison_is_not_forgotten() {
    let mut room = Room::of(2);
    let link = room.link(ANA, BEN);
    let opens = |room: &mut Room, who| room.see(who, |group| group.links[&link].talk.is_opener());
    let (opener, other) = if opens(&mut room, ANA) { (ANA, BEN) } else { (BEN, ANA) };
    let wishes = |room: &mut Room| {
        let ((), sent) = room.inside(other, |group, cx| group.ask_to_compare(cx, link));
        let frame = |sent| if let Transmit::Frame { bytes, .. } = sent { Some(bytes) } else { None };
        let frames: Vec<Vec<u8>> = sent.into_iter().filter_map(frame).collect();
        frames.into_iter().map(|bytes| room.give(opener, Input::Frame { link, bytes })).count()
    };
    assert_eq!((wishes(&mut room), wishes(&mut room)), (1, 0));
    let ((), frames) = room.inside(opener, |group, cx| {
        group.open_session(cx, link).unwrap();
        group.on_compare(cx, link);
    });
    let [Transmit::Frame { bytes, .. }] = &frames[..] else { panic!("no round") };
    room.give(other, Input::Frame { link, bytes: bytes.clone() });
    room.settle();
    let (due, soon) = (room.see(opener, |group| group.links[&link].sync_due), room.now + Duration::from_secs(5));
    assert!(due.unwrap() <= soon);
    assert_eq!(wishes(&mut room), 1, "what comes after a comparison began is another wish");
}

/// Whoever does not begin comparisons asks again too for what cannot be opened: the peer may have heard what it says.
#[test]
fn each_comparison_asks_again_for_what_cannot_be_opened() {
    let mut room = Room::of(2);
    let link = room.link(ANA, BEN);
    let opens = |room: &mut Room, who| room.see(who, |group| group.links[&link].talk.is_opener());
    let (opener, other) = if opens(&mut room, ANA) { (ANA, BEN) } else { (BEN, ANA) };
    for waits in [false, true] {
        if waits {
            let bytes = forged(&mut room, opener, 5_000, 0);
            room.inside(other, |group, cx| {
                let net = group.net;
                group.log.keep_waiting(cx, net, &Envelope::parse(bytes).unwrap(), (Came::default(), Placed::NOWHERE));
                group.blind_due = None;
            });
        }
        let ((), frames) = room.inside(opener, |group, cx| group.open_session(cx, link).unwrap());
        let [Transmit::Frame { bytes, .. }] = &frames[..] else { panic!("no round") };
        room.give(other, Input::Frame { link, bytes: bytes.clone() });
        assert_eq!(room.see(other, |group| group.blind_due.is_some()), waits);
        room.settle();
    }
}

/// Fifteen hundred long texts come by hand as fast as they are asked for.
#[test]
fn whoever_asks_for_much_by_hand_is_not_muted_for_it() {
    let mut room = Room::of(2);
    says_much_that_is_gone(&mut room);
    for n in 0..1_500 {
        room.says_on(ANA, &format!("{n} {}", "x".repeat(2_000)));
        room.settle();
    }
    for _ in 0..45 {
        room.pass(1_000);
        for who in [ANA, BEN] {
            assert_eq!(room.see(who, |group| group.conduct.muted().count()), 0);
        }
    }
    assert_eq!(room.texts(BEN).len(), 1_500);
}

/// Ben has lost Ana's ratchet, and Chi hears of her through him alone.
#[test]
fn others_are_told_of_what_cannot_be_opened_here() {
    let mut room = Room::of(3);
    says_much_that_is_gone(&mut room);
    room.deaf = Some(ANA);
    let link = room.link(BEN, CHI);
    let asks = |room: &mut Room| {
        let now = room.now;
        let due = |group: &Group| {
            let link = &group.links[&link];
            link.wished == Some(now)
                || (link.talk.is_opener() && link.sync_due.unwrap() <= now + Duration::from_secs(5))
        };
        room.see(BEN, due)
    };
    let bytes = said(&mut room, "first", 0);
    assert_eq!(room.hear(BEN, bytes), PARKED);
    room.pass(60_000);
    assert!(!asks(&mut room));
    let bytes = said(&mut room, "second", 0);
    assert_eq!(room.hear(BEN, bytes), PARKED);
    assert!(asks(&mut room));
}

/// By gossip it answers for it: nobody passes on what it has not opened.
#[test]
fn whoever_gossips_what_is_nobodys_pays_for_it_however_long_it_waited() {
    let mut room = Room::of(3);
    let (net, link, chi) = (room.net(BEN), room.link(BEN, CHI), room.see(CHI, |group| group.me.member()));
    let real: Vec<_> = (0..1_000).map(|n| said(&mut room, &n.to_string(), 0)).collect();
    room.deaf = Some(CHI);
    for n in 0..500 {
        let bytes = spoilt(&mut room, if n == 0 { 500 } else { 0 });
        assert_eq!(room.give(BEN, Input::Gossip { net, link: Some(link), bytes }), PARKED);
    }
    room.lose(ANA);
    room.pass(40_000);
    for bytes in real {
        assert_eq!(room.hear(BEN, bytes), TAKEN);
    }
    room.pass(5_000);
    assert!(room.see(BEN, |group| group.conduct.is_muted(&chi)));
}

/// Dan came in after the epoch that it is said to be of, and gives on in each comparison what he can never judge.
#[test]
fn what_was_nobodys_is_not_taken_again() {
    let mut room = Room::open(4, 3);
    let mut junk: Vec<_> = (0..400).map(|_| forged(&mut room, CHI, 990, 0)).collect();
    // Nobody's leaf, and Ben's own.
    let ben = room.see(BEN, |group| group.roster().unwrap().seat(&group.me.member()).unwrap().leaf);
    junk.extend([4_000_000; 3_000].into_iter().chain([ben]).map(|leaf| forged_as(&mut room, CHI, leaf, (u32::MAX, 0))));
    room.join(DAN);
    let dan = room.see(DAN, |group| group.me.member());
    let rows = room.disk(DAN).copy();
    room.lose(CHI);
    room.lose(DAN);
    let mut rogue = Rogue::link(&mut room, &rows, BEN);
    for bytes in &junk {
        for _ in 0..60 {
            if rogue.push(&mut room, std::slice::from_ref(bytes)) != OVER {
                break;
            }
            room.pass(1_000);
        }
    }
    room.pass(60_000);
    assert!(room.see(BEN, |group| !group.conduct.is_muted(&dan)));
    assert_eq!(room.see(BEN, |group| group.log.waiting.ids().count()), 0);
    for page in junk.chunks(100) {
        assert_eq!(rogue.push(&mut room, page), Outcome::Duplicate);
    }
}

/// Chi cannot place it, and is perhaps the only one between Ana and somebody who can.
#[test]
fn what_waits_for_its_epoch_is_told_on() {
    let mut room = Room::of(3);
    changed_unheard(&mut room);
    let next = said(&mut room, "next", 0);
    assert_eq!(room.hear(CHI, next.clone()), Outcome::Parked(Why::UnknownEpoch));
    let ben = room.see(BEN, |group| group.me.member());
    assert!(room.see(CHI, |group| group.log.tells(&id_of(&next), group.opens(Some(ben)))));
}

/// Strangers' envelopes have taken the room when Ana's word comes, before the commit that it follows.
#[test]
fn what_had_no_room_is_asked_for_when_the_head_moves() {
    let asks = |comes: bool| {
        let mut room = Room::of(4);
        let outside = Outside::of(room.disk(CHI), room.now.hour(), LifetimeClass::Week);
        let key = EnvelopeKey::new(&[3; 32]);
        let junk = (0..WAITING_MAX).map(|_| outside.seal(&mut room, &key, b"")).collect();
        fill_with(&mut room, junk, false, &[ANA, BEN, CHI, DAN]);
        let commit = changed_unheard(&mut room);
        let next = said(&mut room, "next", 0);
        let net = room.net(BEN);
        let links: Vec<_> = [ANA, CHI, DAN].map(|who| room.link(BEN, who)).to_vec();
        if comes {
            let input = Input::Gossip { net, link: Some(links[1]), bytes: next };
            assert_eq!(room.give(BEN, input), Outcome::Refused(Refusal::NoRoom));
        }
        // Her vote would bring it.
        room.inside(ANA, |group, _| group.voting = Voting::default());
        room.pass(10_000);
        assert_eq!(room.hear(BEN, commit), TAKEN);
        let (now, soon) = (room.now, room.now + COMPARE_AFTER);
        let asks = |group: &Group, link| {
            let link = &group.links[&link];
            link.wished == Some(now) || link.sync_due.is_some_and(|due| due <= soon)
        };
        links.into_iter().filter(|link| room.see(BEN, |group| asks(group, *link))).count()
    };
    assert_eq!((asks(false), asks(true)), (0, 3));
}

/// Ben asks for what waits at Chi for its turn, and does not get it now.
#[test]
fn a_wish_is_not_forgotten_where_nothing_comes_of_a_comparison() {
    let mut room = Room::of(3);
    let (_, second) = (said(&mut room, "first", 0), said(&mut room, "second", 0));
    room.deaf = Some(ANA);
    let (net, from) = (room.net(CHI), room.link(CHI, ANA));
    assert_eq!(room.give(CHI, Input::Gossip { net, link: Some(from), bytes: second }), PARKED);
    let link = room.link(BEN, CHI);
    assert!(room.see(BEN, |group| group.links[&link].talk.is_opener()));
    let ((), frames) = room.inside(BEN, |group, cx| {
        group.open_session(cx, link).unwrap();
        group.on_compare(cx, link);
    });
    let [Transmit::Frame { bytes, .. }] = &frames[..] else { panic!("no round") };
    room.give(CHI, Input::Frame { link, bytes: bytes.clone() });
    room.settle();
    assert!(room.texts(BEN).is_empty());
    let (due, soon) = (room.see(BEN, |group| group.links[&link].sync_due), room.now + Duration::from_secs(5));
    assert!(due.unwrap() <= soon);
    assert_eq!(room.see(CHI, |group| group.links[&link].under_way), 0);
}

/// Three hundred words with a hole before each wait beyond the window, and nobody says anything more.
#[test]
fn what_comes_within_the_window_is_opened_however_much_it_is() {
    let mut room = Room::of(2);
    let first: Vec<_> = (0..250).map(|n| said(&mut room, &n.to_string(), 0)).collect();
    let late: Vec<_> =
        (0..300).map(|n| said_after(&mut room, &n.to_string(), if n == 0 { 900 } else { 1 }, 0)).collect();
    room.deaf = Some(ANA);
    for bytes in late {
        assert_eq!(room.hear(BEN, bytes), PARKED);
    }
    room.pass(40_000);
    assert!(room.texts(BEN).is_empty());
    for bytes in first {
        assert_eq!(room.hear(BEN, bytes), TAKEN);
    }
    room.pass(60_000);
    assert_eq!(room.texts(BEN).len(), 550);
}

/// Chi gave on four hundred that she could not judge; they are looked at when Ben comes to their epoch and has nobody to ask.
#[test]
fn what_waited_for_its_epoch_is_on_nobodys_account_in_full() {
    let mut room = Room::of(4);
    let chi = room.see(CHI, |group| group.me.member());
    let day = Duration::from_secs(86_400);
    let (_, sent) = room.inside(ANA, |group, cx| group.set_retention(cx, day).unwrap());
    let published = |sent| if let Transmit::Publish { bytes, .. } = sent { Some(bytes) } else { None };
    let commit = sent.into_iter().find_map(published).unwrap();
    room.deaf = Some(BEN);
    assert_eq!(room.hear(DAN, commit.clone()), TAKEN);
    let junk: Vec<_> = (0..400).map(|_| forged(&mut room, DAN, 990, 0)).collect();
    for who in [ANA, CHI, DAN] {
        room.lose(who);
    }
    room.inside(BEN, |group, cx| {
        for bytes in junk {
            let came = (Came { by: Some(chi), ..Came::default() }, Placed::NOWHERE);
            let net = group.net;
            group.log.keep_waiting(cx, net, &Envelope::parse(bytes).unwrap(), came);
        }
    });
    assert_eq!(room.hear(BEN, commit), TAKEN);
    room.pass(1_000);
    assert!(room.see(BEN, |group| group.log.waiting.is_empty() && !group.conduct.is_muted(&chi)));
}

/// PROTOCOL M4, E: Ben does not hear Chi for a minute, and his device falls asleep before that is over.
#[test]
fn what_a_muted_member_brought_is_opened_before_its_keys_die() {
    let mut room = Room::of(3);
    let (_, second) = (said(&mut room, "first", 0), said(&mut room, "second", 0));
    room.change_rules();
    room.deaf = Some(ANA);
    let (net, link) = (room.net(BEN), room.link(BEN, CHI));
    assert_eq!(room.give(BEN, Input::Gossip { net, link: Some(link), bytes: second }), PARKED);
    room.inside(BEN, |group, cx| drop(group.refuse_more(cx, link)));
    room.drop_frames_to(BEN);
    [ANA, CHI].into_iter().for_each(|who| room.lose(who));
    room.skip_hours(80);
    room.pass(10);
    assert_eq!(room.texts(BEN), ["second"]);
}
