//! What only the command line can run into, in the words that a person reads. One table; a line is: how the program
//! ends, the stable name for scripts, the message, the hint.

use crate::error::{Error, Exit};

macro_rules! locals {
    ($($name:ident $exit:ident $code:literal $message:literal $hint:literal)*) => {
        /// What only the command line can run into.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Local {
            $(#[doc = concat!("\"", $message, "\"")] $name,)*
        }

        impl From<Local> for Error {
            fn from(local: Local) -> Self {
                let (exit, code, message, hint) = match local {
                    $(Local::$name => (Exit::$exit, $code, $message, $hint),)*
                };
                Self { exit, code: code.to_owned(), message: message.to_owned(), hint: Some(hint.to_owned()) }
            }
        }
    };
}

locals! {
    // What was given.
    BadInput Refused "bad_input"
        "what was given is not text; nothing was sent"
        "Kinfold sends text, in UTF-8"
    InputTooLong Refused "bad_text"
        "the text is too long; it was not sent"
        "a message can have about 2,500 words; a longer one can go in parts"
    NobodyToAsk Refused "not_confirmed"
        "this cannot be undone, and there is no terminal to ask whether it is meant; nothing was changed"
        "if it is meant, add --yes"
    NotConfirmed Refused "not_confirmed"
        "it was not done; nothing was changed"
        "only y or yes goes ahead"
    TypedTooLong Refused "bad_text"
        "that line is longer than this terminal hands on whole; it was not sent"
        "send it from a file: `kinfold send GROUP - < FILE`"

    // Passphrases and places.
    NoDataDir Usage "usage"
        "there is no usual place for data on this system"
        "name one with --data-dir"
    NoPassphrase Usage "usage"
        "the passphrase is needed, and there is no terminal to ask for it"
        "give it with --passphrase-fd N or in KINFOLD_PASSPHRASE"
    NoTerminal Refused "no_terminal"
        "what was typed could not be read; nothing was changed"
        "try again"
    PassphraseUnreadable Usage "usage"
        "the passphrase could not be read from there; nothing was changed"
        "--passphrase-fd takes the number of a file that is open for reading, as in `3<file`"
    PassphrasesDiffer Refused "passphrases_differ"
        "the two passphrases are not the same; nothing was changed"
        "try again; it is easier with the words written down on paper"

    // The node. Number and name of what is not set up are those of what does not run: that is what scripts ask.
    BadAnswer Bug "bad_answer_here"
        "the answer could not be understood"
        "`kinfold version` and `kinfold status` show whether two versions are mixed"
    LostContact NotRunning "not_running"
        "Kinfold has stopped; what was accepted is safe"
        "start it again with `kinfold up` in another window"
    NoRuntime Bug "no_runtime"
        "this system let Kinfold start no threads"
        "close other programs and try again"
    NotSetUpYet NotRunning "not_running"
        "Kinfold is not set up here yet"
        "start with `kinfold init`, or name another place with --data-dir"
    NotSentSlow Refused "too_slow"
        "Kinfold did not answer in time; your message was not sent"
        "`kinfold status` shows how things stand"
    PerhapsSentSlow Refused "too_slow"
        "Kinfold did not answer in time; whether your message was kept is not known"
        "`kinfold status` shows whether it answers again; then look with `kinfold history` before you send it again"
    PerhapsSent NotRunning "not_running"
        "Kinfold has stopped before it answered; whether your message was kept is not known"
        "start it again with `kinfold up`, and look with `kinfold history` before you send it again"
    TooSlow Refused "too_slow"
        "Kinfold did not answer in time; it may still do what was asked"
        "`kinfold status` shows how things stand"

    // What is written.
    OutputClosed Refused "output_closed"
        "the output was closed"
        "nothing needs to be done"
    OutputFailed Storage "output_failed"
        "the answer could not be written; nothing was lost"
        "perhaps the disk that the output goes to is full"
    OutputFailedDone Storage "output_failed"
        "it was done, but the answer could not be written"
        "perhaps the disk that the output goes to is full"
    OutputFailedSent Storage "output_failed"
        "sent, but the answer could not be written"
        "perhaps the disk that the output goes to is full"
}
