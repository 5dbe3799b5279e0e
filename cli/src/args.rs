//! The command line: every verb and flag, with the help that a person reads.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::{given, span};

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
    // Told in the help of `up` alone, which alone uses it; scripts may write it before or after any verb.
    #[arg(long, global = true, hide = true, value_name = "MULTIADDR")]
    pub(crate) listen: Vec<String>,

    /// Do not look for others on the local network
    #[arg(long, global = true, hide = true)]
    pub(crate) no_lan: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// See what Kinfold does: three people on this computer, in a folder that is removed at the end
    Demo,
    /// Set Kinfold up on this device, with a passphrase
    Init,
    /// Start Kinfold; it runs until `kinfold down`, Ctrl-C, or the window is closed
    #[command(after_help = "\
Where it listens:
  --listen <MULTIADDR>  Listen at this address only, as /ip4/0.0.0.0/tcp/0; port 0 means each group's own
                        port. May be given more than once
  --no-lan              Do not look for others on the local network")]
    Up,
    /// Make a group, look at groups, leave one
    #[command(subcommand)]
    Group(GroupVerb),
    /// Invite one person into a group; list or take back invites
    Invite(InviteArgs),
    /// Join a group with an invite, which is asked for or read from standard input
    Join(JoinArgs),
    /// Read and write in one window
    Chat(ChatArgs),
    /// Say something to a group
    Send(SendArgs),
    /// Show what was said
    History(HistoryArgs),
    /// Show who came, went, and changed the group, and how
    Log(InGroup),
    /// Show what is being said, as it comes
    Follow(FollowArgs),
    /// Show who is in a group
    Members(InGroup),
    /// Compare safety codes with somebody
    Verify(VerifyArgs),
    /// Take somebody out of a group
    Remove(RemoveArgs),
    /// Say who may change a group: invite, remove, set how long messages live
    #[command(subcommand)]
    Facilitator(FacilitatorVerb),
    /// Show or set how long messages of a group live
    Retention(RetentionArgs),
    /// Show own messages that nobody else is known to have yet
    Outbox(OutboxArgs),
    /// Show how things stand inside
    #[command(subcommand)]
    Doctor(DoctorVerb),
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
    Leave(LeaveArgs),
}

/// `group leave ...`
#[derive(Args, Debug)]
pub(crate) struct LeaveArgs {
    /// The group's name, or the beginning of its id
    pub(crate) group: String,
    /// Do not ask whether that is meant
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `invite ...`
#[derive(Args, Debug)]
#[command(
    subcommand_negates_reqs = true,
    override_usage = "\
kinfold invite [OPTIONS] <GROUP>
       kinfold invite list <GROUP>
       kinfold invite revoke <GROUP> <ID>"
)]
pub(crate) struct InviteArgs {
    /// The group's name, or the beginning of its id
    #[arg(required = true)]
    pub(crate) group: Option<String>,
    /// How long the invite is good for, as 30m, 12h or 7d [otherwise one day]
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub(crate) valid: Option<Duration>,
    /// Show the invite as a QR code too, also where it does not fit on the screen
    #[arg(long, conflicts_with = "no_qr")]
    pub(crate) qr: bool,
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
    /// The invite; better left out, for others on this computer can see it here. Without it Kinfold asks, or reads
    /// standard input
    #[arg(conflicts_with = "cancel")]
    pub(crate) invite: Option<String>,
    /// Your name in this group
    #[arg(long, conflicts_with = "cancel")]
    pub(crate) name: Option<String>,
    /// Stop trying to join: give up every join that has not ended
    #[arg(long)]
    pub(crate) cancel: bool,
}

/// `chat ...`
#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    /// The group's name, or the beginning of its id
    pub(crate) group: String,
    /// How many earlier lines to show first, at least; what is unread is always shown
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = given::number)]
    pub(crate) last: u64,
    /// Read whole lines and never draw over anything, as a screen reader likes it
    #[arg(long)]
    pub(crate) plain: bool,
}

/// `send ...`
#[derive(Args, Debug)]
pub(crate) struct SendArgs {
    /// The group's name, or the beginning of its id
    pub(crate) group: String,
    /// What to say, in one or several words; `-` reads it from standard input
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
    /// Only the newest lines; if that leaves out something unread, everything stays marked as unread
    #[arg(long, value_name = "N", value_parser = given::count)]
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
    #[arg(long, conflicts_with = "undo")]
    pub(crate) confirm: bool,
    /// Take that back: the codes count as not compared
    #[arg(long)]
    pub(crate) undo: bool,
    /// Understood for the sake of older scripts
    #[arg(long, hide = true)]
    pub(crate) no_qr: bool,
}

/// `remove ...`
#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// The group's name, or the beginning of its id
    pub(crate) group: String,
    /// The person's name, or the beginning of the id
    pub(crate) member: String,
    /// Do not ask whether that is meant
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `doctor ...`
#[derive(Debug, Subcommand)]
pub(crate) enum DoctorVerb {
    /// Show on which state of a group this device and others stand, and what it will do next
    Group(InGroup),
}

/// `facilitator ...`
#[derive(Debug, Subcommand)]
pub(crate) enum FacilitatorVerb {
    /// Let somebody change the group, as you may
    Add(RemoveArgs),
    /// Let a facilitator do so no longer; of three or more, two must say so
    Remove(RemoveArgs),
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
#[command(override_usage = "\
kinfold outbox [OPTIONS] [GROUP]
       kinfold outbox send <ID>
       kinfold outbox drop <ID>")]
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
        /// Do not ask whether that is meant
        #[arg(long)]
        yes: bool,
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

/// The arguments with the words of a message last, behind `--`, so that a text that begins with a dash is a text. Only a
/// word that could be a flag is left to be one: a slip in a flag must not become a message.
pub(crate) fn with_text_apart(arguments: Vec<OsString>) -> Vec<OsString> {
    let takes_value = |flag: &str| {
        let name = flag.trim_start_matches('-');
        let command = Cli::command();
        let send = command.find_subcommand("send").map(clap::Command::get_arguments);
        command
            .get_arguments()
            .chain(send.into_iter().flatten())
            .any(|known| known.get_long() == Some(name) && known.get_action().takes_values())
    };
    let is_flag = |word: &str| word.len() > 1 && word.starts_with('-') && !word.contains(char::is_whitespace);
    let (mut flags, mut words, mut verb) = (Vec::new(), Vec::new(), None);
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        let Some(word) = argument.to_str() else { return arguments };
        if word == "--" {
            words.extend(rest.by_ref().cloned());
        } else if is_flag(word) {
            flags.push(argument.clone());
            if takes_value(word) {
                flags.extend(rest.next().cloned());
            }
        } else if verb.is_none() {
            verb = Some(argument.clone());
        } else {
            words.push(argument.clone());
        }
    }
    let (Some(program), Some(verb)) = (arguments.first(), verb.filter(|verb| verb == "send")) else { return arguments };
    let before = [program.clone(), verb];
    before.into_iter().chain(flags).chain([OsString::from("--")]).chain(words).collect()
}

#[cfg(test)]
mod tests {
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
        assert!(matches!(args.verb, Some(OutboxVerb::Drop { id, yes: false }) if id == "ab12"));
    }

    #[test]
    fn a_text_may_be_several_words_and_may_look_like_a_flag_after_two_dashes() {
        let Verb::Send(args) = parse(&["send", "g", "two", "words", "--expires", "5s"]).verb else { panic!("send") };
        assert_eq!((args.text.join(" ").as_str(), args.expires), ("two words", Some(Duration::from_secs(5))));
        let Verb::Send(args) = parse(&["send", "g", "--", "--json"]).verb else { panic!("send") };
        assert_eq!(args.text, ["--json"]);
    }

    #[test]
    fn a_text_that_begins_with_a_dash_is_a_text_and_a_slip_in_a_flag_is_not() {
        let apart = |line: &[&str]| {
            let arguments = std::iter::once("kinfold").chain(line.iter().copied()).map(OsString::from).collect();
            Cli::try_parse_from(with_text_apart(arguments))
        };
        for (line, text) in [
            (&["send", "g", "- a list"][..], "- a list"),
            (&["send", "g", "--", "--json"], "--json"),
            (&["send", "g", "--it is so", "--json"], "--it is so"),
            (&["--json", "send", "--expires", "5s", "g", "-", "one"], "- one"),
            (&["send", "g", "two", "words", "--data-dir", "d"], "two words"),
        ] {
            let Verb::Send(args) = apart(line).expect("understood").verb else { panic!("send") };
            assert_eq!((args.group.as_str(), args.text.join(" ").as_str()), ("g", text), "{line:?}");
        }
        assert!(apart(&["send", "g", "soon gone", "--expire", "5s"]).is_err(), "never a message for a week");
        assert!(apart(&["send", "g"]).is_err());
        assert!(matches!(apart(&["history", "g"]).expect("understood").verb, Verb::History(_)));
    }

    #[test]
    fn join_is_told_to_stop_without_an_invite() {
        let Verb::Join(args) = parse(&["join"]).verb else { panic!("join") };
        assert!(args.invite.is_none() && !args.cancel);
        let Verb::Join(args) = parse(&["join", "--cancel"]).verb else { panic!("join") };
        assert!(args.cancel);
        assert!(Cli::try_parse_from(["kinfold", "join", "kinfold:abc", "--cancel"]).is_err());
    }

    #[test]
    fn json_is_seen_in_arguments_that_make_no_sense_but_not_in_a_text() {
        let arguments = |line: &[&str]| line.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(wants_json(&arguments(&["kinfold", "fly", "--json"])));
        assert!(!wants_json(&arguments(&["kinfold", "send", "g", "--", "--json"])));
    }
}
