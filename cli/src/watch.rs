//! Listening to a feed, and to a keyboard, at the same time: threads that put what they hear into one bounded queue.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::SyncSender;
use std::thread;

use kinfold_node::control::Request;
use kinfold_node::control::lines::{Notice, Row};
use kinfold_node::control::rows::History;

use crate::error::{Error, Exit, Result};
use crate::remote::{Feed, Remote};
use crate::scroll::Scroll;

/// What waits to be shown; past it the feed's own bound takes over.
pub(crate) const HEARD_MAX: usize = 64;

/// Lines looked back at, beyond what was missed: they tell where the gap begins.
const LOOK_BACK: u64 = 200;

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
            let mut line = Vec::new();
            let read = io::stdin().lock().take(TYPED_BYTES_MAX).read_until(b'\n', &mut line);
            let heard = match read {
                Ok(0) | Err(_) => Heard::InputEnded,
                Ok(_) => Heard::Typed(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()),
            };
            let ended = matches!(heard, Heard::InputEnded);
            if into.send(heard).is_err() || ended {
                return;
            }
        }
    });
}

/// The newest lines of a group: those that were missed and some more.
pub(crate) fn newest(remote: &mut Remote, group: &str, missed: u64) -> Result<History> {
    let last = Some(missed.saturating_add(LOOK_BACK));
    remote.call(&Request::History { group: group.to_owned(), last, mark_read: false })
}

/// The lines of a group that a feed dropped, oldest first.
pub(crate) fn missed(remote: &mut Remote, scroll: &Scroll, group: &str, missed: u64) -> Result<Vec<Row>> {
    Ok(after_the_known(newest(remote, group, missed)?.rows, |id| scroll.has_seen(id)))
}

/// Marks everything of a group as shown to the person.
pub(crate) fn mark_read(remote: &mut Remote, group: &str) -> Result<()> {
    let read = Request::History { group: group.to_owned(), last: Some(0), mark_read: true };
    match remote.call::<History>(&read) {
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

    #[test]
    fn only_what_came_after_something_known_was_missed() {
        let known = |id: &str| ["c", "e"].contains(&id);
        let missed = after_the_known(rows(&["a", "b", "c", "d", "e", "f"]), known);
        assert_eq!(missed.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["d", "f"]);
        assert_eq!(after_the_known(rows(&["a", "b"]), |_| false).len(), 2, "a group that was empty before");
    }
}
