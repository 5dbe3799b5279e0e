//! Nodes that die: at each named point of their work, and at any moment of what they do in each role. Whatever they
//! die of, nothing that was answered is lost, nothing is said twice, and no key is used twice (PROTOCOL G2, G3).
//!
//! `CRASHES=n cargo test -p kinfold-tests --test crashes` dies n times as often, and `SEED=m` at other moments.
#![allow(clippy::indexing_slicing, reason = "an answer without the field asked for is a failed test")]

#[path = "crashes/committer.rs"]
mod committer;
#[path = "crashes/joiner.rs"]
mod joiner;
#[path = "crashes/judge.rs"]
mod judge;
#[path = "crashes/ledger.rs"]
mod ledger;
#[path = "crashes/node.rs"]
mod node;
#[path = "crashes/receiver.rs"]
mod receiver;
#[path = "crashes/room.rs"]
mod room;
#[path = "crashes/sender.rs"]
mod sender;
#[path = "../../cli/tests/processes/wait.rs"]
mod wait;

use std::io::Write as _;

use ledger::Ledger;

/// What somebody does when the power goes.
type Play = fn(&mut ledger::Share<'_>);

/// Whoever does something when the power goes.
const ROLES: [(&str, Play); 4] =
    [("sender", sender::play), ("receiver", receiver::play), ("committer", committer::play), ("joiner", joiner::play)];

#[test]
fn a_device_dies_at_any_moment_of_its_work_and_nothing_is_lost_or_said_twice() {
    let (times, seed) = (variable("CRASHES", 1), variable("SEED", 1));
    println!("SEED={seed} CRASHES={times}");
    let ledger = Ledger::default();
    std::thread::scope(|scope| {
        for (number, (role, play)) in (0_u64..).zip(ROLES) {
            let mut share = ledger.share(role, times, (seed, number));
            scope.spawn(move || play(&mut share));
        }
    });
    // Past the test runner, which hides what a test that passes has printed.
    let opening = ledger.opening().as_millis();
    writeln!(std::io::stdout(), "\n{}slowest opening: {opening} ms", ledger.table()).expect("printed");
    ledger.check(ROLES.map(|(role, _)| role), times);
}

fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}
