//! What the local API answers: serialisable copies of the protocol's views. What it tells stands in [`super::lines`].
//!
//! Ids are lower-case hexadecimal, moments RFC 3339 in UTC, spans whole seconds. Fields may be added in a later
//! version; readers ignore those that they do not know.

use serde::{Deserialize, Serialize};

use super::lines::{Moment, OutboxRow, Row, Stand};

/// Done, nothing to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// A group was changed, or is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Whether it takes one more facilitator who asks for the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proposed: bool,
}

/// A group that this device is in now.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMade {
    /// Its id.
    pub group_id: String,
    /// Its name.
    pub name: String,
}

/// How leaving went.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Which group.
    pub group_id: String,
    /// `left`, or `leaving` while another member's device has yet to carry it out.
    pub standing: Standing,
}

/// A group's lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Talking is possible.
    Active,
    /// Set aside: its data cannot be read.
    Broken,
    /// Asked to leave; another member's device has yet to carry it out.
    Leaving,
    /// Left.
    Left,
    /// Removed by somebody.
    Removed,
}

/// A group in a list.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Its id.
    pub group_id: String,
    /// Its name.
    pub name: String,
    /// Its lifecycle.
    pub standing: Standing,
    /// People in it.
    pub members: usize,
    /// Other people connected now.
    pub connected: usize,
    /// Their names.
    pub present: Vec<String>,
    /// Lines not shown yet.
    pub unread: usize,
    /// Own messages that wait for their author's word.
    pub waiting: usize,
    /// Own messages that no other device is known to have, and that go out by themselves.
    #[serde(default)]
    pub unsent: usize,
    /// How long messages live.
    pub retention_secs: u64,
    /// People who may change it.
    pub facilitators: usize,
    /// When this device came in.
    pub joined: Moment,
}

/// One group, looked at.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub row: GroupRow,
    /// Where this device listens for it now.
    pub addresses: Vec<String>,
    /// What one facilitator wants, and one more must agree to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposals: Vec<Proposal>,
}

/// That a facilitator is to go, or to be one no longer: of three or more, two must want it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Who wants it.
    pub by: String,
    /// Who, by id.
    pub by_id: String,
    /// Whom it is about.
    pub member: String,
    /// Whom, by id.
    pub member_id: String,
    /// Whether the member is to leave the group.
    pub removal: bool,
}

/// All groups.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// In the order of their names.
    pub groups: Vec<GroupRow>,
}

/// How things stand.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// Whether the keys are out of memory; then there are no groups to show.
    pub locked: bool,
    /// All groups.
    pub groups: Vec<GroupRow>,
    /// Joins that have not ended.
    #[serde(default)]
    pub joining: Vec<JoinRow>,
}

/// A join that goes on: this device waits to be let in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRow {
    /// Its id on this device.
    pub join_id: String,
}

/// Joins that were given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinsCancelled {
    /// How many.
    pub cancelled: usize,
}

/// An invite is taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Where it stood before, unless it was open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<InviteState>,
}

/// The answer to `status`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// How things stand.
    #[serde(flatten)]
    pub status: Status,
    /// What this device was found to have lost, since Kinfold was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// The disk has no room, so nothing new is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<Full>,
    /// Why this device's clock is not to be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockDoubt>,
}

/// The disk is full.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Full {
    /// What that means, in plain words.
    pub message: String,
}

/// What speaks against this device's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClockDoubt {
    /// The others' clocks.
    Off {
        /// Own clock less theirs.
        ahead_secs: i64,
        /// Whether messages carry their time. Of two clocks alone, nobody knows which is right.
        corrected: bool,
    },
    /// What this device has lived through, and nobody else has been heard.
    Leapt {
        /// What the clock says.
        says: Moment,
        /// The last moment that is sure to have been.
        last: Moment,
    },
}

/// What is no longer where it was stored: files were damaged, or put back from an older copy.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Changes that were stored and are not there.
    pub commits: u64,
    /// Entries that were counted and are not there.
    pub rows: u64,
    /// Entries that are there and cannot be read.
    pub values: u64,
    /// What that means, in plain words.
    pub message: String,
}

/// Which versions run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The program's.
    pub version: String,
    /// The local API's.
    pub api: u32,
    /// The newest that it speaks with other devices.
    pub protocol: u16,
}

impl Version {
    /// Of this build.
    #[must_use]
    pub fn current() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api: super::API_VERSION,
            protocol: kinfold_protocol::limits::PROTOCOL_VERSION,
        }
    }
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May change the group.
    Facilitator,
    /// May talk.
    Member,
}

/// A member of a group.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// The id.
    pub member_id: String,
    /// The name chosen in this group.
    pub name: String,
    /// What the member may do.
    pub role: Role,
    /// Whether that is this device's person.
    #[serde(rename = "self")]
    pub own: bool,
    /// Whether a device of the member is connected now.
    pub connected: bool,
    /// Whether the safety code was compared.
    pub verified: bool,
}

/// The people of a group.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// In the order of their names.
    pub members: Vec<MemberRow>,
}

/// The safety code shared with one member.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Whose.
    pub member_id: String,
    /// The name chosen in this group.
    pub name: String,
    /// Six groups of five digits, the same on both sides.
    pub safety_code: String,
    /// What a QR code of it holds: upper-case hexadecimal, the densest that all readers take.
    pub qr: String,
    /// Whether it was compared.
    pub verified: bool,
}

/// An invite, made just now.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteMade {
    /// The string to hand over.
    pub invite: String,
    /// How to name it later.
    pub invite_id: String,
    /// Until when it is good.
    pub expires: Moment,
}

/// Where an invite stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// An invite in a list.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRow {
    /// Its id.
    pub invite_id: String,
    /// Until when it is good.
    pub expires: Moment,
    /// Where it stands.
    pub state: InviteState,
}

/// The invites made on this device.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invites {
    /// Newest first.
    pub invites: Vec<InviteRow>,
}

/// How long messages of a group live.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Which group.
    pub group_id: String,
    /// How long.
    pub retention_secs: u64,
    /// Whether it was asked to become what it was already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchanged: bool,
}

/// A message that was accepted, and is durable.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its name for ever.
    pub id: String,
    /// Where it stands.
    #[serde(flatten)]
    pub stand: Stand,
}

/// Lines of a group.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Which group.
    pub group_id: String,
    /// Its name.
    pub group: String,
    /// Oldest first.
    pub rows: Vec<Row>,
    /// Unread messages before these, which therefore stay unread.
    #[serde(default)]
    pub unread_earlier: usize,
    /// What `read` takes once these were shown; none when that would mark nothing, or lines that are not among these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_mark: Option<u64>,
}

/// Own messages that nobody else is known to hold.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbox {
    /// Oldest first.
    pub messages: Vec<OutboxRow>,
}

/// The subscription stands.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// To one group only; to all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
}

redacted!(
    GroupMade,
    Left,
    GroupRow,
    GroupDetail,
    Proposal,
    Groups,
    JoinRow,
    Status,
    StatusAnswer,
    Lost,
    Full,
    MemberRow,
    Members,
    Verification,
    InviteMade,
    InviteRow,
    Invites,
    Retention,
    Sent,
    History,
    Outbox,
    Subscribed
);
