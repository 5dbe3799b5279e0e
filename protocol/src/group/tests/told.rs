//! What is told to whom, and what is carried once, whatever it is sealed in.

use std::collections::BTreeSet;

use crate::error::{Refusal, Why};
use crate::id::{CommitId, EnvelopeId, MemberId};
use crate::identity::Identity;
use crate::limits::{BROUGHT_BY_HAND, SAID_BY_AUTHOR};
use crate::meet::reconcile::{Difference, Listed, Session, Step};
use crate::persist::Table;
use crate::step::{Input, Outcome, Standing};
use crate::wire;
use crate::wire::control::{Control, Vote};
use crate::wire::envelope::{Envelope, LifetimeClass};
use crate::wire::message::Message;

use super::commits::TAKEN;
use super::content::{seal, words};
use super::flood::{OVER, is_full, of_ben, under_one_key};
use super::gaps::said;
use super::rogue::{Outside, Rogue, junk_commits};
use super::room::{ANA, BEN, CHI, DAN, Room};

/// How many rows of the log a device has.
fn rows_of_log(room: &Room, who: usize) -> usize {
    let of_log = |table| matches!(table, Table::Envelope | Table::Tombstone);
    room.disk(who).all().keys().filter(|key| of_log(key.table)).count()
}

fn ids(room: &mut Room, who: usize) -> BTreeSet<EnvelopeId> {
    room.see(who, |group| group.log.reconciled(|_| true).map(|listed| listed.id).collect())
}

/// Compares as the opener, with these as the whole log.
fn compare(room: &mut Room, rogue: &mut Rogue, nonce: u8, log: &[Vec<u8>]) -> (Session, Difference) {
    let log = log.iter().map(|bytes| {
        let envelope = Envelope::parse(bytes.clone()).unwrap();
        Listed { hour: envelope.hour(), id: envelope.id(), told: true }
    });
    let (mut session, mut round) = Session::open([nonce; 16], 0, log).unwrap();
    loop {
        rogue.say(room, &Message::Reconcile(round.clone()));
        rogue.hear(room);
        let ours = |message: &Message| matches!(message, Message::Reconcile(round) if round.nonce == [nonce; 16]);
        let Some(Message::Reconcile(answer)) = rogue.heard.iter().rfind(|message| ours(message)) else { panic!() };
        match session.receive(answer).unwrap() {
            Step::Next(next) => round = next,
            Step::Done(difference) => return (session, difference),
        }
    }
}

/// What Chi has read she seals anew, as often as she likes: it is remembered for a while, leaves no trace on the disk, and
/// goes on from nobody. So is what Ben's device says and Ben did not sign.
#[test]
fn what_is_sealed_anew_leaves_no_trace() {
    let mut room = Room::of(3);
    let ben = room.see(BEN, |group| group.me.key());
    let content = words(&mut room, ben, "small");
    let plain = wire::encode(&room.see(BEN, |group| group.me.sign(group.id, &content)));
    let mut again: Vec<_> =
        (0..20).map(|_| room.inside(BEN, |group, cx| under_one_key(group, cx, &plain)).0.unwrap()).collect();
    let key = room.see(CHI, |group| group.head().unwrap().keys.as_ref().unwrap().commit.clone());
    let from = room.published.len();
    room.change_rules();
    let commit = Envelope::parse(room.published[from].clone()).unwrap().open(&key).unwrap();
    let rows = room.disk(CHI).copy();
    let outside = Outside::of(&rows, room.now.hour(), LifetimeClass::Quarter);
    let commits: Vec<_> = (0..20).map(|_| outside.seal(&mut room, &key, &commit)).collect();
    let unsigned = room.see(CHI, |group| group.me.sign(group.id, &content));
    let unsigned = seal(&mut room, BEN, &unsigned, None);
    assert_eq!(room.hear(ANA, again.remove(0)), TAKEN);
    room.lose(CHI);
    let mut rogue = Rogue::link(&mut room, &rows, ANA);
    let before = rows_of_log(&room, ANA);
    for _ in 0..2 {
        assert_eq!(rogue.push(&mut room, &again), Outcome::Duplicate);
        assert_eq!(rogue.push(&mut room, &commits), Outcome::Duplicate);
    }
    assert_eq!(rogue.push(&mut room, std::slice::from_ref(&unsigned)), Outcome::Refused(Refusal::Malformed));
    assert_eq!(rogue.push(&mut room, &[unsigned]), Outcome::Duplicate);
    assert_eq!(rows_of_log(&room, ANA), before);
    let all: BTreeSet<_> =
        again.iter().chain(&commits).map(|bytes| Envelope::parse(bytes.clone()).unwrap().id()).collect();
    assert!(all.is_subset(&ids(&mut room, ANA)));
    for id in &all {
        assert!(room.see(ANA, |group| !group.log.holds(id) && !group.log.tells(id, |_| true)));
    }
    // Commits are Quarter's, and nobody says for how long they are remembered.
    room.skip_hours(9 * 24);
    room.give(ANA, Input::Deadline);
    assert!(all.is_disjoint(&ids(&mut room, ANA)));
}

/// PROTOCOL M6: it would want it in each comparison, and nobody would give it.
#[test]
fn a_newcomer_is_not_told_of_what_was_before_it() {
    let mut room = Room::open(4, 3);
    let rows = room.disk(CHI).copy();
    room.change_rules();
    room.pass(660_000);
    let rivals = junk_commits(&mut room, &rows, 1, 3);
    let commits = ids(&mut room, ANA);
    // What waits, by where it stands.
    for bytes in rivals {
        assert_eq!(room.hear(ANA, bytes), Outcome::Parked(Why::Rival));
    }
    (0..20).for_each(|n| room.says(ANA, &n.to_string()));
    room.pass(20_000);
    let before = &ids(&mut room, ANA) - &commits;
    room.join(DAN);
    room.says(BEN, "welcome");
    room.pass(20_000);
    for (who, told) in [(CHI, true), (DAN, false)] {
        let rows = room.disk(who).copy();
        room.lose(who);
        let mut rogue = Rogue::link(&mut room, &rows, ANA);
        let (session, difference) = compare(&mut room, &mut rogue, 7, &[]);
        let wanted =
            |ids: BTreeSet<EnvelopeId>| ids.iter().filter(|id| difference.wants.contains(&session.name(id))).count();
        assert_eq!(wanted(before.clone()), if told { before.len() } else { 0 });
        // All since, but for the commit that brought Dan in.
        let since = &(&ids(&mut room, ANA) - &before) - &commits;
        assert_eq!(wanted(since.clone()), since.len() - usize::from(!told));
    }
}

/// Dan holds a word from before his time, that all others have read; and what is nobody's, and is not even remembered. He
/// shows them once.
#[test]
fn what_was_shown_once_is_not_shown_again() {
    let mut room = Room::open(4, 3);
    let before = said(&mut room, "before", 0);
    assert_eq!(room.hear(BEN, before.clone()), TAKEN);
    room.join(DAN);
    let rows = room.disk(DAN).copy();
    let vain = junk_commits(&mut room, &rows, 1, 1).remove(0);
    fill_vain(&mut room, BEN);
    room.lose(DAN);
    let mut rogue = Rogue::link(&mut room, &rows, BEN);
    let log = [before, vain];
    let (_, difference) = compare(&mut room, &mut rogue, 1, &log);
    assert_eq!(difference.lacks.len(), 2, "he was told of neither");
    for (bytes, outcome) in log.iter().zip([Outcome::Duplicate, Outcome::Refused(Refusal::InvalidCommit)]) {
        assert_eq!(rogue.push(&mut room, std::slice::from_ref(bytes)), outcome);
    }
    let (_, difference) = compare(&mut room, &mut rogue, 2, &log);
    assert!(difference.lacks.is_empty());
}

/// What Chi has shown makes the list long that each comparison with her goes through.
#[test]
fn what_was_offered_is_paid_for_in_each_comparison() {
    let mut room = Room::of(3);
    let rows = room.disk(CHI).copy();
    room.lose(CHI);
    let comparisons = |room: &mut Room, offered: u32| {
        let mut rogue = Rogue::link(room, &rows, ANA);
        let (hour, link) = (room.now.hour(), rogue.link);
        room.inside(ANA, |group, _| {
            let id = |n: u32| EnvelopeId::from_bytes(*blake3::hash(&n.to_be_bytes()).as_bytes());
            group.note_offered(link, (0..offered).map(|n| (id(n), Some(hour))).collect());
            assert_eq!(group.links[&link].offered.len(), offered.min(20_000) as usize);
        });
        let mut open = |nonce: u32| {
            let nonce = std::array::from_fn(|at| nonce.to_be_bytes()[at % 4]);
            let (_, round) = Session::open(nonce, 0, std::iter::empty()).unwrap();
            rogue.say(room, &Message::Reconcile(round)) != OVER
        };
        (0..10_000).take_while(|nonce| open(*nonce)).count()
    };
    assert!((40..60).contains(&comparisons(&mut room, 30_000)));
    room.pass(3_600_000);
    assert!(comparisons(&mut room, 0) > 2_000);
}

/// Chi's last words to Ben: one that he has and is not told of, and the commit that takes him out.
#[test]
fn who_is_taken_out_in_the_middle_of_a_page_is_taken_out() {
    let mut room = Room::of(3);
    let rows = room.disk(CHI).copy();
    let known = junk_commits(&mut room, &rows, 1, 1).remove(0);
    room.lose(CHI);
    room.lose(ANA);
    let mut rogue = Rogue::link(&mut room, &rows, BEN);
    assert_eq!(rogue.push(&mut room, std::slice::from_ref(&known)), Outcome::Refused(Refusal::InvalidCommit));
    room.deaf = Some(BEN);
    let from = room.published.len();
    room.remove(BEN);
    let page: Vec<_> = std::iter::once(known).chain(room.published[from..].iter().cloned()).collect();
    rogue.push(&mut room, &page);
    assert_eq!(room.see(BEN, |group| group.standing()), Standing::Removed);
}

/// As much as there is room for is remembered.
fn fill_vain(room: &mut Room, who: usize) {
    let rows = room.disk(who).copy();
    let key = rows.group().newest().unwrap().control_key();
    let outside = Outside::of(&rows, room.now.hour(), LifetimeClass::Week);
    let envelope = Envelope::parse(outside.seal(room, &key, b"")).unwrap();
    room.inside(who, |group, _| {
        let id = |n: u64| EnvelopeId::from_bytes(*blake3::hash(&n.to_be_bytes()).as_bytes());
        let by = |n: u64| (Some(MemberId::from_bytes([u8::try_from(n % 8).unwrap(); 32])), true);
        let noted = (0..200_000).filter(|n| group.log.waiting.note_vain(id(*n), by(*n))).count();
        assert!(noted > 0 && !group.log.waiting.note_vain(envelope.id(), by(0)));
    });
}

/// Eve signed them before she went, and Chi has passed them on before she heard of that.
#[test]
fn nobody_is_muted_for_passing_on_what_somebody_signed_who_is_out() {
    let mut room = Room::of(3);
    let rows = room.disk(CHI).copy();
    let (group, epoch) = (rows.group().id, rows.group().facts.head);
    let eve = Identity::new("Eve", &mut room.rng);
    let key = rows.group().newest().unwrap().control_key();
    let outside = Outside::of(&rows, room.now.hour(), LifetimeClass::Week);
    let (net, link) = (room.net(ANA), room.link(ANA, CHI));
    for counter in 0..SAID_BY_AUTHOR.burst {
        let vote = Vote { group, epoch, number: 0, commit: CommitId::from_bytes([1; 32]), counter, voter: eve.key() };
        let bytes = outside.seal(&mut room, &key, &wire::encode(&Control::Vote(eve.sign(group, &vote))));
        let outcome = room.give(ANA, Input::Gossip { net, link: Some(link), bytes });
        assert_eq!(outcome, Outcome::Refused(Refusal::NotAMember), "{counter}");
    }
    assert!(is_full(&mut room, link));
}

/// Chi repeats much that Ben had said while Ana was away; then Ben says one thing himself.
#[test]
fn an_author_answers_only_for_what_it_brings() {
    let mut room = Room::of(3);
    let (net, chi, ben) = (room.net(ANA), room.link(ANA, CHI), room.link(ANA, BEN));
    let mut said = of_ben(&mut room, usize::try_from(SAID_BY_AUTHOR.burst).unwrap() + 1);
    let last = said.pop().unwrap();
    for (link, bytes) in said.into_iter().map(|bytes| (chi, bytes)).chain([(ben, last)]) {
        assert_eq!(room.give(ANA, Input::Gossip { net, link: Some(link), bytes }), TAKEN);
    }
    assert!(is_full(&mut room, ben) && is_full(&mut room, chi));
}

/// Dan's vote comes to Ben before he has heard that Dan is one of them.
#[test]
fn what_came_before_its_signer_is_asked_for_and_taken() {
    for gossiped in [true, false] {
        comes_early(gossiped);
    }
}

fn comes_early(gossiped: bool) {
    let mut room = Room::open(4, 3);
    room.lose(BEN);
    let from = room.published.len();
    room.join(DAN);
    let (rows, head) = (room.disk(CHI).copy(), room.see(ANA, |group| group.facts.head));
    let (group, dan) = (room.group, room.see(DAN, |group| group.me.key()));
    let vote = Vote { group, epoch: head, number: 0, commit: CommitId::from_bytes([1; 32]), counter: 1, voter: dan };
    let vote = Control::Vote(room.see(DAN, |of_dan| of_dan.me.sign(group, &vote)));
    let key = rows.group().newest().unwrap().control_key();
    let bytes = Outside::of(&rows, room.now.hour(), LifetimeClass::Week).seal(&mut room, &key, &wire::encode(&vote));
    for who in [ANA, CHI, DAN] {
        room.lose(who);
    }
    let mut rogue = Rogue::link(&mut room, &rows, BEN);
    let early = Outcome::Refused(Refusal::NotAMember);
    if gossiped {
        assert_eq!(room.hear(BEN, bytes.clone()), early);
    } else {
        assert_eq!(rogue.push(&mut room, std::slice::from_ref(&bytes)), early);
        assert_eq!(rogue.push(&mut room, std::slice::from_ref(&bytes)), Outcome::Duplicate);
    }
    assert!(rogue.ends_comparison(&mut room));
    // With it comes the vote again, and it is looked at first.
    let since = room.published[from..].iter().chain([&bytes]).cloned().collect::<Vec<_>>();
    rogue.push(&mut room, &since);
    assert!(room.see(BEN, |group| group.facts.head == head));
    room.pass(6_000);
    rogue.hear(&mut room);
    let compares = |message: &Message| matches!(message, Message::Compare | Message::Reconcile(_));
    assert!(rogue.heard.iter().any(compares), "he does not wait for the regular comparison");
    assert_eq!(compare(&mut room, &mut rogue, 1, std::slice::from_ref(&bytes)).1.lacks.len(), 1);
    assert_eq!(rogue.push(&mut room, &[bytes]), TAKEN);
}

/// What Ben may not look at now he asks for again, and not each time that it is too much.
#[test]
fn what_was_too_much_is_asked_for_once_a_minute() {
    let mut room = Room::of(2);
    let rows = room.disk(ANA).copy();
    let junk = junk_commits(&mut room, &rows, 1, 3_600);
    room.lose(ANA);
    let mut rogue = Rogue::link(&mut room, &rows, BEN);
    assert!(rogue.ends_comparison(&mut room));
    let mut asked = Vec::new();
    for (n, page) in junk.chunks(450).enumerate() {
        assert!(page.chunks(10).any(|part| rogue.push(&mut room, part) == OVER));
        room.pass(10_000);
        asked.push((n, rogue.ends_comparison(&mut room)));
    }
    let when: Vec<_> = asked.into_iter().filter(|(_, asked)| *asked).map(|(n, _)| n * 10).collect();
    assert_eq!(when, [0, 60], "seconds; and {} units come back in each", BROUGHT_BY_HAND.per_second);
}
