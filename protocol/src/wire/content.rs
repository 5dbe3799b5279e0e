//! What is said: the signed inner bytes of a message (PROTOCOL O6), and the wrapping between MLS and the envelope (M4).

use minicbor::{Decode, Encode};

use super::signed::{Body, MemberKey, Signed};
use super::{Malformed, bounded};
use crate::id::{MsgId, MsgStem};
use crate::limits::{PARENTS_MAX, TEXT_BYTES_MAX};
use crate::time::Time;

/// Whether a content disappears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum Class {
    /// Disappears.
    #[n(0)]
    Talk,
    /// Stays under a written policy.
    #[n(1)]
    Record,
}

/// The content proper.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub(crate) enum Kind {
    /// Words.
    #[n(0)]
    Text(#[n(0)] String),
    /// These were opened by the author (PROTOCOL D5).
    #[n(1)]
    Receipt(#[n(0)] Vec<MsgStem>),
}

/// One thing said. There is no epoch in it: it can be sealed anew.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Content {
    /// Version of this format.
    #[n(0)]
    pub(crate) version: u16,
    /// Who says it.
    #[n(1)]
    pub(crate) author: MemberKey,
    /// The author's order stamp (PROTOCOL D3).
    #[n(2)]
    pub(crate) pos: Time,
    /// The last things the author had seen.
    #[n(3)]
    pub(crate) parents: Vec<MsgId>,
    /// When it must be gone everywhere.
    #[n(4)]
    pub(crate) deadline: Time,
    /// Whether it disappears.
    #[n(5)]
    pub(crate) class: Class,
    /// What it says.
    #[n(6)]
    pub(crate) kind: Kind,
}

/// Receipts in one content: they fill an envelope of 4 KiB.
pub(crate) const RECEIPTS_MAX: usize = 256;

impl Body for Content {
    const DOMAIN: &'static str = "kinfold content";
    const BYTES_MAX: usize = TEXT_BYTES_MAX + 1_024;

    fn key(&self) -> &MemberKey {
        &self.author
    }

    fn check(&self) -> Result<(), Malformed> {
        bounded(&self.parents, PARENTS_MAX)?;
        match &self.kind {
            Kind::Text(text) => bounded(text.as_bytes(), TEXT_BYTES_MAX),
            Kind::Receipt(ids) => bounded(ids, RECEIPTS_MAX),
        }
    }
}

/// The name of signed inner bytes.
pub(crate) fn msg_id(signed: &Signed) -> MsgId {
    MsgId::from_bytes(*blake3::hash(&signed.body).as_bytes())
}

/// What stands inside the outer seal around an MLS message (PROTOCOL M4).
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Numbered {
    /// The sender's leaf.
    #[n(0)]
    pub(crate) leaf: u32,
    /// The sender's calls of MLS encryption in this epoch before this one.
    #[n(1)]
    pub(crate) count: u32,
    /// How many just before were burnt and will never come (PROTOCOL G3).
    #[n(2)]
    pub(crate) burnt: u32,
    /// The MLS message.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(crate) mls: Vec<u8>,
}
