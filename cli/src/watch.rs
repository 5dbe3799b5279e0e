//! Listening to a feed, and to a keyboard, at the same time: threads that put what they hear into one bounded queue.

use std::io::{self, BufRead, IsTerminal, Read};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;

use kinfold_node::control::Request;
use kinfold_node::control::lines::{Notice, Row};
use kinfold_node::control::rows::{Done, History};
use rustyline::history::MemHistory;
use rustyline::{Editor, ExternalPrinter};

use crate::error::{Error, Exit, Local, Result};
use crate::remote::{Feed, Remote};
use crate::scroll::Scroll;

/// What waits to be shown; past it the feed's own bound takes over.
pub(crate) const HEARD_MAX: usize = 64;

/// Lines looked back at, beyond what was missed: they tell where the gap begins.
const LOOK_BACK: u64 = 200;

/// What a terminal hands on of one line, at most; the rest it drops without a word.
const TERMINAL_LINE_MAX: usize = 4_095;

/// A typed line: past the longest message, so that one that is too long is refused and not cut.
const TYPED_BYTES_MAX: u64 = 17 * 1024;

/// Something heard.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The feed has ended, and why.
    Ended(Error),
    /// Nobody types any more.
    InputEnded,
    /// Something happened.
    Notice(Notice),
    /// Somebody typed a line.
    Typed(String),
    /// What was typed cannot be read as it was meant, and why.
    Unreadable(Local),
}

/// Puts notices into the queue until the feed or the queue ends.
pub(crate) fn listen(mut feed: Feed, into: SyncSender<Heard>) {
    thread::spawn(move || {
        loop {
            let heard = feed.next().map_or_else(Heard::Ended, Heard::Notice);
            let ended = matches!(heard, Heard::Ended(_));
            if into.send(heard).is_err() || ended {
                return;
            }
        }
    });
}

/// Puts typed lines into the queue until the input or the queue ends.
pub(crate) fn type_in(into: SyncSender<Heard>) {
    thread::spawn(move || {
        loop {
            let heard = typed_line(&mut io::stdin().lock(), io::stdin().is_terminal());
            let ended = matches!(heard, Heard::InputEnded);
            if into.send(heard).is_err() || ended {
                return;
            }
        }
    });
}

/// One line, whole or not at all.
fn typed_line(source: &mut impl BufRead, terminal: bool) -> Heard {
    let mut line = Vec::new();
    let mut read = source.take(TYPED_BYTES_MAX).read_until(b'\n', &mut line);
    let cut = line.len() as u64 == TYPED_BYTES_MAX && line.last() != Some(&b'\n');
    while cut && matches!(read, Ok(1..)) && line.last() != Some(&b'\n') {
        // The rest of a line that is too long is no message of its own.
        line.clear();
        read = source.take(TYPED_BYTES_MAX).read_until(b'\n', &mut line);
    }
    if cut {
        return Heard::Unreadable(Local::InputTooLong);
    }
    if terminal && perhaps_cut(&line) {
        return Heard::Unreadable(Local::TypedTooLong);
    }
    match (read, std::str::from_utf8(&line)) {
        (Ok(0) | Err(_), _) => Heard::InputEnded,
        (Ok(_), Ok(line)) => Heard::Typed(line.trim_end_matches(['\n', '\r']).to_owned()),
        (Ok(_), Err(_)) => Heard::Unreadable(Local::BadInput),
    }
}

/// Whether a terminal may have kept the rest of a line to itself: a whole one is shorter.
pub(crate) fn perhaps_cut(line: &[u8]) -> bool {
    line.strip_suffix(b"\n").unwrap_or(line).len() >= TERMINAL_LINE_MAX
}

/// Lets a person edit lines on the screen, and puts them into the queue; the next is read when `next` says so, so that
/// nothing is drawn between a line and what comes of it. What is printed meanwhile goes above the line being typed.
pub(crate) fn edit(into: SyncSender<Heard>, next: Receiver<()>) -> Result<Box<dyn ExternalPrinter + Send>> {
    // Nothing typed is kept for later: no history, in memory or on disk.
    let config = rustyline::Config::builder().auto_add_history(false).build();
    let editor = Editor::<(), _>::with_history(config, MemHistory::new());
    let mut editor = editor.map_err(|_| Local::NoTerminal)?;
    let printer = editor.create_external_printer().map_err(|_| Local::NoTerminal)?;
    thread::spawn(move || {
        while next.recv().is_ok() {
            let heard = editor.readline("> ").map_or(Heard::InputEnded, Heard::Typed);
            let ended = matches!(heard, Heard::InputEnded);
            if into.send(heard).is_err() || ended {
                return;
            }
        }
    });
    Ok(Box::new(printer))
}

/// The newest lines of a group: those that were missed and some more.
pub(crate) fn newest(remote: &mut Remote, group: &str, missed: u64) -> Result<History> {
    let last = Some(missed.saturating_add(LOOK_BACK));
    remote.call(&Request::History { group: group.to_owned(), last, all_unread: false, mark_read: false })
}

/// The lines of a group that a feed dropped, oldest first.
pub(crate) fn missed(remote: &mut Remote, scroll: &Scroll, group: &str, missed: u64) -> Result<Vec<Row>> {
    Ok(after_the_known(newest(remote, group, missed)?.rows, |id| scroll.has_seen(id)))
}

/// Marks everything of a group as read that the person was shown; what the window has yet to show waits for the next time.
pub(crate) fn mark_shown(remote: &mut Remote, scroll: &Scroll, group: &str) -> Result<()> {
    let unread = Request::History { group: group.to_owned(), last: Some(0), all_unread: true, mark_read: false };
    match remote.call::<History>(&unread) {
        Ok(history) if history.rows.iter().all(|row| row.own || scroll.has_seen(&row.id)) => {
            mark_read(remote, &history)
        }
        Err(error) if ends(&error) => Err(error),
        // Locked or left meanwhile: the lines stay unread, which is true enough.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Marks the lines of an answer as read, after they were shown.
pub(crate) fn mark_read(remote: &mut Remote, history: &History) -> Result<()> {
    let Some(mark) = history.read_mark else { return Ok(()) };
    match remote.call::<Done>(&Request::Read { group: history.group_id.clone(), mark }) {
        Err(error) if ends(&error) => Err(error),
        // Locked or left meanwhile: the lines stay unread, which is true enough.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether a window cannot go on after this.
pub(crate) fn ends(error: &Error) -> bool {
    matches!(error.exit, Exit::NotRunning | Exit::Bug)
}

/// What is before the first known line is older than the feed, not missed by it.
fn after_the_known(rows: Vec<Row>, known: impl Fn(&str) -> bool) -> Vec<Row> {
    let any = rows.iter().any(|row| known(&row.id));
    rows.into_iter().skip_while(|row| any && !known(&row.id)).filter(|row| !known(&row.id)).collect()
}

#[cfg(test)]
mod tests {
    use kinfold_node::control::lines::{Kind, Moment, Stand, State};

    use super::*;

    fn rows(ids: &[&str]) -> Vec<Row> {
        let row = |id: &&str| Row {
            id: (*id).to_owned(),
            kind: Kind::Text,
            author: "Ana".into(),
            author_id: "aa".into(),
            text: Some("hello".into()),
            sent: Moment::from_ms(0),
            expires: None,
            stand: Stand { state: State::Held, received_by: None, received_of: None },
            own: false,
            late: false,
            group_id: "bb".into(),
            group: "Circle".into(),
            member: None,
            retention_secs: None,
        };
        ids.iter().map(row).collect()
    }

    fn heard(typed: &[u8], terminal: bool) -> Vec<String> {
        let mut source = typed;
        let mut all = Vec::new();
        loop {
            match typed_line(&mut source, terminal) {
                Heard::Typed(line) => all.push(line),
                Heard::Unreadable(why) => all.push(Error::from(why).message),
                _ => return all,
            }
        }
    }

    #[test]
    fn a_typed_line_is_read_whole_or_refused() {
        assert_eq!(heard(b"one\r\ntwo", false), ["one", "two"]);
        let long = [b"x".repeat(40_000), b"\nnext\n".to_vec()].concat();
        assert_eq!(heard(&long, false), ["the text is too long; it was not sent", "next"]);
        let longest = [b"x".repeat(16 * 1024), b"\n".to_vec()].concat();
        assert_eq!(heard(&longest, false)[0].len(), 16 * 1024);
        assert_eq!(heard(b"\xff\nnext", false), ["what was given is not text; nothing was sent", "next"]);
    }

    #[test]
    fn a_line_that_a_terminal_may_have_cut_is_refused() {
        let cut = [b"x".repeat(4_095), b"\n".to_vec()].concat();
        assert_eq!(heard(&cut, false)[0].len(), 4_095);
        assert_eq!(heard(&cut, true), ["that line is longer than this terminal hands on whole; it was not sent"]);
        assert_eq!(heard(&cut[1..], true)[0].len(), 4_094);
    }

    #[test]
    fn only_what_came_after_something_known_was_missed() {
        let known = |id: &str| ["c", "e"].contains(&id);
        let missed = after_the_known(rows(&["a", "b", "c", "d", "e", "f"]), known);
        assert_eq!(missed.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["d", "f"]);
        assert_eq!(after_the_known(rows(&["a", "b"]), |_| false).len(), 2, "a group that was empty before");
    }
}
