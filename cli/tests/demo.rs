//! The demo as a person runs it: every check holds, in time, and nothing is left behind. That a check that does not
//! hold ends it is shown where the checks are.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Checks that the story makes.
const CHECKS: u64 = 22;

/// What is promised: under a minute, once it is built.
const TIME_MAX: Duration = Duration::from_secs(60);

fn command(temporary: &TempDir, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinfold"));
    // Neither is for the demo: it has folders and passphrases of its own.
    command.env("KINFOLD_DATA_DIR", "/nowhere").env("KINFOLD_PASSPHRASE", "not this one");
    command.arg("demo").args(line).env("TMPDIR", temporary.path());
    command
}

fn demo(temporary: &TempDir, line: &[&str]) -> (Output, Duration) {
    let begun = Instant::now();
    let output = command(temporary, line).output().expect("runs");
    (output, begun.elapsed())
}

fn left_behind(temporary: &TempDir) -> usize {
    std::fs::read_dir(temporary.path()).expect("a folder").count()
}

/// The number before a line's full stop, if it begins with one.
fn number_of(line: &str) -> Option<u64> {
    line.trim_start().split_once(". ").and_then(|(number, _)| number.parse().ok())
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
    assert_eq!(left_behind(&temporary), 0, "the demo leaves something behind");
}

#[test]
fn a_person_who_watches_reads_every_check_its_limit_and_how_to_start_for_real() {
    let temporary = TempDir::new().expect("a folder");
    let (output, took) = demo(&temporary, &[]);
    let (data, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{data}{talk}");
    assert!(took < TIME_MAX, "it took {took:?}");
    assert_eq!(talk, "");
    let numbers: Vec<u64> = data.lines().filter_map(number_of).collect();
    assert_eq!(numbers, (1..=CHECKS).collect::<Vec<_>>(), "{data}");
    // What was shown is not the whole truth about files, and that stands right beside it.
    let limit = data.lines().position(|line| line.trim_start().starts_with("A limit: ")).expect("a limit");
    let before = data.lines().take(limit).filter_map(number_of).last().expect("a check before it");
    let checked = data.lines().find(|line| number_of(line) == Some(before)).expect("that check");
    assert!(checked.contains("store"), "the limit stands beside what it limits: {checked}");
    let last = data.trim_end().rsplit("\n\n").next().expect("a last paragraph");
    for verb in ["kinfold init", "kinfold up", "kinfold group create", "kinfold invite", "kinfold join", "kinfold chat"]
    {
        assert!(last.contains(verb), "{verb} is no part of the ending: {last}");
    }
    assert_eq!(left_behind(&temporary), 0, "the demo leaves something behind");
}

#[test]
fn a_demo_one_of_whose_people_is_killed_says_so_and_leaves_nothing() {
    let temporary = TempDir::new().expect("a folder");
    let begun = Instant::now();
    let mut child = command(&temporary, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let first = lines.find(|line| number_of(line) == Some(1)).expect("the first check");
    let (_, after) = first.split_once("(process ").expect("a number");
    let (number, _) = after.split_once(')').expect("the end of it");
    let ana = Pid::from_raw(number.parse().expect("a number")).expect("a pid");
    assert_eq!(left_behind(&temporary), 1, "it takes place in a folder");
    kill_process(ana, Signal::KILL).expect("killed");

    let rest: Vec<String> = lines.collect();
    let mut talk = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut talk).expect("text");
    let status = child.wait().expect("ends");
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    assert!(begun.elapsed() < TIME_MAX, "it does not wait for who is dead");
    assert!(rest.iter().filter_map(|line| number_of(line)).all(|number| number < CHECKS), "{rest:?}");
    assert!(!rest.iter().any(|line| line.contains("kinfold init")), "it does not end as if all were well");
    // What was going on, that it went no further, and that nothing of the person's was touched.
    let error = talk.lines().find(|line| line.starts_with("Error: While ")).unwrap_or_else(|| panic!("{talk}"));
    assert!(error.contains("the demo"), "{talk}");
    assert!(talk.contains("nothing of yours was touched"), "{talk}");
    assert_eq!(left_behind(&temporary), 0, "the demo leaves something behind");
}
