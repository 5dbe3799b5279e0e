//! What every state of a group carries in its one required GroupContext extension (PROTOCOL V9).

use minicbor::{Decode, Encode};

use crate::id::MemberId;
use crate::limits::{ENVELOPE_BYTES_MAX, MEMBERS_MAX, PROTOCOL_VERSION};
use crate::wire::control::{Operation, Policy, Ticket};
use crate::wire::{Malformed, bounded, decode, encode};

/// Removals that a state remembers one by one: they ride in every commit that changes the extension, beside key
/// packages and the path, in one envelope. Beyond them [`Extension::adds_from`] stands for all.
pub(crate) const REMOVED_MAX: usize = 256;

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
        }
    }

    /// Reads one.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let extension: Self = decode(bytes, ENVELOPE_BYTES_MAX)?;
        bounded(&extension.facilitators, MEMBERS_MAX)?;
        bounded(&extension.removed, REMOVED_MAX)?;
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

    /// The sequence up to which tickets of an operation on a target are spent.
    pub(crate) fn spent(&self, operation: Operation, target: &MemberId) -> u64 {
        match operation {
            Operation::Policy => self.policy_sequence,
            Operation::Add | Operation::Leave | Operation::Remove => self.sequence_of(target),
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
                    next.facilitators.retain(|member| *member != ticket.target);
                    next.removed.retain(|removed| removed.member != ticket.target);
                    next.removed.push(Removed {
                        member: ticket.target,
                        sequence: ticket.sequence,
                        number: number.saturating_add(1),
                    });
                }
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
