//! Where a passphrase comes from: an open file, the environment, or a person at a terminal. Never the command line.

use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};

use zeroize::Zeroizing;

use crate::args::Global;
use crate::error::{Local, Result};

/// The variable that scripts may use.
const VARIABLE: &str = "KINFOLD_PASSPHRASE";

/// Longer than any passphrase that somebody types.
const PASSPHRASE_BYTES_MAX: u64 = 4_096;

/// The passphrase of this device, asked for once.
pub(crate) fn passphrase(global: &Global) -> Result<Zeroizing<String>> {
    match given(global)? {
        Some(passphrase) => Ok(passphrase),
        None => prompt("Passphrase: "),
    }
}

/// A new passphrase: typed twice when a person types it.
pub(crate) fn new_passphrase(global: &Global) -> Result<Zeroizing<String>> {
    if let Some(passphrase) = given(global)? {
        return Ok(passphrase);
    }
    let first = prompt("Choose a passphrase: ")?;
    let second = prompt("The same once more: ")?;
    if *first == *second { Ok(first) } else { Err(Local::PassphrasesDiffer.into()) }
}

/// The passphrase, if nobody has to be asked for it.
pub(crate) fn given(global: &Global) -> Result<Option<Zeroizing<String>>> {
    if let Some(number) = global.passphrase_fd {
        return if number == 0 {
            first_line(io::stdin().lock()).map(Some)
        } else {
            let file = File::open(format!("/dev/fd/{number}")).map_err(|_| Local::PassphraseUnreadable)?;
            first_line(BufReader::new(file)).map(Some)
        };
    }
    match env::var(VARIABLE) {
        Ok(passphrase) => Ok(Some(Zeroizing::new(passphrase))),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Local::PassphraseUnreadable.into()),
    }
}

fn first_line(source: impl BufRead) -> Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    source.take(PASSPHRASE_BYTES_MAX).read_line(&mut line).map_err(|_| Local::PassphraseUnreadable)?;
    let kept = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(kept);
    Ok(line)
}

fn prompt(question: &str) -> Result<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        return Err(Local::NoPassphrase.into());
    }
    rpassword::prompt_password(question).map(Zeroizing::new).map_err(|_| Local::NoTerminal.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_without_its_end() {
        for (given, expected) in
            [("one two\n", "one two"), ("one two\r\nmore", "one two"), (" kept ", " kept "), ("", "")]
        {
            assert_eq!(*first_line(given.as_bytes()).expect("read"), expected);
        }
        assert!(first_line(&[0xff, b'\n'][..]).is_err(), "not text");
    }
}
