//! `chat`: reads and types in one window. Every event is one appended line; nothing is drawn over.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

use kinfold_node::control::Request;
use kinfold_node::control::api::Secret;
use kinfold_node::control::lines::Notice;
use kinfold_node::control::rows::{GroupDetail, History, Members, Sent};
use zeroize::Zeroizing;

use super::Context;
use crate::args::ChatArgs;
use crate::error::Result;
use crate::remote::{Remote, notice_json};
use crate::scroll::Scroll;
use crate::watch::{self, Heard};
use crate::{render, span};

/// How long after the last line everything counts as read: one mark for a burst.
const READ_PAUSE: Duration = Duration::from_secs(1);

const HELP: &str = "\
Type a line and press Enter to send it.
/who   who is in the group, and who is connected
/help  this
/quit  close this window's chat; Kinfold goes on
A line that should begin with / begins with // instead.";

pub(super) fn run(context: &Context, args: &ChatArgs) -> Result<()> {
    let mut remote = context.remote()?;
    let detail: GroupDetail = remote.call(&Request::GroupShow { group: args.group.clone() })?;
    let group = detail.row.group_id.clone();
    // The feed first, then what was before: nothing falls between, and what comes twice is shown once.
    let feed = context.remote()?.subscribe(Some(group.clone()))?;
    let mut chat = Chat { context, remote, scroll: context.scroll(), group, typed: BTreeSet::new(), unread: false };
    chat.open(&detail, args.last)?;

    let (heard, hears) = mpsc::sync_channel(watch::HEARD_MAX);
    watch::listen(feed, heard.clone());
    watch::type_in(heard);
    loop {
        let going = match hears.recv_timeout(READ_PAUSE) {
            Ok(Heard::Notice(notice)) => chat.show(&notice).map(|()| true)?,
            Ok(Heard::Typed(line)) => chat.typed(&line)?,
            Ok(Heard::InputEnded) => false,
            Ok(Heard::Ended(error)) => return Err(error),
            Err(_) => chat.mark_read().map(|()| true)?,
        };
        if !going {
            return chat.mark_read();
        }
    }
}

struct Chat<'a> {
    context: &'a Context,
    remote: Remote,
    scroll: Scroll,
    group: String,
    /// Messages typed here: their words are on the screen already.
    typed: BTreeSet<String>,
    unread: bool,
}

/// What a typed line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Typed<'a> {
    Help,
    Nothing,
    Quit,
    Say(&'a str),
    Unknown(&'a str),
    Who,
}

fn read(line: &str) -> Typed<'_> {
    match line.trim() {
        "" => Typed::Nothing,
        "/help" => Typed::Help,
        "/quit" => Typed::Quit,
        "/who" => Typed::Who,
        text if text.starts_with("//") => Typed::Say(text.strip_prefix('/').unwrap_or(text)),
        text if text.starts_with('/') => Typed::Unknown(text),
        text => Typed::Say(text),
    }
}

impl Chat<'_> {
    fn open(&mut self, detail: &GroupDetail, last: u64) -> Result<()> {
        let out = self.context.out;
        out.talk(&render::group(&detail.row))?;
        out.talk(&format!("Messages are gone after {}.", span::in_words(detail.row.retention_secs)))?;
        out.talk(&render::newcomer(&detail.row, &self.scroll))?;
        out.talk("What this window shows stays in it after its time, until you close or clear it.")?;
        out.talk("Type a line and press Enter to send it. /who, /help and /quit do what they say.\n")?;
        let ask = Request::History { group: self.group.clone(), last: Some(last), mark_read: true };
        let history: History = self.remote.call(&ask)?;
        for row in history.rows {
            self.show(&Notice::Line(row))?;
        }
        self.unread = false;
        Ok(())
    }

    fn show(&mut self, notice: &Notice) -> Result<()> {
        let out = self.context.out;
        match notice {
            Notice::Line(row) => {
                if !self.scroll.remember(row) {
                    return Ok(());
                }
                self.unread |= !row.own;
                let typed_here = self.typed.remove(&row.id);
                out.row(row, || if typed_here { self.scroll.accepted(row) } else { self.scroll.line(row) })
            }
            Notice::Lagged { missed } => {
                for row in watch::missed(&mut self.remote, &self.scroll, &self.group, *missed)? {
                    self.show(&Notice::Line(row))?;
                }
                Ok(())
            }
            notice => out.row(&notice_json(notice), || self.scroll.notice(notice)),
        }
    }

    /// Does what a typed line asks for; false when it was the last.
    fn typed(&mut self, line: &str) -> Result<bool> {
        let out = self.context.out;
        match read(line) {
            Typed::Help => out.talk(HELP)?,
            Typed::Nothing => {}
            Typed::Quit => return Ok(false),
            Typed::Say(text) => self.say(text)?,
            Typed::Unknown(text) => {
                let text = crate::plain::name(text);
                out.talk(&format!("{text} is nothing that can be done here; it was not sent.\n{HELP}"))?;
            }
            Typed::Who => self.who()?,
        }
        Ok(true)
    }

    fn who(&mut self) -> Result<()> {
        let ask = Request::Members { group: self.group.clone() };
        let who = self.remote.call::<Members>(&ask);
        let Some(who) = self.or_told(who)? else { return Ok(()) };
        for member in &who.members {
            self.context.out.row(member, || render::member(member))?;
        }
        Ok(())
    }

    fn say(&mut self, text: &str) -> Result<()> {
        let text = Secret::new(Zeroizing::new(text.to_owned()));
        let ask = Request::Send { group: self.group.clone(), text, expires_secs: None };
        let sent = self.remote.call::<Sent>(&ask);
        let Some(sent) = self.or_told(sent)? else { return Ok(()) };
        if self.context.out.json {
            return self.context.out.answer(&sent, String::new);
        }
        self.typed.insert(sent.id);
        Ok(())
    }

    /// A refusal is told, and the chat goes on: the next line may be accepted.
    fn or_told<T>(&self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if watch::ends(&error) => Err(error),
            Err(error) => self.context.out.error(&error).map(|()| None),
        }
    }

    fn mark_read(&mut self) -> Result<()> {
        if std::mem::take(&mut self.unread) { watch::mark_read(&mut self.remote, &self.group) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_line_is_a_message_unless_it_begins_with_a_slash() {
        assert_eq!(read("hello "), Typed::Say("hello"));
        assert_eq!(read("/quit"), Typed::Quit);
        assert_eq!(read(" /who"), Typed::Who);
        assert_eq!(read("/help"), Typed::Help);
        assert_eq!(read("  "), Typed::Nothing);
        assert_eq!(read("//etc"), Typed::Say("/etc"));
        assert_eq!(read("/quti"), Typed::Unknown("/quti"), "a slip is never sent to the group");
    }
}
