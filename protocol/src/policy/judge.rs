//! The one judge of commits: a function of the parent state and of what the commit carries, nothing else (PROTOCOL V).
//! OpenMLS authorises nothing: any member can remove any other, or take another's name, and it would be merged.

use std::collections::BTreeSet;

use super::extension::Extension;
use super::roster::{Roster, bound_credential};
use crate::id::{GroupId, MemberId};
use crate::limits::MEMBERS_MAX;
use crate::mls::{Committer, StagedView};
use crate::wire::control::{Operation, Policy, Ticket};
use crate::wire::signed::Signed;

/// Epochs after which a ticket that is no removal is too old (PROTOCOL V5).
const TICKET_EPOCHS_MAX: u64 = 64;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Who made it.
    pub(crate) committer: MemberId,
    /// Who comes in: the member, and its name.
    pub(crate) joined: Vec<(MemberId, String)>,
    /// Who leaves.
    pub(crate) left: Vec<MemberId>,
    /// Who is taken out, and by whom.
    pub(crate) removed: Vec<(MemberId, MemberId)>,
    /// The new rules, and who made them.
    pub(crate) policy: Option<(Policy, MemberId)>,
}

impl Verdict {
    /// Whether an identity goes out: then the net secret changes (PROTOCOL M1).
    pub(crate) fn loses_someone(&self) -> bool {
        !self.left.is_empty() || !self.removed.is_empty()
    }
}

/// Why a commit is invalid: the clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    /// The committer is no member of the parent, or no facilitator.
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
    // Until members vote for heads, one person commits: rivals would have no judge.
    if !parent.extension.is_facilitator(&committer.member) {
        return Err(Invalid::Committer);
    }
    let path = staged.path_leaf.as_ref().ok_or(Invalid::Kind)?;
    let credential = bound_credential(&path.credential, &path.signature_key).map_err(|_| Invalid::Identity)?;
    if (credential.member_key, &credential.name) != (committer.credential.member_key, &committer.credential.name) {
        return Err(Invalid::Identity);
    }
    let tickets = open_tickets(parent, tickets)?;
    let mut verdict = Verdict {
        committer: committer.member,
        joined: Vec::new(),
        left: Vec::new(),
        removed: Vec::new(),
        policy: None,
    };
    judge_removes(parent, staged, &tickets, &mut verdict)?;
    judge_adds(parent, staged, &tickets, &mut verdict)?;
    judge_extension(parent, staged, &tickets, &mut verdict)?;
    Ok(verdict)
}

/// The tickets, each signed by who may, about who may be, not back-dated, not too old.
fn open_tickets(parent: Parent<'_>, tickets: &[Signed]) -> Result<Vec<Ticket>, Invalid> {
    tickets.iter().map(|signed| open_ticket(parent, signed)).collect()
}

/// A ticket, if it could justify a commit on `parent`.
pub(crate) fn open_ticket(parent: Parent<'_>, signed: &Signed) -> Result<Ticket, Invalid> {
    let ticket: Ticket = signed.open(parent.group).map_err(|_| Invalid::Ticket)?;
    let issuer = ticket.issuer.member();
    let may = match ticket.operation {
        Operation::Add | Operation::Remove | Operation::Policy => parent.extension.is_facilitator(&issuer),
        Operation::Leave => parent.roster.has(&issuer),
    };
    let removal = matches!(ticket.operation, Operation::Remove | Operation::Leave);
    let age = parent.number.checked_sub(ticket.number);
    let fresh = age.is_some_and(|age| removal || age <= TICKET_EPOCHS_MAX);
    let new = ticket.sequence > parent.extension.spent(ticket.operation, &ticket.target);
    let forgotten = ticket.operation == Operation::Add && ticket.number < parent.extension.adds_from;
    // The last number would leave no room for a next one.
    let followed = ticket.sequence < u64::MAX;
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
        let ticket = tickets
            .iter()
            .filter(|ticket| ticket.target == target)
            .find(|ticket| matches!(ticket.operation, Operation::Remove | Operation::Leave))
            .ok_or(Invalid::Unjustified)?;
        if !gone.insert(target) {
            return Err(Invalid::Unjustified);
        }
        match ticket.operation {
            Operation::Leave => verdict.left.push(target),
            _ => verdict.removed.push((target, ticket.issuer.member())),
        }
    }
    let asked = tickets.iter().filter(|ticket| matches!(ticket.operation, Operation::Remove | Operation::Leave));
    if asked.count() == gone.len() { Ok(()) } else { Err(Invalid::Unjustified) }
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
            .find(|ticket| ticket.operation == Operation::Add && ticket.target == member)
            .ok_or(Invalid::Unjustified)?;
        let package = ticket.key_package.as_deref().unwrap_or_default();
        let named = sha256(package) == added.key_package_hash;
        if !named || parent.roster.has(&member) || !new.insert(member) {
            return Err(Invalid::Unjustified);
        }
        verdict.joined.push((member, credential.name));
    }
    let asked = tickets.iter().filter(|ticket| ticket.operation == Operation::Add).count();
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
    if !parent.extension.is_facilitator(&seat.member) {
        return Err(Invalid::Committer);
    }
    let alone = staged.adds.is_empty() && staged.extension.is_none() && tickets.is_empty();
    if alone && seat.credential == credential {
        let (left, removed, joined) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Verdict { committer: seat.member, joined, left, removed, policy: None })
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
