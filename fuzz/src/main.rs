//! One program for all targets; `KINFOLD_FUZZ` names the target.

#![no_main]

use std::sync::OnceLock;

use kinfold_tests::fuzzing::{self, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

fn chosen() -> Target {
    let name = std::env::var("KINFOLD_FUZZ").unwrap_or_default();
    fuzzing::target(&name).expect("KINFOLD_FUZZ names a target")
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET.get_or_init(chosen)(bytes, &mut |_| ()));
