//! What faces are told.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::Refusal;
use crate::id::{GroupId, MemberId, MsgId, NetId};
use crate::time::Time;

/// Something to tell the faces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Who is connected has changed.
    Connected {
        /// Where.
        group: GroupId,
        /// Who.
        member: MemberId,
        /// Now or no longer.
        up: bool,
    },
    /// Lines of history died at their deadline.
    Gone {
        /// Where.
        group: GroupId,
        /// Which.
        ids: Vec<MsgId>,
    },
    /// A join ended well: the group can talk.
    Joined {
        /// The network that the join was.
        net: NetId,
        /// The group that it became.
        group: GroupId,
    },
    /// A join ended without a group; nothing was kept.
    JoinFailed {
        /// The network that the join was.
        net: NetId,
        /// Why.
        why: Refusal,
    },
    /// A new line of history.
    Line {
        /// Where.
        group: GroupId,
        /// What.
        line: Line,
    },
    /// A group's standing has changed.
    Standing {
        /// Which.
        group: GroupId,
        /// To what.
        standing: Standing,
    },
    /// An own message's state has changed.
    State {
        /// Where.
        group: GroupId,
        /// Which.
        id: MsgId,
        /// To what.
        state: MessageState,
    },
    /// The clocks disagree by more than ten minutes, or agree again.
    ClockOff {
        /// Own clock less the peers' median, in milliseconds.
        ahead_ms: i64,
        /// Whether theirs is believed, so that messages carry it. Of two alone, nobody knows whose is right.
        corrected: bool,
    },
}

/// Where a message stands. Each is a fact, never a hope (P7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// On this device only, as far as known.
    Kept,
    /// At least one other member's device holds it.
    Held,
    /// `by` of the `of` people it was for have opened it.
    Received {
        /// How many have said so.
        by: usize,
        /// Of how many.
        of: usize,
    },
    /// People joined since; it waits for the author's word.
    Waiting,
    /// Its deadline has passed before it left.
    Expired,
}

/// A group's lifecycle as a person sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Talking is possible.
    Active,
    /// A state of this group cannot be read; the group is set aside, others go on.
    Broken,
    /// This person asked to leave; another member's device has yet to carry it out.
    Leaving,
    /// This person has left.
    Left,
    /// This person was removed.
    Removed,
}

/// A line of history.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub id: MsgId,
    /// What it is.
    pub kind: LineKind,
    /// Who said or did it.
    pub author: MemberId,
    /// The author's name at that time.
    pub author_name: String,
    /// Whether that is this device's person.
    pub own: bool,
    /// When it was said, on the author's clock (PROTOCOL D3).
    pub sent: Time,
    /// When it will be gone; `None` for lines that stay with the group.
    pub expires: Option<Time>,
    /// Where it stands; for the lines of others always `Held`.
    pub state: MessageState,
    /// Whether it came after later lines had been shown.
    pub late: bool,
}

/// What a line tells.
#[derive(Clone, PartialEq, Eq)]
pub enum LineKind {
    /// Somebody came in: the member.
    Joined(String),
    /// Somebody left: the member.
    Left(String),
    /// Somebody was removed: the member.
    Removed(String),
    /// Somebody's device could not go where the others were, and was let in anew: the member.
    Back(String),
    /// Somebody may change the group from now on: the member.
    Appointed(String),
    /// Somebody may do so no longer: the member.
    Dismissed(String),
    /// Messages live this long from now on.
    Retention(Duration),
    /// Something said.
    Text(Zeroizing<String>),
}

redacted!(Line, LineKind);
