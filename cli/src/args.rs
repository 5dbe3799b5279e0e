//! The command line: every verb and flag, with the help that a person reads.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::span;

/// Private group talk without a server.
///
/// Everybody in a group runs Kinfold on a device of their own. Messages go from device to device, sealed for the
/// people of the group, and disappear when their time is over.
#[derive(Debug, Parser)]
#[command(name = "kinfold", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "\
See it work: `kinfold demo`. Start with `kinfold init`, then `kinfold up` in a window of its own.
Exit codes: 0 done; 1 refused; 2 not understood; 3 not running; 4 locked; 5 disk; 70 our fault.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags that may stand before or after the verb.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Where this device's data is [also: KINFOLD_DATA_DIR; otherwise the platform's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Answer in JSON, for scripts
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Read the passphrase from this open file [also: KINFOLD_PASSPHRASE; otherwise it is asked for]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) passphrase_fd: Option<u32>,

    /// Listen at this address only; port 0 means each group's own port. May be given more than once
    #[arg(long, global = true, value_name = "MULTIADDR")]
    pub(crate) listen: Vec<String>,

    /// Do not look for others on the local network
    #[arg(long, global = true)]
    pub(crate) no_lan: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// See what Kinfold does: three people on this computer, in a folder that is removed at the end
    Demo,
    /// Set Kinfold up on this device, with a passphrase
    Init,
    /// Start Kinfold; it runs until `kinfold down` or Ctrl-C
    Up,
    /// Make a group, look at groups, leave one
    #[command(subcommand)]
    Group(GroupVerb),
    /// Invite one person into a group; list or take back invites
    Invite(InviteArgs),
    /// Join a group with an invite
    Join(JoinArgs),
    /// Read and write in one window
    Chat(ChatArgs),
    /// Say something to a group
    Send(SendArgs),
    /// Show what was said
    History(HistoryArgs),
    /// Show what is being said, as it comes
    Follow(FollowArgs),
    /// Show who is in a group
    Members(InGroup),
    /// Compare safety codes with somebody
    Verify(VerifyArgs),
    /// Take somebody out of a group
    Remove(RemoveArgs),
    /// Show or set how long messages of a group live
    Retention(RetentionArgs),
    /// Show own messages that nobody else is known to have yet
    Outbox(OutboxArgs),
    /// Try to reach the group at an address
    Connect(ConnectArgs),
    /// Lock: the keys leave memory, and this device goes offline
    Lock,
    /// Unlock with the passphrase
    Unlock,
    /// Stop Kinfold
    Down,
    /// Show how things stand
    Status,
    /// Show which version this is
    Version,
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// A group, by name or by the beginning of its id.
#[derive(Args, Debug)]
pub(crate) struct InGroup {
    /// The group's name, or the beginning of its id
    pub(crate) group: String,
}

/// `group ...`
#[derive(Debug, Subcommand)]
pub(crate) enum GroupVerb {
    /// Make a group; you are its first member and facilitator
    Create {
        /// The group's name
        name: String,
        /// Your name in this group
        #[arg(long = "name", value_name = "NAME")]
        own: Option<String>,
    },
    /// List the groups you are in
    List,
    /// Show one group
    Show(InGroup),
    /// Leave a group
    Leave(InGroup),
}

/// `invite ...`
#[derive(Args, Debug)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct InviteArgs {
    /// The group's name, or the beginning of its id
    #[arg(required = true)]
    pub(crate) group: Option<String>,
    /// How long the invite is good for, as 30m, 12h or 7d [otherwise one day]
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub(crate) valid: Option<Duration>,
    /// Print the invite without its QR code
    #[arg(long)]
    pub(crate) no_qr: bool,
    #[command(subcommand)]
    pub(crate) verb: Option<InviteVerb>,
}

/// `invite list`, `invite revoke`
#[derive(Debug, Subcommand)]
pub(crate) enum InviteVerb {
    /// List the invites made on this device
    List(InGroup),
    /// Take an invite back
    Revoke {
        /// The group's name, or the beginning of its id
        group: String,
        /// The beginning of the invite's id
        id: String,
    },
}

/// `join ...`
#[derive(Args, Debug)]
pub(crate) struct JoinArgs {
    /// The invite, from `kinfold:` to its end; `-` reads it from standard input
    pub(crate) invite: String,
    /// Your name in this group
    #[arg(long)]
    pub(crate) name: Option<String>,
}

/// `chat ...`
#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    /// The group's name, or the beginning of its id
    pub(crate) group: String,
    /// How many earlier lines to show first
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) last: u64,
}

/// `send ...`
#[derive(Args, Debug)]
pub(crate) struct SendArgs {
    /// The group's name, or the beginning of its id
    pub(crate) group: String,
    /// What to say; `-` reads it from standard input
    #[arg(required = true)]
    pub(crate) text: Vec<String>,
    /// Let this message be gone sooner, as 5s, 30m or 12h
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub(crate) expires: Option<Duration>,
}

/// `history ...`
#[derive(Args, Debug)]
pub(crate) struct HistoryArgs {
    /// The group's name, or the beginning of its id
    pub(crate) group: String,
    /// Only the newest lines
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<u64>,
    /// Let the lines stay marked as not read
    #[arg(long)]
    pub(crate) keep_unread: bool,
}

/// `follow ...`
#[derive(Args, Debug)]
pub(crate) struct FollowArgs {
    /// One group only, by name or the beginning of its id
    pub(crate) group: Option<String>,
    /// With --json: also print what is not a line, such as changes of state
    #[arg(long)]
    pub(crate) events: bool,
}

/// `verify ...`
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// The group's name, or the beginning of its id
    pub(crate) group: String,
    /// The person's name, or the beginning of the id
    pub(crate) member: String,
    /// You have compared the codes, and they are the same
    #[arg(long)]
    pub(crate) confirm: bool,
    /// Print the code without its QR code
    #[arg(long)]
    pub(crate) no_qr: bool,
}

/// `remove ...`
#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// The group's name, or the beginning of its id
    pub(crate) group: String,
    /// The person's name, or the beginning of the id
    pub(crate) member: String,
}

/// `retention ...`
#[derive(Args, Debug)]
pub(crate) struct RetentionArgs {
    /// The group's name, or the beginning of its id
    pub(crate) group: String,
    /// How long messages live from now on, from 1h to 90d
    #[arg(value_name = "SPAN", value_parser = span::parse)]
    pub(crate) span: Option<Duration>,
}

/// `outbox ...`
#[derive(Args, Debug)]
pub(crate) struct OutboxArgs {
    /// One group only, by name or the beginning of its id
    pub(crate) group: Option<String>,
    #[command(subcommand)]
    pub(crate) verb: Option<OutboxVerb>,
}

/// `outbox send`, `outbox drop`
#[derive(Debug, Subcommand)]
pub(crate) enum OutboxVerb {
    /// Send a waiting message to the people who have joined since, too
    Send {
        /// The beginning of the message's id
        id: String,
    },
    /// Drop a message that others do not have yet
    Drop {
        /// The beginning of the message's id
        id: String,
    },
}

/// `connect ...`
#[derive(Args, Debug)]
pub(crate) struct ConnectArgs {
    /// The group's name, or the beginning of its id
    pub(crate) group: String,
    /// Where, as /ip4/192.168.1.20/tcp/4001
    #[arg(value_name = "MULTIADDR")]
    pub(crate) address: String,
}

/// Whether JSON was asked for, when the arguments could not be understood as a whole.
pub(crate) fn wants_json(arguments: &[OsString]) -> bool {
    arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &[&str]) -> Cli {
        Cli::try_parse_from(std::iter::once("kinfold").chain(line.iter().copied())).expect("understood")
    }

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_between_or_after_the_verb() {
        for line in [
            ["--json", "--data-dir", "d", "--no-lan", "group", "show", "g"],
            ["group", "--json", "--data-dir", "d", "show", "--no-lan", "g"],
            ["group", "show", "g", "--json", "--data-dir", "d", "--no-lan"],
        ] {
            let global = parse(&line).global;
            assert!(global.json && global.no_lan, "{line:?}");
            assert_eq!(global.data_dir, Some(PathBuf::from("d")), "{line:?}");
        }
        let listen = parse(&["up", "--listen", "/ip4/127.0.0.1/tcp/0", "--passphrase-fd", "3"]).global;
        assert_eq!((listen.listen.len(), listen.passphrase_fd), (1, Some(3)));
    }

    #[test]
    fn invite_takes_a_group_or_a_verb_of_its_own() {
        let Verb::Invite(args) = parse(&["invite", "Circle", "--valid", "2h"]).verb else { panic!("invite") };
        assert_eq!((args.group.as_deref(), args.valid), (Some("Circle"), Some(Duration::from_secs(7_200))));
        for line in [&["invite", "list", "Circle"][..], &["invite", "--json", "list", "Circle"]] {
            let Verb::Invite(args) = parse(line).verb else { panic!("invite") };
            assert!(matches!(args.verb, Some(InviteVerb::List(InGroup { group })) if group == "Circle"));
        }
        let Verb::Invite(args) = parse(&["invite", "revoke", "list", "ab12"]).verb else { panic!("invite") };
        assert!(matches!(args.verb, Some(InviteVerb::Revoke { group, id }) if group == "list" && id == "ab12"));
        assert!(Cli::try_parse_from(["kinfold", "invite"]).is_err());
    }

    #[test]
    fn outbox_takes_a_group_a_verb_or_nothing() {
        let Verb::Outbox(args) = parse(&["outbox"]).verb else { panic!("outbox") };
        assert!(args.group.is_none() && args.verb.is_none());
        let Verb::Outbox(args) = parse(&["outbox", "drop", "ab12"]).verb else { panic!("outbox") };
        assert!(matches!(args.verb, Some(OutboxVerb::Drop { id }) if id == "ab12"));
    }

    #[test]
    fn a_text_may_be_several_words_and_may_look_like_a_flag_after_two_dashes() {
        let Verb::Send(args) = parse(&["send", "g", "two", "words", "--expires", "5s"]).verb else { panic!("send") };
        assert_eq!((args.text.join(" ").as_str(), args.expires), ("two words", Some(Duration::from_secs(5))));
        let Verb::Send(args) = parse(&["send", "g", "--", "--json"]).verb else { panic!("send") };
        assert_eq!(args.text, ["--json"]);
    }

    #[test]
    fn json_is_seen_in_arguments_that_make_no_sense_but_not_in_a_text() {
        let arguments = |line: &[&str]| line.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(wants_json(&arguments(&["kinfold", "fly", "--json"])));
        assert!(!wants_json(&arguments(&["kinfold", "send", "g", "--", "--json"])));
    }
}
