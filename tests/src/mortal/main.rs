//! A node that dies where it is told to.
//!
//! `mortal DATA_DIR RECORD [CHAIN]` runs a node on this machine only, says `ready` when it is, and notes in RECORD what
//! leaves it. A line on its standard input is the chain of points to die at from then on, an empty one takes it back; each
//! is answered with `set`. When the input ends, so does the node: it outlives nobody who drives it.

use std::io::{Write as _, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kinfold_node::{Options, run};
use kinfold_tests::death::{Chain, Ear, die};
use zeroize::Zeroizing;

/// What opens every vault that this program is given.
const PASSPHRASE: &str = "four plain words here";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (Some(dir), Some(record)) = (words.next(), words.next()) else { return ExitCode::from(2) };
    let ear = Arc::new(Ear::new(&record).expect("a record"));
    ear.set(words.next().map(|chain| chain.parse().expect("a chain")));
    tracing::subscriber::set_global_default(Arc::clone(&ear)).expect("the only subscriber");
    std::thread::spawn(move || listen(&ear));
    let options = Options {
        data_dir: PathBuf::from(dir),
        listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
        passphrase: Zeroizing::new(PASSPHRASE.to_owned()),
        lan: false,
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(run(options, |_| say("ready"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn listen(ear: &Ear) {
    for line in stdin().lines().map_while(Result::ok) {
        ear.set((!line.is_empty()).then(|| line.parse::<Chain>().expect("a chain")));
        say("set");
    }
    die(Duration::ZERO);
}

fn say(word: &str) {
    writeln!(stdout(), "{word}").expect("somebody listens");
}
