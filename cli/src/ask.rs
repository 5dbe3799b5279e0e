//! Questions to the person at the terminal. Without one nothing is asked: scripts go on, and say `--yes` before what
//! cannot be undone.

use std::io::{self, BufRead, Read, Write};

use crate::error::{Local, Result};
use crate::out::Out;
use crate::screen;

/// Longer than any line that is asked for here.
const REPLY_BYTES_MAX: u64 = 4_096;

/// Whether there is somebody to ask: scripts want an answer, not a question.
pub(crate) fn can_ask(out: Out) -> bool {
    !out.json && screen::somebody_is_there()
}

/// Whether something that cannot be undone is meant: `--yes` says so, or a person answers. Without either it is not.
pub(crate) fn must_ask(out: Out, yes: bool) -> Result<bool> {
    if yes {
        return Ok(false);
    }
    if can_ask(out) { Ok(true) } else { Err(Local::NobodyToAsk.into()) }
}

/// Asks whether it is meant; an error if not.
pub(crate) fn sure(question: &str) -> Result<()> {
    let reply = line(&format!("{} [y/N] ", screen::fit(question)))?;
    if matches!(reply.trim().to_lowercase().as_str(), "y" | "yes") { Ok(()) } else { Err(Local::NotConfirmed.into()) }
}

/// One typed line; empty when nothing was typed.
pub(crate) fn line(question: &str) -> Result<String> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}")?;
    stderr.flush()?;
    let mut typed = String::new();
    io::stdin().lock().take(REPLY_BYTES_MAX).read_line(&mut typed).map_err(|_| Local::NoTerminal)?;
    Ok(typed)
}
