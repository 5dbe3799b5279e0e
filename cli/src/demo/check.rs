//! What the demo holds what it sees against. Pure: each check takes what was seen and says how it differs from what
//! was expected, so that each can be shown to fail.

use std::thread;
use std::time::{Duration, Instant};

use kinfold_node::control::lines::{Kind, Moment, Row, State};
use kinfold_node::control::rows::{MemberRow, Standing};

use crate::error::{Error, Exit, Local};

/// How long a state may take to come about before it counts as missing.
const STATE_WAIT: Duration = Duration::from_secs(20);

/// Between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// What a check gives.
pub(crate) type Checked<T = ()> = Result<T, Failure>;

/// Why the demo cannot go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Something is not as it should be.
    Differs { expected: String, seen: String },
    /// Something could not be done.
    Failed(Error),
}

impl Failure {
    fn differs(expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::Differs { expected: expected.into(), seen: seen.into() }
    }

    /// For the person who watches, with what was being done.
    pub(crate) fn told(self, doing: &str) -> Error {
        let (exit, message) = match self {
            Self::Differs { expected, seen } => {
                (Exit::Refused, format!("{doing}, the demo expected that {expected}; but {seen}"))
            }
            Self::Failed(error) => (error.exit, format!("{doing}, the demo could not go on: {}", error.message)),
        };
        let hint = "nothing of yours was touched, as the demo works in a folder of its own; it can be run again";
        Error { exit, code: "demo_failed".to_owned(), message, hint: Some(hint.to_owned()) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Local> for Failure {
    fn from(local: Local) -> Self {
        Self::Failed(local.into())
    }
}

/// Looks until it is as expected, or long enough.
pub(crate) fn until<T>(look: impl FnMut() -> Checked<T>) -> Checked<T> {
    until_within(STATE_WAIT, look)
}

fn until_within<T>(wait: Duration, mut look: impl FnMut() -> Checked<T>) -> Checked<T> {
    let end = Instant::now() + wait;
    loop {
        match look() {
            Err(Failure::Differs { .. }) if Instant::now() < end => thread::sleep(LOOK_PAUSE),
            done => return done,
        }
    }
}

/// `fact` holds; otherwise what was expected and what was seen instead.
pub(crate) fn holds(fact: bool, expected: &str, seen: impl Into<String>) -> Checked {
    if fact { Ok(()) } else { Err(Failure::differs(expected, seen)) }
}

/// Something said, as its author's device accepted it.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) id: String,
    pub(crate) text: String,
}

/// What one person is shown: the ids of messages, in order.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) person: &'static str,
    pub(crate) lines: Vec<Said>,
}

impl Shown {
    /// The messages among the lines of a history.
    pub(crate) fn new(person: &'static str, rows: &[Row]) -> Self {
        let text = |row: &Row| Said { id: row.id.clone(), text: row.text.clone().unwrap_or_default() };
        Self { person, lines: rows.iter().filter(|row| row.kind == Kind::Text).map(text).collect() }
    }

    fn in_words(&self) -> String {
        let texts: Vec<String> = self.lines.iter().map(|line| format!("\"{}\"", line.text)).collect();
        let texts = if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") };
        format!("{} was shown {texts}", self.person)
    }
}

/// Everybody is shown each message once, nothing else, and all in the same order.
pub(crate) fn same_talk(shown: &[Shown], said: &[Said]) -> Checked {
    for one in shown {
        for message in said {
            let expected = format!("{} shows \"{}\" exactly once", one.person, message.text);
            let times = one.lines.iter().filter(|line| line.id == message.id && line.text == message.text).count();
            holds(times == 1, &expected, one.in_words())?;
        }
        let expected = format!("{} shows {} messages", one.person, said.len());
        holds(one.lines.len() == said.len(), &expected, one.in_words())?;
    }
    let order = |shown: &Shown| shown.lines.iter().map(|line| line.id.clone()).collect::<Vec<_>>();
    for (one, next) in shown.iter().zip(shown.iter().skip(1)) {
        let expected = format!("{} and {} show the same order", one.person, next.person);
        holds(order(one) == order(next), &expected, format!("{}, and {}", one.in_words(), next.in_words()))?;
    }
    Ok(())
}

/// Each message was told of once while it came.
pub(crate) fn told_once(person: &str, told: &[String], said: &[Said]) -> Checked {
    for message in said {
        let times = told.iter().filter(|id| **id == message.id).count();
        let expected = format!("{person} is told of \"{}\" exactly once", message.text);
        holds(times == 1, &expected, format!("that was told {times} times"))?;
    }
    Ok(())
}

/// A message is not among those shown, under its id or with its words.
pub(crate) fn not_shown(shown: &Shown, message: &Said) -> Checked {
    let found = shown.lines.iter().any(|line| line.id == message.id || line.text == message.text);
    holds(!found, &format!("{} does not show \"{}\"", shown.person, message.text), shown.in_words())
}

/// A message that is no longer shown did not go before its time.
pub(crate) fn not_early(person: &str, expires: Moment, now: Moment) -> Checked {
    let expected = format!("{person} shows the message until {expires}");
    holds(now >= expires, &expected, format!("it was gone at {now}"))
}

/// A message's life is as long as its author said, to the second.
pub(crate) fn lives(row: &Row, secs: i64) -> Checked {
    let life = row.expires.map(|expires| expires.timestamp().as_second() - row.sent.timestamp().as_second());
    let seen = life.map_or_else(|| "it stays".to_owned(), |life| format!("it lives {life} seconds"));
    holds(life == Some(secs), &format!("the message lives {secs} seconds"), seen)
}

/// All were shown the same moment at which something goes.
pub(crate) fn same_end(ends: &[Option<Moment>]) -> Checked<Moment> {
    let in_words = |end: &Option<Moment>| end.map_or_else(|| "never".to_owned(), |end| end.to_string());
    let seen: Vec<String> = ends.iter().map(in_words).collect();
    match ends.split_first() {
        Some((Some(first), rest)) if rest.iter().all(|end| *end == Some(*first)) => Ok(*first),
        _ => Err(Failure::differs("all show the same moment at which the message goes", seen.join(", "))),
    }
}

/// Somebody sees exactly these people in the group, of the others exactly these connected.
pub(crate) fn people(person: &str, seen: &[MemberRow], all: &[&str], connected: &[&str]) -> Checked {
    let names = names_of(seen.iter());
    holds(names == all, &format!("{person} sees {}", all.join(", ")), format!("saw {}", names.join(", ")))?;
    let present = names_of(seen.iter().filter(|row| row.connected && !row.own));
    let expected = format!("{person} is connected with {}", in_words(connected));
    holds(present == connected, &expected, format!("is connected with {}", in_words(&present)))
}

fn names_of<'a>(rows: impl Iterator<Item = &'a MemberRow>) -> Vec<&'a str> {
    let mut names: Vec<&str> = rows.map(|row| row.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn in_words(names: &[&str]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// Somebody's group stands as it should.
pub(crate) fn stands(person: &str, standing: Option<Standing>, expected: Standing) -> Checked {
    let seen = standing.map_or_else(|| "the group is not there".to_owned(), |seen| format!("it is {seen:?}"));
    holds(standing == Some(expected), &format!("{person}'s group is {expected:?}"), seen)
}

/// All for whom an own message was have opened it.
pub(crate) fn received_by_all(row: Option<&Row>, of: usize) -> Checked {
    let stand = row.map(|row| row.stand);
    let all = stand.is_some_and(|stand| {
        stand.state == State::Received && stand.received_by == Some(of) && stand.received_of == Some(of)
    });
    let seen = stand.map_or_else(|| "the message is not there".to_owned(), |stand| format!("it is {:?}", stand.state));
    holds(all, &format!("the message was received by {of} of {of}"), seen)
}

/// What was asked was refused, for this reason.
pub(crate) fn refused<T>(answer: Result<T, Error>, code: &str) -> Checked {
    match answer {
        Err(error) if error.code == code => Ok(()),
        Err(error) => Err(Failure::differs(format!("the refusal is {code}"), format!("it was {}", error.code))),
        Ok(_) => Err(Failure::differs("it is refused", "it was accepted")),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
