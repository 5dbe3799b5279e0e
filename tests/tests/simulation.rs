//! Many clients in virtual time, in all the trouble that the seed brings.
//!
//! `SEED=n SEEDS=m cargo test -p kinfold-tests --test simulation` plays m seeds from n on.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use kinfold_tests::levers::{self, Levers};
use kinfold_tests::run::{self, Run};

/// Seeds played unless said otherwise.
const SEEDS_DEFAULT: u64 = 300;
/// A run in which newcomers are let in once more, by all that was drawn.
const SEED_TWICE: u64 = 26;
/// Threads, each with a run of its own; a run itself is one thread.
const THREADS: usize = 2;

#[test]
fn whatever_the_seed_brings_everybody_ends_up_with_the_same_history() {
    let (first, seeds) = (variable("SEED", 1), variable("SEEDS", SEEDS_DEFAULT));
    let next = AtomicU64::new(first);
    let total = Mutex::new((Levers::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        break;
                    }
                    let run = run::play(seed);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.0.merge(&run.levers);
                    total.1.extend(failure(&run));
                }
            });
        }
    });
    let (levers, mut failures) = total.into_inner().unwrap();
    let violations = failures.len();
    failures.extend(levers.too_seldom(seeds));
    println!("{}", levers.table());
    println!("{}", failures.join("\n"));
    let count = |name| levers.count(name);
    // Past the test runner, which hides what a test that passes has printed.
    let line = format!(
        "seeds={seeds} steps={} commits={} forks={} rollbacks={} welcomed_again={} swaps={} violations={violations}",
        count(levers::STEPS),
        count(levers::COMMITS),
        count(levers::FORKS),
        count(levers::ROLLBACKS),
        count(levers::WELCOMED_AGAIN),
        count(levers::SWAPS),
    );
    writeln!(std::io::stdout(), "\n{line}").unwrap();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn a_seed_played_twice_gives_the_same_events_and_the_same_bytes() {
    let seed = variable("SEED", SEED_TWICE);
    let (one, two) = (run::play(seed), run::play(seed));
    assert!(one.levers.count(levers::STEPS) > 500, "too little happened to compare: {:?}", one.violation);
    assert_eq!(one.trace.first_difference(&two.trace), None);
    assert_eq!(one.levers, two.levers);
    assert_eq!(one.violation, two.violation);
}

fn failure(run: &Run) -> Option<String> {
    let violation = run.violation.as_ref()?;
    let path = run.save().map_or_else(|error| error.to_string(), |path| path.display().to_string());
    Some(format!("SEED={} SEEDS=1: {violation}; trace in {path}", run.seed))
}

fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}
