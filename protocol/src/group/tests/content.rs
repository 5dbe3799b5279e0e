//! Messages that MLS opens and that are not what they say they are.

use std::time::Duration;

use crate::error::{Refusal, Why};
use crate::group::{Cx, Group};
use crate::identity::Identity;
use crate::mls::{Provider, Signer, State};
use crate::step::Outcome;
use crate::wire;
use crate::wire::content::{Class, Content, Kind, Numbered};
use crate::wire::envelope::{Cover, Envelope, EnvelopeKey};
use crate::wire::signed::{MemberKey, Signed};

use super::commits::TAKEN;
use super::room::{ANA, BEN, CHI, Room};

/// Words of somebody's at the moment of the room.
pub(super) fn words(room: &mut Room, author: MemberKey, text: &str) -> Content {
    let pos = room.inside(ANA, |_, cx| cx.now.stamp).0;
    let kind = Kind::Text(text.to_owned());
    let deadline = pos + Duration::from_secs(3_600);
    Content { version: 1, author, pos, parents: Vec::new(), deadline, class: Class::Talk, kind }
}

/// What is inside an envelope with this cover when a device of the group says signed bytes, under the leaf that is said
/// and after so many burnt keys; and its key.
pub(super) fn body(
    group: &mut Group,
    cx: &mut Cx<'_>,
    cover: &Cover,
    signed: &Signed,
    (leaf, burnt): (Option<u32>, u32),
) -> (EnvelopeKey, Numbered) {
    let (head, known) = (group.facts.head, group.head().unwrap());
    let own = known.roster.seat(&group.me.member()).unwrap().leaf;
    // Nothing is missing before what another leaf sends for the first time.
    let (count, key) = (leaf.map_or(known.sent, |_| 0), known.keys.as_ref().unwrap().content.clone());
    let (signer, plain) = (Signer::new(&group.me.device_secret()), wire::encode(signed));
    let leaf = leaf.unwrap_or(own);
    let binding = cover.binding(leaf, count, burnt);
    let encrypt = |state: &mut State, mls: &Provider| state.encrypt(mls, &signer, &plain, &binding);
    let mls = group.epochs.with(cx, group.net, group.id, &head, encrypt).unwrap().unwrap();
    group.epochs.count_sent(cx, group.net, &head, 1);
    (key, Numbered { leaf, count, burnt, mls })
}

/// Seals signed bytes as a device of the group does, under the leaf that is said.
pub(super) fn seal(room: &mut Room, who: usize, signed: &Signed, leaf: Option<u32>) -> Vec<u8> {
    let sealed = room.inside(who, |group, cx| {
        let generation = group.newest().unwrap().clone();
        let cover = group.cover(cx, &generation).unwrap();
        let (key, numbered) = body(group, cx, &cover, signed, (leaf, 0));
        Envelope::seal(&key, &cover, &wire::encode(&numbered)).unwrap().into_bytes()
    });
    sealed.0
}

fn sign(group: &Group, content: &Content) -> Signed {
    group.me.sign(group.id, content)
}

/// PROTOCOL O6: Ben's device seals what Ben did not sign, or under a leaf that is not his.
#[test]
fn what_another_key_signed_or_another_leaf_sent_is_nobodys_and_shows_nothing() {
    let mut room = Room::of(3);
    let (ana, ben) = (room.see(ANA, |group| group.me.key()), room.see(BEN, |group| group.me.key()));
    let stranger = Identity::new("Ana", &mut <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::from_seed([9; 32]));
    let by_ben = |room: &mut Room, content: &Content| room.see(BEN, |group| sign(group, content));
    // In Ana's name, signed by Ben.
    let content = words(&mut room, ana, "in Ana's name");
    let unsigned = by_ben(&mut room, &content);
    // In a stranger's name, and truly signed by it.
    let content = words(&mut room, stranger.key(), "of a stranger");
    let strange = room.see(BEN, |group| stranger.sign(group.id, &content));
    // In Ana's name, truly signed by her: Ben may not say her words again as his own.
    let content = words(&mut room, ana, "of Ana");
    let borrowed = room.see(ANA, |group| sign(group, &content));
    // Ben's own words, changed after he signed them.
    let content = words(&mut room, ben, "of Ben");
    let mut changed = by_ben(&mut room, &content);
    changed.body = wire::encode(&words(&mut room, ben, "of Bob"));
    let own = by_ben(&mut room, &content);
    let leaf = room.see(BEN, |group| group.roster().unwrap().seat(&ana.member()).unwrap().leaf);
    for (name, signed) in
        [("unsigned", &unsigned), ("strange", &strange), ("borrowed", &borrowed), ("changed", &changed)]
    {
        let bytes = seal(&mut room, BEN, signed, None);
        assert_eq!(room.gossip(CHI, bytes.clone()), Outcome::Refused(Refusal::Malformed), "{name}");
        assert_eq!(room.gossip(CHI, bytes), Outcome::Duplicate, "{name}");
        assert!(room.texts(CHI).is_empty(), "{name}");
    }
    // Before its key is used.
    let bytes = seal(&mut room, BEN, &borrowed, Some(leaf));
    assert_eq!(room.gossip(CHI, bytes), Outcome::Refused(Refusal::BadSeal));
    // One of Ben's has gone under another leaf, and nobody has what seems to be missing of his.
    let bytes = seal(&mut room, BEN, &own, None);
    assert_eq!(room.gossip(CHI, bytes), Outcome::Parked(Why::Gap));
    assert_eq!(room.texts(CHI), ["of Ben"]);
}

/// PROTOCOL M4: Chi puts what Ana once signed under the key of what she will say next. Here Ana's device itself does, for
/// nobody else's signature is to be had: it uses up nothing.
#[test]
fn what_is_under_another_key_than_it_counts_uses_up_none() {
    let mut room = Room::of(3);
    let ana = room.see(ANA, |group| group.me.key());
    let [first, second] = ["first", "second"].map(|text| {
        room.pass(1);
        let content = words(&mut room, ana, text);
        room.see(ANA, |group| sign(group, &content))
    });
    let said = seal(&mut room, ANA, &first, None);
    let under_another = room.inside(ANA, |group, cx| {
        let sent = group.head().unwrap().sent;
        let generation = group.newest().unwrap().clone();
        let cover = group.cover(cx, &generation).unwrap();
        let (key, leaf) = (group.head().unwrap().keys.as_ref().unwrap().content.clone(), own_leaf(group));
        let (signer, binding) = (Signer::new(&group.me.device_secret()), cover.binding(leaf, sent - 1, 0));
        let plain = wire::encode(&first);
        // In a copy, so that her next key is not used here.
        let encrypt = |state: &mut State, mls: &Provider| state.copy(mls)?.encrypt(mls, &signer, &plain, &binding);
        let head = group.facts.head;
        let mls = group.epochs.with(cx, group.net, group.id, &head, encrypt).unwrap().unwrap();
        let body = wire::encode(&Numbered { leaf, count: sent - 1, burnt: 0, mls });
        Envelope::seal(&key, &cover, &body).unwrap().into_bytes()
    });
    for bytes in [under_another.0.clone(), under_another.0] {
        assert_eq!(room.hear(BEN, bytes), Outcome::Refused(Refusal::BadSeal));
    }
    let after = seal(&mut room, ANA, &second, None);
    for bytes in [said, after] {
        assert_eq!(room.hear(BEN, bytes), TAKEN);
    }
    assert_eq!(room.texts(BEN), ["first", "second"]);
}

fn own_leaf(group: &Group) -> u32 {
    group.roster().unwrap().seat(&group.me.member()).unwrap().leaf
}
