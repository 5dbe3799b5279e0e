//! What the fuzzers have kept is run again, and varied for a while: a second each, five with `KINFOLD_ALL` set. A search
//! led by coverage is `fuzz/run`.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use kinfold_node::control::api::METHODS;
use kinfold_tests::fuzzing::{TARGETS, target};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// Changes of one input: few, so that most of it still has its meaning.
const CHANGES_MAX: usize = 4;

/// What is kept for a target, in the order of the names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The same with a few bytes changed, taken out, put in or exchanged with those of another.
fn varied(kept: &[Vec<u8>], rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut below = |bound: usize| usize::try_from(rng.next_u64() % bound.max(1) as u64).unwrap();
    let mut bytes = kept[below(kept.len())].clone();
    for _ in 0..=below(CHANGES_MAX) {
        let at = below(bytes.len() + 1);
        match below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, u8::try_from(below(256)).unwrap()),
            2 => {
                let other = &kept[below(kept.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[below(other.len() + 1)..]);
            }
            3 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << below(8);
                }
            }
        }
    }
    bytes
}

/// A target holds for what is kept and for what is like it; and what is kept alone goes everywhere that is named here.
#[track_caller]
fn holds(name: &str, far: &[&str]) {
    let target = target(name).unwrap();
    let kept = corpus(name);
    let mut reached = BTreeSet::new();
    for bytes in &kept {
        target(bytes, &mut |place| reached.extend([place.to_owned()]));
    }
    let missed: Vec<_> = far.iter().filter(|place| !reached.contains(**place)).collect();
    assert!(missed.is_empty(), "nothing that is kept reaches {missed:?}, only {reached:?}");
    let span = Duration::from_secs(if std::env::var_os("KINFOLD_ALL").is_some() { 5 } else { 1 });
    let (mut rng, begin) = (ChaCha20Rng::from_seed([7; 32]), Instant::now());
    while begin.elapsed() < span {
        target(&varied(&kept, &mut rng), &mut |_| ());
    }
}

macro_rules! targets {
    ($($name:ident: $($far:expr),*;)*) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name), &[$(&$far[..]),*].concat());
        })*

        #[test]
        fn none_is_left_out() {
            assert_eq!(TARGETS.map(|(name, _)| name), [$(stringify!($name)),*]);
        }
    };
}

targets! {
    envelope: ["badly padded", "parsed", "refused", "sealed", "unpadded"];
    hello: ["answered", "both turned away", "met", "one turned away", "turned away"];
    invite: ["bytes", "refused", "text"];
    live: [
        "command applied", "error only a facilitator can do this", "error text empty or too long", "frame applied",
        "frame refused bad_seal", "frame refused malformed", "frame refused out_of_turn", "gossip applied",
        "gossip duplicate", "gossip parked gap", "gossip parked unknown_epoch", "gossip refused bad_seal",
        "gossip refused expired", "gossip refused invalid_commit", "gossip refused malformed",
        "gossip refused not_a_member", "gossip refused wrong_lane", "new rules", "spent",
    ];
    local_api: METHODS, ["error BadJson", "error BadParams", "error BadRequest", "error UnknownMethod"];
    stored_row: [
        "changed", "counters", "head", "in chunks", "in one", "keyring", "newer", "slot", "unreadable",
    ];
    sync: ["compared", "done", "no round", "parsed", "refused"];
    ticket: [
        "allowed", "commit", "content", "control", "credential", "extension", "link", "numbered", "out of bounds",
        "signed by nobody", "ticket", "vote",
    ];
}
