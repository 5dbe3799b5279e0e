//! Why something did not happen: a caller's mistake, a peer's bytes, or a reason to wait.

use crate::persist::ReadError;

/// A local caller's mistake, or a store that cannot be read. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such group on this device.
    #[error("no such group")]
    UnknownGroup,
    /// No such member in the group.
    #[error("no such member")]
    UnknownMember,
    /// No such message in the outbox.
    #[error("no such message")]
    UnknownMessage,
    /// No such invite.
    #[error("no such invite")]
    UnknownInvite,
    /// Only a facilitator can do this.
    #[error("only a facilitator can do this")]
    NotFacilitator,
    /// The only facilitator cannot leave while others remain.
    #[error("the only facilitator cannot leave while others remain")]
    LastFacilitator,
    /// A member cannot remove itself; that is leaving.
    #[error("to take oneself out is to leave")]
    RemoveSelf,
    /// The group was left, or is being left.
    #[error("this group was left")]
    GroupLeft,
    /// This person was removed from the group.
    #[error("removed from this group")]
    GroupRemoved,
    /// The group's state cannot be read.
    #[error("this group is set aside")]
    GroupBroken,
    /// The text is empty or too long.
    #[error("text empty or too long")]
    BadText,
    /// A name is empty, too long, or has control characters.
    #[error("name empty, too long or not plain text")]
    BadName,
    /// A time to live outside the bounds.
    #[error("time to live outside the bounds")]
    BadLifetime,
    /// An address that is too long.
    #[error("address too long")]
    BadAddress,
    /// The group has as many members, invites or groups as it can.
    #[error("full")]
    Full,
    /// The outbox has as many messages as it can hold.
    #[error("outbox full")]
    OutboxFull,
    /// The invite's string is damaged or not an invite.
    #[error("not an invite, or damaged")]
    InviteMalformed,
    /// The invite's time has passed.
    #[error("invite expired")]
    InviteExpired,
    /// The invite is for a group that this device is in already.
    #[error("already in this group")]
    AlreadyMember,
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Our bug: the group's state contradicts itself. The group is set aside.
    #[error("internal contradiction")]
    Broken,
}

/// Why a peer's bytes take no effect. `code` is what logs show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than the bound.
    #[error("oversize")]
    Oversize,
    /// Does not decode, or a bound inside is exceeded.
    #[error("malformed")]
    Malformed,
    /// No such link or network.
    #[error("unknown_link")]
    UnknownLink,
    /// Not allowed at this point of the conversation.
    #[error("out_of_turn")]
    OutOfTurn,
    /// The peer proved nothing that we know.
    #[error("not_admitted")]
    NotAdmitted,
    /// A signature or seal does not hold.
    #[error("bad_seal")]
    BadSeal,
    /// For another lane, or for an hour outside the log.
    #[error("wrong_lane")]
    WrongLane,
    /// Past its deadline.
    #[error("expired")]
    Expired,
    /// From before this device joined, or for a state that is gone: can never be opened here.
    #[error("not_for_us")]
    NotForUs,
    /// A commit that the rules do not allow (PROTOCOL V).
    #[error("invalid_commit")]
    InvalidCommit,
    /// More than this peer may ask for now.
    #[error("over_budget")]
    OverBudget,
    /// It would have to wait, and there is no room for more that waits.
    #[error("no_room")]
    NoRoom,
    /// The author is not, or no longer, in the roster.
    #[error("not_a_member")]
    NotAMember,
    /// The member was removed.
    #[error("removed")]
    Removed,
    /// The invite was used already.
    #[error("invite_used")]
    InviteUsed,
    /// The invite was revoked.
    #[error("invite_revoked")]
    InviteRevoked,
    /// The invite's time has passed.
    #[error("invite_expired")]
    InviteExpired,
    /// Somebody in the group goes by that name.
    #[error("name_taken")]
    NameTaken,
    /// The inviter's group is full.
    #[error("group_full")]
    GroupFull,
    /// The group is set aside on this device.
    #[error("broken")]
    Broken,
    /// What came is not the group that the invite names.
    #[error("wrong_group")]
    WrongGroup,
}

impl Refusal {
    /// Whether the same bytes are refused whenever they come.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(self, Self::BadSeal | Self::Malformed | Self::InvalidCommit)
    }
}

/// What a kept input waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Its epoch is not known here yet (PROTOCOL M5).
    #[error("unknown_epoch")]
    UnknownEpoch,
    /// Another commit on the same parent was applied.
    #[error("rival")]
    Rival,
    /// Messages of the sender before it are missing (PROTOCOL M4).
    #[error("gap")]
    Gap,
    /// Sent from here, and not kept by the disk: whoever has opened it hands it back (PROTOCOL D2).
    #[error("own")]
    Own,
    /// Authored more than 24 h ahead of this device's clock (PROTOCOL D3).
    #[error("ahead")]
    Ahead,
    /// The group's minimum protocol version is above ours (PROTOCOL V8).
    #[error("newer_protocol")]
    NewerProtocol,
}
