//! Where a chat shows what happens: appended lines, or, where a line is edited on the screen, lines above it.

use std::fmt;
use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, SyncSender};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::ExternalPrinter;
use serde::Serialize;

use crate::error::{Error, Local, Result};
use crate::out::{self, Out};
use crate::screen;
use crate::watch::{self, Heard};

/// Nothing but "go on" is ever in this queue.
const NEXT_MAX: usize = 1;

/// Ends bracketed paste, which the editor may have begun.
const PASTE_OFF: &str = "\x1b[?2004l";

/// A chat's window.
pub(crate) struct Window {
    out: Out,
    editor: Option<Edited>,
}

/// A window with a line being typed at its foot.
struct Edited {
    printer: Box<dyn ExternalPrinter + Send>,
    next: SyncSender<()>,
    /// Whether a line is being typed.
    open: bool,
    /// The terminal as it was, to be given back so however the chat ends.
    before: Option<Termios>,
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Window(..)")
    }
}

impl Window {
    /// Appended lines.
    pub(crate) const fn new(out: Out) -> Self {
        Self { out, editor: None }
    }

    /// Begins to read what is typed: with a line to edit on the screen if `edited`, otherwise whole lines.
    pub(crate) fn type_in(&mut self, into: SyncSender<Heard>, edited: bool) -> Result<()> {
        if !edited {
            watch::type_in(into);
            return Ok(());
        }
        let before = tcgetattr(io::stdin()).ok();
        let (next, go): (_, Receiver<()>) = mpsc::sync_channel(NEXT_MAX);
        let printer = watch::edit(into, go)?;
        self.editor = Some(Edited { printer, next, open: false, before });
        self.next();
        Ok(())
    }

    /// Lets the next line be typed.
    pub(crate) fn next(&mut self) {
        if let Some(editor) = &mut self.editor {
            editor.open = true;
            // A full queue says it already; without a reader nobody types any more.
            editor.next.try_send(()).unwrap_or_default();
        }
    }

    /// A line was typed to its end.
    pub(crate) fn line_ended(&mut self) {
        if let Some(editor) = &mut self.editor {
            editor.open = false;
        }
    }

    /// A row of the answer.
    pub(crate) fn row(&mut self, value: &impl Serialize, human: impl FnOnce() -> String) -> Result<()> {
        match &mut self.editor {
            Some(editor) => editor.print(&human()),
            None => self.out.row(value, human),
        }
    }

    /// The answer to one line, for scripts.
    pub(crate) fn answer(&self, value: &impl Serialize) -> Result<()> {
        self.out.answer(value, String::new)
    }

    /// A sentence for people.
    pub(crate) fn talk(&mut self, text: &str) -> Result<()> {
        match &mut self.editor {
            Some(editor) => editor.print(&screen::fit(text)),
            None => self.out.talk(text),
        }
    }

    /// Why something did not work.
    pub(crate) fn error(&mut self, error: &Error) -> Result<()> {
        match &mut self.editor {
            Some(editor) => editor.print(&screen::fit(&out::in_words(error))),
            None => self.out.error(error),
        }
    }
}

impl Edited {
    fn print(&mut self, text: &str) -> Result<()> {
        self.printer.print(format!("{text}\n")).map_err(|_| Local::OutputClosed.into())
    }
}

impl Drop for Edited {
    fn drop(&mut self) {
        // The line may still be open in the other thread, with the terminal in its hands.
        if let Some(before) = &self.before
            && tcsetattr(io::stdin(), OptionalActions::Drain, before).is_ok()
        {
            // With nowhere to write to there is no terminal to tidy up.
            let line_end = if self.open { "\n" } else { "" };
            write!(io::stdout(), "{PASTE_OFF}{line_end}").and_then(|()| io::stdout().flush()).unwrap_or_default();
        }
    }
}
