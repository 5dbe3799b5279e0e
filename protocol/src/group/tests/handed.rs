//! What a member cannot open is handed to it by others: to whom it was meant for, as it was signed, and when asked.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use crate::clock::Now;
use crate::group::commits::Commits;
use crate::group::history::History;
use crate::group::outbox::Entry;
use crate::id::{EnvelopeId, EpochId, LinkId};
use crate::identity::Identity;
use crate::step::{Command, Outcome, Reply, Transmit};
use crate::wire::content::{Content, msg_id};
use crate::wire::envelope::{Envelope, EnvelopeKey, LifetimeClass};
use crate::wire::message::Handed;

use super::content::{seal, words};
use super::rogue::Outside;
use super::room::{ANA, BEN, CHI, Room};

/// PROTOCOL D2: Chi came in after it was said.
#[test]
fn nobody_is_handed_what_it_was_not_meant_for() {
    let mut room = Room::open(3, 2);
    let from = room.published.len();
    let (group, text) = (room.see(ANA, |group| group.id), Zeroizing::new("between us".to_owned()));
    room.ask(ANA, Command::Send { group, text, expires: None });
    let said = Envelope::parse(room.published[from].clone()).unwrap().id();
    room.join(CHI);
    let hands_out = |room: &mut Room, to| {
        let link = room.link(BEN, to);
        let (_, transmits) = room.inside(BEN, |group, cx| group.on_cannot(cx, link, &[said]).unwrap());
        transmits.iter().filter(|transmit| matches!(transmit, Transmit::Frame { .. })).count()
    };
    assert_eq!(hands_out(&mut room, ANA), 1);
    assert_eq!(hands_out(&mut room, CHI), 0);
}

/// PROTOCOL D2: Ben holds an envelope that he cannot open, and Ana's device says what is in it.
#[test]
fn only_what_was_asked_for_and_signed_by_a_member_is_taken() {
    let mut room = Room::of(2);
    let ana = room.see(ANA, |group| group.me.key());
    let content = words(&mut room, ana, "hello");
    let signed = room.see(ANA, |group| group.me.sign(group.id, &content));
    let link = room.link(ANA, BEN);
    let epoch = room.see(BEN, |group| group.facts.head);
    room.deaf = Some(BEN);
    room.inside(ANA, |group, cx| group.set_retention(cx, std::time::Duration::from_secs(86_400)).unwrap());
    let held = seal(&mut room, ANA, &signed, None);
    let envelope = Envelope::parse(held.clone()).unwrap().id();
    assert!(matches!(room.hear(BEN, held), Outcome::Parked(_)));
    let hand = |room: &mut Room, handed: Handed, asked: bool| {
        room.inside(BEN, |group, cx| {
            let blind = &mut group.links.get_mut(&link).unwrap().blind;
            blind.clear();
            blind.extend(asked.then_some(handed.envelope));
            group.on_handed(cx, link, vec![handed]).unwrap();
        });
        room.texts(BEN)
    };
    let good = Handed { envelope, epoch, signed: signed.clone() };
    let stranger = Identity::new("Ana", &mut <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::from_seed([9; 32]));
    let group = room.see(ANA, |group| group.id);
    let mut changed = signed;
    changed.body[40] ^= 1;
    let by_stranger = stranger.sign(group, &words(&mut room, stranger.key(), "hello"));
    let in_her_name = stranger.sign(group, &content);
    let elsewhere = EpochId::from_bytes([7; 32]);
    for (what, handed) in [
        ("changed", Handed { signed: changed, ..good.clone() }),
        ("a stranger's", Handed { signed: by_stranger, ..good.clone() }),
        ("in Ana's name", Handed { signed: in_her_name, ..good.clone() }),
        ("of no epoch", Handed { epoch: elsewhere, ..good.clone() }),
    ] {
        assert!(hand(&mut room, handed, true).is_empty(), "{what}");
    }
    assert!(hand(&mut room, good.clone(), false).is_empty(), "not asked for");
    assert_eq!(hand(&mut room, good, true), ["hello"]);
}

/// PROTOCOL D5: what is past its time when it is handed over shows nothing, and its author is not told that it is here.
#[test]
fn what_is_handed_over_too_late_is_not_held() {
    let (mut room, link, envelope) = waiting();
    let ana = room.see(ANA, |group| group.me.key());
    let content = words(&mut room, ana, "hello");
    let late = Content { deadline: room.now.shifted(-1_000), pos: room.now.shifted(-10_000), ..content };
    let signed = room.see(ANA, |group| group.me.sign(group.id, &late));
    let epoch = room.see(BEN, |group| group.facts.head);
    let haves = room.inside(BEN, |group, cx| {
        group.links.get_mut(&link).unwrap().blind.extend([envelope]);
        group.on_handed(cx, link, vec![Handed { envelope, epoch, signed }]).unwrap();
        group.links[&link].haves.len()
    });
    assert!(room.texts(BEN).is_empty());
    assert_eq!(haves.0, 0);
}

/// PROTOCOL D3: it disappeared, and its envelope still waits; a clock that was ahead and a restart make no difference.
#[test]
fn what_was_handed_over_and_is_gone_does_not_come_back() {
    let (mut room, link, envelope) = waiting();
    let ana = room.see(ANA, |group| group.me.key());
    let content = words(&mut room, ana, "hello");
    let brief = Content { deadline: content.pos + std::time::Duration::from_secs(3_600), ..content };
    let signed = room.see(ANA, |group| group.me.sign(group.id, &brief));
    let (said, epoch) = (msg_id(&signed), room.see(BEN, |group| group.facts.head));
    room.inside(BEN, |group, cx| {
        group.links.get_mut(&link).unwrap().blind.extend([envelope]);
        group.on_handed(cx, link, vec![Handed { envelope, epoch, signed }]).unwrap();
    });
    assert_eq!(room.texts(BEN), ["hello"]);
    let begin = room.now;
    for restarts in [false, true] {
        let ((), _) = room.inside(BEN, |group, cx| {
            let ahead = Now { sweep: begin + std::time::Duration::from_secs(2 * 86_400), ..cx.now };
            let now = std::mem::replace(&mut cx.now, ahead);
            group.sweep(cx).unwrap();
            cx.now = now;
            assert!(!group.history.has(&said) && group.log.waiting.has(&envelope));
            assert!(group.knows(cx, &said), "{restarts}");
        });
        room.restart(BEN);
    }
}

/// Ben holds an envelope of Ana's that he cannot open; and the link between them.
fn waiting() -> (Room, LinkId, EnvelopeId) {
    let mut room = Room::of(2);
    let ana = room.see(ANA, |group| group.me.key());
    let content = words(&mut room, ana, "hello");
    let signed = room.see(ANA, |group| group.me.sign(group.id, &content));
    let link = room.link(ANA, BEN);
    room.deaf = Some(BEN);
    room.inside(ANA, |group, cx| group.set_retention(cx, std::time::Duration::from_secs(86_400)).unwrap());
    let held = seal(&mut room, ANA, &signed, None);
    let envelope = Envelope::parse(held.clone()).unwrap().id();
    assert!(matches!(room.hear(BEN, held), Outcome::Parked(_)));
    (room, link, envelope)
}

/// PROTOCOL D2: more waits than fits into one question, and nobody can show most of it.
#[test]
fn what_waits_is_asked_for_in_the_end_however_much_it_is() {
    let mut room = Room::of(2);
    let outside = Outside::of(&room.disk(ANA).copy(), room.now.hour(), LifetimeClass::Week);
    for n in 0..1_500_u32 {
        let bytes = outside.seal(&mut room, &EnvelopeKey::new(&[3; 32]), &n.to_be_bytes());
        room.hear(BEN, bytes);
    }
    let link = room.link(ANA, BEN);
    let mut asked = BTreeSet::new();
    for _ in 0..40 {
        asked.extend(
            room.inside(BEN, |group, cx| {
                group.links.get_mut(&link).unwrap().blind.clear();
                group.say_blind(cx, link);
                group.links[&link].blind.clone()
            })
            .0,
        );
    }
    assert_eq!(asked.len(), 1_500);
}

/// PROTOCOL M4, D2: what waits for what was said before it is not asked for as if it could not be opened.
#[test]
fn what_waits_for_a_gap_is_not_asked_for() {
    let mut room = Room::of(2);
    let ana = room.see(ANA, |group| group.me.key());
    let [_, second] = ["first", "second"].map(|text| {
        let content = words(&mut room, ana, text);
        let signed = room.see(ANA, |group| group.me.sign(group.id, &content));
        seal(&mut room, ANA, &signed, None)
    });
    let link = room.link(ANA, BEN);
    room.deaf = Some(ANA);
    assert!(matches!(room.hear(BEN, second), Outcome::Parked(_)));
    let asked = room.inside(BEN, |group, cx| {
        group.say_blind(cx, link);
        group.links[&link].blind.len()
    });
    assert_eq!(asked.0, 0);
}

/// PROTOCOL D1, D2: Ana's disk lost that her words were sealed. Ben, who hands them back, has them.
#[test]
fn an_author_who_is_handed_its_own_words_back_knows_that_they_are_held() {
    let mut room = Room::of(2);
    let (group, text) = (room.see(ANA, |group| group.id), Zeroizing::new("hello".to_owned()));
    room.deaf = Some(ANA);
    let from = room.published.len();
    let Reply::Message { id, .. } = room.ask(ANA, Command::Send { group, text, expires: None }) else { panic!() };
    assert_eq!(room.texts(BEN), ["hello"]);
    let said = room.published[from].clone();
    let envelope = Envelope::parse(said.clone()).unwrap().id();
    room.inside(ANA, |group, cx| {
        group.log.forget(cx, group.net, &envelope);
        let entry = group.outbox.remove(cx, group.net, &id).unwrap();
        group.outbox.set(cx, group.net, id, Entry::new(group.facts.head, entry.expires));
    });
    room.deaf = None;
    room.hear(ANA, said);
    let link = room.link(ANA, BEN);
    let handed = room.inside(BEN, |group, cx| {
        let signed = History::row(cx, group.net, &id).unwrap().unwrap().signed.clone().unwrap();
        Handed { envelope, epoch: group.facts.head, signed }
    });
    room.inside(ANA, |group, cx| {
        group.links.get_mut(&link).unwrap().blind.insert(envelope);
        group.on_handed(cx, link, vec![handed.0]).unwrap();
    });
    assert_eq!(room.texts(ANA), ["hello"]);
    assert!(room.see(ANA, |group| group.outbox.get(&id).unwrap().is_held()));
    assert!(room.see(ANA, |group| group.receipts.ids.is_empty()));
}

/// PROTOCOL D2: Ana's words are sealed in a state that Ben will reach in a moment. Chi, who claims to stand where Ben
/// stands, answers for them with words of her own.
#[test]
fn nobody_can_hand_over_other_words_in_place_of_those_that_wait() {
    let mut room = Room::of(3);
    let (ana, chi) = (room.see(ANA, |group| group.me.key()), room.see(CHI, |group| group.me.key()));
    let content = words(&mut room, ana, "hello");
    let signed = room.see(ANA, |group| group.me.sign(group.id, &content));
    let (link, epoch) = (room.link(CHI, BEN), room.see(BEN, |group| group.facts.head));
    room.deaf = Some(BEN);
    room.inside(ANA, |group, cx| group.set_retention(cx, std::time::Duration::from_secs(86_400)).unwrap());
    let held = seal(&mut room, ANA, &signed, None);
    let envelope = Envelope::parse(held.clone()).unwrap().id();
    assert!(matches!(room.hear(BEN, held), Outcome::Parked(_)));
    let other = words(&mut room, chi, "something else");
    let signed = room.see(CHI, |group| group.me.sign(group.id, &other));
    room.inside(BEN, |group, cx| {
        group.links.get_mut(&link).unwrap().blind.insert(envelope);
        group.on_handed(cx, link, vec![Handed { envelope, epoch, signed }]).unwrap();
    });
    let (commit, _) = room.inside(ANA, |group, cx| {
        let made = group.commits.edges().find(|made| made.step.0 == epoch).unwrap();
        Commits::row(cx, group.net, &made).unwrap().unwrap().envelope.0
    });
    room.hear(BEN, commit);
    assert!(room.texts(BEN).contains(&"hello".to_owned()), "{:?}", room.texts(BEN));
}

/// An envelope of Ana's that Ben holds and cannot open.
fn unopened(room: &mut Room) -> EnvelopeId {
    let ana = room.see(ANA, |group| group.me.key());
    let content = words(room, ana, "sealed");
    let signed = room.see(ANA, |group| group.me.sign(group.id, &content));
    room.deaf = Some(BEN);
    room.inside(ANA, |group, cx| group.set_retention(cx, std::time::Duration::from_secs(86_400)).unwrap());
    let held = seal(room, ANA, &signed, None);
    let id = Envelope::parse(held.clone()).unwrap().id();
    assert!(matches!(room.hear(BEN, held), Outcome::Parked(_)));
    id
}

/// Somebody hands words to Ben for an envelope that he asked for.
fn hand(room: &mut Room, by: usize, handed: Handed) {
    let link = room.link(by, BEN);
    room.inside(BEN, |group, cx| {
        group.links.get_mut(&link).unwrap().blind.insert(handed.envelope);
        group.on_handed(cx, link, vec![handed]).unwrap();
    });
}

/// PROTOCOL D2: Chi was taken out. What she said before reaches Ben; what she says since does not, whoever hands it over
/// and whatever epoch it is said to be of.
#[test]
fn who_is_out_says_nothing_by_the_hand_of_another() {
    let mut room = Room::of(3);
    let (chi, group) = (room.see(CHI, |group| group.me.key()), room.see(ANA, |group| group.id));
    let epoch = room.see(BEN, |group| group.facts.head);
    let before = words(&mut room, chi, "before");
    let before = room.see(CHI, |chi| chi.me.sign(group, &before));
    let out = room.see(CHI, |group| Identity::from_row(&group.me.to_row()));
    room.pass(1_000);
    room.remove(CHI);
    room.pass(1_000);
    let after = out.sign(group, &words(&mut room, chi, "after"));
    let envelope = unopened(&mut room);
    hand(&mut room, ANA, Handed { envelope, epoch, signed: after });
    assert!(room.texts(BEN).is_empty());
    hand(&mut room, ANA, Handed { envelope, epoch, signed: before });
    assert_eq!(room.texts(BEN), ["before"]);
}

/// PROTOCOL D2: whoever was handed something hands it on.
#[test]
fn what_was_handed_over_is_handed_on() {
    let mut room = Room::of(3);
    let (ana, epoch) = (room.see(ANA, |group| group.me.key()), room.see(BEN, |group| group.facts.head));
    let content = words(&mut room, ana, "hello");
    let signed = room.see(ANA, |group| group.me.sign(group.id, &content));
    let envelope = unopened(&mut room);
    hand(&mut room, ANA, Handed { envelope, epoch, signed });
    let link = room.link(BEN, CHI);
    let (_, transmits) = room.inside(BEN, |group, cx| group.on_cannot(cx, link, &[envelope]).unwrap());
    assert_eq!(transmits.iter().filter(|transmit| matches!(transmit, Transmit::Frame { .. })).count(), 1);
}

/// PROTOCOL D2: Chi answers first, with words of her own. The others are asked all the same, both are shown, and each goes
/// on only to those whom it was meant for.
#[test]
fn who_answers_first_neither_silences_the_others_nor_widens_the_audience() {
    let mut room = Room::of(3);
    let (ana, chi) = (room.see(ANA, |group| group.me.key()), room.see(CHI, |group| group.me.key()));
    let first = room.see(BEN, |group| group.facts.head);
    room.change_rules();
    let second = room.see(BEN, |group| group.facts.head);
    let (true_words, other) = (words(&mut room, ana, "hello"), words(&mut room, chi, "something else"));
    let true_words = room.see(ANA, |group| group.me.sign(group.id, &true_words));
    let other = room.see(CHI, |group| group.me.sign(group.id, &other));
    let envelope = unopened(&mut room);
    hand(&mut room, CHI, Handed { envelope, epoch: second, signed: other });
    for n in 0..5 {
        let more = words(&mut room, chi, &n.to_string());
        let signed = room.see(CHI, |group| group.me.sign(group.id, &more));
        hand(&mut room, CHI, Handed { envelope, epoch: second, signed });
    }
    assert!(room.see(BEN, |group| group.hands[&envelope].asks(&ana.member())));
    hand(&mut room, ANA, Handed { envelope, epoch: first, signed: true_words });
    let mut texts = room.texts(BEN);
    texts.sort();
    assert_eq!(texts, ["0", "1", "2", "hello", "something else"]);
    let known =
        room.see(BEN, |group| group.said_in(&envelope).into_iter().map(|(_, epoch, _)| epoch).collect::<Vec<_>>());
    assert_eq!(known, [second, second, second, second, first]);
}

/// PROTOCOL D2: whoever knows of two words for one envelope hands over both.
#[test]
fn one_answer_may_have_several_words_for_one_envelope() {
    let mut room = Room::of(2);
    let (ana, epoch) = (room.see(ANA, |group| group.me.key()), room.see(BEN, |group| group.facts.head));
    let handed = ["one", "two"].map(|text| {
        let content = words(&mut room, ana, text);
        room.see(ANA, |group| group.me.sign(group.id, &content))
    });
    let envelope = unopened(&mut room);
    let link = room.link(ANA, BEN);
    room.inside(BEN, |group, cx| {
        group.links.get_mut(&link).unwrap().blind.insert(envelope);
        let handed = handed.map(|signed| Handed { envelope, epoch, signed });
        group.on_handed(cx, link, handed.to_vec()).unwrap();
    });
    assert_eq!(room.texts(BEN).len(), 2);
}

/// Chi is asked for what an envelope says, and answers at length with what nobody signed.
#[test]
fn whoever_hands_over_what_nobody_signed_is_not_heard_for_a_while() {
    let mut room = Room::of(3);
    let (ana, chi) = (room.see(ANA, |group| group.me.key()), room.see(CHI, |group| group.me.member()));
    let epoch = room.see(BEN, |group| group.facts.head);
    let content = words(&mut room, ana, "hello");
    let signed = room.see(ANA, |group| group.me.sign(group.id, &content));
    let mut forged = signed.clone();
    *forged.body.last_mut().unwrap() ^= 1;
    let envelope = unopened(&mut room);
    let link = room.link(CHI, BEN);
    room.inside(BEN, |group, cx| {
        group.links.get_mut(&link).unwrap().blind.insert(envelope);
        let handed = vec![Handed { envelope, epoch, signed: forged }; 1_000];
        group.on_handed(cx, link, handed).unwrap();
    });
    assert!(room.see(BEN, |group| group.conduct.is_muted(&chi)));
    hand(&mut room, ANA, Handed { envelope, epoch, signed });
    assert_eq!(room.texts(BEN), ["hello"]);
}
