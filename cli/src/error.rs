//! Why a verb did not do its work, and with which number the program ends. The words of most refusals come from the
//! node's table, and those of the command line itself from [`crate::local`].

use std::io;

use clap::error::{ContextKind, ContextValue};
use kinfold_node::NodeError;
use kinfold_node::control::errors::WireError;
use kinfold_node::control::{ApiError, ErrorKind};

pub(crate) use crate::local::Local;

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

/// What the disk's errors say of anything that was to be kept, and what they say of a message.
const OF_A_MESSAGE: [(&str, &str); 2] =
    [("nothing new was kept", "your message was not sent"), ("whether this was kept", "whether your message was kept")];

/// What a person or a script is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) exit: Exit,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
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
    fn from(error: io::Error) -> Self {
        // All other input and output is matched where it happens; what is left is writing an answer.
        match error.kind() {
            io::ErrorKind::BrokenPipe => Local::OutputClosed.into(),
            _ => Local::OutputFailed.into(),
        }
    }
}

impl Error {
    /// When the answer of something that was done could not be written.
    pub(crate) fn or_done(self) -> Self {
        if self == Local::OutputFailed.into() { Local::OutputFailedDone.into() } else { self }
    }

    /// The same, said of a message that was to be sent: whether it was is what its author needs to know.
    pub(crate) fn of_sending(self) -> Self {
        if self == Local::TooSlow.into() {
            return Local::PerhapsSentSlow.into();
        }
        if [Local::LostContact, Local::BadAnswer].into_iter().any(|local| self == local.into()) {
            return Local::PerhapsSent.into();
        }
        if [Local::PerhapsSent, Local::PerhapsSentSlow].into_iter().any(|local| self == local.into()) {
            return self;
        }
        // An answer that cannot be written comes after the message was kept.
        if let Some((general, own)) = OF_A_MESSAGE.iter().find(|(general, _)| self.message.contains(general)) {
            return Self { message: self.message.replace(general, own), ..self };
        }
        if self.message.contains("not sent") || self.code.starts_with("output_") {
            return self;
        }
        let what =
            self.message.strip_suffix("; nothing was lost").or(self.message.strip_suffix("; nothing was changed"));
        let message = format!("{}; your message was not sent", what.unwrap_or(&self.message));
        Self { message, ..self }
    }

    /// The same of what is asked before the message itself.
    pub(crate) fn before_sending(self) -> Self {
        if self == Local::TooSlow.into() { Local::NotSentSlow.into() } else { self }
    }

    /// Arguments that make no sense, in clap's own words.
    pub(crate) fn usage(why: &clap::Error) -> Self {
        let rendered = usage(why);
        let message = rendered.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let tip = rendered.lines().find_map(|line| line.trim().strip_prefix("tip: "));
        let hint = tip.unwrap_or("`kinfold --help` shows what can be done").to_owned();
        Self { exit: Exit::Usage, code: "usage".to_owned(), message, hint: Some(hint) }
    }
}

/// Arguments that make no sense, in clap's own words, with tips that know what people mean.
pub(crate) fn usage(why: &clap::Error) -> String {
    let rendered = why.render().to_string().trim_end().to_owned();
    let given = |kind| match why.get(kind) {
        Some(ContextValue::String(given)) => Some(given.as_str()),
        _ => None,
    };
    let tip = match (given(ContextKind::InvalidSubcommand), given(ContextKind::InvalidArg)) {
        (Some(verb @ ("create" | "leave" | "list" | "show")), _) => format!("that is `kinfold group {verb}`"),
        (None, Some(argument))
            if why.kind() == clap::error::ErrorKind::UnknownArgument && !argument.starts_with('-') =>
        {
            "a name of several words goes in quotes, as \"Tuesday circle\"".to_owned()
        }
        _ => return rendered,
    };
    let known = |line: &&str| !line.trim_start().starts_with("tip: ");
    let mut lines: Vec<&str> = rendered.lines().filter(known).collect();
    let tip = format!("  tip: {tip}");
    lines.insert(lines.len().min(2), &tip);
    lines.join("\n")
}

const fn exit(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::BadAddress | ErrorKind::PathTooLong => Exit::Usage,
        ErrorKind::Locked | ErrorKind::WrongPassphrase => Exit::Locked,
        ErrorKind::NotRunning | ErrorKind::Stopping => Exit::NotRunning,
        ErrorKind::Damaged
        | ErrorKind::DiskFull
        | ErrorKind::NewerVersion
        | ErrorKind::BadSocket
        | ErrorKind::KeysMissing
        | ErrorKind::Misplaced
        | ErrorKind::NoAccess
        | ErrorKind::NotPrivate
        | ErrorKind::OlderVersion
        | ErrorKind::ReadOnly
        | ErrorKind::StorageFailed
        | ErrorKind::Unsettled => Exit::Storage,
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
        | ErrorKind::VerifySelf
        | ErrorKind::GroupLeft
        | ErrorKind::GroupRemoved
        | ErrorKind::GroupBroken
        | ErrorKind::Full
        | ErrorKind::UnknownMessage
        | ErrorKind::AmbiguousMessage
        | ErrorKind::BadText
        | ErrorKind::BadName
        | ErrorKind::BadLifetime
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
        | ErrorKind::JoinCancelled
        | ErrorKind::NobodyAnswered
        | ErrorKind::NotReachable
        | ErrorKind::BadAnswer
        | ErrorKind::AskedTooOften
        | ErrorKind::InUse
        | ErrorKind::NoMemory
        | ErrorKind::FewFiles
        | ErrorKind::NotEmpty
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

    /// No program of today writes such data, so that no process can be shown it.
    #[test]
    fn data_of_an_older_version_is_left_to_it() {
        let message = "this data was written by an older Kinfold, from before the first release; nothing was changed";
        let hint = "use the one that wrote it; to start anew in another place, use --data-dir and ask for new invites";
        let error = Error::from(NodeError::OlderVersion);
        assert_eq!((error.exit as u8, error.code.as_str(), error.message.as_str()), (5, "older_version", message));
        assert_eq!(error.hint.as_deref(), Some(hint));
    }

    #[test]
    fn an_author_is_told_whether_the_message_was_sent() {
        let told = |error: Error| error.of_sending().message;
        assert_eq!(told(NodeError::NotRunning.into()), "Kinfold is not running here; your message was not sent");
        assert_eq!(told(NodeError::Locked.into()), "Kinfold is locked; your message was not sent");
        assert_eq!(told(Local::InputTooLong.into()), "the text is too long; it was not sent");
        let unsure = "Kinfold has stopped before it answered; whether your message was kept is not known";
        for local in [Local::LostContact, Local::BadAnswer] {
            assert_eq!(told(local.into()), unsure);
        }
        let unsure = "Kinfold did not answer in time; whether your message was kept is not known";
        assert_eq!(told(Local::TooSlow.into()), unsure);
        assert_eq!(told(Error::from(Local::TooSlow).of_sending()), unsure);
        let sure = "Kinfold did not answer in time; your message was not sent";
        assert_eq!(told(Error::from(Local::TooSlow).before_sending()), sure);
        let left = ApiError::new(ErrorKind::GroupLeft);
        assert_eq!(told(left.into()), "you have left this group; your message was not sent");
        let full = "the disk is full; your message was not sent, and nothing was lost";
        assert_eq!(told(NodeError::DiskFull.into()), full);
        let unsettled = "the disk stopped working before it was known whether your message was kept; what was accepted \
            before is safe";
        assert_eq!(told(NodeError::Unsettled.into()), unsettled);
        for kind in ErrorKind::ALL.iter().filter(|kind| **kind != ErrorKind::Unsettled) {
            let message = told(ApiError::new(*kind).into());
            assert!(message.contains("not sent") && !message.contains("; nothing was lost"), "{message}");
        }
    }

    #[test]
    fn a_slip_in_a_verb_of_a_group_never_leads_to_another_verb() {
        use clap::Parser;
        let tip = |line: &[&str]| {
            let why = crate::args::Cli::try_parse_from([&["kinfold"], line].concat()).expect_err("refused");
            (usage(&why), Error::usage(&why).hint.unwrap_or_default())
        };
        let (words, hint) = tip(&["leave", "Circle"]);
        assert_eq!(hint, "that is `kinfold group leave`");
        assert!(words.contains("  tip: that is `kinfold group leave`") && !words.contains("remove"), "{words}");
        let (_, hint) = tip(&["history", "Tuesday", "circle"]);
        assert_eq!(hint, "a name of several words goes in quotes, as \"Tuesday circle\"");
        assert!(tip(&["hitsory"]).1.contains("history"));
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
