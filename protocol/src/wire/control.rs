//! Tickets, votes and links: signed words about the group that travel on their own (PROTOCOL O3, O4, O5).

use minicbor::{Decode, Encode};

use super::signed::{Body, MemberKey, Signed};
use super::{Malformed, bounded};
use crate::id::{CommitId, EpochId, GroupId, MemberId};
use crate::limits::{NAME_BYTES_MAX, RETENTION_MAX, RETENTION_MIN};

/// The longest key package that a ticket carries.
pub(crate) const KEY_PACKAGE_BYTES_MAX: usize = 2_048;

/// What a ticket asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum Operation {
    /// A facilitator: this person comes in.
    #[n(0)]
    Add,
    /// A facilitator: this person goes out.
    #[n(1)]
    Remove,
    /// The person itself: I go.
    #[n(2)]
    Leave,
    /// A facilitator: these rules from now on.
    #[n(3)]
    Policy,
    /// A facilitator: this person may change the group, too.
    #[n(4)]
    Appoint,
    /// A facilitator: this person may do so no longer.
    #[n(5)]
    Dismiss,
    /// The person itself: this device cannot go where the others are, let it in anew.
    #[n(6)]
    Swap,
}

impl Operation {
    /// Whether it takes its target out.
    pub(crate) const fn removes(self) -> bool {
        matches!(self, Self::Leave | Self::Remove)
    }

    /// Whether it comes with a key package.
    pub(crate) const fn adds(self) -> bool {
        matches!(self, Self::Add | Self::Swap)
    }

    /// Whether both are numbered by one sequence.
    pub(crate) const fn follows(self, other: Self) -> bool {
        match self {
            Self::Add | Self::Leave | Self::Remove => matches!(other, Self::Add | Self::Leave | Self::Remove),
            Self::Appoint | Self::Dismiss => other.is_role(),
            Self::Policy => matches!(other, Self::Policy),
            Self::Swap => matches!(other, Self::Swap),
        }
    }

    /// Whether only the person itself can want it.
    const fn is_own(self) -> bool {
        matches!(self, Self::Leave | Self::Swap)
    }

    /// Whether it is about what its target may do.
    pub(crate) const fn is_role(self) -> bool {
        matches!(self, Self::Appoint | Self::Dismiss)
    }
}

/// The group's rules, in every state's extension.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Policy {
    /// The group's name.
    #[n(0)]
    pub(crate) name: String,
    /// How long messages live, in seconds.
    #[n(1)]
    pub(crate) retention: u64,
}

impl Policy {
    /// Refuses what is out of bounds.
    pub(crate) fn check(&self) -> Result<(), Malformed> {
        bounded(self.name.as_bytes(), NAME_BYTES_MAX)?;
        let fits = (RETENTION_MIN.as_secs()..=RETENTION_MAX.as_secs()).contains(&self.retention);
        if fits { Ok(()) } else { Err(Malformed) }
    }
}

/// A signed intent to change the group.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Ticket {
    /// Of which group.
    #[n(0)]
    pub(crate) group: GroupId,
    /// What it asks for.
    #[n(1)]
    pub(crate) operation: Operation,
    /// About whom; for rules the issuer.
    #[n(2)]
    pub(crate) target: MemberId,
    /// Above all earlier ones for that target.
    #[n(3)]
    pub(crate) sequence: u64,
    /// The issuer's head; for [`Operation::Swap`] the state that it cannot go to.
    #[n(4)]
    pub(crate) epoch: EpochId,
    /// Its number.
    #[n(5)]
    pub(crate) number: u64,
    /// Who says so.
    #[n(6)]
    pub(crate) issuer: MemberKey,
    /// For [`Operation::Add`] and [`Operation::Swap`]: what to add.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub(crate) key_package: Option<Vec<u8>>,
    /// For [`Operation::Policy`]: the rules.
    #[n(8)]
    pub(crate) policy: Option<Policy>,
}

impl Body for Ticket {
    const DOMAIN: &'static str = "kinfold ticket";
    const BYTES_MAX: usize = KEY_PACKAGE_BYTES_MAX + 512;

    fn key(&self) -> &MemberKey {
        &self.issuer
    }

    fn check(&self) -> Result<(), Malformed> {
        let shaped = self.key_package.is_some() == self.operation.adds()
            && self.policy.is_some() == (self.operation == Operation::Policy)
            && (!(self.operation.is_own() || self.operation == Operation::Policy)
                || self.target == self.issuer.member());
        if !shaped {
            return Err(Malformed);
        }
        bounded(self.key_package.as_deref().unwrap_or_default(), KEY_PACKAGE_BYTES_MAX)?;
        self.policy.as_ref().map_or(Ok(()), Policy::check)
    }
}

/// A member's signed word that a state is its head.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Vote {
    /// Of which group.
    #[n(0)]
    pub(crate) group: GroupId,
    /// For which state.
    #[n(1)]
    pub(crate) epoch: EpochId,
    /// Its number.
    #[n(2)]
    pub(crate) number: u64,
    /// The commit that made it.
    #[n(3)]
    pub(crate) commit: CommitId,
    /// Above all earlier ones of this member.
    #[n(4)]
    pub(crate) counter: u64,
    /// Whose word it is.
    #[n(5)]
    pub(crate) voter: MemberKey,
}

impl Body for Vote {
    const DOMAIN: &'static str = "kinfold vote";
    const BYTES_MAX: usize = 256;

    fn key(&self) -> &MemberKey {
        &self.voter
    }

    fn check(&self) -> Result<(), Malformed> {
        Ok(())
    }
}

/// The shape of the history, for those who cannot open the commit (PROTOCOL O2).
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Link {
    /// From which state.
    #[n(0)]
    pub(crate) parent: EpochId,
    /// To which.
    #[n(1)]
    pub(crate) child: EpochId,
    /// By which commit.
    #[n(2)]
    pub(crate) commit: CommitId,
    /// Who says so: the committer.
    #[n(3)]
    pub(crate) committer: MemberKey,
}

impl Body for Link {
    const DOMAIN: &'static str = "kinfold link";
    const BYTES_MAX: usize = 256;

    fn key(&self) -> &MemberKey {
        &self.committer
    }

    fn check(&self) -> Result<(), Malformed> {
        Ok(())
    }
}

/// What an envelope of control carries.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub(crate) enum Control {
    /// A [`Ticket`].
    #[n(0)]
    Ticket(#[n(0)] Signed),
    /// A [`Vote`].
    #[n(1)]
    Vote(#[n(0)] Signed),
    /// A [`Link`].
    #[n(2)]
    Link(#[n(0)] Signed),
}

impl Control {
    /// The longest encoding.
    pub(crate) const BYTES_MAX: usize = Ticket::BYTES_MAX + 128;
}
