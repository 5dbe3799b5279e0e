//! Where a node may die: the named points, chains of them, and the ear that hears a node come to one and ends it there.
//!
//! The product has no hook for this. At each point it logs a constant code at the level of traces, on the thread that
//! does the work, so that who hears the code is exactly there.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::str::FromStr;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The codes of all points.
pub const POINTS: [&str; 8] = [
    "before_durable",
    "after_durable",
    "after_transmit",
    "after_keyring",
    "inside_keyring",
    "inside_round",
    "during_unlock",
    "during_join",
];

/// What a record says of an envelope that was handed to the network, before its id.
pub const LEFT: &str = "left ";
/// What a record says of something that must not happen, before what it was.
pub const WRONG: &str = "wrong ";
/// A message came under a key that was used before.
const REUSED: &str = "secret_reused";
/// Whose word it is that an envelope is on its way: not ours, but the library's that sends it.
const SENDER: &str = "libp2p_gossipsub";

/// Codes to wait for, one after the other, each a number of times; the last is where to die.
///
/// Written as `during_join:2>after_durable:1+30`: at the first `after_durable` after the second `during_join`, and
/// there only after 30 ms, in which the other threads go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    steps: Vec<(String, u32)>,
    linger: Duration,
}

impl Chain {
    /// The point that it is for: its first.
    ///
    /// # Panics
    /// When that is none of [`POINTS`].
    #[must_use]
    pub fn point(&self) -> &'static str {
        let first = self.steps.first().map(|(code, _)| code.as_str());
        POINTS.into_iter().find(|point| Some(*point) == first).expect("a chain begins at a point")
    }

    /// Hears a code; whether this is where to die.
    fn hear(&mut self, code: &str) -> bool {
        let Some((awaited, left)) = self.steps.first_mut() else { return false };
        if awaited == code {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.steps.remove(0);
                return self.steps.is_empty();
            }
        }
        false
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<String> = self.steps.iter().map(|(code, count)| format!("{code}:{count}")).collect();
        write!(f, "{}+{}", steps.join(">"), self.linger.as_millis())
    }
}

impl FromStr for Chain {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (steps, linger) = text.split_once('+').unwrap_or((text, "0"));
        let step = |step: &str| {
            let (code, count) = step.split_once(':').unwrap_or((step, "1"));
            let count = count.parse().ok().filter(|count| *count > 0)?;
            POINTS.contains(&code).then(|| (code.to_owned(), count))
        };
        let steps = steps.split('>').map(step).collect::<Option<_>>().ok_or("no such point")?;
        let linger = linger.parse().map(Duration::from_millis).map_err(|_| "no span")?;
        Ok(Self { steps, linger })
    }
}

/// Hears everything that a node logs. It notes each envelope that leaves and each thing that must not happen, and ends
/// the process where it was told to.
#[derive(Debug)]
pub struct Ear {
    record: Mutex<File>,
    chain: Mutex<Option<Chain>>,
}

impl Ear {
    /// An ear that appends to a record.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn new(record: &str) -> io::Result<Self> {
        let record = File::options().create(true).append(true).open(record)?;
        Ok(Self { record: Mutex::new(record), chain: Mutex::new(None) })
    }

    /// From now on, die there; or nowhere.
    pub fn set(&self, chain: Option<Chain>) {
        *lock(&self.chain) = chain;
    }

    fn note(&self, line: &str) {
        // One write: who dies in between leaves no half of it, and the system keeps what was written.
        lock(&self.record).write_all(format!("{line}\n").as_bytes()).expect("a record that can be written");
    }
}

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && (metadata.target().starts_with("kinfold") || metadata.target().starts_with(SENDER))
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut heard = Heard::default();
        event.record(&mut heard);
        let metadata = event.metadata();
        if metadata.target().starts_with(SENDER) {
            if heard.message == "Publishing message" {
                self.note(&format!("{LEFT}{}", heard.id));
            }
            return;
        }
        if *metadata.level() <= Level::WARN || heard.code == REUSED {
            self.note(&format!("{WRONG}{} {} {}", metadata.target(), heard.code, heard.message));
        }
        let mut chain = lock(&self.chain);
        if chain.as_mut().is_some_and(|chain| chain.hear(&heard.code)) {
            die(chain.as_ref().map_or(Duration::ZERO, |chain| chain.linger));
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Ends the process as a loss of power would, the system's memory of files excepted.
pub fn die(linger: Duration) -> ! {
    let (_nobody, never) = sync_channel::<()>(1);
    assert_eq!(never.recv_timeout(linger), Err(RecvTimeoutError::Timeout));
    kill_process(getpid(), Signal::KILL).expect("a process may end itself");
    unreachable!("nothing runs after that signal");
}

/// What an event says.
#[derive(Default)]
struct Heard {
    code: String,
    id: String,
    message: String,
}

impl Visit for Heard {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "code" {
            value.clone_into(&mut self.code);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "message_id" => self.id = format!("{value:?}"),
            _ => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_chain_is_walked_step_by_step_and_read_back_as_it_was_written() {
    let mut chain: Chain = "during_join:2>after_durable:1+30".parse().expect("a chain");
    assert_eq!(chain.point(), "during_join");
    assert_eq!(chain.to_string().parse(), Ok(chain.clone()));
    let heard = ["after_durable", "during_join", "after_durable", "during_join", "before_durable", "after_durable"];
    let died: Vec<bool> = heard.into_iter().map(|code| chain.hear(code)).collect();
    assert_eq!(died, [false, false, false, false, false, true]);
    assert!(!chain.hear("after_durable"), "and only once");
    for bad in ["", "nowhere:1", "after_durable:0", "after_durable:x", "after_durable+x"] {
        assert!(bad.parse::<Chain>().is_err(), "{bad}");
    }
}
