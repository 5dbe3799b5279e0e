//! A disk that cannot be read for a moment: the person is told, and nothing is missing afterwards.

use kinfold_protocol::error::Error;
use kinfold_protocol::persist::ReadError;
use kinfold_protocol::step::{Command, Input};
use kinfold_tests::disk::Trouble;
use zeroize::Zeroizing;

use crate::stage::{ANA, BEN, CHI, Stage};

const FAILED: Error = Error::Read(ReadError);

#[test]
fn a_group_whose_forgetting_failed_is_still_there_and_talks() {
    let (mut stage, _) = Stage::three();
    let net = stage.net(BEN);
    stage.person(BEN).disk.trouble(Trouble { after: 0, times: 1, failed: 0 });
    assert_eq!(stage.give(BEN, Input::Command(Command::Forget { net })), Err(FAILED));
    stage.person(BEN).disk.heal();
    assert_eq!(stage.person(BEN).client.groups().len(), 1);
    stage.say(ANA, "hello");
    stage.pass(60_000);
    assert_eq!(stage.texts(BEN), ["hello"]);
}

#[test]
fn rows_that_cannot_be_read_again_after_a_failed_step_leave_the_group_in_place() {
    let (mut stage, group) = Stage::three();
    stage.restart(BEN);
    stage.pass(60_000);
    let mut failures = 0;
    for after in 0..200 {
        stage.person(BEN).disk.trouble(Trouble { after, times: 2, failed: 0 });
        let command = Command::Send { group, text: Zeroizing::new("hello".to_owned()), expires: None };
        let result = stage.give(BEN, Input::Command(command));
        let failed = stage.person(BEN).disk.heal().unwrap().failed;
        if failed == 0 {
            result.unwrap();
            break;
        }
        failures += 1;
        assert_eq!(result, Err(FAILED));
        stage.pass(1);
        assert_eq!(stage.person(BEN).client.groups().len(), 1, "after {after} reads");
    }
    assert!(failures > 2);
    stage.pass(60_000);
    assert_eq!(stage.texts(CHI), ["hello"]);
}
