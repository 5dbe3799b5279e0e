//! A member who says or asks too much: the others hear its allowance, nothing more, and everybody else as before.

use std::time::Duration;

use zeroize::Zeroizing;

use super::commits::{Bad, REFUSED, TAKEN, forge_by};
use super::content::{seal, words};
use super::disk::Disk;
use super::rogue::{Outside, Rogue};
use super::room::{ANA, BEN, CHI, Room};
use crate::error::Refusal;
use crate::group::sync::Bundle;
use crate::group::{Cx, Group};
use crate::id::{EnvelopeId, LinkId};
use crate::identity::Identity;
use crate::limits::{ASKED_BY_MEMBER, LINKS_MAX, MUTED, SAID_BY_AUTHOR, SAID_HERE};
use crate::meet::reconcile::Session;
use crate::mls::{Provider, Signer, State};
use crate::step::{Address, Command, Input, Outcome, Transmit};
use crate::time::Time;
use crate::wire;
use crate::wire::content::{Class, Content, Kind, Numbered};
use crate::wire::envelope::Envelope;
use crate::wire::message::{Handed, Message, SessionId, Span, Want};

pub(super) const OVER: Outcome = Outcome::Refused(Refusal::OverBudget);

/// So many messages that Ben's device sealed by hand, at no pace at all.
pub(super) fn of_ben(room: &mut Room, count: usize) -> Vec<Vec<u8>> {
    let ben = room.see(BEN, |group| group.me.key());
    let content = words(room, ben, "small");
    let content = |n: usize| Content { pos: content.pos + Duration::from_millis(n as u64), ..content.clone() };
    (0..count)
        .map(|n| {
            let signed = room.see(BEN, |group| group.me.sign(group.id, &content(n)));
            seal(room, BEN, &signed, None)
        })
        .collect()
}

/// Gives Ana envelopes as gossip brings them on a link, 5,000 a second.
fn flood(room: &mut Room, link: LinkId, envelopes: &[Vec<u8>]) -> Vec<Outcome> {
    let (net, mut outcomes) = (room.net(ANA), Vec::new());
    for five in envelopes.chunks(5) {
        for bytes in five {
            outcomes.push(room.give(ANA, Input::Gossip { net, link: Some(link), bytes: bytes.clone() }));
        }
        room.now = room.now + Duration::from_millis(1);
    }
    outcomes
}

pub(super) fn is_full(room: &mut Room, link: LinkId) -> bool {
    room.see(ANA, |group| group.links.get(&link).is_some_and(|link| link.full))
}

/// What is taken of 5,000 a second: the burst, what comes back meanwhile, and the one that shows that it is too much.
fn allowed() -> usize {
    let mut taken = 0_u64;
    while taken < SAID_BY_AUTHOR.burst + taken / 5 * SAID_BY_AUTHOR.per_second / 1_000 {
        taken += 1;
    }
    usize::try_from(taken + 1).unwrap()
}

#[test]
fn a_member_who_says_5000_a_second_is_heard_up_to_its_allowance_and_then_not_for_a_minute() {
    let mut room = Room::of(3);
    let (link, said) = (room.link(ANA, BEN), of_ben(&mut room, 4_000));
    let outcomes = flood(&mut room, link, &said);
    let taken = outcomes.iter().take_while(|outcome| **outcome == TAKEN).count();
    assert!(taken.abs_diff(allowed()) <= 5, "{taken} instead of {}", allowed());
    assert!(outcomes[taken..].iter().all(|outcome| *outcome == OVER));
    room.settle();
    assert_eq!(room.texts(ANA).len(), taken);
    assert!(!is_full(&mut room, link), "its link has ended");
    // Ben's device comes back at once, and others pass on what he says: it is as before.
    let again = room.connect(ANA, BEN);
    room.settle();
    assert!(room.see(ANA, |group| group.links.get(&again).is_some_and(|link| link.member.is_some())));
    let through_chi = room.link(ANA, CHI);
    let before = room.disk(ANA).all();
    for (n, link) in [again, through_chi].into_iter().enumerate() {
        let late = of_ben(&mut room, 10 + n);
        assert!(flood(&mut room, link, &late).iter().all(|outcome| *outcome == OVER));
        assert!(!is_full(&mut room, again));
    }
    assert!(room.disk(ANA).all() == before, "nothing is written of it");
    assert!(is_full(&mut room, through_chi), "who passes it on is not blamed");
    room.says(CHI, "still here");
    assert!(room.texts(ANA).contains(&"still here".to_owned()));
    // A minute later he is a member like the others.
    room.pass(60_000);
    assert!(is_full(&mut room, again));
    room.says(BEN, "sorry");
    assert!(room.texts(ANA).contains(&"sorry".to_owned()));
}

#[test]
fn whoever_says_much_at_once_and_keeps_the_pace_loses_nothing_and_is_not_muted() {
    let mut room = Room::of(3);
    let from = room.published.len();
    for n in 0..3_500 {
        let text = Zeroizing::new(format!("m{n}"));
        room.give(BEN, Input::Command(Command::Send { group: room.group, text, expires: None }));
        room.give(BEN, Input::Deadline);
    }
    while room.step() {}
    // A commit after every five hundred, and half a second until the rest goes on.
    room.pass(5_000);
    let published = u64::try_from(room.published.len() - from).unwrap();
    let most = SAID_HERE.burst + 5 * SAID_HERE.per_second + 40;
    assert!((SAID_HERE.burst..=most).contains(&published), "{published}");
    room.pass(20_000);
    for who in [ANA, CHI] {
        assert_eq!(room.texts(who).len(), 3_500, "{who}");
        assert_eq!(room.see(who, |group| group.conduct.muted().count()), 0, "{who}");
    }
}

/// A device that was suspended gets at once what came meanwhile.
#[test]
fn five_seconds_of_a_busy_author_that_come_at_once_are_no_flood() {
    let mut room = Room::of(3);
    let (net, link) = (room.net(ANA), room.link(ANA, BEN));
    for bytes in of_ben(&mut room, 2_500) {
        assert_eq!(room.give(ANA, Input::Gossip { net, link: Some(link), bytes }), TAKEN);
    }
    room.settle();
    assert!(is_full(&mut room, link));
}

/// Chi cannot use up what Ana would take of Ben by sealing what says to be his.
#[test]
fn nobody_is_muted_for_what_others_seal_under_its_leaf() {
    let mut room = Room::of(3);
    let (net, link) = (room.net(ANA), room.link(ANA, CHI));
    let rows = room.disk(CHI).copy();
    let (key, leaf) = {
        let group = rows.group();
        let ben = room.see(BEN, |group| group.me.member());
        let head = group.head().unwrap();
        (head.keys.as_ref().unwrap().content.clone(), head.roster.seat(&ben).unwrap().leaf)
    };
    let outside = Outside::of(&rows, room.now.hour(), wire::envelope::LifetimeClass::Week);
    let mut refused = 0_u64;
    while is_full(&mut room, link) {
        let body = wire::encode(&Numbered { leaf, count: 0, burnt: 0, mls: vec![7; 200] });
        let bytes = outside.seal(&mut room, &key, &body);
        let outcome = room.give(ANA, Input::Gossip { net, link: Some(link), bytes });
        assert_eq!(outcome, Outcome::Refused(Refusal::BadSeal));
        refused += 1;
    }
    assert!(refused <= ASKED_BY_MEMBER.burst / 10 + 1, "{refused} before its link ended");
    room.settle();
    let ben = room.see(BEN, |group| group.me.member());
    assert!(!room.see(ANA, |group| group.conduct.is_muted(&ben)));
    room.says(BEN, "it was not me");
    assert_eq!(room.texts(ANA), ["it was not me"]);
}

/// The n-th of its kind.
type Question = Box<dyn Fn(u64) -> Message>;

/// The questions that cost the most to answer, as large as they may be.
fn questions(rows: &Disk) -> Vec<(&'static str, Question)> {
    let epoch = rows.group().facts.head;
    let me = rows.group().me;
    let content = Content {
        version: 1,
        author: me.key(),
        pos: Time::ZERO,
        parents: Vec::new(),
        deadline: Time::ZERO,
        class: Class::Talk,
        kind: Kind::Text("hello".to_owned()),
    };
    let signed = me.sign(rows.group().id, &content);
    let ids = || (0..1_024_u32).map(|n| *blake3::hash(&n.to_be_bytes()).as_bytes());
    let round = |n: u64| {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&n.to_be_bytes());
        let (_, round) = Session::open(nonce, 0, std::iter::empty()).ok().unwrap();
        Message::Reconcile(round)
    };
    vec![
        ("a new comparison", Box::new(round)),
        ("a wish to compare", Box::new(|_| Message::Compare)),
        ("an empty push", Box::new(|_| Bundle::default().into_push(true))),
        ("enough", Box::new(|_| Message::Enough)),
        ("what cannot be opened", Box::new(move |_| Message::Cannot(ids().map(EnvelopeId::from_bytes).collect()))),
        (
            "what is wanted",
            Box::new(move |_| Message::Want(Want { names: ids().map(SessionId).collect(), more: true })),
        ),
        ("what is missing", Box::new(move |_| Message::Missing(Span { epoch, leaf: 0, from: 0, to: u32::MAX }))),
        (
            "what is handed over",
            Box::new(move |_| {
                let handed = |id| Handed { envelope: EnvelopeId::from_bytes(id), epoch, signed: signed.clone() };
                Message::Handed(ids().take(256).map(handed).collect())
            }),
        ),
        ("what is held", Box::new(move |_| Message::Have(ids().map(EnvelopeId::from_bytes).collect()))),
        ("what was got", Box::new(move |_| Message::Got(ids().map(EnvelopeId::from_bytes).collect()))),
    ]
}

/// Chi's program opens link after link: there is room for everybody else.
#[test]
fn nobody_has_more_than_two_links() {
    let mut room = Room::of(3);
    let rows = room.disk(CHI).copy();
    room.lose(CHI);
    let links: Vec<Rogue> = (0..5).map(|_| Rogue::link(&mut room, &rows, BEN)).collect();
    assert_eq!(links.iter().map(|link| link.is_up(&room)).collect::<Vec<_>>(), [false, false, false, true, true]);
    assert_eq!(room.see(BEN, |group| group.links.len()), 3);
    room.says(ANA, "hello");
    assert_eq!(room.texts(BEN), ["hello"]);
}

/// Whoever holds the keys of the hello, be it from a time in the group, has any number of names, and stands on whatever
/// state it likes.
#[test]
fn whoever_is_no_member_takes_no_link_from_a_member_and_leaves_nothing_behind() {
    let mut room = Room::of(4);
    let rows = room.disk(CHI).copy();
    room.lose(CHI);
    let me = rows.group();
    let strangers: Vec<Rogue> = (0..LINKS_MAX)
        .map(|_| {
            let name = Identity::new("Chi", &mut room.rng);
            Rogue::link_as(&mut room, (&me, &name), BEN, u64::MAX)
        })
        .collect();
    assert_eq!(strangers.iter().filter(|link| link.is_up(&room)).count(), 16);
    let link = room.connect(ANA, BEN);
    room.settle();
    assert!(room.see(BEN, |group| group.links.get(&link).is_some_and(|link| link.full)));
    // A member who has moved on is asked, though they all claim to be farther.
    room.deaf = Some(BEN);
    room.change_rules();
    room.deaf = None;
    let head = room.stands(ANA).head;
    room.connect(ANA, BEN);
    room.settle();
    assert!(room.stands(BEN).head == head);
    room.pass(10_000);
    assert!(room.see(BEN, |group| group.vain_claims.is_empty()));
}

/// Ben's device dials Chi's, which hangs up as soon as it has greeted.
#[test]
fn whoever_hangs_up_at_once_is_not_dialled_in_the_same_moment() {
    let mut room = Room::of(2);
    room.pass(60_000);
    let link = room.link(ANA, BEN);
    let (net, address) = (room.net(BEN), Address(ANA.to_string()));
    let dials = |room: &mut Room, link| {
        let (_, transmits) = room.inside(BEN, |group, cx| {
            group.on_disconnected(cx, link);
            group.dial(cx);
        });
        transmits.contains(&Transmit::Dial { net, address: address.clone() })
    };
    assert!(dials(&mut room, link), "it lasted");
    for _ in 0..5 {
        let link = room.connect(BEN, ANA);
        room.settle();
        assert!(room.see(BEN, |group| group.links.get(&link).is_some_and(|link| link.full)));
        assert!(!dials(&mut room, link));
        room.hang_up(link);
    }
    // However often: the wait grows at both ends.
    let mut cut = 0;
    for _ in 0..600 {
        room.pass(100);
        for link in room.see(BEN, |group| group.full_links()) {
            room.hang_up(link);
            cut += 1;
        }
    }
    assert!((4..=14).contains(&cut), "{cut} times in a minute");
}

/// In one moment, so that nothing comes back: the link ends, and the next one carries nothing for a minute.
#[test]
fn a_peer_that_asks_without_end_loses_its_link_whatever_it_asks() {
    let mut room = Room::of(3);
    let rows = room.disk(BEN).copy();
    room.lose(BEN);
    for (what, question) in questions(&rows) {
        let mut rogue = Rogue::link(&mut room, &rows, ANA);
        let mut asked = 0;
        while rogue.is_up(&room) {
            assert!(asked <= ASKED_BY_MEMBER.burst, "{what} has no end");
            let outcome = rogue.say(&mut room, &question(asked));
            assert_eq!(outcome == OVER, !rogue.is_up(&room), "{what}");
            asked += 1;
        }
        let muted = room.see(ANA, |group| group.conduct.muted().count());
        assert_eq!(muted, 1, "{what}");
        let mut again = Rogue::link(&mut room, &rows, ANA);
        again.hear(&mut room);
        assert!(!again.heard.iter().any(|message| matches!(message, Message::Reconcile(_))), "{what}");
        room.says(CHI, what);
        assert_eq!(room.texts(ANA).last().unwrap(), what);
        room.pass(u64::try_from(MUTED.as_millis()).unwrap());
        assert_eq!(room.see(ANA, |group| group.conduct.muted().count()), 0, "{what}");
    }
}

/// A network that cannot keep up says so: the link ends in the same way.
#[test]
fn a_link_that_floods_its_network_ends_and_carries_nothing_for_a_minute() {
    let mut room = Room::of(3);
    let link = room.link(ANA, BEN);
    room.give(ANA, Input::Flooded { link });
    room.settle();
    assert!(room.see(ANA, |group| !group.links.contains_key(&link)));
    let again = room.connect(ANA, BEN);
    room.pass(59_000);
    assert!(!is_full(&mut room, again));
    room.pass(2_000);
    assert!(is_full(&mut room, again));
}

/// PROTOCOL V2: Ben makes a hundred commits a second that set rules which nobody signed.
#[test]
fn a_hundred_commits_a_second_move_nobody_and_keep_nobody_from_talking() {
    let mut room = Room::of(3);
    let (net, link, head) = (room.net(ANA), room.link(ANA, BEN), room.stands(ANA).head);
    let bad: Vec<_> = (0..100).map(|_| forge_by(&mut room, BEN, Some(Bad::NoRulesTicket))).collect();
    let mut judged = 0_u64;
    for second in 0..8 {
        for bytes in &bad {
            // Each is another envelope, and the same commit: to the judge they are all new.
            let bytes = rewrap(&mut room, bytes);
            let outcome = room.give(ANA, Input::Gossip { net, link: Some(link), bytes });
            assert_eq!(outcome, REFUSED);
            judged += u64::from(is_full(&mut room, link));
            room.now = room.now + Duration::from_millis(10);
        }
        let text = format!("second {second}");
        room.says(CHI, &text);
        assert_eq!(room.texts(ANA).last(), Some(&text));
    }
    assert!(judged > 100 && judged < 700, "{judged} before its link ended");
    assert!(room.stands(ANA).head == head);
}

/// Each is another envelope, and its id is kept; what is in it was said once, under one key.
#[test]
fn one_message_in_ever_new_envelopes_is_too_much_at_last() {
    let mut room = Room::of(3);
    let (link, author) = (room.link(ANA, BEN), room.see(BEN, |group| group.me.key()));
    let content = words(&mut room, author, "small");
    let plain = wire::encode(&room.see(BEN, |group| group.me.sign(group.id, &content)));
    let mut again = (0..=AGAIN).map(|_| room.inside(BEN, |group, cx| under_one_key(group, cx, &plain)).0.unwrap());
    let (said, again) = (again.next().unwrap(), again.collect::<Vec<_>>());
    assert!(matches!(room.gossip(ANA, said), Outcome::Applied(_)));
    let outcomes = flood(&mut room, link, &again);
    let kept = outcomes.iter().take_while(|outcome| **outcome == Outcome::Duplicate).count();
    assert!(kept > AGAIN / 2 && outcomes.get(kept) == Some(&OVER), "{kept} before its link ended");
    assert!(!is_full(&mut room, link));
    assert_eq!(room.texts(ANA), ["small"]);
}

/// What Ben's device seals next, if it were to forget it each time.
pub(super) fn under_one_key(group: &mut Group, cx: &mut Cx<'_>, plain: &[u8]) -> Option<Vec<u8>> {
    let (head, count) = (group.facts.head, group.head().ok()?.sent);
    let leaf = group.roster().ok()?.seat(&group.me.member())?.leaf;
    let cover = group.cover(cx, &group.newest().ok()?.clone()).ok()?;
    let (signer, binding) = (Signer::new(&group.me.device_secret()), cover.binding(leaf, count, 0));
    let encrypt = |state: &mut State, mls: &Provider| state.copy(mls)?.encrypt(mls, &signer, plain, &binding);
    let mls = group.epochs.with(cx, group.net, group.id, &head, encrypt).ok()?.ok()?;
    let key = group.head().ok()?.keys.as_ref()?.content.clone();
    let body = wire::encode(&Numbered { leaf, count, burnt: 0, mls });
    Envelope::seal(&key, &cover, &body).map(Envelope::into_bytes)
}

/// Units of 2 that are too many for a burst and what comes back in three seconds.
const AGAIN: usize = 14_000;

/// The commit that is in an envelope, in one of its own.
fn rewrap(room: &mut Room, bytes: &[u8]) -> Vec<u8> {
    let envelope = Envelope::parse(bytes.to_vec()).unwrap();
    let (made, _) = room.inside(BEN, |group, cx| {
        let key = group.head().unwrap().keys.as_ref().unwrap().commit.clone();
        let body = envelope.open(&key).unwrap();
        let generation = group.newest().unwrap().clone();
        group.seal_envelope(cx, &key, &generation, &body).unwrap().into_bytes()
    });
    made
}

/// The founder's device does what it likes: whoever speaks is still read.
#[test]
fn a_hundred_changes_a_second_by_the_founder_keep_nobody_from_talking() {
    let mut room = Room::of(3);
    let mut said = Vec::new();
    for n in 0..100 {
        room.change_rules();
        room.now = room.now + Duration::from_millis(10);
        if n % 10 == 0 {
            said.push(format!("after {n} changes"));
            room.says(CHI, said.last().unwrap());
        }
    }
    room.pass(5_000);
    for who in [ANA, BEN, CHI] {
        assert_eq!(room.texts(who), said, "{who}");
        assert!(room.stands(who).head == room.stands(ANA).head);
    }
}
