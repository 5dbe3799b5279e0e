//! The one judge of commits: a function of the parent state and of what the commit carries, nothing else (PROTOCOL V).
//! OpenMLS authorises nothing: any member can remove any other, or take another's name, and it would be merged.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use super::extension::Extension;
use super::roster::{Roster, bound_credential};
use crate::id::{GroupId, MemberId};
use crate::limits::MEMBERS_MAX;
use crate::mls::{Committer, StagedView};
use crate::wire::control::{Operation, Policy, Ticket};
use crate::wire::message::Moves;
use crate::wire::signed::Signed;

/// Epochs after which a ticket that is no removal is too old (PROTOCOL V5).
const TICKET_EPOCHS_MAX: u64 = 64;

/// How far a ticket's number may be above the last one.
pub(crate) const SEQUENCE_STEP_MAX: u64 = 1 << 32;
/// The least step between two swaps of a member, in milliseconds: each is a change for everybody.
pub(crate) const SWAPS_APART: u64 = 600_000;
/// The greatest number of a swap, in milliseconds since 1970.
const SWAP_SEQUENCE_MAX: u64 = 1 << 48;

/// The state that a commit was made on.
#[derive(Clone, Copy)]
pub(crate) struct Parent<'a> {
    /// Of which group.
    pub(crate) group: GroupId,
    /// Its number.
    pub(crate) number: u64,
    /// Who is in it.
    pub(crate) roster: &'a Roster,
    /// What it carries.
    pub(crate) extension: &'a Extension,
}

/// What a valid commit does.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Verdict {
    /// Who made it.
    #[n(0)]
    pub(crate) committer: MemberId,
    /// Who comes in: the member, and its name.
    #[n(1)]
    pub(crate) joined: Vec<(MemberId, String)>,
    /// Who leaves.
    #[n(2)]
    pub(crate) left: Vec<MemberId>,
    /// Who is taken out, and by whom.
    #[n(3)]
    pub(crate) removed: Vec<(MemberId, MemberId)>,
    /// The new rules, and who made them.
    #[n(4)]
    pub(crate) policy: Option<(Policy, MemberId)>,
    /// Who may change the group from now on, or no longer, and who says so.
    #[n(5)]
    pub(crate) roles: Vec<(MemberId, bool, MemberId)>,
    /// Whose device is let in anew, and the member's name.
    #[n(6)]
    pub(crate) back: Vec<(MemberId, String)>,
}

impl Verdict {
    /// Whether an identity goes out: then the net secret changes (PROTOCOL M1).
    pub(crate) fn loses_someone(&self) -> bool {
        !self.left.is_empty() || !self.removed.is_empty()
    }

    /// Who comes and who goes.
    pub(crate) fn moves(&self) -> Moves {
        let removed = self.removed.iter().map(|(member, _)| *member);
        Moves {
            came: self.joined.iter().map(|(member, _)| *member).collect(),
            went: self.left.iter().copied().chain(removed).collect(),
            at: None,
        }
    }
}

/// Why a commit is invalid: the clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    /// The committer is no member of the parent, or lets somebody in and is no facilitator.
    #[error("V2")]
    Committer,
    /// A proposal by reference, or of a kind that has no place here.
    #[error("V3 kind")]
    Kind,
    /// A removal, addition or change without just the ticket it needs, or a ticket without its change.
    #[error("V3 ticket")]
    Unjustified,
    /// The extension is not what the tickets make of it.
    #[error("V3 extension")]
    Extension,
    /// A leaf changed its identity.
    #[error("V4")]
    Identity,
    /// A ticket is forged, foreign, back-dated or too old.
    #[error("V5")]
    Ticket,
    /// An external commit that does more than come back.
    #[error("V6")]
    External,
}

/// Judges one commit. Pure; the same on every path: live, replay, catch-up, own.
pub(crate) fn judge(parent: Parent<'_>, staged: &StagedView, tickets: &[Signed]) -> Result<Verdict, Invalid> {
    if staged.by_reference || staged.other_proposals || staged.other_extensions_changed {
        return Err(Invalid::Kind);
    }
    match staged.committer {
        Committer::External => judge_external(parent, staged, tickets),
        Committer::Member(leaf) => judge_member(parent, leaf, staged, tickets),
    }
}

fn judge_member(parent: Parent<'_>, leaf: u32, staged: &StagedView, tickets: &[Signed]) -> Result<Verdict, Invalid> {
    let committer = parent.roster.at(leaf).ok_or(Invalid::Committer)?;
    let path = staged.path_leaf.as_ref().ok_or(Invalid::Kind)?;
    let credential = bound_credential(&path.credential, &path.signature_key).map_err(|_| Invalid::Identity)?;
    if (credential.member_key, &credential.name) != (committer.credential.member_key, &committer.credential.name) {
        return Err(Invalid::Identity);
    }
    let tickets = open_tickets(parent, tickets)?;
    if !tickets.iter().all(|ticket| may_commit(parent, &committer.member, ticket)) {
        return Err(Invalid::Committer);
    }
    let mut verdict = Verdict {
        committer: committer.member,
        joined: Vec::new(),
        left: Vec::new(),
        removed: Vec::new(),
        policy: None,
        roles: Vec::new(),
        back: Vec::new(),
    };
    judge_removes(parent, staged, &tickets, &mut verdict)?;
    judge_adds(parent, staged, &tickets, &mut verdict)?;
    judge_roles(parent, &tickets, &mut verdict)?;
    judge_extension(parent, staged, &tickets, &mut verdict)?;
    Ok(verdict)
}

/// Whether a member may make the commit that carries a ticket out. Whoever makes a new leaf alone holds the Welcome for it, and
/// must be one who may let people in; but a facilitator is let in anew by anybody: all others may be where it comes from.
pub(crate) fn may_commit(parent: Parent<'_>, committer: &MemberId, ticket: &Ticket) -> bool {
    let anybody = match ticket.operation {
        Operation::Add => false,
        Operation::Swap => parent.extension.is_facilitator(&ticket.target),
        _ => true,
    };
    anybody || parent.extension.is_facilitator(committer)
}

/// The tickets, each signed by who may, about who may be, not back-dated, not too old.
fn open_tickets(parent: Parent<'_>, tickets: &[Signed]) -> Result<Vec<Ticket>, Invalid> {
    tickets.iter().map(|signed| open_ticket(parent, signed)).collect()
}

/// A ticket, if it could justify a commit on `parent`.
pub(crate) fn open_ticket(parent: Parent<'_>, signed: &Signed) -> Result<Ticket, Invalid> {
    let ticket = open_in_time(parent, signed)?;
    // Whoever cannot go where the others are may stand on a longer branch.
    let early = ticket.number > parent.number && ticket.operation != Operation::Swap;
    if early { Err(Invalid::Ticket) } else { Ok(ticket) }
}

/// A ticket, if it could justify a commit on `parent`, or on a state with a somewhat greater number.
pub(crate) fn open_in_time(parent: Parent<'_>, signed: &Signed) -> Result<Ticket, Invalid> {
    let ticket: Ticket = signed.open(parent.group).map_err(|_| Invalid::Ticket)?;
    let issuer = ticket.issuer.member();
    let may = match ticket.operation {
        Operation::Leave | Operation::Swap => parent.roster.has(&issuer),
        _ => parent.extension.is_facilitator(&issuer),
    };
    let removal = ticket.operation.removes();
    let old = parent.number.saturating_sub(ticket.number) > TICKET_EPOCHS_MAX;
    let far = ticket.number.saturating_sub(parent.number) > TICKET_EPOCHS_MAX;
    // A swap's number is of where its issuer stood, who may have been away for long, and its sequence tells its time.
    let swap = ticket.operation == Operation::Swap;
    let fresh = swap || ((removal || !old) && !far);
    let spent = parent.extension.spent(ticket.operation, &ticket.target);
    let apart = if swap && spent > 0 { SWAPS_APART } else { 1 };
    let new = ticket.sequence >= spent.saturating_add(apart);
    let forgotten = ticket.operation == Operation::Add && ticket.number < parent.extension.adds_from;
    // Nobody takes the last numbers, which would leave no room for a next one. A swap's is a time.
    let followed = ticket.sequence <= if swap { SWAP_SEQUENCE_MAX } else { spent.saturating_add(SEQUENCE_STEP_MAX) };
    let good = ticket.group == parent.group && may && fresh && new && !forgotten && followed;
    if good { Ok(ticket) } else { Err(Invalid::Ticket) }
}

fn judge_removes(
    parent: Parent<'_>,
    staged: &StagedView,
    tickets: &[Ticket],
    verdict: &mut Verdict,
) -> Result<(), Invalid> {
    let mut gone = BTreeSet::new();
    for leaf in &staged.removes {
        let target = parent.roster.at(*leaf).ok_or(Invalid::Unjustified)?.member;
        let takes = |operation: Operation| operation.removes() || operation == Operation::Swap;
        let asked: Vec<&Ticket> =
            tickets.iter().filter(|ticket| ticket.target == target && takes(ticket.operation)).collect();
        let by = agreed(parent, &asked).ok_or(Invalid::Unjustified)?;
        if !gone.insert(target) {
            return Err(Invalid::Unjustified);
        }
        match by.operation {
            Operation::Leave => verdict.left.push(target),
            // The other half of it is added, or there is no such commit.
            Operation::Swap => {}
            _ => verdict.removed.push((target, by.issuer.member())),
        }
    }
    let mut asked = tickets.iter().filter(|ticket| ticket.operation.removes());
    if asked.all(|ticket| gone.contains(&ticket.target)) { Ok(()) } else { Err(Invalid::Unjustified) }
}

/// Tickets about one member that ask for one thing, of just as many who may say so as it takes (PROTOCOL V7): the first.
fn agreed<'a>(parent: Parent<'_>, tickets: &[&'a Ticket]) -> Option<&'a Ticket> {
    let first = tickets.first()?;
    let takes = if parent.extension.takes_two(first) { 2 } else { 1 };
    let one_thing = tickets.iter().all(|ticket| ticket.operation == first.operation);
    let issuers: BTreeSet<_> = tickets.iter().map(|ticket| ticket.issuer).collect();
    (one_thing && issuers.len() == takes && tickets.len() == takes).then_some(*first)
}

/// Who may change the group, and who no longer: members who stay, each in a role that is not theirs already.
fn judge_roles(parent: Parent<'_>, tickets: &[Ticket], verdict: &mut Verdict) -> Result<(), Invalid> {
    let about: BTreeSet<MemberId> =
        tickets.iter().filter(|ticket| ticket.operation.is_role()).map(|ticket| ticket.target).collect();
    for target in about {
        let asked: Vec<&Ticket> =
            tickets.iter().filter(|ticket| ticket.target == target && ticket.operation.is_role()).collect();
        let by = agreed(parent, &asked).ok_or(Invalid::Unjustified)?;
        let appointed = by.operation == Operation::Appoint;
        let stays = parent.roster.has(&target) && !tickets.iter().any(|t| t.target == target && t.operation.removes());
        if !stays || parent.extension.is_facilitator(&target) == appointed {
            return Err(Invalid::Unjustified);
        }
        verdict.roles.push((target, appointed, by.issuer.member()));
    }
    Ok(())
}

fn judge_adds(
    parent: Parent<'_>,
    staged: &StagedView,
    tickets: &[Ticket],
    verdict: &mut Verdict,
) -> Result<(), Invalid> {
    let mut new = BTreeSet::new();
    for added in &staged.adds {
        let credential = bound_credential(&added.credential, &added.signature_key).map_err(|_| Invalid::Identity)?;
        let member = credential.member();
        let ticket = tickets
            .iter()
            .find(|ticket| ticket.operation.adds() && ticket.target == member)
            .ok_or(Invalid::Unjustified)?;
        let package = ticket.key_package.as_deref().unwrap_or_default();
        let named = sha256(package) == added.key_package_hash;
        let seat = parent.roster.seat(&member);
        let swap = ticket.operation == Operation::Swap;
        if !named || seat.is_some() != swap || !new.insert(member) {
            return Err(Invalid::Unjustified);
        }
        if let Some(seat) = seat {
            // The same person by the same name, over its own old leaf (PROTOCOL V4).
            if seat.credential.name != credential.name || !staged.removes.contains(&seat.leaf) {
                return Err(Invalid::Identity);
            }
            verdict.back.push((member, credential.name));
        } else {
            verdict.joined.push((member, credential.name));
        }
    }
    let asked = tickets.iter().filter(|ticket| ticket.operation.adds()).count();
    let size = parent.roster.len().saturating_sub(staged.removes.len()).saturating_add(new.len());
    if asked == new.len() && size <= MEMBERS_MAX { Ok(()) } else { Err(Invalid::Unjustified) }
}

fn judge_extension(
    parent: Parent<'_>,
    staged: &StagedView,
    tickets: &[Ticket],
    verdict: &mut Verdict,
) -> Result<(), Invalid> {
    let mut rules = tickets.iter().filter(|ticket| ticket.operation == Operation::Policy);
    verdict.policy = rules.next().and_then(|ticket| Some((ticket.policy.clone()?, ticket.issuer.member())));
    if rules.next().is_some() {
        return Err(Invalid::Unjustified);
    }
    let next = parent.extension.after(tickets, parent.number);
    let stays = parent.roster.len().saturating_sub(staged.removes.len()) > 0;
    if next.facilitators.is_empty() && stays {
        return Err(Invalid::Extension);
    }
    let expected = (next != *parent.extension).then(|| next.encode());
    if staged.extension == expected { Ok(()) } else { Err(Invalid::Extension) }
}

/// Somebody comes back over a leaf of its own: one removal, of the leaf with the same member and the same signature
/// key, and nothing else (PROTOCOL V6).
fn judge_external(parent: Parent<'_>, staged: &StagedView, tickets: &[Signed]) -> Result<Verdict, Invalid> {
    let path = staged.path_leaf.as_ref().ok_or(Invalid::External)?;
    let credential = bound_credential(&path.credential, &path.signature_key).map_err(|_| Invalid::Identity)?;
    let [leaf] = staged.removes.as_slice() else { return Err(Invalid::External) };
    let seat = parent.roster.at(*leaf).ok_or(Invalid::External)?;
    let alone = staged.adds.is_empty() && staged.extension.is_none() && tickets.is_empty();
    if alone && seat.credential == credential {
        let (left, removed, joined, roles) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Verdict { committer: seat.member, joined, left, removed, policy: None, roles, back: Vec::new() })
    } else {
        Err(Invalid::External)
    }
}

/// The hash by which a ticket names its key package.
fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests;
