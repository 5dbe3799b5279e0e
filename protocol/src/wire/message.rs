//! What two devices say to each other on a link, once its channel is sealed.

use minicbor::{Decode, Encode};

use super::control::Control;
use super::signed::Signed;
use super::{Malformed, bounded, decode, encode};
use crate::id::{CommitId, EnvelopeId, EpochId, MemberId};
use crate::limits::{
    ADDRESS_BYTES_MAX, ADDRESSES_MAX, ENVELOPE_BYTES_MAX, FRAME_BYTES_MAX, MEMBERS_MAX, PUSH_BYTES_MAX,
};
use crate::time::Time;

/// Ids in one frame: 32 bytes each and a few for the frame, within 64 KiB.
pub(crate) const IDS_MAX: usize = 1_024;
/// Tickets and votes in one frame: a vote of every member, and a leave of as many, within 256 KiB.
pub(crate) const CONTROLS_MAX: usize = 512;
/// Steps of a line that are told at a time: what a branch came to in days.
pub(crate) const LINE_MAX: usize = 256;
/// Whom all the steps of a line name together: more than come and go in that time.
pub(crate) const LINE_MOVES_MAX: usize = 512;
/// Own addresses that one device may name: two families, a few interfaces.
pub(crate) const OWN_ADDRESSES_MAX: usize = 8;

/// One frame's content.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub(crate) enum Message {
    /// First in each direction: who I am and where I stand.
    #[n(0)]
    Greeting(#[n(0)] Box<Greeting>),
    /// I hold a newer generation than the one this channel began with: its tag over this channel (PROTOCOL M2).
    #[n(1)]
    Prove(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]),
    /// One round of reconciliation.
    #[n(2)]
    Reconcile(#[n(0)] Round),
    /// Send me these, oldest first; under the session's names.
    #[n(3)]
    Want(#[n(0)] Want),
    /// Envelopes, oldest first.
    #[n(4)]
    Push(#[n(0)] Push),
    /// I hold these durably (PROTOCOL D5).
    #[n(5)]
    Have(#[n(0)] Vec<EnvelopeId>),
    /// Send me the commits after this state.
    #[n(6)]
    After(#[n(0)] EpochId),
    /// Where members can be reached.
    #[n(7)]
    Addresses(#[n(0)] Vec<Reach>),
    /// Let me in.
    #[n(8)]
    JoinRequest(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// You are in.
    #[n(9)]
    Welcome(#[n(0)] Box<Bundle>),
    /// You cannot come in.
    #[n(10)]
    JoinRefused(#[n(0)] JoinRefusal),
    /// The answer to every [`Self::Push`]: of it, these are held durably.
    #[n(11)]
    Got(#[n(0)] Vec<EnvelopeId>),
    /// Let us compare soon.
    #[n(12)]
    Compare,
    /// My head has moved.
    #[n(13)]
    Head(#[n(0)] Head),
    /// Tickets that wait to be executed, and everybody's latest vote (PROTOCOL O5, M2).
    #[n(14)]
    Controls(#[n(0)] Vec<Told>),
    /// What came of a sender begins after these: have you got them (PROTOCOL M4)?
    #[n(15)]
    Missing(#[n(0)] Span),
    /// I hold none of these.
    #[n(16)]
    Absent(#[n(0)] Span),
    /// I hold these and cannot open them (PROTOCOL D2).
    #[n(17)]
    Cannot(#[n(0)] Vec<EnvelopeId>),
    /// What they say.
    #[n(18)]
    Handed(#[n(0)] Vec<Handed>),
    /// Another brings me the rest of what you have for me.
    #[n(19)]
    Enough,
    /// How I came to where I stand, for whoever cannot open the commits (PROTOCOL O2).
    #[n(20)]
    Line(#[n(0)] Vec<CommitWire>),
}

/// A page of what is missing. The order of all pages together is the order of sending.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Want {
    /// The names.
    #[n(0)]
    pub(crate) names: Vec<SessionId>,
    /// Whether another page follows when this one has been answered.
    #[n(1)]
    pub(crate) more: bool,
}

/// Messages of one sender in one epoch, by their counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Span {
    /// The epoch.
    #[n(0)]
    pub(crate) epoch: EpochId,
    /// The sender's leaf in it.
    #[n(1)]
    pub(crate) leaf: u32,
    /// The first count.
    #[n(2)]
    pub(crate) from: u32,
    /// The count after the last.
    #[n(3)]
    pub(crate) to: u32,
}

/// A ticket or vote that a device keeps.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Told {
    /// What it is.
    #[n(0)]
    pub(crate) control: Control,
    /// Until when: it does not begin anew with each who hears of it.
    #[n(1)]
    pub(crate) until: Time,
}

/// The signed inner bytes of a message that a member cannot open any more, from hand to hand.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Handed {
    /// The envelope that it stands for.
    #[n(0)]
    pub(crate) envelope: EnvelopeId,
    /// The epoch that it was sealed in.
    #[n(1)]
    pub(crate) epoch: EpochId,
    /// What the author signed.
    #[n(2)]
    pub(crate) signed: Signed,
}

/// Envelopes on their way to a peer.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Push {
    /// The envelopes.
    #[n(0)]
    pub(crate) envelopes: Vec<Bytes>,
    /// Whether more of what was asked for follows.
    #[n(1)]
    pub(crate) more: bool,
}

/// Bytes of an envelope inside a list.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct Bytes(#[cbor(n(0), with = "minicbor::bytes")] pub(crate) Vec<u8>);

/// An envelope's name inside one reconciliation: hashed with the session's nonce, so that nobody can choose ids that
/// collide under its sums.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct SessionId(#[cbor(n(0), with = "minicbor::bytes")] pub(crate) [u8; 32]);

/// The first thing said.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Greeting {
    /// The sender's clock.
    #[n(0)]
    pub(crate) clock: Time,
    /// Who: the credential, and the member's signature over the channel. `None` from an invite's holder.
    #[n(1)]
    pub(crate) member: Option<Proof>,
    /// Where the sender stands.
    #[n(2)]
    pub(crate) head: Option<Head>,
    /// From the one who answers an invite: the public key whose hash is in the invite, and its signature.
    #[n(4)]
    pub(crate) answerer: Option<Answerer>,
    /// Whether the sender holds no newer generation than the one that this channel began with.
    #[n(5)]
    pub(crate) newest: bool,
}

/// A member's word that this channel is its own.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Proof {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) credential: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) signature: [u8; 64],
}

/// The word of the one who may answer an invite.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Answerer {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) key: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) signature: [u8; 64],
}

/// Where a device stands.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Head {
    #[n(0)]
    pub(crate) epoch: EpochId,
    #[n(1)]
    pub(crate) number: u64,
    /// The first hour of which the device can use envelopes.
    #[n(2)]
    pub(crate) since: u32,
}

/// One round of range-based set reconciliation over the envelope logs.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Round {
    /// Names the session; chosen by the one who opens it.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) nonce: [u8; 16],
    /// The first hour compared: what is older is of no use to one of the two.
    #[n(1)]
    pub(crate) since: u32,
    /// Whether the opener says this.
    #[n(2)]
    pub(crate) opener: bool,
    /// The round.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(crate) bytes: Vec<u8>,
}

/// Where a member can be reached.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Reach {
    #[n(0)]
    pub(crate) member: MemberId,
    #[n(1)]
    pub(crate) address: String,
}

/// All that a newcomer needs (PROTOCOL J, M1).
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Bundle {
    /// The MLS Welcome.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) welcome: Vec<u8>,
    /// The commit that let the newcomer in.
    #[n(5)]
    pub(crate) commit: CommitId,
    /// The net secrets of the last 90 days.
    #[n(1)]
    pub(crate) generations: Vec<GenerationWire>,
    /// When it was made.
    #[n(2)]
    pub(crate) at: Time,
    /// The key of the member who made the invite.
    #[n(3)]
    pub(crate) inviter: crate::wire::signed::MemberKey,
    /// Where members can be reached.
    #[n(4)]
    pub(crate) reach: Vec<Reach>,
    /// The latest commits, the newcomer's own among them.
    #[n(6)]
    pub(crate) commits: Vec<CommitWire>,
}

/// A commit that a device keeps for those who were away, or to know how others came to where they stand, though it can
/// open it as little as any stranger. Without its bytes where only that is told.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct CommitWire {
    #[n(0)]
    pub(crate) parent: EpochId,
    #[n(1)]
    pub(crate) commit: CommitId,
    #[n(2)]
    pub(crate) child: EpochId,
    #[n(3)]
    pub(crate) envelope: Bytes,
    /// Whom it brought in and took out.
    #[n(4)]
    pub(crate) moves: Option<Moves>,
}

/// Who came and who went by a commit: with it a newcomer knows who was in before (PROTOCOL H5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Moves {
    #[n(0)]
    pub(crate) came: Vec<MemberId>,
    #[n(1)]
    pub(crate) went: Vec<MemberId>,
    /// When, on the committer's clock.
    #[n(2)]
    pub(crate) at: Option<Time>,
}

impl Moves {
    /// How many it names.
    pub(crate) const fn len(&self) -> usize {
        self.came.len().saturating_add(self.went.len())
    }
}

/// A generation of the net secret as handed to a newcomer.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct GenerationWire {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) secret: [u8; 32],
    /// The number of the epoch it began with.
    #[n(1)]
    pub(crate) number: u64,
    /// When it began, on its maker's clock.
    #[n(2)]
    pub(crate) at: Time,
}

/// Why one cannot come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum JoinRefusal {
    #[n(0)]
    Used,
    #[n(1)]
    Revoked,
    #[n(2)]
    Expired,
    #[n(3)]
    Full,
    #[n(4)]
    Malformed,
    /// A member goes by that name.
    #[n(5)]
    NameTaken,
}

impl Message {
    /// Its bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads one and holds every list to its bound.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let message: Self = decode(bytes, FRAME_BYTES_MAX)?;
        message.check()?;
        Ok(message)
    }

    fn check(&self) -> Result<(), Malformed> {
        match self {
            Self::Reconcile(round) => bounded(&round.bytes, PUSH_BYTES_MAX),
            Self::Want(want) => bounded(&want.names, IDS_MAX),
            Self::Have(ids) | Self::Got(ids) | Self::Cannot(ids) => bounded(ids, IDS_MAX),
            Self::Controls(controls) => bounded(controls, CONTROLS_MAX),
            Self::Handed(handed) => bounded(handed, IDS_MAX),
            Self::Push(push) => {
                bounded(&push.envelopes, IDS_MAX)?;
                push.envelopes.iter().try_for_each(|bytes| bounded(&bytes.0, ENVELOPE_BYTES_MAX))
            }
            Self::Line(commits) => bounded(commits, LINE_MAX).and_then(|()| check_commits(commits, LINE_MOVES_MAX)),
            Self::Addresses(reach) => check_reach(reach),
            Self::JoinRequest(bytes) => bounded(bytes, super::control::KEY_PACKAGE_BYTES_MAX),
            Self::Welcome(bundle) => {
                bounded(&bundle.generations, crate::meet::GENERATIONS_MAX)?;
                check_commits(&bundle.commits, usize::MAX)?;
                check_reach(&bundle.reach)
            }
            Self::Greeting(_)
            | Self::Prove(_)
            | Self::After(_)
            | Self::JoinRefused(_)
            | Self::Compare
            | Self::Enough
            | Self::Head(_)
            | Self::Missing(_)
            | Self::Absent(_) => Ok(()),
        }
    }
}

fn check_commits(commits: &[CommitWire], named_max: usize) -> Result<(), Malformed> {
    bounded(commits, IDS_MAX)?;
    let mut named = 0_usize;
    for moves in commits.iter().filter_map(|commit| commit.moves.as_ref()) {
        bounded(&moves.came, MEMBERS_MAX)?;
        bounded(&moves.went, MEMBERS_MAX)?;
        named = named.saturating_add(moves.len());
    }
    if named > named_max { Err(Malformed) } else { Ok(()) }
}

fn check_reach(reach: &[Reach]) -> Result<(), Malformed> {
    bounded(reach, ADDRESSES_MAX)?;
    reach.iter().try_for_each(|entry| bounded(entry.address.as_bytes(), ADDRESS_BYTES_MAX))
}
