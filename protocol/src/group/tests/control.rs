//! Tickets, votes and links on their way: who carries them, and under which generation they are sealed.

use crate::error::{Error, Refusal};
use crate::id::CommitId;
use crate::identity::Identity;
use crate::limits::CONTROL_KEPT;
use crate::step::{Command, Input, Outcome, Reply, Transmit};
use crate::wire;
use crate::wire::control::{Control, Operation, Vote};
use crate::wire::envelope::Envelope;
use crate::wire::message::Told;

use super::commits::TAKEN;
use super::room::{ANA, BEN, CHI, DAN, EVE, Room};

/// A vote of somebody's for Ana's head, sealed like one of Ana's.
pub(super) fn vote(room: &mut Room, voter: Option<&Identity>) -> Envelope {
    let sealed = room.inside(ANA, |group, cx| {
        let voter = voter.unwrap_or(&group.me);
        let (epoch, number) = (group.facts.head, group.head().unwrap().number);
        let commit = CommitId::from_bytes([3; 32]);
        let vote = Vote { group: group.id, epoch, number, commit, counter: 1, voter: voter.key() };
        let control = Control::Vote(voter.sign(group.id, &vote));
        let generation = group.control_generation(cx.now.stamp).unwrap().clone();
        group.seal_envelope(cx, &generation.control_key(), &generation, &wire::encode(&control)).unwrap()
    });
    sealed.0
}

/// PROTOCOL O4: Ana's vote reaches Ben alone, and he serves it to Chi.
#[test]
fn a_vote_is_carried_from_member_to_member() {
    let mut room = Room::of(3);
    room.lose(CHI);
    room.lose(ANA);
    let stranger = Identity::new("Ana", &mut <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::from_seed([9; 32]));
    let strange = vote(&mut room, Some(&stranger));
    assert_eq!(room.gossip(BEN, strange.into_bytes()), Outcome::Refused(Refusal::NotAMember));
    let vote = vote(&mut room, None);
    let id = vote.id();
    assert_eq!(room.gossip(BEN, vote.clone().into_bytes()), TAKEN);
    assert!(!room.see(CHI, |group| group.log.has(&id)));
    room.connect(BEN, CHI);
    room.settle();
    let (served, _) = room.inside(CHI, |group, cx| group.log.read(cx, group.net, &id).unwrap());
    assert!(served.is_some_and(|served| served == vote));
    assert!(!room.see(ANA, |group| group.log.has(&id)));
}

/// PROTOCOL O5, M2, M6: the envelopes of a vote and of a wish to leave have ended long ago; every hello tells of them,
/// for 97 days.
#[test]
fn every_hello_tells_the_tickets_and_the_latest_votes_for_97_days() {
    let mut room = Room::of(4);
    for who in [ANA, CHI, DAN] {
        room.lose(who);
    }
    let older = vote(&mut room, None);
    // Of her own she has counted by the clock.
    let newer = room.see(ANA, |group| latest(group, u64::MAX - 1));
    assert_eq!(room.gossip(BEN, older.into_bytes()), TAKEN);
    room.inside(BEN, |group, cx| {
        let until = cx.now.sweep + CONTROL_KEPT;
        group.take_control(cx, Told { control: newer.clone(), until }).unwrap()
    });
    // An older vote does not take the place of a newer one.
    let older = room.see(ANA, |group| latest(group, u64::MAX - 2));
    room.inside(BEN, |group, cx| {
        let until = cx.now.sweep + CONTROL_KEPT;
        group.take_control(cx, Told { control: older, until }).unwrap()
    });
    let leave = room.see(DAN, |group| {
        let ticket = group.ticket(Operation::Leave, group.me.member()).unwrap();
        Control::Ticket(group.me.sign(group.id, &ticket))
    });
    room.inside(BEN, |group, cx| {
        let until = cx.now.sweep + CONTROL_KEPT;
        group.take_control(cx, Told { control: leave.clone(), until }).unwrap()
    });
    // The others vote as well.
    let ana = room.see(ANA, |group| group.me.member());
    let keeps = |room: &mut Room, who| {
        room.see(who, |group| {
            let of_them = |control: &&Control| **control == leave || group.signer(control) == Some(ana);
            group.controls.iter().map(|(control, _)| control).filter(of_them).cloned().collect::<Vec<_>>()
        })
    };
    room.restart(BEN);
    for day in 0..96 {
        room.skip_hours(24);
        room.give(BEN, Input::Deadline);
        assert!(keeps(&mut room, BEN) == [leave.clone(), newer.clone()], "{day}");
    }
    room.connect(BEN, CHI);
    room.settle();
    assert!(keeps(&mut room, CHI) == [leave.clone(), newer.clone()]);
    room.skip_hours(48);
    room.give(BEN, Input::Deadline);
    assert!(keeps(&mut room, BEN).is_empty());
}

/// PROTOCOL O5, M6: what is passed on when it is about to end does not begin anew.
#[test]
fn a_vote_that_goes_to_and_fro_ends_after_97_days() {
    let mut room = Room::of(3);
    for who in [ANA, BEN, CHI] {
        room.lose(who);
    }
    let vote = room.see(ANA, |group| latest(group, 1));
    room.inside(BEN, |group, cx| {
        let until = cx.now.sweep + CONTROL_KEPT;
        group.take_control(cx, Told { control: vote, until }).unwrap()
    });
    let pass = |room: &mut Room, days: u64| {
        for _ in 0..days {
            room.skip_hours(24);
            room.give(BEN, Input::Deadline);
            room.give(CHI, Input::Deadline);
        }
    };
    pass(&mut room, 96);
    room.connect(BEN, CHI);
    room.settle();
    room.lose(CHI);
    pass(&mut room, 2);
    assert_eq!(room.see(BEN, |group| group.controls.iter().count()), 0);
    room.connect(BEN, CHI);
    room.settle();
    assert_eq!(room.see(BEN, |group| group.controls.iter().count()), 0);
}

/// A vote of a group's person.
fn latest(group: &crate::group::Group, counter: u64) -> Control {
    let (epoch, commit) = (group.facts.head, CommitId::from_bytes([3; 32]));
    let vote = Vote { group: group.id, epoch, number: 3, commit, counter, voter: group.me.key() };
    Control::Vote(group.me.sign(group.id, &vote))
}

/// PROTOCOL O5: whoever stands elsewhere may not know the net secret by which it is sealed, and is told by link as well.
#[test]
fn what_is_signed_is_told_by_link_to_whoever_stands_elsewhere() {
    let mut room = Room::of(3);
    let link = room.link(BEN, CHI);
    let mut frames = |full: bool, counter: u64| {
        let ((), sent) = room.inside(BEN, |group, cx| {
            let before = std::mem::replace(&mut group.links.get_mut(&link).unwrap().full, full);
            let vote = latest(group, counter);
            group.send_control(cx, &vote).unwrap();
            group.links.get_mut(&link).unwrap().full = before;
        });
        sent.iter().filter(|sent| matches!(sent, Transmit::Frame { link: on, .. } if *on == link)).count()
    };
    assert_eq!((frames(true, 1), frames(false, 2)), (1, 2));
}

/// Which of Ana's generations, oldest first, sealed the word that follows the change, and the word itself.
fn word_after(room: &mut Room, change: impl FnOnce(&mut Room)) -> (Option<usize>, Vec<u8>) {
    let from = room.published.len();
    change(room);
    let bytes = room.published[from + 1].clone();
    let envelope = Envelope::parse(bytes.clone()).unwrap();
    let sealed = |group: &super::super::Group| {
        group.generations.values().position(|generation| envelope.is_under(&generation.control_key()))
    };
    (room.see(ANA, sealed), bytes)
}

/// PROTOCOL O5: a removal settles in 72 hours. Chi, who slept over both, reads what is said of them.
#[test]
fn a_word_of_control_is_sealed_under_the_generation_before_the_oldest_unsettled_removal() {
    let mut room = Room::of(5);
    for who in [CHI, DAN, EVE] {
        room.lose(who);
    }
    room.skip_hours(80);
    let (first, bytes) = word_after(&mut room, |room| room.remove(EVE));
    assert_eq!((first, room.gossip(CHI, bytes)), (Some(0), TAKEN));
    room.skip_hours(40);
    let (second, bytes) = word_after(&mut room, |room| room.remove(DAN));
    assert_eq!((second, room.gossip(CHI, bytes)), (Some(0), TAKEN));
    assert_eq!(room.see(ANA, |group| group.generations.len()), 3);
    room.skip_hours(40);
    let (third, bytes) = word_after(&mut room, Room::change_rules);
    assert_eq!((third, room.gossip(CHI, bytes)), (Some(1), Outcome::Refused(Refusal::WrongLane)));
    room.skip_hours(40);
    assert_eq!(word_after(&mut room, Room::change_rules).0, Some(2));
}

/// Chi wants to leave, and Ana wants something of her before anybody has carried that out.
#[test]
fn whoever_leaves_can_be_taken_out_all_the_same_and_gets_no_part() {
    for removes in [true, false] {
        let mut room = Room::of(3);
        room.ask(CHI, Command::Leave { group: room.group });
        let chi = room.see(CHI, |group| group.me.member());
        let (done, _) =
            room.inside(
                ANA,
                |group, cx| {
                    if removes { group.remove(cx, chi) } else { group.set_facilitator(cx, chi, true) }
                },
            );
        assert_eq!(done, if removes { Ok(Reply::Done) } else { Err(Error::UnknownMember) });
        assert!(!room.see(ANA, |group| group.roster().unwrap().has(&chi)));
    }
}
