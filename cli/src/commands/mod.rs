//! One verb a file. Each asks the node and says what came of it.

mod chat;
mod completions;
mod connect;
mod demo;
mod doctor;
mod down;
mod facilitator;
mod follow;
mod group;
mod history;
mod init;
mod invite;
mod join;
mod lock;
mod log;
mod members;
mod outbox;
mod remove;
mod retention;
mod send;
mod status;
mod unlock;
mod up;
mod verify;
mod version;

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;

use jiff::tz::TimeZone;
use kinfold_node::NodeError;

use crate::args::{Cli, DoctorVerb, FacilitatorVerb, Global, GroupVerb, InviteArgs, InviteVerb, Verb};
use crate::error::{Error, Local, Result};
use crate::out::Out;
use crate::remote::Remote;
use crate::scroll::Scroll;
use crate::{ask, plain};

/// The variable that names the data directory.
const DATA_DIR_VARIABLE: &str = "KINFOLD_DATA_DIR";

/// What every verb needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) out: Out,
    pub(crate) global: Global,
    pub(crate) data_dir: PathBuf,
}

impl Context {
    /// A connection to the node.
    pub(crate) fn remote(&self) -> Result<Remote> {
        Remote::open(&self.data_dir).map(Remote::telling).map_err(|error| {
            if error != NodeError::NotRunning.into() {
                return error;
            }
            match kinfold_node::check_set_up(&self.data_dir) {
                Err(NodeError::NotSetUp) => Local::NotSetUpYet.into(),
                Err(error @ (NodeError::NoAccess | NodeError::PathTooLong)) => error.into(),
                Ok(()) | Err(_) => error,
            }
        })
    }

    /// Lines in local time.
    pub(crate) fn scroll(&self) -> Scroll {
        Scroll::new(TimeZone::system(), false)
    }
}

/// Does what was asked.
pub(crate) fn run(cli: Cli) -> Result<()> {
    let Cli { global, verb } = cli;
    let out = Out { json: global.json };
    // These need no data directory, and work where there can be none.
    match verb {
        Verb::Completions { shell } => return completions::run(out, shell),
        Verb::Demo => return demo::run(out),
        Verb::Version => return version::run(out),
        _ => {}
    }
    let context = Context { out, data_dir: data_dir(&global)?, global };
    let group = group_of(&verb).map(|name| plain::quoted(name, "GROUP"));
    dispatch(&context, verb).map_err(|error| match group {
        // What to do next, as it can be typed.
        Some(group) => Error { hint: error.hint.map(|hint| hint.replace("GROUP", &group)), ..error },
        None => error,
    })
}

/// The group that a verb is about, as it was given.
fn group_of(verb: &Verb) -> Option<&str> {
    match verb {
        Verb::Chat(args) => Some(&args.group),
        Verb::Connect(args) => Some(&args.group),
        Verb::Group(GroupVerb::Leave(args)) => Some(&args.group),
        Verb::Group(GroupVerb::Show(args)) | Verb::Log(args) | Verb::Members(args) => Some(&args.group),
        Verb::Doctor(DoctorVerb::Group(args)) => Some(&args.group),
        Verb::History(args) => Some(&args.group),
        Verb::Invite(InviteArgs { verb: Some(InviteVerb::List(args)), .. }) => Some(&args.group),
        Verb::Invite(InviteArgs { verb: Some(InviteVerb::Revoke { group, .. }), .. }) => Some(group),
        Verb::Invite(args) => args.group.as_deref(),
        Verb::Facilitator(FacilitatorVerb::Add(args) | FacilitatorVerb::Remove(args)) | Verb::Remove(args) => {
            Some(&args.group)
        }
        Verb::Retention(args) => Some(&args.group),
        Verb::Send(args) => Some(&args.group),
        Verb::Verify(args) => Some(&args.group),
        _ => None,
    }
}

fn dispatch(context: &Context, verb: Verb) -> Result<()> {
    let out = context.out;
    match verb {
        Verb::Chat(args) => chat::run(context, &args),
        Verb::Completions { shell } => completions::run(out, shell),
        Verb::Connect(args) => connect::run(context, args),
        Verb::Demo => demo::run(out),
        Verb::Doctor(verb) => doctor::run(context, verb),
        Verb::Down => down::run(context),
        Verb::Facilitator(verb) => facilitator::run(context, verb),
        Verb::Follow(args) => follow::run(context, args),
        Verb::Group(verb) => group::run(context, verb),
        Verb::History(args) => history::run(context, args),
        Verb::Init => init::run(context),
        Verb::Invite(args) => invite::run(context, args),
        Verb::Join(args) => join::run(context, args),
        Verb::Lock => lock::run(context),
        Verb::Log(args) => log::run(context, args),
        Verb::Members(args) => members::run(context, args),
        Verb::Outbox(args) => outbox::run(context, args),
        Verb::Remove(args) => remove::run(context, args),
        Verb::Retention(args) => retention::run(context, args),
        Verb::Send(args) => send::run(context, args),
        Verb::Status => status::run(context),
        Verb::Unlock => unlock::run(context),
        Verb::Up => up::run(context),
        Verb::Verify(args) => verify::run(context, args),
        Verb::Version => version::run(out),
    }
}

fn data_dir(global: &Global) -> Result<PathBuf> {
    let named = global.data_dir.clone().or_else(|| env::var_os(DATA_DIR_VARIABLE).map(PathBuf::from));
    match named.filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => Ok(dir),
        None => dirs::data_dir().map(|dir| dir.join("kinfold")).ok_or_else(|| Local::NoDataDir.into()),
    }
}

/// A library that meets a broken disk may panic, and is caught; what it says then helps nobody, and could say too much.
fn hush_panics() {
    std::panic::set_hook(Box::new(|_| tracing::error!(code = "panicked")));
}

/// The name somebody goes by in a group: as given, as typed, or as suggested when there is nobody to ask.
fn own_name(out: Out, given: Option<String>) -> Result<String> {
    if let Some(name) = given {
        return Ok(name);
    }
    let suggested = suggestion();
    if !ask::can_ask(out) {
        out.talk(&format!("Your name in this group is {suggested}; next time --name chooses another."))?;
        return Ok(suggested);
    }
    out.talk("Which name do you want in this group? Each group can know you by another one.")?;
    let typed = ask::line(&format!("Name [{suggested}]: "))?;
    let typed = typed.trim();
    Ok(if typed.is_empty() { suggested } else { typed.to_owned() })
}

/// That something unread was left out, and where it is.
fn earlier_unread(count: usize, name: &str, id: &str) -> String {
    let (lines, they) = if count == 1 { ("message", "it stays") } else { ("messages", "they stay") };
    let group = plain::quoted(name, id);
    format!("{count} earlier unread {lines} in {}; {they} unread: `kinfold history {group}`", plain::name(name))
}

/// A friendly name that says nothing about the person.
fn suggestion() -> String {
    const FIRST: [&str; 16] = [
        "Amber", "Blue", "Bright", "Calm", "Clear", "Early", "Gentle", "Golden", "Green", "Kind", "Merry", "Quiet",
        "Silver", "Soft", "Warm", "Wide",
    ];
    const SECOND: [&str; 16] = [
        "Alder", "Birch", "Brook", "Cloud", "Fern", "Finch", "Harbour", "Heron", "Lake", "Linden", "Maple", "Meadow",
        "Otter", "River", "Robin", "Willow",
    ];
    // A fresh hasher's seed is random enough for a name that nobody has to be unable to guess.
    let random = usize::try_from(RandomState::new().build_hasher().finish() & 0xff).unwrap_or_default();
    let word = |words: [&'static str; 16], place: usize| words.get(place % 16).copied().unwrap_or_default();
    format!("{} {}", word(FIRST, random / 16), word(SECOND, random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggested_name_is_two_plain_words() {
        let name = suggestion();
        assert_eq!(name.split(' ').count(), 2);
        assert!(name.len() <= 64 && name.chars().all(|letter| letter.is_ascii_alphabetic() || letter == ' '));
    }
}
