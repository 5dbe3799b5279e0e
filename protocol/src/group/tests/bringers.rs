//! Who answers for what was opened in vain, and what becomes of what finds no room.

use std::time::Duration;

use crate::error::{Refusal, Why};
use crate::group::gaps::TRIED_MAX;
use crate::group::log::Order;
use crate::group::waiting::{Came, Placed};
use crate::id::{CommitId, EnvelopeId};
use crate::identity::Identity;
use crate::limits::{BROUGHT_BY_HAND, MUTED, SAID_BY_AUTHOR};
use crate::step::{Command, Input, Outcome, Transmit};
use crate::wire;
use crate::wire::control::{Control, Vote};
use crate::wire::envelope::{Envelope, LifetimeClass};
use crate::wire::message::{Handed, Message};

use super::commits::TAKEN;
use super::content::{seal, words};
use super::flood::{OVER, of_ben};
use super::gaps::{PARKED, forged, said, said_after};
use super::rogue::{Outside, Rogue, junk_commits};
use super::room::{ANA, BEN, CHI, DAN, Room};
use super::waiting::fill;

const NO_ROOM: Outcome = Outcome::Refused(Refusal::NoRoom);

/// Ana changes the rules, and nobody has heard of it yet.
pub(super) fn changed_unheard(room: &mut Room) -> Vec<u8> {
    let day = Duration::from_secs(86_400);
    let (_, sent) = room.inside(ANA, |group, cx| group.set_retention(cx, day).unwrap());
    let published = |sent| if let Transmit::Publish { bytes, .. } = sent { Some(bytes) } else { None };
    sent.into_iter().find_map(published).unwrap()
}

fn wait_at(room: &mut Room, who: usize) -> usize {
    room.see(who, |group| group.log.waiting.ids().count())
}

/// Of what takes much to open so much waits, by the price of opening it, as leaves half of what a member may bring by hand.
const HALF: u64 = BROUGHT_BY_HAND.burst / 2;

/// How many pages are taken before no more is.
fn taken(room: &mut Room, rogue: &mut Rogue, pages: std::slice::Chunks<'_, Vec<u8>>, as_what: &Outcome) -> usize {
    let outcomes: Vec<_> = pages.map(|page| rogue.push(room, page)).collect();
    let taken = outcomes.iter().take_while(|outcome| *outcome == as_what).count();
    assert!(outcomes[taken..].iter().all(|outcome| *outcome == OVER));
    taken
}

fn half(keys: u64) -> usize {
    usize::try_from(HALF / (keys / 16 + 1)).unwrap()
}

/// Whoever gives on by hand may not know what it brings: it is not muted, and what would take much is not opened for it
/// for a while.
#[test]
fn whoever_pushed_much_in_vain_is_opened_less_for_and_is_not_muted() {
    let mut room = Room::of(3);
    let rows = room.disk(CHI).copy();
    let chi = room.see(CHI, |group| group.me.member());
    let words = said(&mut room, "words", 0);
    let mut far: Vec<_> = (0..401).map(|_| forged(&mut room, CHI, 990, 0)).collect();
    let later = far.pop().unwrap();
    room.lose(CHI);
    let mut rogue = Rogue::link(&mut room, &rows, BEN);
    let waits = taken(&mut room, &mut rogue, far.chunks(1), &PARKED);
    assert!(waits.abs_diff(half(990)) <= 3, "{waits}");
    room.pass(3_000);
    assert_eq!(wait_at(&mut room, BEN), 0);
    assert_eq!(rogue.push(&mut room, &[words]), TAKEN);
    room.pass(BROUGHT_BY_HAND.burst / BROUGHT_BY_HAND.per_second * 1_000);
    assert_eq!(rogue.push(&mut room, &[later]), PARKED);
    assert!(room.see(BEN, |group| !group.conduct.is_muted(&chi)));
}

/// What was somebody's is given back.
#[test]
fn whoever_pushes_what_is_far_ahead_and_good_goes_on() {
    let mut room = Room::of(3);
    let rows = room.disk(CHI).copy();
    let far = said_after(&mut room, "far", 900, 0);
    let junk: Vec<_> = (0..400).map(|_| forged(&mut room, CHI, 901 + 980, 0)).collect();
    for who in [ANA, CHI] {
        room.lose(who);
    }
    let mut rogue = Rogue::link(&mut room, &rows, BEN);
    assert_eq!(rogue.push(&mut room, &[far]), PARKED);
    rogue.hear(&mut room);
    let asked = |message: &Message| if let Message::Missing(span) = message { Some(*span) } else { None };
    let span = rogue.heard.iter().find_map(asked).unwrap();
    rogue.say(&mut room, &Message::Absent(span));
    assert_eq!(room.texts(BEN), ["far"]);
    assert_eq!(taken(&mut room, &mut rogue, junk.chunks(1), &PARKED), half(980));
}

/// Without room to wait each is opened at once: what takes much leaves enough for what is in its turn.
#[test]
fn what_takes_much_to_open_leaves_half_for_the_rest() {
    let mut room = Room::of(3);
    let rows = room.disk(CHI).copy();
    let words = said(&mut room, "words", 0);
    let far: Vec<_> = (0..400).map(|_| forged(&mut room, CHI, 990, 0)).collect();
    room.lose(CHI);
    fill(&mut room, true, &[CHI]);
    let mut rogue = Rogue::link(&mut room, &rows, BEN);
    let opened = taken(&mut room, &mut rogue, far.chunks(1), &Outcome::Refused(Refusal::BadSeal));
    assert!(opened.abs_diff(half(990)) <= 3, "{opened}");
    assert_eq!(rogue.push(&mut room, &[words]), TAKEN);
}

/// Chi could not know that they are no commits: not when they waited for their epoch, nor when she gave them on.
#[test]
fn commits_that_waited_and_are_none_are_given_on_no_more_and_mute_nobody() {
    let mut room = Room::of(4);
    let commit = changed_unheard(&mut room);
    assert_eq!(room.hear(DAN, commit.clone()), TAKEN);
    let rows = room.disk(DAN).copy();
    let junk = junk_commits(&mut room, &rows, 1, 1_000);
    for bytes in &junk {
        assert_eq!(room.hear(CHI, bytes.clone()), Outcome::Parked(Why::UnknownEpoch));
    }
    for who in [CHI, BEN] {
        room.hear(who, commit.clone());
    }
    // Some at a time.
    assert_eq!(wait_at(&mut room, CHI), 1_000 - TRIED_MAX);
    room.pass(1_000);
    assert_eq!(wait_at(&mut room, CHI), 0);
    let dan = room.see(DAN, |group| group.me.member());
    room.lose(DAN);
    let mut rogue = Rogue::link(&mut room, &rows, BEN);
    let outcomes: Vec<_> = junk.chunks(10).map(|page| rogue.push(&mut room, page)).collect();
    let opened = outcomes.iter().take_while(|outcome| **outcome == Outcome::Refused(Refusal::InvalidCommit)).count();
    assert!((20..60).contains(&opened), "{opened} pages of ten");
    assert!(outcomes[opened..].iter().all(|outcome| *outcome == OVER));
    assert!(rogue.is_up(&room) && room.see(BEN, |group| !group.conduct.is_muted(&dan)));
    assert_eq!(rogue.push(&mut room, &junk[..10]), Outcome::Duplicate, "once is enough");
}

/// Strangers' envelopes wait at Ben, brought by honest members, as many as there is room for. Chi shows what Ben cannot
/// keep.
#[test]
fn what_has_no_room_to_wait_comes_from_hand_to_hand() {
    let mut room = Room::of(4);
    let ana = room.see(ANA, |group| group.me.key());
    let content = words(&mut room, ana, "hello");
    let signed = room.see(ANA, |group| group.me.sign(group.id, &content));
    let rows = room.disk(CHI).copy();
    let epoch = room.see(BEN, |group| group.facts.head);
    fill(&mut room, false, &[ANA, BEN, CHI, DAN]);
    room.lose(CHI);
    room.deaf = Some(BEN);
    changed_unheard(&mut room);
    let sealed = seal(&mut room, ANA, &signed, None);
    let envelope = Envelope::parse(sealed.clone()).unwrap().id();
    let mut rogue = Rogue::link(&mut room, &rows, BEN);
    assert_eq!(rogue.push(&mut room, &[sealed]), NO_ROOM);
    rogue.hear(&mut room);
    let asks = |message: &Message| matches!(message, Message::Cannot(ids) if *ids == [envelope]);
    assert!(rogue.heard.iter().any(asks));
    let handed = |envelope| Message::Handed(vec![Handed { envelope, epoch, signed: signed.clone() }]);
    rogue.say(&mut room, &handed(EnvelopeId::from_bytes([7; 32])));
    assert!(room.texts(BEN).is_empty(), "not asked for");
    rogue.say(&mut room, &handed(envelope));
    assert_eq!(room.texts(BEN), ["hello"]);
}

/// PROTOCOL E: a member goes on saying things under the keys of a state whose time is over.
#[test]
fn nobody_keeps_keys_alive_by_bringing_more() {
    let mut room = Room::of(3);
    let old = room.stands(BEN).head;
    let far: Vec<_> = (0..260).map(|n| said_after(&mut room, &n.to_string(), 1, 0)).collect();
    let (before, after) = far.split_at(200);
    room.change_rules();
    for bytes in before {
        assert_eq!(room.hear(BEN, bytes.clone()), PARKED);
    }
    for who in [ANA, CHI] {
        room.drop_frames_to(who);
        room.lose(who);
    }
    room.skip_hours(80);
    let mut steps = 0;
    while room.inside(BEN, |group, cx| group.sweep(cx).map(|()| group.epochs.has_keys(&old))).0.unwrap() {
        steps += 1;
        assert!(steps < 3);
        for bytes in &after[..30 * steps] {
            assert_eq!(room.hear(BEN, bytes.clone()), NO_ROOM);
        }
    }
    assert_eq!((steps, room.texts(BEN).len()), (1, 200));
}

/// What is known of what waits is known again after a restart, and it takes the room that it took.
#[test]
fn what_waits_takes_the_same_room_after_a_restart() {
    let mut room = Room::of(2);
    let rows = room.disk(BEN).copy();
    room.change_rules();
    room.pass(660_000);
    let rivals = junk_commits(&mut room, &rows, 1, 3);
    for bytes in rivals {
        assert_eq!(room.hear(BEN, bytes), Outcome::Parked(Why::Rival));
    }
    for _ in 0..2 {
        assert_eq!(room.see(BEN, |group| group.log.waiting.nowhere().len()), 0);
        room.restart(BEN);
        room.pass(1_000);
        assert_eq!(wait_at(&mut room, BEN), 3);
    }
}

/// Ben said much while Ana was away, and Chi repeats it all at once: Ben has done nothing, and what gossip brings too much
/// comes by link.
#[test]
fn nobody_is_muted_for_what_others_repeat() {
    let mut room = Room::of(3);
    let burst = usize::try_from(SAID_BY_AUTHOR.burst).unwrap();
    let (net, chi, ben) = (room.net(ANA), room.link(ANA, CHI), room.link(ANA, BEN));
    let said = of_ben(&mut room, burst + 100);
    for (n, bytes) in said.into_iter().enumerate() {
        let outcome = room.give(ANA, Input::Gossip { net, link: Some(chi), bytes });
        assert_eq!(outcome, if n <= burst { TAKEN } else { OVER }, "{n}");
    }
    room.settle();
    let full = |room: &mut Room, link| room.see(ANA, |group| group.links.get(&link).is_some_and(|link| link.full));
    assert!(full(&mut room, ben) && full(&mut room, chi));
    room.says(BEN, "by link");
    room.pass(2_000);
    assert!(room.texts(ANA).contains(&"by link".to_owned()));
    room.pass(u64::try_from(MUTED.as_millis()).unwrap());
    let again = of_ben(&mut room, 1).remove(0);
    assert_ne!(room.give(ANA, Input::Gossip { net, link: Some(chi), bytes: again }), OVER);
}

/// One vote of Ben's in ever new envelopes, and one of somebody who is no member: the first is carried once, and neither is
/// looked at for ever.
#[test]
fn what_was_signed_once_is_carried_once() {
    let mut room = Room::of(3);
    let rows = room.disk(BEN).copy();
    let ben = room.see(BEN, |group| group.me.key());
    let stranger = Identity::new("Eve", &mut room.rng);
    let (group, epoch) = (rows.group().id, rows.group().facts.head);
    let vote = |voter| Vote { group, epoch, number: 0, commit: CommitId::from_bytes([1; 32]), counter: 1, voter };
    let [good, bad] = [
        Control::Vote(rows.group().me.sign(group, &vote(ben))),
        Control::Vote(stranger.sign(group, &vote(stranger.key()))),
    ];
    let key = rows.group().newest().unwrap().control_key();
    let outside = Outside::of(&rows, room.now.hour(), LifetimeClass::Week);
    let seal = |room: &mut Room, control: &Control| outside.seal(room, &key, &wire::encode(control));
    let [first, again] = [(); 2].map(|()| seal(&mut room, &good));
    assert_eq!(room.hear(ANA, first), TAKEN);
    assert_eq!(room.hear(ANA, again.clone()), Outcome::Duplicate);
    let held = Envelope::parse(again).unwrap().id();
    assert!(room.see(ANA, |group| !group.log.holds(&held)), "it goes on from nobody");
    room.lose(BEN);
    let mut rogue = Rogue::link(&mut room, &rows, ANA);
    for (control, outcome, price) in [(&bad, Outcome::Refused(Refusal::NotAMember), 4), (&good, Outcome::Duplicate, 1)]
    {
        let many = BROUGHT_BY_HAND.burst / price + 1_000;
        let all: Vec<_> = (0..many).map(|_| seal(&mut room, control)).collect();
        let took = taken(&mut room, &mut rogue, all.chunks(100), &outcome);
        assert!(took.abs_diff(usize::try_from(BROUGHT_BY_HAND.burst / price / 100).unwrap()) <= 1, "{took}");
        room.pass(BROUGHT_BY_HAND.burst / BROUGHT_BY_HAND.per_second * 1_000);
    }
    assert!(rogue.is_up(&room));
}

/// Whoever signed it has it too, and when its time is over nobody takes it, however it is sealed.
#[test]
fn nobody_is_brought_what_it_signed_nor_anybody_what_is_over() {
    let mut room = Room::of(3);
    let rows = room.disk(BEN).copy();
    let from = room.published.len();
    room.lose(ANA);
    room.ask(BEN, Command::Leave { group: rows.group().id });
    let key = rows.group().newest().unwrap().control_key();
    let leave = Envelope::parse(room.published[from].clone()).unwrap().open(&key).unwrap();
    let hour = room.now.hour();
    for (hours, at, outcome) in
        [(0, BEN, Outcome::Duplicate), (0, CHI, Outcome::Duplicate), (8 * 24, CHI, Outcome::Refused(Refusal::Expired))]
    {
        let bytes = Outside::of(&rows, hour - hours, LifetimeClass::Week).seal(&mut room, &key, &leave);
        assert_eq!(room.hear(at, bytes), outcome, "{hours} {at}");
    }
}

/// Ben has no allowance left for what Ana brings by hand, and she leads him to a commit: he asks for it again.
#[test]
fn a_commit_that_comes_too_soon_is_asked_for_again() {
    let mut room = Room::of(2);
    let commit = changed_unheard(&mut room);
    let rows = room.disk(ANA).copy();
    let came = Came { by: Some(room.see(ANA, |group| group.me.member())), ..Came::default() };
    room.lose(ANA);
    room.inside(BEN, |group, cx| {
        let placed = Placed { order: Order::commit(0, &group.facts.head), spot: None };
        (0..BROUGHT_BY_HAND.burst / 50).for_each(|_| group.charge_vain(cx, &came, &placed));
    });
    let mut rogue = Rogue::link(&mut room, &rows, BEN);
    let asked = |rogue: &mut Rogue, room: &mut Room| {
        rogue.hear(room);
        rogue.heard.iter().filter(|message| matches!(message, Message::After(_))).count()
    };
    assert_eq!(asked(&mut rogue, &mut room), 1);
    assert_eq!(rogue.push(&mut room, std::slice::from_ref(&commit)), OVER);
    room.pass(6_000);
    // And how Ana came there, should it be of no use to him.
    assert_eq!(asked(&mut rogue, &mut room), 3);
    assert_eq!(rogue.push(&mut room, &[commit]), TAKEN);
}
