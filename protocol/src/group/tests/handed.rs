//! What a member cannot open is handed to it by others: to whom it was meant for, as it was signed, and when asked.

use zeroize::Zeroizing;

use crate::id::{EnvelopeId, EpochId, LinkId};
use crate::identity::Identity;
use crate::step::{Command, Outcome, Transmit};
use crate::wire::content::Content;
use crate::wire::envelope::Envelope;
use crate::wire::message::Handed;

use super::content::{seal, words};
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
