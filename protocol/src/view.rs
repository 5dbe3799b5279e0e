//! What the faces may look at. Copies, made on demand; nothing here can change a group.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::id::{EpochId, GroupId, InviteId, MemberId, MsgId, NetId};
use crate::step::{Address, MessageState, Standing};
use crate::time::Time;

/// What speaks against this device's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockView {
    /// The clocks of others.
    Off {
        /// Own clock less theirs, in milliseconds.
        ahead_ms: i64,
        /// Whether theirs is believed, so that messages carry it. Of two alone, nobody knows whose is right.
        corrected: bool,
    },
    /// What this device has lived through: it is far after that, or before it. Nobody else has been heard.
    Leapt {
        /// What the clock says.
        says: Time,
        /// The last moment that is sure to have been.
        last: Time,
    },
}

/// A group, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Which.
    pub group: GroupId,
    /// Its network on this device.
    pub net: NetId,
    /// Its name.
    pub name: String,
    /// Its lifecycle.
    pub standing: Standing,
    /// How long messages live.
    pub retention: Duration,
    /// People in it.
    pub members: usize,
    /// Other people connected now.
    pub connected: usize,
    /// Lines not shown yet.
    pub unread: usize,
    /// How many lines have come so far: what [`crate::step::Command::MarkRead`] counts by.
    pub arrivals: u64,
    /// Own messages that wait for the author's word.
    pub waiting: usize,
    /// People who may change it.
    pub facilitators: usize,
    /// What one of them wants, and one more must agree to.
    pub proposals: Vec<ProposalView>,
    /// When this device came in.
    pub joined: Time,
    /// Where this device listens for it now.
    pub addresses: Vec<Address>,
}

/// That a facilitator is to go, or to be one no longer, which takes two of three or more (PROTOCOL V7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposalView {
    /// Who wants it.
    pub by: MemberId,
    /// Whom it is about.
    pub member: MemberId,
    /// Whether the member is to go.
    pub removal: bool,
}

/// How a group stands inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoctorView {
    /// The state that this device stands on.
    pub head: EpochId,
    /// Its number.
    pub number: u64,
    /// The state that this device last voted for.
    pub voted: Option<EpochId>,
    /// Everybody's latest vote that is known here.
    pub votes: Vec<(MemberId, EpochId)>,
    /// The state that others stand on, if this device cannot go there.
    pub beyond: Option<EpochId>,
    /// The states that are known here, by number.
    pub states: Vec<StateView>,
    /// Where those stand who are linked.
    pub peers: Vec<PeerView>,
    /// Signed wishes that are good here and not carried out yet.
    pub tickets: Vec<TicketView>,
    /// What came and cannot be opened yet.
    pub waiting: usize,
    /// Senders of whom earlier messages are missing.
    pub gaps: usize,
    /// When this device does something next by itself.
    pub next: Option<Time>,
}

/// A signed wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketView {
    /// What for.
    pub wish: Wish,
    /// Whose.
    pub by: MemberId,
    /// About whom.
    pub member: MemberId,
    /// Whether it takes one more facilitator.
    pub takes_two: bool,
}

/// What somebody wants of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// That somebody comes in.
    Add,
    /// That somebody may change the group.
    Appoint,
    /// That somebody may do so no longer.
    Dismiss,
    /// To go.
    Leave,
    /// That somebody goes.
    Remove,
    /// That other rules hold.
    Rules,
    /// To be let back in.
    Return,
}

/// A state that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateView {
    /// Its name.
    pub state: EpochId,
    /// Its number.
    pub number: u64,
    /// The state before it, if it was made here.
    pub parent: Option<EpochId>,
    /// How many are in it.
    pub people: usize,
    /// Whether the head is it or has come from it.
    pub on_line: bool,
    /// Whether this device could still go on from it another way.
    pub open: bool,
    /// Whether what was said in it can still be opened.
    pub readable: bool,
    /// The ways on from it that are known.
    pub ways: usize,
    /// Members who voted for it or for a state after it.
    pub votes: usize,
}

/// Where somebody else stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Who.
    pub member: MemberId,
    /// On which state, as it said last.
    pub state: EpochId,
    /// Its number.
    pub number: u64,
    /// Whether everything flows on the link.
    pub full: bool,
}

/// A member, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Which.
    pub member: MemberId,
    /// The name chosen in this group.
    pub name: String,
    /// Whether the member may change the group.
    pub facilitator: bool,
    /// Whether that is this device's person.
    pub own: bool,
    /// Whether a device of the member is connected now.
    pub connected: bool,
    /// Whether the safety code was compared.
    pub verified: bool,
}

/// An own message that nobody else is known to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxView {
    /// Which.
    pub id: MsgId,
    /// What it says.
    pub text: Zeroizing<String>,
    /// Where it stands.
    pub state: MessageState,
    /// When it was said.
    pub sent: Time,
    /// When it will be gone.
    pub expires: Time,
}

/// An invite that this device made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteView {
    /// Which.
    pub id: InviteId,
    /// Until when it is good.
    pub expires: Time,
    /// Where it stands.
    pub state: InviteState,
}

/// Where an invite stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteState {
    /// Its time has passed unused.
    Expired,
    /// Good for one person.
    Open,
    /// Taken back.
    Revoked,
    /// Somebody came in by it.
    Used,
}

/// The code two people compare to know that nobody stands between them (DESIGN 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafetyCode {
    /// Six groups of five digits, the same on both sides.
    pub digits: String,
    /// The same for a QR code.
    pub qr: Vec<u8>,
}
