//! Commits that MLS allows and the rules do not: the device obeys the judge, whichever way a commit comes.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::error::{Refusal, Why};
use crate::group::Group;
use crate::id::{EpochId, GroupId, MemberId};
use crate::identity::Identity;
use crate::mls::tests::foreign;
use crate::mls::{CommitPlan, Provider, Signer, State, key_package};
use crate::policy::extension::Extension;
use crate::step::{Outcome, Reply};
use crate::wire;
use crate::wire::commit::{Commit, CommitBinding};
use crate::wire::control::{Operation, Policy, Ticket};
use crate::wire::signed::{Body as _, Signed};

use super::rogue::Rogue;
use super::room::{ANA, BEN, CHI, Room};

pub(super) const REFUSED: Outcome = Outcome::Refused(Refusal::InvalidCommit);
pub(super) const TAKEN: Outcome = Outcome::Applied(Reply::Done);

/// What is wrong with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// Ana takes Ben out, and nobody's ticket says so.
    NoTicket,
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
    /// It wants a newer protocol of everybody, and no ticket says so.
    OtherMinimum,
    /// It forgets who was taken out.
    OtherRemovals,
    /// New rules, and nobody's ticket says so.
    NoRulesTicket,
    /// Two tickets for new rules at once.
    TwoRules,
    /// A stranger comes in, and nobody's ticket says so.
    NoAddTicket,
    /// The stranger comes in by another key package than the ticket names.
    OtherPackage,
    /// The ticket lets a stranger in, and the commit does not.
    NotAdded,
    /// The ticket takes Ben out, and the commit does not.
    NotRemoved,
    /// Ben is taken out by a ticket, and the extension does not say so.
    NotWrittenDown,
    /// Ben, who is no facilitator, takes Chi out, and Ana executes it.
    OthersTicket,
    /// The ticket was issued at a later epoch than it is executed on.
    BackDated,
    /// A ticket for Ben's removal under a number that is spent.
    SpentSequence,
    /// A ticket after which there can be none.
    LastSequence,
    /// A ticket of another group.
    OtherGroup,
    /// The stranger's key package is good for a day only: whether it still is, each system clock would say.
    Perishable,
    /// Ana takes another name.
    OtherName,
    /// A stranger comes in from outside.
    FromOutside,
}

impl Bad {
    pub(super) const ALL: [Self; 23] = [
        Self::NoTicket,
        Self::OthersName,
        Self::OtherParent,
        Self::OtherTickets,
        Self::ChangedTicket,
        Self::OtherExtension,
        Self::OtherMinimum,
        Self::OtherRemovals,
        Self::NoRulesTicket,
        Self::TwoRules,
        Self::NoAddTicket,
        Self::OtherPackage,
        Self::NotAdded,
        Self::NotRemoved,
        Self::NotWrittenDown,
        Self::OthersTicket,
        Self::BackDated,
        Self::SpentSequence,
        Self::LastSequence,
        Self::OtherGroup,
        Self::Perishable,
        Self::OtherName,
        Self::FromOutside,
    ];

    /// Whether the commit takes Ben or Chi out.
    const fn removes(self) -> bool {
        matches!(
            self,
            Self::NoTicket
                | Self::OthersName
                | Self::NotWrittenDown
                | Self::OthersTicket
                | Self::BackDated
                | Self::SpentSequence
                | Self::LastSequence
                | Self::OtherGroup
        )
    }
}

/// A ticket of this person's for rules that are not those of its head.
fn rules(group: &Group) -> Ticket {
    let mut ticket = group.ticket(Operation::Policy, group.me.member()).unwrap();
    let policy = group.extension().unwrap().policy.clone();
    ticket.policy = Some(Policy { retention: policy.retention + 3_600, ..policy });
    ticket
}

/// Somebody who would like to be in, and two key packages of hers.
fn stranger() -> (MemberId, [Vec<u8>; 2]) {
    let p = Provider::new(ChaCha20Rng::from_seed([6; 32]));
    let who = Identity::new("Fay", &mut ChaCha20Rng::from_seed([7; 32]));
    let package = |_| key_package(&p, &Signer::new(&who.device_secret()), &who.credential.encode()).unwrap().bytes;
    (who.member(), [0, 1].map(package))
}

/// A key package of hers that ends.
fn perishable() -> Vec<u8> {
    let p = Provider::new(ChaCha20Rng::from_seed([6; 32]));
    let who = Identity::new("Fay", &mut ChaCha20Rng::from_seed([7; 32]));
    foreign::package_for_a_day(&p, &Signer::new(&who.device_secret()), &who.credential.encode())
}

/// The tickets of a commit on Ana's head.
fn tickets(room: &mut Room, bad: Option<Bad>) -> Vec<Signed> {
    let (ben, key) = room.see(BEN, |group| (group.me.member(), group.me.key()));
    let chi = room.see(CHI, |group| group.me.member());
    if bad == Some(Bad::OthersTicket) {
        return room.see(BEN, |group| vec![group.me.sign(group.id, &group.ticket(Operation::Remove, chi).unwrap())]);
    }
    room.see(ANA, |group| {
        let honest = rules(group);
        let sign = |ticket: &Ticket| group.me.sign(group.id, ticket);
        let removal = || group.ticket(Operation::Remove, ben).unwrap();
        let (fay, [package, _]) = stranger();
        let addition = || Ticket { key_package: Some(package.clone()), ..group.ticket(Operation::Add, fay).unwrap() };
        match bad {
            Some(Bad::NoTicket | Bad::NoRulesTicket | Bad::NoAddTicket | Bad::OtherRemovals) => Vec::new(),
            Some(Bad::OtherName | Bad::FromOutside) => Vec::new(),
            Some(Bad::OthersName) => {
                let leave = group.ticket(Operation::Leave, ben).unwrap();
                vec![sign(&Ticket { issuer: key, ..leave })]
            }
            Some(Bad::ChangedTicket) => {
                let mut signed = sign(&honest);
                let policy = honest.policy.clone().map(|policy| Policy { retention: policy.retention + 1, ..policy });
                signed.body = wire::encode(&Ticket { policy, ..honest });
                vec![signed]
            }
            Some(Bad::TwoRules) => vec![sign(&honest), sign(&Ticket { sequence: honest.sequence + 1, ..honest })],
            Some(Bad::OtherPackage | Bad::NotAdded) => vec![sign(&addition())],
            Some(Bad::Perishable) => vec![sign(&Ticket { key_package: Some(perishable()), ..addition() })],
            Some(Bad::NotRemoved | Bad::NotWrittenDown) => vec![sign(&removal())],
            Some(Bad::BackDated) => {
                let removal = removal();
                vec![sign(&Ticket { number: removal.number + 1, ..removal })]
            }
            Some(Bad::SpentSequence) => vec![sign(&Ticket { sequence: 0, ..removal() })],
            Some(Bad::LastSequence) => vec![sign(&Ticket { sequence: u64::MAX, ..removal() })],
            Some(Bad::OtherGroup) => vec![sign(&Ticket { group: GroupId::from_bytes([3; 16]), ..removal() })],
            _ => vec![sign(&honest)],
        }
    })
}

/// What a commit makes of the extension.
fn next_extension(group: &Group, opened: &[Ticket], bad: Option<Bad>, ben: MemberId) -> Extension {
    let known = group.head().unwrap();
    let mut next = known.extension.after(opened, known.number);
    match bad {
        Some(Bad::OtherExtension) => next.facilitators.push(ben),
        Some(Bad::OtherMinimum) => next.version_min += 1,
        Some(Bad::OtherRemovals) => next.adds_from += 1,
        Some(Bad::NoRulesTicket) => next.policy.retention += 1,
        Some(Bad::NotWrittenDown) => next = known.extension.clone(),
        _ => {}
    }
    next
}

/// A commit of a kind that our devices do not make: its bytes, made on Ana's state.
fn odd_commit(state: &mut State, p: &Provider, me: &Identity, (bad, aad): (Bad, Vec<u8>)) -> Vec<u8> {
    let signer = |who: &Identity| Signer::new(&who.device_secret());
    match bad {
        Bad::OtherName => {
            let mut row = wire::encode(&me.to_row());
            let name = row.windows(3).rposition(|name| name == b"Ana").unwrap();
            row[name + 2] = b'n';
            let ann = Identity::from_row(&wire::decode(&row, row.len()).unwrap());
            assert_eq!((ann.member(), ann.credential.name.as_str()), (me.member(), "Ann"));
            foreign::renamed(p, state, &signer(me), &ann.credential.encode(), aad)
        }
        Bad::Perishable => foreign::adding(p, state, &signer(me), &perishable(), aad),
        _ => {
            let fay = Identity::new("Fay", &mut ChaCha20Rng::from_seed([7; 32]));
            foreign::from_outside(p, state, &signer(me), (&signer(&fay), &fay.credential.encode()), aad)
        }
    }
}

/// A commit on the head, sealed, with all that a commit has but what is bad about it.
pub(super) fn forge(room: &mut Room, bad: Option<Bad>) -> Vec<u8> {
    forge_by(room, ANA, bad)
}

/// The same by another of them.
pub(super) fn forge_by(room: &mut Room, committer: usize, bad: Option<Bad>) -> Vec<u8> {
    let tickets = tickets(room, bad);
    let (ben, chi) = (room.see(BEN, |group| group.me.member()), room.see(CHI, |group| group.me.member()));
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
        let next = next_extension(group, &opened, bad, ben);
        let goes = if bad == Some(Bad::OthersTicket) { chi } else { ben };
        let plan = CommitPlan {
            adds: match bad {
                Some(Bad::NoAddTicket | Bad::OtherPackage) => vec![stranger().1[1].clone()],
                _ => Vec::new(),
            },
            removes: bad
                .is_some_and(Bad::removes)
                .then(|| known.roster.seat(&goes).unwrap().leaf)
                .into_iter()
                .collect(),
            extension: (next != known.extension).then(|| next.encode()),
            aad: binding.encode(),
        };
        let key = known.keys.as_ref().unwrap().commit.clone();
        let signer = Signer::new(&group.me.device_secret());
        let made = group.epochs.with(cx, group.net, group.id, &head, |state, mls| match bad {
            Some(bad @ (Bad::Perishable | Bad::OtherName | Bad::FromOutside)) => {
                Ok(odd_commit(state, mls, &group.me, (bad, plan.aad)))
            }
            _ => Ok(state.commit(mls, &signer, plan)?.commit),
        });
        let (bytes, _) = Commit::new(group.id, head, made.unwrap().unwrap(), tickets).encode();
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
    // The same with nothing bad about it is taken, whoever carries out what Ana signed.
    for committer in [ANA, BEN] {
        let (bytes, before) = (forge_by(&mut room, committer, None), room.stands(CHI));
        assert_eq!(room.gossip(CHI, bytes), TAKEN);
        assert_ne!(room.stands(CHI).head, before.head);
        room.settle();
        room.change_rules();
    }
}

/// PROTOCOL V2: the same by link.
#[test]
fn a_commit_that_the_rules_refuse_moves_nobody_when_a_link_brings_it() {
    let mut room = Room::of(3);
    let rows = room.disk(BEN).copy();
    for bad in Bad::ALL {
        let bytes = forge(&mut room, Some(bad));
        let mut rogue = Rogue::link(&mut room, &rows, CHI);
        let before = room.stands(CHI);
        assert_eq!(rogue.push(&mut room, &[bytes]), REFUSED, "{bad:?}");
        assert!(room.stands(CHI) == before, "{bad:?}");
    }
    let (bytes, before) = (forge(&mut room, None), room.stands(CHI));
    let mut rogue = Rogue::link(&mut room, &rows, CHI);
    assert_eq!(rogue.push(&mut room, &[bytes]), TAKEN);
    assert_ne!(room.stands(CHI).head, before.head);
}

/// PROTOCOL V2, M5: it came before the state that it was made on; and perhaps the power went meanwhile.
#[test]
fn a_commit_that_the_rules_refuse_moves_nobody_when_it_had_to_wait() {
    for restarts in [false, true] {
        let mut room = Room::of(3);
        room.lose(CHI);
        for bad in Bad::ALL {
            let parent = honest(&mut room);
            let bytes = forge(&mut room, Some(bad));
            let people = room.stands(CHI).people;
            assert_eq!(room.gossip(CHI, bytes.clone()), Outcome::Parked(Why::UnknownEpoch), "{bad:?}");
            if restarts {
                room.restart(CHI);
                room.settle();
            }
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
}
