//! The demo as a person runs it: every check holds, in time, and nothing is left behind. That a check that does not
//! hold ends it is shown where the checks are.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Checks that the story makes.
const CHECKS: u64 = 22;

/// Longer than it takes on a slow machine under load.
const TIME_MAX: Duration = Duration::from_secs(90);

fn demo(temporary: &TempDir, line: &[&str]) -> (Output, Duration) {
    let begun = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinfold"));
    // Neither is for the demo: it has folders and passphrases of its own.
    command.env("KINFOLD_DATA_DIR", "/nowhere").env("KINFOLD_PASSPHRASE", "not this one");
    let output = command.arg("demo").args(line).env("TMPDIR", temporary.path()).output().expect("runs");
    (output, begun.elapsed())
}

#[test]
fn every_check_of_the_demo_holds_in_time_and_nothing_is_left() {
    let temporary = TempDir::new().expect("a folder");
    let (output, took) = demo(&temporary, &["--json"]);
    let (data, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{data}{talk}");
    assert!(took < TIME_MAX, "it took {took:?}");
    assert_eq!(talk, "");
    let rows: Vec<Value> = data.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let numbers: Vec<u64> = rows.iter().filter_map(|row| row["check"].as_u64()).collect();
    assert_eq!(numbers, (1..=CHECKS).collect::<Vec<_>>(), "{data}");
    assert!(rows.iter().all(|row| row["text"].as_str().is_some_and(|text| text.ends_with('.'))), "{data}");
    for word in ["epoch", "commit", "peer"] {
        assert!(!data.to_lowercase().contains(word), "{word} is no word for people");
    }
    let left = std::fs::read_dir(temporary.path()).expect("a folder").count();
    assert_eq!(left, 0, "the demo leaves something behind");
}
