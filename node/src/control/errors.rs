//! From every reason why something did not happen to what a face shows. The words stand in one table, `words.rs`.

use std::fmt;

use kinfold_protocol::error::{Error, Refusal};
use serde::{Deserialize, Serialize};

use super::resolve::Unresolved;
pub use super::words::ErrorKind;

/// What a face is told when something did not happen.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The JSON-RPC number.
    pub code: i32,
    /// The stable name.
    pub kind: ErrorKind,
    /// What happened, in plain words.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// Why the node could not do something, apart from what the protocol refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// A node was set up in this directory before.
    #[error("already set up")]
    AlreadySetUp,
    /// Something that no node made is in the place of the control socket.
    #[error("no control socket of ours")]
    BadSocket,
    /// Not a multiaddr of the right sort, or not an interface of this machine.
    #[error("cannot listen there")]
    BadListen,
    /// The store or the keyring contradicts itself.
    #[error("store damaged")]
    Damaged,
    /// No space left.
    #[error("disk full")]
    DiskFull,
    /// A passphrase without a character.
    #[error("empty passphrase")]
    EmptyPassphrase,
    /// The system's limit of open files is too low.
    #[error("too few open files")]
    FewFiles,
    /// Another process has this directory.
    #[error("directory in use")]
    InUse,
    /// Our bug.
    #[error("internal contradiction")]
    Internal,
    /// The keys are not in memory.
    #[error("locked")]
    Locked,
    /// Written by a later version.
    #[error("written by a newer version")]
    NewerVersion,
    /// The operating system refuses the directory or a file in it.
    #[error("no access")]
    NoAccess,
    /// No member of the group could be reached in the time a join may take.
    #[error("nobody answered")]
    NobodyAnswered,
    /// The database is there, and the keyring is not.
    #[error("no keyring")]
    KeysMissing,
    /// The passphrase cannot be tried with so little memory.
    #[error("not enough memory")]
    NoMemory,
    /// The store's files were taken out of the directory.
    #[error("files misplaced")]
    Misplaced,
    /// There is something in the directory that no node put there.
    #[error("directory not empty")]
    NotEmpty,
    /// Others may enter the directory.
    #[error("directory open to others")]
    NotPrivate,
    /// Written by an earlier version, in a shape that this one does not read.
    #[error("written by an older version")]
    OlderVersion,
    /// Nothing listens on the control socket.
    #[error("not running")]
    NotRunning,
    /// The face gave the join up.
    #[error("join cancelled")]
    JoinCancelled,
    /// The network of a group does not listen anywhere.
    #[error("not reachable")]
    NotReachable,
    /// No node was set up in this directory.
    #[error("not set up")]
    NotSetUp,
    /// The system takes no path of that length.
    #[error("path too long")]
    PathTooLong,
    /// A fixed port was asked for, and there is more than one group.
    #[error("a fixed port serves one group")]
    PortShared,
    /// The port belongs to another process.
    #[error("port taken")]
    PortTaken,
    /// Nothing can be written.
    #[error("disk read-only")]
    ReadOnly,
    /// The node is going down.
    #[error("stopping")]
    Stopping,
    /// Reading or writing failed.
    #[error("storage failed")]
    Storage,
    /// The store failed, and did not open again to say whether it kept the change.
    #[error("kept or not, nobody knows")]
    Unsettled,
    /// The passphrase does not open the keyring.
    #[error("wrong passphrase")]
    WrongPassphrase,
}

/// What a query was meant to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A group of this device.
    Group,
    /// An invite made here.
    Invite,
    /// A member of the group.
    Member,
    /// A message in the outbox.
    Message,
}

impl fmt::Debug for ApiError {
    /// Shows the name of the kind only: a hint can hold the name of a group or a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiError({})", self.kind.name())
    }
}

impl ApiError {
    /// An error in the table's own words.
    #[must_use]
    pub fn new(kind: ErrorKind) -> Self {
        Self { code: kind.code(), kind, message: kind.message().to_owned(), hint: Some(kind.hint().to_owned()) }
    }

    /// The same in words that know more than the table.
    #[must_use]
    pub fn with_words(self, message: String, hint: String) -> Self {
        Self { message, hint: Some(hint), ..self }
    }

    /// The same with a hint that knows more than the table.
    #[must_use]
    pub fn with_hint(self, hint: String) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// A name or id that names nothing, or more than one thing.
    #[must_use]
    pub fn unresolved(named: Named, why: Unresolved) -> Self {
        match why {
            Unresolved::Ambiguous { choices } => {
                let kind = match named {
                    Named::Group => ErrorKind::AmbiguousGroup,
                    Named::Invite => ErrorKind::AmbiguousInvite,
                    Named::Member => ErrorKind::AmbiguousMember,
                    Named::Message => ErrorKind::AmbiguousMessage,
                };
                Self::new(kind).with_hint(format!("use the beginning of the id: {}", choices.join(", ")))
            }
            Unresolved::Unknown { did_you_mean } => {
                let error = Self::new(match named {
                    Named::Group => ErrorKind::UnknownGroup,
                    Named::Invite => ErrorKind::UnknownInvite,
                    Named::Member => ErrorKind::UnknownMember,
                    Named::Message => ErrorKind::UnknownMessage,
                });
                match did_you_mean {
                    Some(name) => error.with_hint(format!("did you mean \"{name}\"?")),
                    None => error,
                }
            }
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::new(match error {
            Error::UnknownGroup => ErrorKind::UnknownGroup,
            Error::UnknownMember => ErrorKind::UnknownMember,
            Error::UnknownMessage => ErrorKind::UnknownMessage,
            Error::UnknownInvite => ErrorKind::UnknownInvite,
            Error::NotFacilitator => ErrorKind::NotFacilitator,
            Error::LastFacilitator => ErrorKind::LastFacilitator,
            Error::RemoveSelf => ErrorKind::RemoveSelf,
            Error::GroupLeft => ErrorKind::GroupLeft,
            Error::GroupRemoved => ErrorKind::GroupRemoved,
            Error::GroupBroken => ErrorKind::GroupBroken,
            Error::BadText => ErrorKind::BadText,
            Error::BadName => ErrorKind::BadName,
            Error::BadLifetime => ErrorKind::BadLifetime,
            Error::BadAddress => ErrorKind::BadAddress,
            Error::Full => ErrorKind::Full,
            Error::OutboxFull => ErrorKind::OutboxFull,
            Error::InviteMalformed => ErrorKind::InviteMalformed,
            Error::InviteExpired => ErrorKind::InviteExpired,
            Error::AlreadyMember => ErrorKind::AlreadyMember,
            Error::Read(_) => ErrorKind::StorageFailed,
            Error::Broken => ErrorKind::Bug,
        })
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::new(match refusal {
            Refusal::Oversize
            | Refusal::Malformed
            | Refusal::UnknownLink
            | Refusal::OutOfTurn
            | Refusal::WrongLane
            | Refusal::Expired
            | Refusal::NotForUs
            | Refusal::InvalidCommit => ErrorKind::BadAnswer,
            Refusal::Broken => ErrorKind::GroupBroken,
            Refusal::NotAdmitted => ErrorKind::JoinRefused,
            Refusal::BadSeal | Refusal::WrongGroup => ErrorKind::WrongGroup,
            Refusal::OverBudget | Refusal::NoRoom => ErrorKind::AskedTooOften,
            Refusal::NotAMember | Refusal::Removed => ErrorKind::GroupRemoved,
            Refusal::InviteUsed => ErrorKind::InviteUsed,
            Refusal::InviteRevoked => ErrorKind::InviteRevoked,
            Refusal::InviteExpired => ErrorKind::InviteExpired,
            Refusal::GroupFull => ErrorKind::GroupFull,
            Refusal::NameTaken => ErrorKind::NameTaken,
        })
    }
}

impl From<NodeError> for ApiError {
    fn from(error: NodeError) -> Self {
        Self::new(match error {
            NodeError::AlreadySetUp => ErrorKind::AlreadySetUp,
            NodeError::BadListen => ErrorKind::BadListen,
            NodeError::BadSocket => ErrorKind::BadSocket,
            NodeError::Damaged => ErrorKind::Damaged,
            NodeError::DiskFull => ErrorKind::DiskFull,
            NodeError::EmptyPassphrase => ErrorKind::EmptyPassphrase,
            NodeError::FewFiles => ErrorKind::FewFiles,
            NodeError::InUse => ErrorKind::InUse,
            NodeError::Internal => ErrorKind::Bug,
            NodeError::KeysMissing => ErrorKind::KeysMissing,
            NodeError::Locked => ErrorKind::Locked,
            NodeError::Misplaced => ErrorKind::Misplaced,
            NodeError::NewerVersion => ErrorKind::NewerVersion,
            NodeError::NoAccess => ErrorKind::NoAccess,
            NodeError::NoMemory => ErrorKind::NoMemory,
            NodeError::JoinCancelled => ErrorKind::JoinCancelled,
            NodeError::NobodyAnswered => ErrorKind::NobodyAnswered,
            NodeError::NotEmpty => ErrorKind::NotEmpty,
            NodeError::NotPrivate => ErrorKind::NotPrivate,
            NodeError::OlderVersion => ErrorKind::OlderVersion,
            NodeError::NotReachable => ErrorKind::NotReachable,
            NodeError::NotRunning => ErrorKind::NotRunning,
            NodeError::NotSetUp => ErrorKind::NotSetUp,
            NodeError::PathTooLong => ErrorKind::PathTooLong,
            NodeError::PortShared => ErrorKind::PortShared,
            NodeError::PortTaken => ErrorKind::PortTaken,
            NodeError::ReadOnly => ErrorKind::ReadOnly,
            NodeError::Stopping => ErrorKind::Stopping,
            NodeError::Storage => ErrorKind::StorageFailed,
            NodeError::Unsettled => ErrorKind::Unsettled,
            NodeError::WrongPassphrase => ErrorKind::WrongPassphrase,
        })
    }
}

/// An error as JSON-RPC carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireError {
    /// The number.
    pub code: i32,
    /// What happened.
    pub message: String,
    /// The rest.
    pub data: WireData,
}

/// What JSON-RPC has no field for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireData {
    /// The stable name.
    pub kind: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<ApiError> for WireError {
    fn from(error: ApiError) -> Self {
        let data = WireData { kind: error.kind.name().to_owned(), hint: error.hint };
        Self { code: error.code, message: error.message, data }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kinfold_protocol::persist::ReadError;

    use super::*;

    const ERRORS: &[Error] = &[
        Error::UnknownGroup,
        Error::UnknownMember,
        Error::UnknownMessage,
        Error::UnknownInvite,
        Error::NotFacilitator,
        Error::LastFacilitator,
        Error::RemoveSelf,
        Error::GroupLeft,
        Error::GroupRemoved,
        Error::GroupBroken,
        Error::BadText,
        Error::BadName,
        Error::BadLifetime,
        Error::BadAddress,
        Error::Full,
        Error::OutboxFull,
        Error::InviteMalformed,
        Error::InviteExpired,
        Error::AlreadyMember,
        Error::Read(ReadError),
        Error::Broken,
    ];

    const REFUSALS: &[Refusal] = &[
        Refusal::Oversize,
        Refusal::Malformed,
        Refusal::UnknownLink,
        Refusal::OutOfTurn,
        Refusal::NotAdmitted,
        Refusal::BadSeal,
        Refusal::WrongLane,
        Refusal::Expired,
        Refusal::NotForUs,
        Refusal::InvalidCommit,
        Refusal::OverBudget,
        Refusal::NoRoom,
        Refusal::NotAMember,
        Refusal::Removed,
        Refusal::InviteUsed,
        Refusal::InviteRevoked,
        Refusal::InviteExpired,
        Refusal::GroupFull,
        Refusal::NameTaken,
        Refusal::WrongGroup,
    ];

    /// Words that need explaining, and words that blame.
    const BANNED: &[&str] = &[
        "epoch",
        "commit",
        "fingerprint",
        "peer",
        "node",
        "mls",
        "socket",
        "daemon",
        "invalid",
        "illegal",
        "fatal",
        "abort",
        "your fault",
        "you must",
        "failed",
        "wrong",
    ];

    fn check(message: &str, hint: &str) {
        assert!(!message.is_empty() && !hint.is_empty());
        assert!(!message.ends_with('.') && !hint.ends_with('.'), "no full stop: {message}");
        for word in BANNED {
            let words = format!("{message} {hint}").to_lowercase();
            // "went wrong" is what happens to programs; nobody else is ever called wrong.
            assert!(!words.replace("went wrong", "").contains(word), "{word:?} in {words:?}");
        }
    }

    #[test]
    fn every_error_and_refusal_has_words_and_a_next_step_without_jargon() {
        let all = ERRORS.iter().map(|error| ApiError::from(*error));
        for error in all.chain(REFUSALS.iter().map(|refusal| ApiError::from(*refusal))) {
            check(&error.message, &error.hint.expect("a next step"));
        }
        for kind in ErrorKind::ALL {
            check(kind.message(), kind.hint());
        }
    }

    #[test]
    fn who_waits_for_a_join_is_not_told_that_nothing_goes_on() {
        let error = ApiError::from(NodeError::NobodyAnswered);
        let message = "nobody of the group could be reached yet; while Kinfold runs here it keeps trying, until the \
            invite ends";
        assert_eq!(error.message, message);
        assert!(error.hint.expect("a hint").ends_with("`kinfold join --cancel` stops trying"));
        let error = ApiError::from(NodeError::NotReachable);
        assert_eq!(error.message, "Kinfold is not reachable yet; no invite was made");
        assert_eq!(error.hint.as_deref(), Some("try again in a few seconds"));
    }

    #[test]
    fn numbers_and_names_are_unique() {
        let numbers: BTreeSet<i32> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        let names: BTreeSet<&str> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!((numbers.len(), names.len()), (ErrorKind::ALL.len(), ErrorKind::ALL.len()));
    }

    #[test]
    fn a_near_miss_is_asked_about_and_an_ambiguous_name_lists_the_ids() {
        let near = Unresolved::Unknown { did_you_mean: Some("Circle".into()) };
        let error = ApiError::unresolved(Named::Group, near);
        assert_eq!(error.hint.as_deref(), Some("did you mean \"Circle\"?"));
        let two = Unresolved::Ambiguous { choices: vec!["Ana (0a0b0c0d)".into(), "Ana (0e0f0a0b)".into()] };
        let error = ApiError::unresolved(Named::Member, two);
        assert_eq!(error.hint.as_deref(), Some("use the beginning of the id: Ana (0a0b0c0d), Ana (0e0f0a0b)"));
    }

    #[test]
    fn the_wire_carries_the_stable_name_and_the_hint() {
        let json = serde_json::to_value(WireError::from(ApiError::new(ErrorKind::Locked))).expect("JSON");
        assert_eq!(json["code"], 1301);
        assert_eq!(json["data"]["kind"], "locked");
        assert_eq!(json["data"]["hint"], "`kinfold unlock` opens it with your passphrase");
    }
}
