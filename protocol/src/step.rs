//! The whole border of the protocol: what goes in, what comes out, in the order of its effects, and what faces are told.

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

mod told;

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

pub use self::told::{Event, Line, LineKind, MessageState, Standing};
use crate::error::{Refusal, Why};
use crate::id::{EnvelopeId, GroupId, InviteId, LinkId, MemberId, MsgId, NetId, Topic};
use crate::persist::WriteBatch;
use crate::time::Time;

/// Something that happened, given to [`crate::Client::handle`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A person, through a face of this device, wants something.
    Command(Command),
    /// A stream to a peer is open; nothing has been said on it.
    Connected {
        /// Whose network.
        net: NetId,
        /// The stream, from now on.
        link: LinkId,
        /// The two ends.
        ends: Ends,
        /// Where we dialled, if we did: then this address works.
        address: Option<Address>,
    },
    /// The moment that [`crate::Client::deadline`] named has come.
    Deadline,
    /// A dial failed.
    DialFailed {
        /// Whose network.
        net: NetId,
        /// Where.
        address: Address,
    },
    /// The stream is gone.
    Disconnected {
        /// Which.
        link: LinkId,
    },
    /// A link brings more by gossip than [`crate::limits::GOSSIP_BY_LINK`], and none of that is read any more. The link
    /// is still up.
    Flooded {
        /// Which.
        link: LinkId,
    },
    /// Bytes of one frame from a peer, at most [`crate::limits::FRAME_BYTES_MAX`].
    Frame {
        /// From whom.
        link: LinkId,
        /// What.
        bytes: Vec<u8>,
    },
    /// One envelope that gossip brought, at most [`crate::limits::ENVELOPE_BYTES_MAX`]. The outcome tells the node
    /// whether to pass it on: `Applied` and `Parked` yes, `Duplicate` no, `Refused` no and against the peer.
    Gossip {
        /// Whose network.
        net: NetId,
        /// The link to the peer that passed it on, if it is still up.
        link: Option<LinkId>,
        /// What.
        bytes: Vec<u8>,
    },
    /// The network listens.
    Listening {
        /// Whose.
        net: NetId,
        /// The port to keep for the next start.
        port: u16,
        /// Where others may dial, best first.
        addresses: Vec<Address>,
    },
}

/// The two ends of a link, as the transport authenticated them. The end with the smaller id opens the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// This device's transport id for this network and this start, at most 64 bytes.
    pub local: Vec<u8>,
    /// The peer's.
    pub remote: Vec<u8>,
}

/// A dialable address: a multiaddr as text, at most [`crate::limits::ADDRESS_BYTES_MAX`] bytes, opaque to the protocol.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub String);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(..)")
    }
}

/// What a person can ask for.
#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    /// A new group with this person as its only member and facilitator.
    CreateGroup {
        /// The group's name, 1 to [`crate::limits::NAME_BYTES_MAX`] bytes.
        name: String,
        /// This person's name in it.
        display_name: String,
    },
    /// An invite for one person.
    Invite {
        /// Into which group.
        group: GroupId,
        /// How long it is good for.
        valid: Duration,
    },
    /// Makes an open invite useless.
    RevokeInvite {
        /// Of which group.
        group: GroupId,
        /// Which.
        invite: InviteId,
    },
    /// Joins by an invite's string.
    Join {
        /// The string.
        invite: Zeroizing<String>,
        /// This person's name in the group.
        display_name: String,
    },
    /// Gives up a join that has not ended, or forgets a group that was left.
    Forget {
        /// Which network.
        net: NetId,
    },
    /// Says something.
    Send {
        /// To whom.
        group: GroupId,
        /// What, at most [`crate::limits::TEXT_BYTES_MAX`] bytes.
        text: Zeroizing<String>,
        /// A shorter life than the group's retention.
        expires: Option<Duration>,
    },
    /// The author's word on a message that waits: send it to the people who have joined since, too.
    Release {
        /// In which group.
        group: GroupId,
        /// Which.
        id: MsgId,
    },
    /// Drops a message that others do not hold yet.
    Drop {
        /// In which group.
        group: GroupId,
        /// Which.
        id: MsgId,
    },
    /// Takes a member out.
    Remove {
        /// Of which group.
        group: GroupId,
        /// Whom.
        member: MemberId,
    },
    /// Lets a member change the group, or no longer.
    SetFacilitator {
        /// Of which group.
        group: GroupId,
        /// Whom.
        member: MemberId,
        /// Whether the member may, from now on.
        may: bool,
    },
    /// Leaves.
    Leave {
        /// Which group.
        group: GroupId,
    },
    /// Sets how long messages of the group live from now on.
    SetRetention {
        /// Of which group.
        group: GroupId,
        /// How long.
        retention: Duration,
    },
    /// Marks a member's safety code as compared, or takes the mark away.
    Verify {
        /// In which group.
        group: GroupId,
        /// Whom.
        member: MemberId,
        /// The mark.
        verified: bool,
    },
    /// Lines were shown to the person.
    MarkRead {
        /// In which group.
        group: GroupId,
        /// Only those that had come when so many had; all so far without it.
        upto: Option<u64>,
    },
    /// Tries an address typed by hand.
    Connect {
        /// For which group.
        group: GroupId,
        /// Where.
        address: Address,
    },
}

/// What a step produced, in the order in which it must be made true: persist, transmit, tell.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    /// To make durable before anything else.
    pub batch: WriteBatch,
    /// To carry out when the batch is durable.
    pub transmits: Vec<Transmit>,
    /// To tell the faces after that.
    pub events: Vec<Event>,
    /// What became of the input.
    pub outcome: Outcome,
}

/// What became of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Applied(Reply),
    /// Seen before; at most its name and its key have changed.
    Duplicate,
    /// Kept for later.
    Parked(Why),
    /// A peer's bytes that must not take effect; nothing changed, but that a key that they spent is gone.
    Refused(Refusal),
}

/// What a command answers.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// Done, nothing to say.
    Done,
    /// The new group.
    Group(GroupId),
    /// The invite.
    Invite {
        /// The string to hand over.
        text: Zeroizing<String>,
        /// How to name it later.
        id: InviteId,
        /// Until when it is good.
        expires: Time,
    },
    /// A join has begun; it ends with [`Event::Joined`] or [`Event::JoinFailed`].
    Joining(NetId),
    /// The message was accepted.
    Message {
        /// Its name for ever.
        id: MsgId,
        /// Where it stands.
        state: MessageState,
    },
    /// Everybody hears that this person wants it; one more facilitator must ask for the same (PROTOCOL V7).
    Proposed,
}

/// Something for the network to do.
#[derive(Clone, PartialEq, Eq)]
pub enum Transmit {
    /// The peer proved membership: gossip may flow to and from it.
    Admit {
        /// Which.
        link: LinkId,
    },
    /// Stop this network.
    Close {
        /// Which.
        net: NetId,
    },
    /// Dial an address; answered by `Connected` or `DialFailed`.
    Dial {
        /// For which network.
        net: NetId,
        /// Where.
        address: Address,
    },
    /// Close the link and all connections to its peer.
    Disconnect {
        /// Which.
        link: LinkId,
    },
    /// Send one frame on a link, after those sent before.
    Frame {
        /// To whom.
        link: LinkId,
        /// What.
        bytes: Vec<u8>,
    },
    /// The peer has shown in the hello that it holds something of ours: it is no stranger, whatever comes of it.
    Known {
        /// Which.
        link: LinkId,
    },
    /// Start a network, with a fresh transport identity.
    Open {
        /// Which.
        net: NetId,
        /// The port it had last time.
        port: Option<u16>,
    },
    /// Gossip brought this envelope a while ago, and what it is was learned only now: it goes on, if it is still there.
    PassOn {
        /// On which network.
        net: NetId,
        /// Which.
        id: EnvelopeId,
    },
    /// Publish one envelope by gossip. That it was published proves nothing (PROTOCOL D5).
    Publish {
        /// On which network.
        net: NetId,
        /// On which topic.
        topic: Topic,
        /// What.
        bytes: Vec<u8>,
    },
    /// Subscribe to these topics and no others.
    Topics {
        /// On which network.
        net: NetId,
        /// Which.
        topics: Vec<Topic>,
    },
    /// Take gossip back from the peer: it no longer proves membership.
    Withhold {
        /// Which.
        link: LinkId,
    },
}

redacted!(Command, Reply, Transmit);
