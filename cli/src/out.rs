//! Where output goes: data on stdout, talk on stderr, JSON when asked. Nothing else in this program prints.

use std::io::{self, Write};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FileType;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, Local, Result};
use crate::screen;

/// Longer than `head` takes to go once it has what it wants, and too short for a person to notice.
const READER_LEAVES_WITHIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// The two ways out, and the form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    pub(crate) json: bool,
}

impl Out {
    /// The answer of a verb: `{"ok":true,...}` or a text.
    pub(crate) fn answer(self, value: &impl Serialize, human: impl FnOnce() -> String) -> Result<()> {
        let text = if self.json { answer(value).to_string() } else { human() };
        self.data(&text).map_err(|error| error.or_done())
    }

    /// The answer of a verb that has no data: a sentence for people, on stderr.
    pub(crate) fn done(self, value: &impl Serialize, human: &str) -> Result<()> {
        let told = if self.json { self.data(&answer(value).to_string()) } else { self.talk(human) };
        told.map_err(|error| error.or_done())
    }

    /// One row of a list or a stream: a bare object or a text.
    pub(crate) fn row(self, value: &impl Serialize, human: impl FnOnce() -> String) -> Result<()> {
        if self.json { self.data(&json!(value).to_string()) } else { self.data(&human()) }
    }

    /// Data, as it is.
    pub(crate) fn data(self, text: &str) -> Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        Ok(stdout.flush()?)
    }

    /// An error if whoever reads our data through a pipe has closed it: what was not read was not shown.
    pub(crate) fn taken(self) -> Result<()> {
        let stdout = io::stdout();
        let kind = rustix::fs::fstat(&stdout).map(|facts| FileType::from_raw_mode(facts.st_mode));
        if kind != Ok(FileType::Fifo) {
            return Ok(());
        }
        // Asked for nothing, the system tells only that nobody reads any more.
        let mut end = [PollFd::new(&stdout, PollFlags::empty())];
        let told = rustix::event::poll(&mut end, Some(&READER_LEAVES_WITHIN)).map_err(io::Error::from)?;
        if told == 0 { Ok(()) } else { Err(Local::OutputClosed.into()) }
    }

    /// A sentence for people; a script is spared it.
    pub(crate) fn talk(self, text: &str) -> Result<()> {
        if self.json { Ok(()) } else { self.signal(&screen::fit(text)) }
    }

    /// A sentence on stderr in every form, for what a script may want to wait for.
    pub(crate) fn signal(self, text: &str) -> Result<()> {
        writeln!(io::stderr().lock(), "{text}")?;
        Ok(())
    }

    /// Why it did not work: the answer in JSON, otherwise two lines on stderr.
    pub(crate) fn error(self, error: &Error) -> Result<()> {
        if self.json {
            self.data(&refusal(error).to_string())
        } else {
            self.signal(&screen::fit_if_seen(&in_words(error)))
        }
    }
}

fn answer(value: &impl Serialize) -> Value {
    let mut answer = json!({ "ok": true });
    if let (Some(answer), Value::Object(fields)) = (answer.as_object_mut(), json!(value)) {
        answer.extend(fields);
    }
    answer
}

fn refusal(error: &Error) -> Value {
    json!({ "ok": false, "error": { "code": error.code, "message": error.message, "hint": error.hint } })
}

pub(crate) fn in_words(error: &Error) -> String {
    let hint = error.hint.as_ref().map(|hint| format!("\nhint: {}", crate::plain::text(hint)));
    format!("Error: {}{}", crate::plain::text(&error.message), hint.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use kinfold_node::NodeError;

    use super::*;

    #[test]
    fn an_error_is_what_happened_and_what_to_do() {
        let error = Error::from(NodeError::Locked);
        let expected =
            "Error: Kinfold is locked; nothing was lost\nhint: `kinfold unlock` opens it with your passphrase";
        assert_eq!(in_words(&error), expected);
        let expected = json!({"ok": false, "error": {
            "code": "locked",
            "message": "Kinfold is locked; nothing was lost",
            "hint": "`kinfold unlock` opens it with your passphrase"
        }});
        assert_eq!(refusal(&error), expected);
    }

    #[test]
    fn an_answer_says_ok_beside_its_fields() {
        assert_eq!(answer(&json!({"id": "01"})), json!({"ok": true, "id": "01"}));
    }
}
