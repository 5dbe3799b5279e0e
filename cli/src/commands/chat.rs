//! `chat`: reads and types in one window. Every event is an appended line.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kinfold_node::control::Request;
use kinfold_node::control::api::Secret;
use kinfold_node::control::lines::{Notice, Row, Stand, State};
use kinfold_node::control::rows::{GroupDetail, History, Members, Sent};
use zeroize::Zeroizing;

use super::Context;
use super::send::HELD_WAIT;
use crate::args::ChatArgs;
use crate::error::{Error, Result};
use crate::remote::{Remote, notice_json};
use crate::scroll::Scroll;
use crate::watch::{self, Heard};
use crate::window::Window;
use crate::{render, screen, span};

/// How long after the last line everything counts as read: one mark for a burst.
const READ_PAUSE: Duration = Duration::from_secs(1);

const HELP: &str = "\
Type a line and press Enter to send it.
  /who   who is in the group, and who is connected
  /help  this
  /quit  close this window's chat; Kinfold goes on
A line that should begin with / begins with // instead.";

pub(super) fn run(context: &Context, args: &ChatArgs) -> Result<()> {
    let out = context.out;
    let mut remote = context.remote().map_err(Error::of_sending)?;
    let detail: GroupDetail = remote.call(&Request::GroupShow { group: args.group.clone() })?;
    let group = detail.row.group_id.clone();
    // The feed first, then what was before: nothing falls between, and what comes twice is shown once.
    let feed = context.remote()?.subscribe(Some(group.clone()))?;
    let mut scroll = context.scroll();
    // A group that was left or cannot be read has nobody to tell apart.
    if let Ok(people) = remote.call::<Members>(&Request::Members { group: group.clone() }) {
        scroll.meet(&group, &people.members);
        scroll.may_be_removed(&group, &people.members);
    }
    let (window, said) = (Window::new(out), BTreeMap::new());
    let mut chat = Chat { json: out.json, window, remote, scroll, group, said, unread: false };
    chat.open(&detail, args.last)?;

    let (heard, hears) = mpsc::sync_channel(watch::HEARD_MAX);
    watch::listen(feed, heard.clone());
    chat.remote.hush();
    chat.window.type_in(heard, !out.json && !args.plain && screen::can_edit())?;
    // What was typed last is told of before the end, if that does not take long.
    let mut going = true;
    while going || !chat.said.is_empty() {
        going &= match hears.recv_timeout(chat.pause()) {
            Ok(Heard::Notice(notice)) => chat.show(&notice).map(|()| true)?,
            // Whoever has closed the chat types for somebody else.
            Ok(Heard::Typed(_)) if !going => true,
            Ok(Heard::Typed(line)) => {
                chat.window.line_ended();
                chat.typed(&line)?
            }
            Ok(Heard::Unreadable(why)) => chat.window.error(&why.into()).map(|()| true)?,
            Ok(Heard::InputEnded) => {
                chat.window.line_ended();
                false
            }
            Ok(Heard::Ended(error)) => return Err(error),
            Err(_) => chat.mark_read().map(|()| true)?,
        };
        chat.tell_kept()?;
    }
    chat.mark_read()
}

struct Chat {
    json: bool,
    window: Window,
    remote: Remote,
    scroll: Scroll,
    group: String,
    /// Messages typed here: their words are on the screen already, and what became of them is yet to be told.
    said: BTreeMap<String, Said>,
    unread: bool,
}

/// A message that was typed here.
struct Said {
    /// Its line, once that has come.
    row: Option<Row>,
    stand: Stand,
    /// How long it may take to be held by others before it is told as kept here.
    until: Instant,
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

impl Chat {
    fn open(&mut self, detail: &GroupDetail, last: u64) -> Result<()> {
        let window = &mut self.window;
        window.talk(&render::group(&detail.row))?;
        window.talk(&format!("Messages are gone after {}.", span::in_words(detail.row.retention_secs)))?;
        window.talk(&render::newcomer(&detail.row, &self.scroll))?;
        window.talk("What this window shows stays in it after its time, until you close or clear it.")?;
        window.talk("Type a line and press Enter to send it. /who, /help and /quit do what they say.\n")?;
        let (group, last) = (self.group.clone(), Some(last));
        let ask = Request::History { group, last, all_unread: true, mark_read: false };
        let history: History = self.remote.call(&ask)?;
        for row in &history.rows {
            self.line(row)?;
        }
        self.unread = false;
        watch::mark_read(&mut self.remote, &history)
    }

    /// How long to wait for what comes next.
    fn pause(&self) -> Duration {
        let due = self.said.values().map(|said| said.until).min();
        due.map_or(READ_PAUSE, |due| due.saturating_duration_since(Instant::now()).min(READ_PAUSE))
    }

    fn show(&mut self, notice: &Notice) -> Result<()> {
        match notice {
            Notice::Line(row) => self.line(row),
            Notice::Lagged { missed } => {
                for row in watch::missed(&mut self.remote, &self.scroll, &self.group, *missed)? {
                    self.line(&row)?;
                }
                Ok(())
            }
            Notice::State { id, stand, .. } if self.said.contains_key(id) => {
                if let Some(said) = self.said.get_mut(id) {
                    said.stand = *stand;
                }
                self.tell_held(id)
            }
            notice if self.json => self.window.row(&notice_json(notice), String::new),
            notice => match self.scroll.notice(notice) {
                Some(text) => self.window.row(&notice_json(notice), || text),
                None => Ok(()),
            },
        }
    }

    fn line(&mut self, row: &Row) -> Result<()> {
        if !self.scroll.remember(row) {
            return Ok(());
        }
        self.unread |= !row.own;
        if let Some(said) = self.said.get_mut(&row.id) {
            said.row = Some(row.clone());
            return self.tell_held(&row.id);
        }
        self.window.row(row, || self.scroll.line(row))
    }

    /// Tells of a typed message that others hold, once its line has come.
    fn tell_held(&mut self, id: &str) -> Result<()> {
        match self.said.get(id) {
            Some(Said { row: Some(_), stand, .. }) if stand.state != State::Kept => self.tell(id),
            _ => Ok(()),
        }
    }

    /// Tells of typed messages that nobody else was seen to hold in time.
    fn tell_kept(&mut self) -> Result<()> {
        let now = Instant::now();
        let due = self.said.iter().filter(|(_, said)| said.until <= now).map(|(id, _)| id.clone());
        for id in due.collect::<Vec<_>>() {
            self.tell(&id)?;
        }
        Ok(())
    }

    fn tell(&mut self, id: &str) -> Result<()> {
        match self.said.remove(id) {
            Some(Said { row: Some(row), stand, .. }) => {
                let text = self.scroll.accepted(&row, stand);
                self.window.row(&row, || text)
            }
            // Its line is late; it will be shown as any other.
            _ => Ok(()),
        }
    }

    /// Does what a typed line asks for; false when it was the last.
    fn typed(&mut self, line: &str) -> Result<bool> {
        match read(line) {
            Typed::Help => self.window.talk(HELP)?,
            Typed::Nothing => {}
            Typed::Quit => return Ok(false),
            Typed::Say(text) => self.say(text)?,
            Typed::Unknown(text) => {
                let text = crate::plain::name(text);
                self.window.talk(&format!("{text} is nothing that can be done here; it was not sent.\n{HELP}"))?;
            }
            Typed::Who => self.who()?,
        }
        self.window.next();
        Ok(true)
    }

    fn who(&mut self) -> Result<()> {
        let ask = Request::Members { group: self.group.clone() };
        let who = self.remote.call::<Members>(&ask);
        let Some(who) = self.or_told(who)? else { return Ok(()) };
        for member in &who.members {
            self.window.row(member, || render::member(member))?;
        }
        Ok(())
    }

    fn say(&mut self, text: &str) -> Result<()> {
        let text = Secret::new(Zeroizing::new(text.to_owned()));
        let ask = Request::Send { group: self.group.clone(), text, expires_secs: None };
        let sent = self.remote.call::<Sent>(&ask).map_err(Error::of_sending);
        let Some(sent) = self.or_told(sent)? else { return Ok(()) };
        if self.json {
            return self.window.answer(&sent);
        }
        let said = Said { row: None, stand: sent.stand, until: Instant::now() + HELD_WAIT };
        self.said.insert(sent.id, said);
        Ok(())
    }

    /// A refusal is told, and the chat goes on: the next line may be accepted.
    fn or_told<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if watch::ends(&error) => Err(error),
            Err(error) => self.window.error(&error).map(|()| None),
        }
    }

    fn mark_read(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.unread) {
            return Ok(());
        }
        watch::mark_shown(&mut self.remote, &self.scroll, &self.group)
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
