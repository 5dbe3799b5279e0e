//! What a member with a changed program may cost the others.

use std::time::Duration;

use zeroize::Zeroizing;

use super::commits::TAKEN;
use super::content;
use super::disk::Disk;
use super::rogue::{Outside, Rogue, flood, junk_commits, removed};
use super::room::{ANA, BEN, CHI, DAN, Room};
use crate::error::{Refusal, Why};
use crate::limits::{WAITING_BY_PEER_MAX, WAITING_MAX};
use crate::step::{Command, Outcome};
use crate::wire;
use crate::wire::content::{Content, Numbered};
use crate::wire::control::{Control, Operation, Ticket};
use crate::wire::envelope::{Cover, Envelope, EnvelopeKey, LifetimeClass};
use crate::wire::message::Message;

/// Envelopes in the reconciled set that the next start finds.
fn logged(disk: &Disk) -> usize {
    disk.group().log.len()
}

#[test]
fn a_removed_member_cannot_fill_what_waits_beyond_its_bound() {
    let (mut room, rows) = removed();
    let junk = junk_commits(&mut room, &rows, 2, WAITING_MAX + 1);
    flood(&mut room, &rows, ANA, &junk);
    let wait = room.see(ANA, |group| group.log.waiting.ids().count());
    assert!(wait <= WAITING_BY_PEER_MAX, "{wait} wait");
}

#[test]
fn unsigned_rival_commits_of_a_removed_member_are_not_kept_for_ever() {
    let (mut room, rows) = removed();
    let before = logged(room.disk(ANA));
    let junk = junk_commits(&mut room, &rows, 1, WAITING_BY_PEER_MAX + 1_000);
    let mut rogue = Rogue::link(&mut room, &rows, ANA);
    for part in junk.chunks(100) {
        rogue.push(&mut room, part);
    }
    // More than a hundred days later.
    for _ in 0..6 {
        room.skip_hours(480);
        room.pass(1_000);
    }
    let after = logged(room.disk(ANA));
    assert!(after <= before + 10, "{before} {after}");
}

#[test]
fn tickets_of_a_removed_member_have_a_bound() {
    let (mut room, rows) = removed();
    let me = rows.group();
    let key = me.newest().unwrap().control_key();
    let outside = Outside::of(&rows, room.now.hour(), LifetimeClass::Week);
    let before = logged(room.disk(ANA));
    let tickets: Vec<_> = (0..6_000)
        .map(|n| {
            let ticket = Ticket {
                group: me.id,
                operation: Operation::Leave,
                target: me.me.member(),
                sequence: 1 + n,
                epoch: me.facts.head,
                number: 0,
                issuer: me.me.key(),
                key_package: None,
                policy: None,
            };
            let signed = me.me.sign(me.id, &ticket);
            outside.seal(&mut room, &key, &wire::encode(&Control::Ticket(signed)))
        })
        .collect();
    let mut rogue = Rogue::link(&mut room, &rows, ANA);
    for part in tickets.chunks(100) {
        rogue.push(&mut room, part);
    }
    let after = logged(room.disk(ANA));
    assert!(after - before <= WAITING_BY_PEER_MAX, "{before} {after}");
}

/// A removed member's changed program keeps its link open; no comparison of logs may reach it.
#[test]
fn who_is_removed_hears_no_reconciliation() {
    let mut room = Room::of(2);
    let rows = room.disk(BEN).copy();
    room.lose(BEN);
    let mut rogue = Rogue::link(&mut room, &rows, ANA);
    rogue.hear(&mut room);
    assert!(rogue.heard.iter().any(|message| matches!(message, Message::Reconcile(_))), "ana opens");
    room.pass(597_000);
    rogue.hear(&mut room);
    room.remove(BEN);
    rogue.hear(&mut room);
    assert!(rogue.is_up(&room));
    rogue.heard.clear();
    room.pass(4_000);
    rogue.hear(&mut room);
    assert!(!rogue.heard.iter().any(|message| matches!(message, Message::Reconcile(_))));
}

/// A removed member asks for what was committed after its removal, by the heads that greetings show.
#[test]
fn who_is_removed_is_shown_no_later_commit() {
    let (mut room, rows) = removed();
    let rogue = Rogue::link(&mut room, &rows, ANA);
    let head = rogue.heard.iter().find_map(|message| match message {
        Message::Greeting(greeting) => greeting.head,
        _ => None,
    });
    let head = head.unwrap();
    room.change_rules();
    room.pass(30_000);
    let mut rogue = Rogue::link(&mut room, &rows, ANA);
    rogue.heard.clear();
    rogue.say(&mut room, &Message::After(head.epoch));
    rogue.hear(&mut room);
    let pushed = rogue.heard.iter().filter(|message| matches!(message, Message::Push(_))).count();
    assert_eq!(pushed, 0, "head {} shown", head.number);
}

/// One message from too far ahead, and junk beside it: what does each honest message cost from then on?
#[test]
fn a_gap_that_never_closes_does_not_make_every_message_read_everything() {
    let mut room = Room::of(3);
    room.pass(5_000);
    // Ben encrypts far ahead; only the last one is given away.
    for n in 0..1_005 {
        room.says_on(BEN, &format!("m{n}"));
        room.drop_frames_to(ANA);
        room.drop_frames_to(CHI);
    }
    let last = room.published.last().cloned().unwrap();
    room.lose(BEN);
    assert_eq!(room.hear(ANA, last), Outcome::Parked(Why::Gap));
    let outside = Outside::of(&room.disk(BEN).copy(), room.now.hour(), LifetimeClass::Week);
    for n in 0..2_000_u32 {
        let bytes = outside.seal(&mut room, &EnvelopeKey::new(&[3; 32]), &n.to_be_bytes());
        room.hear(ANA, bytes);
    }
    for n in 0..3 {
        let before = room.disk(ANA).reads();
        room.says(CHI, &format!("m{n}"));
        let cost = room.disk(ANA).reads() - before;
        assert!(cost < 100, "{cost} reads for one honest message");
        assert_eq!(room.texts(ANA).len(), n + 1);
    }
}

/// A flood under newer versions: the honest envelope of an epoch that is not known yet has room.
#[test]
fn a_flood_of_newer_versions_leaves_room_for_the_others() {
    let (mut room, rows) = removed();
    let junk = junk_commits(&mut room, &rows, 2, WAITING_MAX);
    flood(&mut room, &rows, ANA, &junk);
    let outside = Outside::of(room.disk(ANA), room.now.hour(), LifetimeClass::Week);
    let bytes = outside.seal(&mut room, &EnvelopeKey::new(&[3; 32]), b"of an epoch to come");
    assert_eq!(room.hear(ANA, bytes), Outcome::Parked(Why::UnknownEpoch));
}

/// A rescan looks again at everything that waits, and whoever brought the commit that moved the head brought none of it.
#[test]
fn what_a_member_brought_stays_on_its_account_when_the_head_moves() {
    for (version, why) in [(1, Why::Rival), (2, Why::NewerProtocol)] {
        let mut room = Room::of(5);
        let [of_ben, of_dan] = [BEN, DAN].map(|who| {
            room.lose(who);
            room.disk(who).copy()
        });
        if why == Why::Rival {
            // Three of five vote for it.
            room.change_rules();
            room.pass(700_000);
        }
        let junk = junk_commits(&mut room, &of_ben, version, WAITING_BY_PEER_MAX + 2);
        let (within, beyond) = junk.split_at(WAITING_BY_PEER_MAX);
        let mut ben = Rogue::link(&mut room, &of_ben, CHI);
        for (n, half) in within.chunks(WAITING_BY_PEER_MAX / 2).enumerate() {
            for part in half.chunks(100) {
                assert_eq!(ben.push(&mut room, part), Outcome::Parked(why), "half {n}");
            }
            for _ in 0..2 {
                room.change_rules();
            }
            assert!(room.stands(CHI).head == room.stands(ANA).head);
        }
        assert_eq!(ben.push(&mut room, &beyond[..1]), Outcome::Refused(Refusal::NoRoom), "{why:?}");
        let mut dan = Rogue::link(&mut room, &of_dan, CHI);
        assert_eq!(dan.push(&mut room, &beyond[1..]), Outcome::Parked(why));
    }
}

/// What a member leaves in the log is gone when its class ends: no stamp of an hour makes it stay.
#[test]
fn no_hour_keeps_an_id_for_ever() {
    let mut room = Room::of(2);
    room.lose(BEN);
    let author = room.see(BEN, |group| group.me.key());
    let short = content::words(&mut room, author, "short");
    let short = Content { deadline: room.now + Duration::from_secs(60), ..short };
    // An hour in the year 491,936.
    let cover = Outside::of(room.disk(BEN), u32::MAX, LifetimeClass::Week).cover(&mut room);
    let ((key, body), _) = room.inside(BEN, |group, cx| {
        let signed = group.me.sign(group.id, &short);
        content::body(group, cx, &cover, &signed, (None, 0))
    });
    let bytes = Envelope::seal(&key, &cover, &wire::encode(&body)).unwrap().into_bytes();
    let before = logged(room.disk(ANA));
    assert_eq!(room.hear(ANA, bytes), Outcome::Refused(Refusal::WrongLane));
    assert_eq!(logged(room.disk(ANA)), before);
}

/// Ben's changed program greets again and again, and claims each time to stand on a head that nobody else knows.
#[test]
fn nobody_is_silenced_by_a_member_who_claims_a_later_head() {
    for lies in [false, true] {
        let mut room = Room::of(3);
        let rows = room.disk(BEN).copy();
        room.lose(BEN);
        let number = if lies { u64::MAX } else { rows.group().head().unwrap().number };
        let _first = Rogue::link_at(&mut room, &rows, ANA, number);
        let (group, text) = (room.see(ANA, |group| group.id), Zeroizing::new("are you there?".to_owned()));
        room.ask(ANA, Command::Send { group, text, expires: None });
        for _ in 0..15 {
            room.pass(4_000);
            let _next = Rogue::link_at(&mut room, &rows, ANA, number);
        }
        assert_eq!(room.texts(CHI), ["are you there?"], "a minute later, {lies}");
    }
}

/// PROTOCOL M3, M4: Chi puts what Ana said into an envelope that ends in minutes, or at another place, and hers comes
/// first. Nobody takes it for Ana's, and hers is kept for those who are away.
#[test]
fn what_somebody_said_is_in_no_envelope_but_its_own() {
    let mut room = Room::of(3);
    room.skip_hours(9 * 24);
    let rows = room.disk(CHI).copy();
    let ana = room.see(ANA, |group| group.me.key());
    let content = content::words(&mut room, ana, "hello");
    let signed = room.see(ANA, |group| group.me.sign(group.id, &content));
    let said = content::seal(&mut room, ANA, &signed, None);
    let envelope = Envelope::parse(said.clone()).unwrap();
    let key = rows.group().head().unwrap().keys.as_ref().unwrap().content.clone();
    let body = envelope.open(&key).unwrap();
    let (cover, of) = (envelope.cover(), || wire::decode::<Numbered>(&body, body.len()).unwrap());
    let old = Outside::of(&rows, cover.hour - 7 * 24, LifetimeClass::Week).cover(&mut room);
    for (cover, numbered) in [
        (old, of()),
        (Cover { class: LifetimeClass::Month, ..cover }, of()),
        (Cover { nonce: [7; 24], ..cover }, of()),
        (cover, Numbered { count: 60, burnt: 60, ..of() }),
        (cover, Numbered { leaf: of().leaf + 1, ..of() }),
    ] {
        let forged = Envelope::seal(&key, &cover, &wire::encode(&numbered)).unwrap();
        assert_eq!(room.hear(BEN, forged.as_bytes().to_vec()), Outcome::Refused(Refusal::BadSeal));
        assert!(!room.see(BEN, |group| group.log.has(&forged.id())));
    }
    assert_eq!(room.hear(BEN, said), TAKEN);
    assert_eq!(room.texts(BEN), ["hello"]);
    assert!(room.see(BEN, |group| group.log.has_read(&envelope.id())));
}
