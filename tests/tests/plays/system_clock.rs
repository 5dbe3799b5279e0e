//! What the system clock says decides nothing. The group's keys are kept by a library that reads it by itself, so here
//! the clock itself is wrong, while the time that is handed in is right: whatever changes, the library did it.

use std::env;
use std::path::PathBuf;
use std::process::Command as Program;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kinfold_protocol::step::Command;

use crate::stage::{ANA, BEN, Before, CHI, Stage};
use crate::wrong_clock::{FAST, SLOW, WrongClock};

const RIGHT: (&str, i64) = ("+0s", 0);
/// Tells the program that it is the one with the wrong clock: where that clock's setting is.
const SETTING: &str = "KINFOLD_TEST_CLOCK";
/// And when it was started, in seconds of the right clock.
const STARTED: &str = "KINFOLD_TEST_STARTED";
/// Longer than it can take.
const NEAR_SECS: u64 = 600;

fn system_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// Sets the clock, and sees that everything in this program reads it so.
fn turn(clock: &WrongClock, started: i64, (off, ahead): (&str, i64)) {
    clock.turn(off);
    let seen = system_seconds() - started;
    assert!(seen.abs_diff(ahead) < NEAR_SECS, "{seen} s ahead, not {ahead}");
}

/// Everybody who is left has the same people and the same rule, also after a restart, and they talk.
fn agree(stage: &mut Stage, people: &[usize], names: &[&str], retention: Duration) {
    for who in people {
        stage.restart(*who);
    }
    stage.pass(120_000);
    for who in people {
        stage.say(*who, &format!("{who} is here"));
    }
    stage.pass(20_000);
    let said: Vec<_> = people.iter().map(|who| format!("{who} is here")).collect();
    for who in people {
        let view = stage.view(*who);
        assert_eq!((stage.names(*who), view.retention), (names.iter().map(|name| (*name).into()).collect(), retention));
        assert_eq!(stage.texts(*who), said);
    }
}

/// Two come in by invite, the rule changes, and one goes in this way.
fn play(stage: &mut Stage, go: impl Fn(&mut Stage)) {
    let group = stage.found(&[BEN, CHI]);
    let retention = Duration::from_secs(3 * 86_400);
    stage.ask(ANA, Command::SetRetention { group, retention });
    stage.pass(2_000);
    for who in [ANA, BEN, CHI] {
        assert_eq!((stage.view(who).members, stage.view(who).retention), (3, retention));
    }
    go(stage);
    stage.pass(2_000);
    agree(stage, &[ANA, BEN], &["Ana", "Ben"], retention);
}

/// In a program whose clock can be set: every kind of commit there is, with each person's clock wrong in turn. The clock
/// is right while the others' devices run, so that who makes a key package, who commits it and who judges it differ.
fn with_wrong_clocks(setting: PathBuf, started: i64) {
    let clock = WrongClock::new(setting, RIGHT.0).unwrap();
    for off in [RIGHT, SLOW, FAST] {
        for wrong in [ANA, BEN, CHI] {
            let staged = || {
                let mut stage = Stage::empty(&[0; 3]);
                let clock = clock.clone();
                let of = move |who| turn(&clock, started, if who == wrong { off } else { RIGHT });
                stage.before = Before(Some(Box::new(of)));
                stage
            };
            play(&mut staged(), |stage| {
                let (group, member) = (stage.view(ANA).group, stage.member(CHI));
                stage.ask(ANA, Command::Remove { group, member });
            });
            play(&mut staged(), |stage| {
                let group = stage.view(CHI).group;
                stage.ask(CHI, Command::Leave { group });
            });
        }
    }
}

/// PROTOCOL V1.
#[test]
fn every_kind_of_commit_is_made_and_judged_alike_whatever_the_system_clock_says() {
    if let Some(setting) = env::var_os(SETTING) {
        let started = env::var(STARTED).unwrap().parse().unwrap();
        return with_wrong_clocks(setting.into(), started);
    }
    let name = "system_clock::every_kind_of_commit_is_made_and_judged_alike_whatever_the_system_clock_says";
    let setting = env::temp_dir().join(format!("kinfold-clock-{}", std::process::id()));
    let Some(clock) = WrongClock::new(setting.clone(), RIGHT.0) else { return };
    let mut program = Program::new(env::current_exe().unwrap());
    program.args([name, "--exact", "--nocapture"]).env(SETTING, &setting).env(STARTED, system_seconds().to_string());
    clock.give(&mut program);
    let ran = program.output().unwrap();
    std::fs::remove_file(&setting).unwrap();
    let (said, talk) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("1 passed"), "{said}{talk}");
}
