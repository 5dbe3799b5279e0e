//! `send`: says something to a group; returns when it is kept.

use std::io::{self, IsTerminal, Read};
use std::time::{Duration, Instant};

use kinfold_node::control::api::Secret;
use kinfold_node::control::lines::{Notice, Stand};
use kinfold_node::control::rows::{GroupDetail, Groups, Sent};
use kinfold_node::control::{ApiError, ErrorKind, Request};
use zeroize::Zeroizing;

use super::Context;
use crate::args::SendArgs;
use crate::error::{Error, Local, Result};
use crate::remote::{Feed, Remote};
use crate::{plain, render, scroll, watch};

/// The longest message.
const TEXT_BYTES_MAX: u64 = 16 * 1024;

/// How long it may take until another device has a message, before its author is told that it is kept here.
pub(super) const HELD_WAIT: Duration = Duration::from_secs(1);

pub(super) fn run(context: &Context, args: SendArgs) -> Result<()> {
    send(context, args).map_err(Error::of_sending)
}

fn send(context: &Context, args: SendArgs) -> Result<()> {
    let SendArgs { group, text: words, expires } = args;
    let mut remote = context.remote()?;
    let group = match words.len() {
        ..=1 => group,
        _ => whole_name(&mut remote, group, &words).map_err(Error::before_sending)?,
    };
    let text = Zeroizing::new(words.join(" "));
    let text = if *text == "-" { from_input(context)? } else { text };
    // The feed first: what another device says at once would be missed after it.
    let feed = if context.out.json { None } else { Some(hear(context, &group).map_err(Error::before_sending)?) };
    let request = Request::Send { group, text: Secret::new(text), expires_secs: expires.map(|span| span.as_secs()) };
    let sent: Sent = remote.call(&request)?;
    let stand = feed.map_or(sent.stand, |feed| held(feed, &sent));
    let told = context.out.answer(&sent, || format!("{}  [{}]", scroll::sent_in_words(stand), render::id(&sent.id)));
    told.map_err(|error| if error == Local::OutputFailedDone.into() { Local::OutputFailedSent.into() } else { error })
}

/// The group's id, unless what was given as text begins with the rest of a name that should have been in quotes.
fn whole_name(remote: &mut Remote, group: String, words: &[String]) -> Result<String> {
    let found = remote.call::<GroupDetail>(&Request::GroupShow { group: group.clone() });
    let names: Vec<String> = match &found {
        Ok(detail) => vec![detail.row.name.clone()],
        Err(error) if error.code == "unknown_group" || error.code == "ambiguous_group" => {
            let all: Groups = remote.call(&Request::GroupList {})?;
            all.groups.into_iter().map(|group| group.name).collect()
        }
        Err(_) => Vec::new(),
    };
    let begun = format!("{group} {}", words.first().map(String::as_str).unwrap_or_default()).to_lowercase();
    match names.iter().find(|name| name.to_lowercase().starts_with(&begun)) {
        Some(name) => {
            let hint = format!("put the group's name in quotes: \"{}\"", plain::name(name));
            Err(Error { hint: Some(hint), ..ApiError::new(ErrorKind::UnknownGroup).into() })
        }
        None => found.map(|detail| detail.row.group_id),
    }
}

fn hear(context: &Context, group: &str) -> Result<Feed> {
    context.remote()?.subscribe(Some(group.to_owned()))
}

/// Where the message stands once another device is known to have it, or after a moment.
fn held(mut feed: Feed, sent: &Sent) -> Stand {
    let end = Instant::now() + HELD_WAIT;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match feed.next_within(left) {
            Ok(Some(Notice::State { id, stand, .. })) if id == sent.id => return stand,
            Ok(Some(_)) => {}
            // It is kept, whatever has become of the feed.
            Ok(None) | Err(_) => return sent.stand,
        }
    }
}

fn from_input(context: &Context) -> Result<Zeroizing<String>> {
    let terminal = io::stdin().is_terminal();
    if terminal {
        context.out.talk("Type your message, then Ctrl-D on a line of its own.")?;
    }
    let text = read_text(io::stdin().lock())?;
    if terminal && text.split('\n').any(|line| watch::perhaps_cut(line.as_bytes())) {
        return Err(Local::TypedTooLong.into());
    }
    Ok(text)
}

fn read_text(source: impl Read) -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    // Two more than the longest: one for the line end, one to see that there was too much.
    source.take(TEXT_BYTES_MAX + 2).read_to_string(&mut text).map_err(|_| Local::BadInput)?;
    if text.ends_with('\n') {
        text.pop();
    }
    if text.len() as u64 > TEXT_BYTES_MAX { Err(Local::InputTooLong.into()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piped_text_keeps_its_lines_and_loses_one_end() {
        assert_eq!(*read_text("one\ntwo\n".as_bytes()).expect("text"), "one\ntwo");
    }

    #[test]
    fn too_much_is_refused_and_never_cut() {
        let longest = "x".repeat(16 * 1024);
        assert_eq!(read_text(format!("{longest}\n").as_bytes()).expect("text").len(), 16 * 1024);
        let more = format!("{longest}x\n");
        assert_eq!(read_text(more.as_bytes()).expect_err("refused"), Error::from(Local::InputTooLong));
        assert!(read_text(&[0xff][..]).is_err(), "not text");
    }
}
