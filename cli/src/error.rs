//! Why a verb did not do its work, and with which number the program ends. The words of most refusals come from the
//! node's table; here are only those of the command line itself.

use std::io;

use kinfold_node::NodeError;
use kinfold_node::control::errors::WireError;
use kinfold_node::control::{ApiError, ErrorKind};

/// The result of a verb.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Refused.
    Refused = 1,
    /// Not understood.
    Usage = 2,
    /// The node does not run.
    NotRunning = 3,
    /// Locked.
    Locked = 4,
    /// The disk.
    Storage = 5,
    /// Our bug.
    Bug = 70,
}

/// What a person or a script is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) exit: Exit,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// What only the command line can run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Local {
    BadAnswer,
    BadInput,
    InputTooLong,
    LostContact,
    NoDataDir,
    NoPassphrase,
    NoRuntime,
    NoTerminal,
    OutputClosed,
    PassphraseUnreadable,
    PassphrasesDiffer,
    TooSlow,
}

impl From<Local> for Error {
    fn from(local: Local) -> Self {
        let (exit, code, message, hint) = match local {
            Local::BadAnswer => (
                Exit::Bug,
                "bad_answer_here",
                "the answer could not be understood",
                "`kinfold version` and `kinfold status` show whether two versions are mixed",
            ),
            Local::BadInput => (
                Exit::Refused,
                "bad_input",
                "what was given is not text; nothing was sent",
                "Kinfold sends text, in UTF-8",
            ),
            Local::InputTooLong => (
                Exit::Refused,
                "bad_text",
                "the text is too long; it was not sent",
                "a message can have about 2,500 words; a longer one can go in parts",
            ),
            Local::LostContact => (
                Exit::NotRunning,
                "not_running",
                "Kinfold has stopped; what was accepted is safe",
                "start it again with `kinfold up` in another window",
            ),
            Local::NoDataDir => {
                (Exit::Usage, "usage", "there is no usual place for data on this system", "name one with --data-dir")
            }
            Local::NoPassphrase => (
                Exit::Usage,
                "usage",
                "the passphrase is needed, and there is no terminal to ask for it",
                "give it with --passphrase-fd N or in KINFOLD_PASSPHRASE",
            ),
            Local::NoRuntime => (
                Exit::Bug,
                "no_runtime",
                "this system let Kinfold start no threads",
                "close other programs and try again",
            ),
            Local::NoTerminal => {
                (Exit::Refused, "no_terminal", "what was typed could not be read; nothing was changed", "try again")
            }
            Local::OutputClosed => {
                (Exit::Refused, "output_closed", "the output was closed", "nothing needs to be done")
            }
            Local::PassphraseUnreadable => (
                Exit::Usage,
                "usage",
                "the passphrase could not be read from there; nothing was changed",
                "--passphrase-fd takes the number of a file that is open for reading, as in `3<file`",
            ),
            Local::PassphrasesDiffer => (
                Exit::Refused,
                "passphrases_differ",
                "the two passphrases are not the same; nothing was changed",
                "try again; it is easier with the words written down on paper",
            ),
            Local::TooSlow => (
                Exit::Refused,
                "too_slow",
                "Kinfold did not answer in time; it may still do what was asked",
                "`kinfold status` shows how things stand",
            ),
        };
        Self { exit, code: code.to_owned(), message: message.to_owned(), hint: Some(hint.to_owned()) }
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        let ApiError { kind, message, hint, .. } = error;
        Self { exit: exit(kind), code: kind.name().to_owned(), message, hint }
    }
}

impl From<NodeError> for Error {
    fn from(error: NodeError) -> Self {
        ApiError::from(error).into()
    }
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        let kind = ErrorKind::ALL.iter().find(|kind| kind.name() == error.data.kind);
        // A name that is not known here comes from a newer node; it refused, whatever else.
        let exit = kind.map_or(Exit::Refused, |kind| exit(*kind));
        Self { exit, code: error.data.kind, message: error.message, hint: error.data.hint }
    }
}

impl From<io::Error> for Error {
    fn from(_: io::Error) -> Self {
        // All other input and output is matched where it happens; what is left is writing to the terminal or a pipe.
        Local::OutputClosed.into()
    }
}

impl Error {
    /// Arguments that make no sense, in clap's own words.
    pub(crate) fn usage(why: &clap::Error) -> Self {
        let rendered = why.render().to_string();
        let message = rendered.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let tip = rendered.lines().find_map(|line| line.trim().strip_prefix("tip: "));
        let hint = tip.unwrap_or("`kinfold --help` shows what can be done").to_owned();
        Self { exit: Exit::Usage, code: "usage".to_owned(), message, hint: Some(hint) }
    }
}

const fn exit(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::Locked | ErrorKind::WrongPassphrase => Exit::Locked,
        ErrorKind::NotRunning | ErrorKind::Stopping => Exit::NotRunning,
        ErrorKind::Damaged
        | ErrorKind::DiskFull
        | ErrorKind::NewerVersion
        | ErrorKind::NoAccess
        | ErrorKind::StorageFailed => Exit::Storage,
        ErrorKind::Bug
        | ErrorKind::BadJson
        | ErrorKind::BadParams
        | ErrorKind::BadRequest
        | ErrorKind::UnknownMethod => Exit::Bug,
        ErrorKind::UnknownGroup
        | ErrorKind::AmbiguousGroup
        | ErrorKind::UnknownMember
        | ErrorKind::AmbiguousMember
        | ErrorKind::NotFacilitator
        | ErrorKind::LastFacilitator
        | ErrorKind::RemoveSelf
        | ErrorKind::GroupLeft
        | ErrorKind::GroupRemoved
        | ErrorKind::GroupBroken
        | ErrorKind::Full
        | ErrorKind::UnknownMessage
        | ErrorKind::AmbiguousMessage
        | ErrorKind::BadText
        | ErrorKind::BadName
        | ErrorKind::BadLifetime
        | ErrorKind::BadAddress
        | ErrorKind::OutboxFull
        | ErrorKind::UnknownInvite
        | ErrorKind::AmbiguousInvite
        | ErrorKind::InviteMalformed
        | ErrorKind::InviteExpired
        | ErrorKind::InviteUsed
        | ErrorKind::InviteRevoked
        | ErrorKind::AlreadyMember
        | ErrorKind::GroupFull
        | ErrorKind::NameTaken
        | ErrorKind::WrongGroup
        | ErrorKind::JoinRefused
        | ErrorKind::NobodyAnswered
        | ErrorKind::BadAnswer
        | ErrorKind::AskedTooOften
        | ErrorKind::InUse
        | ErrorKind::NotSetUp
        | ErrorKind::AlreadySetUp
        | ErrorKind::EmptyPassphrase
        | ErrorKind::BadListen
        | ErrorKind::PortTaken
        | ErrorKind::PortShared
        | ErrorKind::Busy
        | ErrorKind::TooLong => Exit::Refused,
    }
}

#[cfg(test)]
mod tests {
    use kinfold_node::control::errors::WireData;

    use super::*;

    #[test]
    fn each_family_ends_with_its_own_number() {
        let of = |error: NodeError| Error::from(error).exit as u8;
        assert_eq!(of(NodeError::NotRunning), 3);
        assert_eq!(of(NodeError::Locked), 4);
        assert_eq!(of(NodeError::DiskFull), 5);
        assert_eq!(of(NodeError::Internal), 70);
        assert_eq!(of(NodeError::PortShared), 1);
    }

    #[test]
    fn a_kind_from_the_future_is_a_refusal_in_its_own_words() {
        let data = WireData { kind: "moon_phase".into(), hint: None };
        let error = Error::from(WireError { code: 1999, message: "not tonight".into(), data });
        assert_eq!(
            (error.exit, error.code.as_str(), error.message.as_str()),
            (Exit::Refused, "moon_phase", "not tonight")
        );
    }
}
