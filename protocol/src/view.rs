//! What the faces may look at. Copies, made on demand; nothing here can change a group.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::id::{GroupId, InviteId, MemberId, MsgId, NetId};
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
    /// When this device came in.
    pub joined: Time,
    /// Where this device listens for it now.
    pub addresses: Vec<Address>,
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
