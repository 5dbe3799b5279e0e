//! Commits that MLS allows and the rules do not: the device obeys the judge, whichever way a commit comes.

use crate::error::{Refusal, Why};
use crate::group::Group;
use crate::id::EpochId;
use crate::mls::{CommitPlan, Signer};
use crate::step::{Outcome, Reply};
use crate::wire;
use crate::wire::commit::{Commit, CommitBinding};
use crate::wire::control::{Operation, Policy, Ticket};
use crate::wire::signed::{Body as _, Signed};

use super::room::{ANA, BEN, CHI, Room};

pub(super) const REFUSED: Outcome = Outcome::Refused(Refusal::InvalidCommit);
pub(super) const TAKEN: Outcome = Outcome::Applied(Reply::Done);

/// What is wrong with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// Ana takes Ben out, and nobody's ticket says so.
    NoTicket,
    /// Ben, who is no facilitator, executes a ticket of Ana's.
    NotFacilitator,
    /// Ana takes Ben out by his own wish, which she signed.
    OthersName,
    /// It authenticates another parent than the one it was made on.
    OtherParent,
    /// The tickets that came are not those that it authenticates.
    OtherTickets,
    /// A ticket was changed after it was signed.
    ChangedTicket,
    /// It does more to the extension than its ticket says: Ben becomes a facilitator.
    OtherExtension,
}

impl Bad {
    pub(super) const ALL: [Self; 7] = [
        Self::NoTicket,
        Self::NotFacilitator,
        Self::OthersName,
        Self::OtherParent,
        Self::OtherTickets,
        Self::ChangedTicket,
        Self::OtherExtension,
    ];
}

/// A ticket of this person's for rules that are not those of its head.
fn rules(group: &Group) -> Ticket {
    let mut ticket = group.ticket(Operation::Policy, group.me.member()).unwrap();
    let policy = group.extension().unwrap().policy.clone();
    ticket.policy = Some(Policy { retention: policy.retention + 3_600, ..policy });
    ticket
}

/// The tickets of a commit on Ana's head.
fn tickets(room: &mut Room, bad: Option<Bad>) -> Vec<Signed> {
    let (ben, key) = room.see(BEN, |group| (group.me.member(), group.me.key()));
    room.see(ANA, |group| {
        let honest = rules(group);
        let mut signed = group.me.sign(group.id, &honest);
        match bad {
            Some(Bad::NoTicket) => return Vec::new(),
            Some(Bad::OthersName) => {
                let leave = group.ticket(Operation::Leave, ben).unwrap();
                signed = group.me.sign(group.id, &Ticket { issuer: key, ..leave });
            }
            Some(Bad::ChangedTicket) => {
                let policy = honest.policy.clone().map(|policy| Policy { retention: policy.retention + 1, ..policy });
                signed.body = wire::encode(&Ticket { policy, ..honest });
            }
            _ => {}
        }
        vec![signed]
    })
}

/// A commit on the head, sealed, with all that a commit has but what is bad about it.
pub(super) fn forge(room: &mut Room, bad: Option<Bad>) -> Vec<u8> {
    let tickets = tickets(room, bad);
    let ben = room.see(BEN, |group| group.me.member());
    let committer = if bad == Some(Bad::NotFacilitator) { BEN } else { ANA };
    let forged = room.inside(committer, |group, cx| {
        let (head, at) = (group.facts.head, cx.now.stamp);
        let binding = match bad {
            Some(Bad::OtherParent) => CommitBinding::new(EpochId::from_bytes([7; 32]), &tickets, at),
            Some(Bad::OtherTickets) => CommitBinding::new(head, &[], at),
            _ => CommitBinding::new(head, &tickets, at),
        };
        let opened: Vec<Ticket> =
            tickets.iter().map(|signed| wire::decode(&signed.body, Ticket::BYTES_MAX).unwrap()).collect();
        let known = group.head().unwrap();
        let mut next = known.extension.after(&opened, known.number);
        if bad == Some(Bad::OtherExtension) {
            next.facilitators.push(ben);
        }
        let goes = matches!(bad, Some(Bad::NoTicket | Bad::OthersName));
        let plan = CommitPlan {
            removes: goes.then(|| known.roster.seat(&ben).unwrap().leaf).into_iter().collect(),
            extension: (next != known.extension).then(|| next.encode()),
            aad: binding.encode(),
            ..CommitPlan::default()
        };
        let key = known.keys.as_ref().unwrap().commit.clone();
        let signer = Signer::new(&group.me.device_secret());
        let made = group.epochs.with(cx, group.net, group.id, &head, |state, mls| state.commit(mls, &signer, plan));
        let (bytes, _) = Commit::new(group.id, head, made.unwrap().unwrap().commit, tickets).encode();
        let generation = group.newest().unwrap().clone();
        group.seal_envelope(cx, &key, &generation, &bytes).unwrap().into_bytes()
    });
    forged.0
}

/// Ana changes the rules, and says which envelope the commit is.
fn honest(room: &mut Room) -> Vec<u8> {
    let from = room.published.len();
    room.change_rules();
    room.published[from].clone()
}

/// PROTOCOL V2, V3, V5, O2.
#[test]
fn a_commit_that_the_rules_refuse_moves_nobody_when_gossip_brings_it() {
    let mut room = Room::of(3);
    for bad in Bad::ALL {
        let bytes = forge(&mut room, Some(bad));
        let before = room.stands(CHI);
        assert_eq!(room.gossip(CHI, bytes), REFUSED, "{bad:?}");
        assert!(room.stands(CHI) == before, "{bad:?}");
        room.change_rules();
        let head = room.stands(ANA).head;
        assert!(room.stands(CHI).head == head && head != before.head, "{bad:?}");
    }
    // The same with nothing bad about it is taken.
    let (bytes, before) = (forge(&mut room, None), room.stands(CHI));
    assert_eq!(room.gossip(CHI, bytes), TAKEN);
    assert_ne!(room.stands(CHI).head, before.head);
}

/// PROTOCOL V2, M5: it came before the state that it was made on.
#[test]
fn a_commit_that_the_rules_refuse_moves_nobody_when_it_had_to_wait() {
    let mut room = Room::of(3);
    room.lose(CHI);
    for bad in Bad::ALL {
        let parent = honest(&mut room);
        let bytes = forge(&mut room, Some(bad));
        let people = room.stands(CHI).people;
        assert_eq!(room.gossip(CHI, bytes.clone()), Outcome::Parked(Why::UnknownEpoch), "{bad:?}");
        assert_eq!(room.gossip(CHI, parent), TAKEN, "{bad:?}");
        let stands = room.stands(CHI);
        assert_eq!((stands.head, &stands.people), (room.stands(ANA).head, &people), "{bad:?}");
        assert_eq!(room.gossip(CHI, bytes), Outcome::Duplicate, "{bad:?}");
    }
    let parent = honest(&mut room);
    let bytes = forge(&mut room, None);
    assert_eq!(room.gossip(CHI, bytes), Outcome::Parked(Why::UnknownEpoch));
    assert_eq!(room.gossip(CHI, parent), TAKEN);
    assert_ne!(room.stands(CHI).head, room.stands(ANA).head);
}
