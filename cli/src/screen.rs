//! The terminal: whether there is one, how large it is, and texts that fit into it.

use std::env;
use std::io::{self, IsTerminal};

/// What a terminal is taken to be when nobody can tell.
const USUAL_COLUMNS: usize = 80;

/// Wider lines are hard to read.
const TEXT_COLUMNS_MAX: usize = 100;

/// Columns and rows of the terminal that talk goes to.
pub(crate) fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    let size = (usize::from(size.ws_col), usize::from(size.ws_row));
    (size.0 > 0 && size.1 > 0).then_some(size)
}

/// Whether a person is there to be asked something.
pub(crate) fn somebody_is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether a line can be edited on the screen: a terminal on both sides that knows how to move its cursor.
pub(crate) fn can_edit() -> bool {
    let capable = env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    capable && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// A text in lines that fit on the screen.
pub(crate) fn fit(text: &str) -> String {
    wrap(text, size().map_or(USUAL_COLUMNS, |(columns, _)| columns.min(TEXT_COLUMNS_MAX)))
}

/// A text in lines that fit on the screen, if there is a screen.
pub(crate) fn fit_if_seen(text: &str) -> String {
    if io::stderr().is_terminal() { fit(text) } else { text.to_owned() }
}

/// Lines of at most so many columns. A line that begins with a space stays as it is: it is there to be copied or is drawn.
fn wrap(text: &str, columns: usize) -> String {
    let options =
        || textwrap::Options::new(columns).break_words(false).word_splitter(textwrap::WordSplitter::NoHyphenation);
    let wrapped = text.split('\n').map(|line| {
        if line.starts_with([' ', '\u{2588}', '\u{2584}', '\u{2580}']) {
            line.to_owned()
        } else {
            textwrap::fill(line, options())
        }
    });
    wrapped.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words_and_lines_to_be_copied_stay() {
        let text = "one two three four\n  kinfold send \"Tuesday circle\" hello\nfive";
        assert_eq!(wrap(text, 9), "one two\nthree\nfour\n  kinfold send \"Tuesday circle\" hello\nfive");
        assert_eq!(wrap("/a/word/that/is/too/long/to/break", 9), "/a/word/that/is/too/long/to/break");
        assert_eq!(wrap("", 9), "");
    }
}
