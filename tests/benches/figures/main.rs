//! The figures of docs/benchmarks.md: Kinfold beside the bare libraries, measured in one run.
//!
//! `cargo bench -p kinfold-tests --bench figures` prints all tables; names after `--` choose some. Loopback counters
//! are those of the machine, so nothing else should talk there meanwhile.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a measurement that goes wrong ends by panicking"
)]

mod cost;
mod face;
mod machine;
mod nodes;
mod raw_disk;
mod raw_gossip;
mod raw_mls;
mod rest;
mod table;
mod talk;
#[path = "../../tests/shared/wrong_clock.rs"]
#[expect(dead_code, reason = "shared with tests that set other clocks")]
mod wrong_clock;

use std::io::{Write, stdout};
use std::process::Command;

/// A name, and what makes the table.
type Section = (&'static str, &'static str, fn() -> String);

/// Every table, in the order of the document.
const SECTIONS: [Section; 10] = [
    ("cost", "Processor time of a received message", cost::run),
    ("three", "From send to shown: 3 members, a process each", talk::three),
    ("apart", "From send to shown: 20 members, a process each", talk::twenty_apart),
    ("twenty", "From send to shown: 20 members in one process", talk::twenty),
    ("fifty", "From send to shown: 50 members in one process", talk::fifty),
    ("largest", "From send to shown: 150 members in one process", talk::largest),
    ("largest-apart", "From send to shown: 150 members, a process each", talk::largest_apart),
    ("joining", "From an invite to the first message", rest::joining),
    ("away", "Coming back to 10,000 messages, and rest", rest::away),
    ("hundred", "Coming back to 10,000 messages of 100 members", rest::hundred),
];
/// The first argument of a process that is a bare node.
const BARE_NODE: &str = "bare-node";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((BARE_NODE, rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return raw_gossip::child(rest);
    }
    let chosen: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    build_program();
    tell(&format!("{}\n", machine::named()));
    for (name, title, table) in SECTIONS {
        if chosen.is_empty() || chosen.iter().any(|choice| *choice == name) {
            tell(&format!("\n## {title}\n\n"));
            tell(&table());
        }
    }
}

fn tell(text: &str) {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).expect("written");
}

/// What is measured is what is shipped.
fn build_program() {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let built = cargo.args(["build", "--release", "--locked", "--package", "kinfold-cli"]).status();
    assert!(built.expect("cargo").success());
}
