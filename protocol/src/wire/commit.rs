//! Commits as objects: an MLS commit with the tickets that justify it (PROTOCOL O2).

use minicbor::{Decode, Encode};

use super::signed::Signed;
use super::{Malformed, bounded, decode, encode};
use crate::id::{CommitId, EpochId, GroupId};
use crate::limits::{ENVELOPE_BYTES_MAX, MEMBERS_MAX, PROTOCOL_VERSION};
use crate::seal;
use crate::time::Time;

/// An MLS commit and its tickets.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Commit {
    /// Which protocol it was made under.
    #[n(0)]
    pub(crate) version: u16,
    /// Of which group.
    #[n(1)]
    pub(crate) group: GroupId,
    /// On which state.
    #[n(2)]
    pub(crate) parent: EpochId,
    /// The MLS message.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(crate) mls: Vec<u8>,
    /// What justifies it.
    #[n(4)]
    pub(crate) tickets: Vec<Signed>,
}

impl Commit {
    /// Puts the parts together.
    pub(crate) const fn new(group: GroupId, parent: EpochId, mls: Vec<u8>, tickets: Vec<Signed>) -> Self {
        Self { version: PROTOCOL_VERSION, group, parent, mls, tickets }
    }

    /// Reads one, and its name.
    pub(crate) fn parse(bytes: &[u8]) -> Result<(Self, CommitId), Malformed> {
        let commit: Self = decode(bytes, ENVELOPE_BYTES_MAX)?;
        bounded(&commit.tickets, MEMBERS_MAX)?;
        Ok((commit, commit_id(bytes)))
    }

    /// Its bytes, and its name.
    pub(crate) fn encode(&self) -> (Vec<u8>, CommitId) {
        let bytes = encode(self);
        let id = commit_id(&bytes);
        (bytes, id)
    }
}

fn commit_id(bytes: &[u8]) -> CommitId {
    CommitId::from_bytes(seal::digest("kinfold commit", &[bytes]))
}

/// What a commit's MLS message authenticates beside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct CommitBinding {
    /// The state it was made on.
    #[n(0)]
    pub(crate) parent: EpochId,
    #[cbor(n(1), with = "minicbor::bytes")]
    tickets: [u8; 32],
    /// When, on the committer's clock; for people to read, never for validity (PROTOCOL V1).
    #[n(2)]
    pub(crate) at: Time,
}

impl CommitBinding {
    /// The longest encoding.
    const BYTES_MAX: usize = 96;

    /// Binds a parent, tickets and a moment.
    pub(crate) fn new(parent: EpochId, tickets: &[Signed], at: Time) -> Self {
        Self { parent, tickets: tickets_hash(tickets), at }
    }

    /// Its bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// The binding, if it binds just this parent and these tickets.
    pub(crate) fn check(bytes: &[u8], parent: EpochId, tickets: &[Signed]) -> Result<Self, Malformed> {
        let binding: Self = decode(bytes, Self::BYTES_MAX)?;
        let holds = binding.parent == parent && binding.tickets == tickets_hash(tickets);
        if holds { Ok(binding) } else { Err(Malformed) }
    }
}

fn tickets_hash(tickets: &[Signed]) -> [u8; 32] {
    seal::digest("kinfold tickets", &[&encode(&tickets.to_vec())])
}
