//! What every state of a group carries in its one required GroupContext extension (PROTOCOL V9).

use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::id::MemberId;
use crate::limits::{ENVELOPE_BYTES_MAX, MEMBERS_MAX, PROTOCOL_VERSION};
use crate::wire::control::{Operation, Policy, Ticket};
use crate::wire::{Malformed, bounded, decode, encode};

/// Removals that a state remembers one by one: they ride in every commit that changes the extension, beside key
/// packages and the path, in one envelope. Beyond them [`Extension::adds_from`] stands for all.
pub(crate) const REMOVED_MAX: usize = 256;

/// From so many facilitators on, none of them can take the role from another alone.
const FACILITATORS_SAFE: usize = 3;

/// Facilitators, minimum version, rules and removals.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Extension {
    /// Devices that speak an older protocol pause (PROTOCOL V8).
    #[n(0)]
    pub(crate) version_min: u16,
    /// Who may change the group, sorted.
    #[n(1)]
    pub(crate) facilitators: Vec<MemberId>,
    /// The rules.
    #[n(2)]
    pub(crate) policy: Policy,
    /// Who was taken out, oldest first.
    #[n(3)]
    pub(crate) removed: Vec<Removed>,
    /// The sequence of the ticket that made the rules: older ones are spent.
    #[n(4)]
    pub(crate) policy_sequence: u64,
    /// The number of the first epoch whose tickets may add somebody: nobody who was removed before it, and is not
    /// remembered one by one any more, comes back by a ticket from before the removal.
    #[n(5)]
    pub(crate) adds_from: u64,
    /// What became of members' roles.
    #[n(6)]
    pub(crate) roles: Roles,
    /// The sequence of the ticket by which each member was last let in anew.
    #[n(7)]
    pub(crate) swaps: Roles,
}

/// The latest change of each member's role, oldest first. Of members only, so that there are never more than those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roles(Vec<Role>);

/// A change of what a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Role {
    /// Whose.
    #[n(0)]
    member: MemberId,
    /// The sequence of the ticket.
    #[n(1)]
    sequence: u64,
    /// Whether it was taken away.
    #[n(2)]
    dismissed: bool,
}

impl Roles {
    fn of(&self, member: &MemberId) -> Option<&Role> {
        self.0.iter().find(|role| role.member == *member)
    }

    fn forget(&mut self, member: &MemberId) {
        self.0.retain(|role| role.member != *member);
    }
}

/// Written only where there are any, as before there were roles.
impl<C> Encode<C> for Roles {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        self.0.encode(e, ctx)
    }

    fn is_nil(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'b, C> Decode<'b, C> for Roles {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        Vec::decode(d, ctx).map(Self)
    }

    fn nil() -> Option<Self> {
        Some(Self::default())
    }
}

/// A removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Removed {
    /// Who.
    #[n(0)]
    pub(crate) member: MemberId,
    /// The sequence of the ticket.
    #[n(1)]
    pub(crate) sequence: u64,
    /// The number of the first epoch without that member.
    #[n(2)]
    pub(crate) number: u64,
}

impl Extension {
    /// A new group's.
    pub(crate) fn new(founder: MemberId, policy: Policy) -> Self {
        Self {
            version_min: PROTOCOL_VERSION,
            facilitators: vec![founder],
            policy,
            removed: Vec::new(),
            policy_sequence: 0,
            adds_from: 0,
            roles: Roles::default(),
            swaps: Roles::default(),
        }
    }

    /// Reads one.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let extension: Self = decode(bytes, ENVELOPE_BYTES_MAX)?;
        bounded(&extension.facilitators, MEMBERS_MAX)?;
        bounded(&extension.removed, REMOVED_MAX)?;
        bounded(&extension.roles.0, MEMBERS_MAX)?;
        bounded(&extension.swaps.0, MEMBERS_MAX)?;
        extension.policy.check()?;
        Ok(extension)
    }

    /// Its bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Whether a member may change the group.
    pub(crate) fn is_facilitator(&self, member: &MemberId) -> bool {
        self.facilitators.contains(member)
    }

    /// Whether several may say how the group changes.
    pub(crate) const fn has_several(&self) -> bool {
        self.facilitators.len() > 1
    }

    /// Whether one more facilitator must agree to what one of them wants of a member: to take the role from another of
    /// three or more (PROTOCOL V7).
    pub(crate) fn takes_two(&self, ticket: &Ticket) -> bool {
        let against = matches!(ticket.operation, Operation::Dismiss | Operation::Remove);
        let of_another = ticket.issuer.member() != ticket.target && self.is_facilitator(&ticket.target);
        against && of_another && self.facilitators.len() >= FACILITATORS_SAFE
    }

    /// The sequence up to which tickets of an operation on a target are spent. Of two about a role with one sequence the
    /// one that takes it away counts.
    pub(crate) fn spent(&self, operation: Operation, target: &MemberId) -> u64 {
        let role = self.roles.of(target);
        match operation {
            Operation::Policy => self.policy_sequence,
            Operation::Add | Operation::Leave | Operation::Remove => self.sequence_of(target),
            Operation::Swap => self.swaps.of(target).map_or(0, |swap| swap.sequence),
            Operation::Appoint => role.map_or(0, |role| role.sequence),
            Operation::Dismiss => role.map_or(0, |role| role.sequence.saturating_sub(u64::from(!role.dismissed))),
        }
    }

    fn change_role(&mut self, ticket: &Ticket) {
        let (member, dismissed) = (ticket.target, ticket.operation == Operation::Dismiss);
        let sequence = self.roles.of(&member).map_or(0, |role| role.sequence).max(ticket.sequence);
        self.roles.forget(&member);
        self.roles.0.push(Role { member, sequence, dismissed });
        self.facilitators.retain(|facilitator| *facilitator != member);
        if !dismissed {
            self.facilitators.push(member);
            self.facilitators.sort_unstable();
        }
    }

    fn sequence_of(&self, member: &MemberId) -> u64 {
        self.removed.iter().rev().find(|removed| removed.member == *member).map_or(0, |removed| removed.sequence)
    }

    /// What a commit that executes these tickets on a parent with this number must make of it: the same for everyone
    /// who computes it.
    pub(crate) fn after(&self, tickets: &[Ticket], number: u64) -> Self {
        let mut next = self.clone();
        for ticket in tickets {
            match ticket.operation {
                Operation::Add => {}
                Operation::Remove | Operation::Leave => {
                    let sequence = next.sequence_of(&ticket.target).max(ticket.sequence);
                    next.facilitators.retain(|member| *member != ticket.target);
                    next.roles.forget(&ticket.target);
                    next.swaps.forget(&ticket.target);
                    next.removed.retain(|removed| removed.member != ticket.target);
                    let number = number.saturating_add(1);
                    next.removed.push(Removed { member: ticket.target, sequence, number });
                }
                Operation::Swap => {
                    let Ticket { target: member, sequence, .. } = *ticket;
                    next.swaps.forget(&member);
                    next.swaps.0.push(Role { member, sequence, dismissed: false });
                }
                Operation::Appoint | Operation::Dismiss => next.change_role(ticket),
                Operation::Policy => {
                    if let Some(policy) = &ticket.policy {
                        next.policy.clone_from(policy);
                        next.policy_sequence = ticket.sequence;
                    }
                }
            }
        }
        let surplus = next.removed.len().saturating_sub(REMOVED_MAX);
        let forgotten = next.removed.drain(..surplus).map(|removed| removed.number).max();
        next.adds_from = next.adds_from.max(forgotten.unwrap_or(0));
        next
    }
}
