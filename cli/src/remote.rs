//! The way to the node: one request at a time over the control socket, or a feed of notices. Blocking, and bounded
//! in time and length.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use kinfold_node::control::Request;
use kinfold_node::control::errors::WireError;
use kinfold_node::control::lines::Notice;
use kinfold_node::control::rows::Subscribed;
use kinfold_node::control::socket;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use crate::error::{Error, Local, Result};
use crate::out::Out;

/// An answer's line: the longest history of a group, many times over; a bound all the same.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A request's line: room from the start, so that a passphrase in it is not left behind by a growing buffer.
const REQUEST_BYTES: usize = 104 * 1024;

/// How long an answer may take: the node's own patience is ten seconds, with a passphrase to try and a busy disk.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// When a person who waits is told that it is not over yet.
const TELL_AFTER: Duration = Duration::from_secs(3);

const NOT_YET: &str = "Kinfold is not answering yet. Still waiting; Ctrl-C stops waiting and loses nothing.";

/// How long joining may take: the node gives up long before, with better words.
const JOIN_WAIT: Duration = Duration::from_secs(15 * 60);

/// How long stopping may take after the node has said that it will.
const STOP_WAIT: Duration = Duration::from_secs(30);

type Line = Zeroizing<Vec<u8>>;

/// A connection to the node.
#[derive(Debug)]
pub(crate) struct Remote {
    reader: BufReader<UnixStream>,
    asked: u64,
    /// What came of a line before the patience ended.
    partial: Line,
    /// Whether a person at a terminal is told, once, that an answer is late.
    tell: bool,
}

#[derive(Serialize)]
struct Asked<'a> {
    jsonrpc: &'a str,
    id: u64,
    #[serde(flatten)]
    request: &'a Request,
}

/// To which request an answer is; to none, where nobody listened.
#[derive(Deserialize)]
struct Whose {
    id: Option<u64>,
}

#[derive(Deserialize)]
struct Answered<T> {
    // `Option<T>` as a field would make serde ask for a default of `T` without this.
    #[serde(default = "Option::default")]
    result: Option<T>,
    #[serde(default)]
    error: Option<WireError>,
}

#[derive(Deserialize)]
struct Told {
    params: Notice,
}

impl Remote {
    /// Connects to the node of a data directory.
    pub(crate) fn open(data_dir: &Path) -> Result<Self> {
        Ok(Self::over(socket::connect(data_dir)?))
    }

    fn over(socket: UnixStream) -> Self {
        Self { reader: BufReader::new(socket), asked: 0, partial: Zeroizing::new(Vec::new()), tell: false }
    }

    /// The same, for a verb that a person waits for.
    pub(crate) fn telling(self) -> Self {
        Self { tell: io::stderr().is_terminal(), ..self }
    }

    /// Tells nothing any more: a line is being typed where it would be told.
    pub(crate) const fn hush(&mut self) {
        self.tell = false;
    }

    /// Asks, and waits for the answer.
    pub(crate) fn call<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T> {
        self.asked += 1;
        let mut line = Zeroizing::new(Vec::with_capacity(REQUEST_BYTES));
        let asked = Asked { jsonrpc: "2.0", id: self.asked, request };
        serde_json::to_writer(&mut *line, &asked).map_err(|_| Local::BadAnswer)?;
        line.push(b'\n');
        self.reader.get_ref().set_write_timeout(Some(ANSWER_WAIT)).map_err(|error| lost(&error))?;
        let written = self.reader.get_mut().write_all(&line);
        let line = loop {
            let join = matches!(request, Request::Join { .. });
            let answer = if join { self.line_within(JOIN_WAIT) } else { self.answer() };
            let line = match (&written, answer) {
                // Whoever has no room for us says so without listening first.
                (_, Ok(Some(line))) => line,
                (Err(error), _) => return Err(lost(error)),
                (Ok(()), Ok(None)) => return Err(Local::LostContact.into()),
                (Ok(()), Err(error)) => return Err(error),
            };
            // What was given up may be answered late, and says nothing of what was asked since.
            let whose: Whose = serde_json::from_slice(&line).map_err(|_| Local::BadAnswer)?;
            if whose.id.is_none_or(|id| id >= self.asked) {
                break line;
            }
        };
        let answered: Answered<T> = serde_json::from_slice(&line).map_err(|_| Local::BadAnswer)?;
        match (answered.result, answered.error) {
            (_, Some(error)) => Err(error.into()),
            (Some(result), None) => Ok(result),
            (None, None) => Err(Local::BadAnswer.into()),
        }
    }

    /// Turns the connection into a feed, of one group or of all.
    pub(crate) fn subscribe(mut self, group: Option<String>) -> Result<Feed> {
        self.call::<Subscribed>(&Request::Subscribe { group })?;
        self.wait(None)?;
        Ok(Feed(self))
    }

    /// Waits until the node has closed the connection.
    pub(crate) fn wait_for_end(mut self) -> Result<()> {
        while self.line_within(STOP_WAIT)?.is_some() {}
        Ok(())
    }

    /// A line that a person waits for.
    fn answer(&mut self) -> Result<Option<Line>> {
        if !self.tell {
            return self.line_within(ANSWER_WAIT);
        }
        match self.line_within(TELL_AFTER) {
            Err(error) if error == Local::TooSlow.into() => {
                self.tell = false;
                Out { json: false }.talk(NOT_YET)?;
                self.line_within(ANSWER_WAIT.saturating_sub(TELL_AFTER))
            }
            answer => answer,
        }
    }

    fn line_within(&mut self, time: Duration) -> Result<Option<Line>> {
        self.wait(Some(time))?;
        self.line()
    }

    fn wait(&self, time: Option<Duration>) -> Result<()> {
        self.reader.get_ref().set_read_timeout(time).map_err(|error| lost(&error))
    }

    /// The next line, of which some may have come before the patience ended.
    fn line(&mut self) -> Result<Option<Line>> {
        let read = self.reader.by_ref().take(ANSWER_BYTES_MAX).read_until(b'\n', &mut self.partial);
        read.map_err(|error| lost(&error))?;
        whole(std::mem::take(&mut self.partial))
    }
}

/// A line with its end, or nothing at the end of all.
fn whole(line: Line) -> Result<Option<Line>> {
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(Local::LostContact.into()),
    }
}

/// Notices, as they come.
#[derive(Debug)]
pub(crate) struct Feed(Remote);

impl Feed {
    /// Waits for the next one.
    pub(crate) fn next(&mut self) -> Result<Notice> {
        let line = self.0.line()?.ok_or(Local::LostContact)?;
        let told: Told = serde_json::from_slice(&line).map_err(|_| Local::BadAnswer)?;
        Ok(told.params)
    }

    /// Waits for the next one, so long at most. After `None` the feed is of no more use: a notice may have been cut.
    pub(crate) fn next_within(&mut self, time: Duration) -> Result<Option<Notice>> {
        if time.is_zero() {
            return Ok(None);
        }
        self.0.wait(Some(time))?;
        match self.next() {
            Err(error) if error == Local::TooSlow.into() => Ok(None),
            next => next.map(Some),
        }
    }
}

fn lost(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Local::TooSlow.into(),
        _ => Local::LostContact.into(),
    }
}

/// What a notice is in JSON: a line is its bare row, as in `history`.
pub(crate) fn notice_json(notice: &Notice) -> serde_json::Value {
    match notice {
        Notice::Line(row) => json!(row),
        Notice::ClockOff { .. }
        | Notice::Connected { .. }
        | Notice::Gone { .. }
        | Notice::Lagged { .. }
        | Notice::Locked {}
        | Notice::Standing { .. }
        | Notice::State { .. }
        | Notice::Unlocked {} => json!(notice),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The node stood still for longer than anybody waits, and answers when something else was asked.
    #[test]
    fn a_late_answer_is_not_taken_for_that_to_the_next_request() {
        let (ours, mut node) = UnixStream::pair().expect("a pair");
        let mut remote = Remote::over(ours);
        remote.asked = 1;
        node.write_all(br#"{"jsonrpc":"2.0","id":1,"#).expect("written");
        let patience = Duration::from_millis(1);
        assert_eq!(remote.line_within(patience).err(), Some(Local::TooSlow.into()));
        node.write_all(b"\"result\":{\"late\":true}}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"late\":false}}\n")
            .expect("written");
        let answer: Value = remote.call(&Request::Status {}).expect("an answer");
        assert_eq!(answer, json!({ "late": false }));
    }

    #[test]
    fn who_is_turned_away_unasked_hears_why() {
        let (ours, mut node) = UnixStream::pair().expect("a pair");
        let mut remote = Remote::over(ours);
        let line = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": 1, "message": "busy" } });
        writeln!(node, "{line}").expect("written");
        assert!(remote.call::<Value>(&Request::Status {}).is_err_and(|error| error != Local::TooSlow.into()));
    }
}
