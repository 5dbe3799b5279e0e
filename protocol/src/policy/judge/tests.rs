//! The table "attempt x refusal": what a commit may not do, one line each.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::*;
use crate::id::EpochId;
use crate::identity::Identity;
use crate::mls::{Added, NewLeaf};
use crate::policy::extension::REMOVED_MAX;
use crate::policy::roster::Seat;
use crate::seal::digest;

const GROUP: GroupId = GroupId::from_bytes([1; 16]);
const NUMBER: u64 = 100;

/// Ana founded the group; Ben is in it; Chi would like to be.
struct Case {
    ana: Identity,
    ben: Identity,
    chi: Identity,
    dan: Identity,
    eve: Identity,
    roster: Roster,
    extension: Extension,
    tickets: Vec<Ticket>,
    staged: StagedView,
}

impl Case {
    fn new() -> Self {
        let who = |seed, name: &str| Identity::new(name, &mut ChaCha20Rng::seed_from_u64(seed));
        let (ana, ben, chi) = (who(1, "Ana"), who(2, "Ben"), who(3, "Chi"));
        let (dan, eve) = (who(4, "Dan"), who(5, "Eve"));
        let roster = Roster::from_seats(vec![seat(0, &ana), seat(1, &ben)]);
        let policy = Policy { name: "Circle".into(), retention: 86_400 };
        let extension = Extension::new(ana.member(), policy);
        let staged = StagedView {
            committer: Committer::Member(0),
            adds: Vec::new(),
            removes: Vec::new(),
            extension: None,
            other_extensions_changed: false,
            path_leaf: Some(leaf(&ana)),
            by_reference: false,
            other_proposals: false,
            removes_self: false,
            aad: Vec::new(),
            number: NUMBER + 1,
            authenticator: None,
        };
        Self { ana, ben, chi, dan, eve, roster, extension, tickets: Vec::new(), staged }
    }

    /// A commit that adds Chi.
    fn adding() -> Self {
        let mut case = Self::new();
        let mut ticket = ticket(&case.ana, Operation::Add, case.chi.member());
        ticket.key_package = Some(b"package".to_vec());
        let NewLeaf { credential, signature_key } = leaf(&case.chi);
        case.staged.adds.push(Added { credential, signature_key, key_package_hash: sha256(b"package") });
        case.tickets.push(ticket);
        case
    }

    /// A commit that removes Ben.
    fn removing() -> Self {
        let mut case = Self::new();
        case.tickets.push(ticket(&case.ana, Operation::Remove, case.ben.member()));
        case.staged.removes.push(1);
        case.extend();
        case
    }

    /// A commit that sets the rules.
    fn ruling() -> Self {
        let mut case = Self::new();
        let mut ticket = ticket(&case.ana, Operation::Policy, case.ana.member());
        ticket.policy = Some(Policy { name: "Circle".into(), retention: 7_200 });
        case.tickets.push(ticket);
        case.extend();
        case
    }

    /// Ana's device says again that it is in, over her own leaf.
    fn returning() -> Self {
        let mut case = Self::new();
        case.staged.committer = Committer::External;
        case.staged.removes.push(0);
        case
    }

    /// Dan and Eve may change the group as Ana does; Ana and Dan want Eve to do so no longer.
    fn dismissing() -> Self {
        let mut case = Self::new();
        let appoint = |who: &Identity| ticket(&case.ana, Operation::Appoint, who.member());
        let seats = [&case.ana, &case.ben, &case.dan, &case.eve];
        case.roster = Roster::from_seats((0..).zip(seats).map(|(leaf, who)| seat(leaf, who)).collect());
        case.extension = case.extension.after(&[appoint(&case.dan), appoint(&case.eve)], NUMBER);
        let dismiss = |by: &Identity| ticket(by, Operation::Dismiss, case.eve.member());
        case.tickets = vec![dismiss(&case.ana), dismiss(&case.dan)];
        case.extend();
        case
    }

    /// A commit that lets Ben's device in anew, as he asked.
    fn swapping() -> Self {
        let mut case = Self::new();
        let mut ticket = ticket(&case.ben, Operation::Swap, case.ben.member());
        ticket.key_package = Some(b"package".to_vec());
        let NewLeaf { credential, signature_key } = leaf(&case.ben);
        case.staged.adds.push(Added { credential, signature_key, key_package_hash: sha256(b"package") });
        case.staged.removes.push(1);
        case.tickets.push(ticket);
        case.extend();
        case
    }

    /// Makes the commit's extension what its tickets make of it.
    fn extend(&mut self) {
        self.staged.extension = Some(self.extension.after(&self.tickets, NUMBER).encode());
    }

    fn judge(&self) -> Result<Verdict, Invalid> {
        let signed: Vec<Signed> = self
            .tickets
            .iter()
            .map(|ticket| {
                let people = [&self.ana, &self.ben, &self.chi, &self.dan, &self.eve];
                let issuer = people.into_iter().find(|who| who.key() == ticket.issuer);
                issuer.unwrap().sign(GROUP, ticket)
            })
            .collect();
        self.judge_with(&signed)
    }

    fn judge_with(&self, signed: &[Signed]) -> Result<Verdict, Invalid> {
        let parent = Parent { group: GROUP, number: NUMBER, roster: &self.roster, extension: &self.extension };
        judge(parent, &self.staged, signed)
    }
}

fn seat(leaf: u32, who: &Identity) -> Seat {
    Seat { leaf, member: who.member(), credential: who.credential.clone() }
}

fn leaf(who: &Identity) -> NewLeaf {
    NewLeaf { credential: who.credential.encode(), signature_key: who.credential.device_key.to_vec() }
}

fn ticket(issuer: &Identity, operation: Operation, target: MemberId) -> Ticket {
    Ticket {
        group: GROUP,
        operation,
        target,
        sequence: 1,
        epoch: EpochId::from_bytes([2; 32]),
        number: NUMBER,
        issuer: issuer.key(),
        key_package: None,
        policy: None,
    }
}

#[test]
fn what_the_rules_allow_is_allowed() {
    let added = Case::adding().judge().unwrap();
    assert_eq!(added.joined, [(Case::new().chi.member(), "Chi".to_owned())]);
    assert!(!added.loses_someone());
    let removed = Case::removing().judge().unwrap();
    assert_eq!(removed.removed, [(Case::new().ben.member(), Case::new().ana.member())]);
    assert!(removed.loses_someone());
    assert_eq!(Case::ruling().judge().unwrap().policy.unwrap().0.retention, 7_200);
    assert_eq!(Case::returning().judge().unwrap().committer, Case::new().ana.member());
    let eve = Case::new().eve.member();
    assert_eq!(Case::dismissing().judge().unwrap().roles, [(eve, false, Case::new().ana.member())]);
    let back = Case::swapping().judge().unwrap();
    assert_eq!(back.back, [(Case::new().ben.member(), "Ben".to_owned())]);
    assert!(!back.loses_someone() && back.left.is_empty() && back.joined.is_empty());
    assert!(Case::new().judge().is_ok(), "an update of the own path alone");
}

type Attempt = (&'static str, fn() -> Case, fn(&mut Case), Invalid);

const ATTEMPTS: &[Attempt] = &[
    ("nobody's leaf", Case::new, |case| case.staged.committer = Committer::Member(9), Invalid::Committer),
    (
        "a newcomer let in by who is no facilitator",
        Case::adding,
        |case| {
            case.staged.committer = Committer::Member(1);
            case.staged.path_leaf = Some(leaf(&case.ben));
        },
        Invalid::Committer,
    ),
    (
        "a device let in anew by who is no facilitator",
        Case::swapping,
        |case| {
            case.roster = Case::dismissing().roster;
            case.staged.committer = Committer::Member(2);
            case.staged.path_leaf = Some(leaf(&case.dan));
        },
        Invalid::Committer,
    ),
    (
        "back again too soon",
        Case::swapping,
        |case| {
            case.extension = case.extension.after(&case.tickets, NUMBER);
            case.tickets[0].sequence += 599_999;
            case.extend();
        },
        Invalid::Ticket,
    ),
    ("a proposal by reference", Case::new, |case| case.staged.by_reference = true, Invalid::Kind),
    ("another kind of proposal", Case::new, |case| case.staged.other_proposals = true, Invalid::Kind),
    ("another extension", Case::new, |case| case.staged.other_extensions_changed = true, Invalid::Kind),
    ("no path", Case::new, |case| case.staged.path_leaf = None, Invalid::Kind),
    ("another's name", Case::new, |case| case.staged.path_leaf = Some(leaf(&case.ben)), Invalid::Identity),
    (
        "a leaf key that is not the credential's",
        Case::new,
        |case| case.staged.path_leaf.as_mut().unwrap().signature_key = vec![9; 32],
        Invalid::Identity,
    ),
    ("a removal without a ticket", Case::removing, |case| case.tickets.clear(), Invalid::Unjustified),
    ("a ticket without its removal", Case::removing, |case| case.staged.removes.clear(), Invalid::Unjustified),
    ("one removed twice", Case::removing, |case| case.staged.removes.push(1), Invalid::Unjustified),
    ("an addition without a ticket", Case::adding, |case| case.tickets.clear(), Invalid::Unjustified),
    ("a ticket without its addition", Case::adding, |case| case.staged.adds.clear(), Invalid::Unjustified),
    (
        "another key package than the ticket's",
        Case::adding,
        |case| case.staged.adds[0].key_package_hash = [0; 32],
        Invalid::Unjustified,
    ),
    (
        "one added twice",
        Case::adding,
        |case| {
            let again = case.staged.adds[0].clone();
            case.staged.adds.push(again);
        },
        Invalid::Unjustified,
    ),
    (
        "rules other than the ticket's",
        Case::ruling,
        |case| case.staged.extension = Some(case.extension.encode()),
        Invalid::Extension,
    ),
    ("rules without a ticket", Case::ruling, |case| case.tickets.clear(), Invalid::Extension),
    ("a removal that is not written down", Case::removing, |case| case.staged.extension = None, Invalid::Extension),
    (
        "the last facilitator gone",
        Case::new,
        |case| {
            case.tickets.push(ticket(&case.ana, Operation::Leave, case.ana.member()));
            case.staged.removes.push(0);
            case.extend();
        },
        Invalid::Extension,
    ),
    ("a ticket of no facilitator", Case::removing, |case| case.tickets[0].issuer = case.ben.key(), Invalid::Ticket),
    ("a back-dated commit", Case::removing, |case| case.tickets[0].number = NUMBER + 1, Invalid::Ticket),
    ("an addition too old", Case::adding, |case| case.tickets[0].number = NUMBER - 65, Invalid::Ticket),
    ("a spent sequence", Case::removing, |case| case.tickets[0].sequence = 0, Invalid::Ticket),
    ("the last of all sequences", Case::removing, |case| case.tickets[0].sequence = u64::MAX, Invalid::Ticket),
    ("rules of yesterday", Case::ruling, |case| case.extension.policy_sequence = 1, Invalid::Ticket),
    (
        "another group's ticket",
        Case::removing,
        |case| case.tickets[0].group = GroupId::from_bytes([9; 16]),
        Invalid::Ticket,
    ),
    ("a role by nobody's word", Case::dismissing, |case| case.tickets.clear(), Invalid::Extension),
    (
        "a role by one word of three",
        Case::dismissing,
        |case| {
            case.tickets.truncate(1);
            case.extend();
        },
        Invalid::Unjustified,
    ),
    (
        "a role by one word said twice",
        Case::dismissing,
        |case| {
            case.tickets[1] = Ticket { sequence: 2, ..case.tickets[0].clone() };
            case.extend();
        },
        Invalid::Unjustified,
    ),
    (
        "a removal of a facilitator by one word of three",
        Case::dismissing,
        |case| {
            case.tickets = vec![ticket(&case.ana, Operation::Remove, case.eve.member())];
            case.staged.removes.push(3);
            case.extend();
        },
        Invalid::Unjustified,
    ),
    (
        "a role taken and given at once",
        Case::dismissing,
        |case| {
            (case.tickets[1].operation, case.tickets[1].sequence) = (Operation::Appoint, 2);
            case.extend();
        },
        Invalid::Unjustified,
    ),
    (
        "a role for who has it",
        Case::dismissing,
        |case| {
            case.tickets = vec![Ticket { sequence: 2, ..ticket(&case.ana, Operation::Appoint, case.eve.member()) }];
            case.extend();
        },
        Invalid::Unjustified,
    ),
    (
        "a role for who is not in",
        Case::new,
        |case| {
            case.tickets.push(ticket(&case.ana, Operation::Appoint, case.chi.member()));
            case.extend();
        },
        Invalid::Unjustified,
    ),
    (
        "a role by a member's own word",
        Case::new,
        |case| {
            case.tickets.push(ticket(&case.ben, Operation::Appoint, case.ben.member()));
            case.extend();
        },
        Invalid::Ticket,
    ),
    (
        "an old role again after it was taken",
        Case::dismissing,
        |case| {
            case.extension = case.extension.after(&case.tickets, NUMBER);
            case.tickets = vec![ticket(&case.ana, Operation::Appoint, case.eve.member())];
            case.extend();
        },
        Invalid::Ticket,
    ),
    ("a new leaf beside the old one", Case::swapping, |case| case.staged.removes.clear(), Invalid::Identity),
    ("an old leaf gone and no new one", Case::swapping, |case| case.staged.adds.clear(), Invalid::Unjustified),
    ("back by another's word", Case::swapping, |case| case.tickets[0].issuer = case.ana.key(), Invalid::Ticket),
    (
        "back by a word of before",
        Case::swapping,
        |case| {
            case.extension = case.extension.after(&case.tickets, NUMBER);
            case.extend();
        },
        Invalid::Ticket,
    ),
    (
        "back as somebody else",
        Case::swapping,
        |case| {
            let NewLeaf { credential, signature_key } = leaf(&case.chi);
            let key_package_hash = sha256(b"package");
            case.staged.adds[0] = Added { credential, signature_key, key_package_hash };
        },
        Invalid::Unjustified,
    ),
    ("back over another's leaf", Case::returning, |case| case.staged.removes = vec![1], Invalid::External),
    ("back over two leaves", Case::returning, |case| case.staged.removes.push(1), Invalid::External),
    ("back with another key", Case::returning, |case| case.staged.path_leaf = Some(leaf(&case.ben)), Invalid::External),
    ("back with company", Case::returning, |case| case.staged.adds = Case::adding().staged.adds, Invalid::External),
    ("back with rules", Case::returning, |case| case.staged.extension = Some(Vec::new()), Invalid::External),
];

#[test]
fn every_attempt_meets_its_refusal() {
    for (what, case, spoil, refusal) in ATTEMPTS {
        let mut case = case();
        spoil(&mut case);
        assert_eq!(case.judge(), Err(*refusal), "{what}");
    }
}

/// PROTOCOL V2, V6: Ben is no facilitator. He carries out what Ana signed, gives his leaf new keys, and comes back over it.
#[test]
fn any_member_carries_out_what_a_facilitator_signed() {
    for case in [Case::new, Case::ruling] {
        let mut case = case();
        case.staged.committer = Committer::Member(1);
        case.staged.path_leaf = Some(leaf(&case.ben));
        assert_eq!(case.judge().unwrap().committer, case.ben.member());
    }
    let mut case = Case::returning();
    case.staged.removes = vec![1];
    case.staged.path_leaf = Some(leaf(&case.ben));
    assert_eq!(case.judge().unwrap().committer, case.ben.member());
}

/// PROTOCOL V5, H5: whoever asks to be let in anew may have been away for any number of epochs, or stand on a longer branch.
#[test]
fn a_wish_to_come_back_is_as_good_from_long_ago_as_from_far_ahead() {
    for number in [0, NUMBER + 1_000] {
        let mut case = Case::swapping();
        case.tickets[0].number = number;
        assert!(case.judge().is_ok(), "{number}");
    }
}

/// PROTOCOL V2, H5: Ben is no facilitator. Ana is let in anew by him, whether she is the only one, and from however long ago:
/// all others who may do it can be where she comes from. Chi, who is none either, is not.
#[test]
fn a_facilitator_is_let_in_anew_by_anybody() {
    let let_in = |target: fn(&Case) -> &Identity, several: bool| {
        let mut case = Case::swapping();
        let seats = [&case.ana, &case.ben, &case.chi, &case.dan];
        case.roster = Roster::from_seats((0..).zip(seats).map(|(leaf, who)| seat(leaf, who)).collect());
        if several {
            case.extension = case.extension.after(&[ticket(&case.ana, Operation::Appoint, case.dan.member())], NUMBER);
        }
        let who = target(&case);
        let (leaf_of, member, key) = (leaf(who), who.member(), who.key());
        case.staged.removes = case.roster.seat(&member).map(|seat| seat.leaf).into_iter().collect();
        case.staged.adds[0].credential = leaf_of.credential;
        case.staged.adds[0].signature_key = leaf_of.signature_key;
        (case.tickets[0].target, case.tickets[0].issuer, case.tickets[0].number) = (member, key, 0);
        case.staged.committer = Committer::Member(1);
        case.staged.path_leaf = Some(leaf(&case.ben));
        case.extend();
        case.judge().map(|verdict| verdict.back.len())
    };
    for several in [false, true] {
        assert_eq!(let_in(|case| &case.ana, several), Ok(1), "{several}");
        assert_eq!(let_in(|case| &case.chi, several), Err(Invalid::Committer), "{several}");
    }
}

#[test]
fn a_removal_never_grows_old() {
    let mut case = Case::removing();
    case.tickets[0].number = 0;
    assert!(case.judge().is_ok());
}

#[test]
fn a_ticket_signed_by_somebody_else_is_none() {
    let case = Case::removing();
    let forged = case.ben.sign(GROUP, &case.tickets[0]);
    assert_eq!(case.judge_with(&[forged]), Err(Invalid::Ticket));
}

#[test]
fn who_was_removed_does_not_come_back_by_an_older_ticket_however_many_went_since() {
    let mut case = Case::adding();
    let (chi, went) = (case.chi.member(), NUMBER - 10);
    case.extension = case.extension.after(&[ticket(&case.ana, Operation::Remove, chi)], went);
    case.tickets[0].number = went;
    assert_eq!(case.judge(), Err(Invalid::Ticket), "spent: the removal stands one by one");
    for other in 0..=REMOVED_MAX {
        let who = MemberId::from_bytes(digest("another", &[&other.to_be_bytes()]));
        case.extension = case.extension.after(&[ticket(&case.ana, Operation::Remove, who)], NUMBER - 5);
        assert_eq!(case.judge(), Err(Invalid::Ticket), "after {other} others");
    }
    assert_eq!(case.extension.spent(Operation::Add, &chi), 0, "it is not remembered one by one any more");
    case.tickets[0].number = NUMBER - 4;
    assert!(case.judge().is_ok(), "a facilitator who knows of the removals may let somebody in");
}

/// PROTOCOL V7: of two nobody is out by one word alone but the other one; whoever gives up a role needs nobody.
#[test]
fn two_of_three_must_say_so_and_one_of_two_can() {
    let mut case = Case::dismissing();
    case.tickets = vec![ticket(&case.eve, Operation::Dismiss, case.eve.member())];
    case.extend();
    assert_eq!(case.judge().unwrap().roles, [(case.eve.member(), false, case.eve.member())]);
    let mut case = Case::dismissing();
    let gone = ticket(&case.ana, Operation::Dismiss, case.dan.member());
    case.extension = case.extension.after(&[gone], NUMBER);
    case.tickets.truncate(1);
    case.extend();
    assert!(case.judge().is_ok());
}

/// Of two tickets with one number that which takes the role away counts, whichever came first.
#[test]
fn a_role_is_taken_away_by_a_word_as_new_as_that_which_gave_it() {
    let case = Case::new();
    let (give, take) = ([Operation::Appoint, Operation::Dismiss])
        .map(|operation| ticket(&case.ana, operation, case.ben.member()))
        .into();
    let after = |tickets: &[Ticket]| case.extension.after(tickets, NUMBER);
    assert!(after(&[give]).spent(Operation::Dismiss, &case.ben.member()) < 1);
    assert_eq!(after(&[take]).spent(Operation::Appoint, &case.ben.member()), 1);
}
