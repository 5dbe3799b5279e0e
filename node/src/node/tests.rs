//! The core loop over a store that fails on demand, and networks that a test plays: nothing leaves before it is durable,
//! and a failure costs no more than it must.

mod flood;
mod hidden;
mod wire;

use serde_json::json;

use self::wire::Wire;
use super::*;
use crate::store::CommitFault::{AfterDurable, BeforeDurable};

const ANA: usize = 0;
const BEN: usize = 1;

/// Ana and Ben, linked, in one group; each has said something.
async fn talking() -> Wire {
    let mut wire = Wire::new(2).await;
    wire.ask_and_carry(ANA, "group.create", &json!({ "name": "Circle", "display_name": "Ana" }))
        .await
        .expect("a group");
    let invite = wire.ask_and_carry(ANA, "invite.create", &json!({ "group": "Circle" })).await.expect("an invite");
    let joined = wire.ask_and_carry(BEN, "join", &json!({ "invite": invite["invite"], "name": "Ben" })).await;
    assert_eq!(joined.expect("joins")["name"], "Circle");
    wire.say(ANA, "hello Ben").await.expect("kept");
    wire.say(BEN, "hello Ana").await.expect("kept");
    for who in [ANA, BEN] {
        assert_eq!(wire.said(who).await, ["hello Ben", "hello Ana"]);
        wire.people[who].told_lines();
    }
    wire
}

/// Both go on talking, and see the same, each message once.
async fn talks_on(wire: &mut Wire, expected: &[&str]) {
    wire.say(ANA, "still here").await.expect("the store was opened again");
    wire.say(BEN, "good").await.expect("kept");
    let expected: Vec<&str> = expected.iter().chain(&["still here", "good"]).copied().collect();
    for who in [ANA, BEN] {
        assert_eq!(wire.said(who).await, expected, "at {who}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_told_or_answered_before_it_is_durable() {
    let mut wire = talking().await;
    wire.people[ANA].watch_commits();
    wire.say(ANA, "in order").await.expect("kept");
    let seen = wire.people[ANA].seen_at_commits();
    assert!(!seen.is_empty(), "the message was committed");
    for (sent, told, answered) in seen {
        assert_eq!((sent, told, answered), (0, 0, false), "something was first");
    }
    assert_eq!(wire.people[ANA].told_lines(), ["in order"]);
    assert_eq!(wire.said(BEN).await, ["hello Ben", "hello Ana", "in order"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_commit_was_lost_is_refused_and_nobody_ever_sees_it() {
    let mut wire = talking().await;
    let openings = wire.people[ANA].openings();
    wire.people[ANA].disk.fail_commit_after(0, BeforeDurable);
    let answer = wire.ask(ANA, "send", &json!({ "group": "Circle", "text": "lost" })).await;
    let left = wire.people[ANA].given_to_stopped_networks();
    assert_eq!(left, 0, "bytes of a lost round left the device");
    assert_eq!(answer.expect_err("an error").kind.name(), "storage_failed");
    assert_eq!(wire.people[ANA].told_lines(), Vec::<String>::new(), "a face was told of what is not so");
    assert_eq!(wire.people[ANA].openings(), openings + 1, "the store was opened again");
    wire.carry().await;
    talks_on(&mut wire, &["hello Ben", "hello Ana"]).await;
    // Typed again, it is said once.
    wire.say(ANA, "lost").await.expect("kept");
    assert_eq!(wire.said(BEN).await.iter().filter(|text| *text == "lost").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_commit_survived_an_error_is_accepted_told_and_arrives_once() {
    let mut wire = talking().await;
    wire.people[ANA].disk.fail_commit_after(0, AfterDurable);
    let answer = wire.ask(ANA, "send", &json!({ "group": "Circle", "text": "survived" })).await;
    assert_eq!(wire.people[ANA].given_to_stopped_networks(), 0, "not before the store was opened again");
    assert_eq!(answer.expect("it is kept")["state"], "kept");
    assert_eq!(wire.people[ANA].told_lines(), ["survived"], "a face that follows sees what was said");
    wire.carry().await;
    talks_on(&mut wire, &["hello Ben", "hello Ana", "survived"]).await;
    assert_eq!(wire.people[BEN].told_lines(), ["survived", "still here", "good"], "told once each");
}

/// The files are moved between the durable write and what the time brings, and come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_durable_when_the_files_went_away_is_accepted() {
    for refusals in [0, 1] {
        let mut wire = talking().await;
        wire.people[ANA].move_files_away();
        wire.people[ANA].refuse_openings(refusals);
        let mut answer = wire.begin(ANA, "send", &json!({ "group": "Circle", "text": "durable" })).await;
        if refusals > 0 {
            wire.people[ANA].time_to_try_again();
            wire.turn(ANA).await;
        }
        assert_eq!(answer.try_recv().expect("an answer").expect("it is kept")["state"], "kept");
        wire.carry().await;
        talks_on(&mut wire, &["hello Ben", "hello Ana", "durable"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_when_the_store_failed_is_shown_once_whether_it_was_lost_or_not() {
    for fault in [BeforeDurable, AfterDurable] {
        let mut wire = talking().await;
        wire.people[ANA].disk.fail_commit_after(0, fault);
        wire.say(BEN, "in the middle").await.expect("kept");
        assert_eq!(wire.people[ANA].told_lines(), ["in the middle"], "{fault:?}");
        talks_on(&mut wire, &["hello Ben", "hello Ana", "in the middle"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_or_a_join_that_was_lost_is_not_reported_as_made() {
    let mut wire = talking().await;
    wire.people[BEN].disk.fail_commit_after(0, BeforeDurable);
    let made = wire.ask_and_carry(BEN, "group.create", &json!({ "name": "Other", "display_name": "Ben" })).await;
    assert_eq!(made.expect_err("it is gone").kind.name(), "storage_failed");
    let invite = wire.ask_and_carry(ANA, "invite.create", &json!({ "group": "Circle" })).await.expect("an invite");
    let mut chi = Wire::new(1).await;
    chi.people[0].disk.fail_commit_after(0, BeforeDurable);
    let joined = chi.ask_and_carry(0, "join", &json!({ "invite": invite["invite"], "name": "Chi" })).await;
    assert_eq!(joined.expect_err("it is gone").kind.name(), "storage_failed");
    let groups = wire.ask_and_carry(BEN, "group.list", &json!({})).await.expect("groups");
    assert_eq!(groups["groups"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_open_is_tried_again_and_says_why_until_then() {
    let mut wire = talking().await;
    wire.people[ANA].refuse_openings(2);
    wire.people[ANA].disk.fail_commit_after(0, BeforeDurable);
    let mut lost = wire.begin(ANA, "send", &json!({ "group": "Circle", "text": "lost" })).await;
    for _ in 0..2 {
        assert!(lost.try_recv().is_err(), "only the store knows whether it survived");
        let status = wire.ask_and_carry(ANA, "status", &json!({})).await;
        assert_eq!(status.expect_err("why").kind.name(), "disk_full");
        wire.people[ANA].time_to_try_again();
        wire.turn(ANA).await;
    }
    assert_eq!(lost.try_recv().expect("an answer").expect_err("an error").kind.name(), "storage_failed");
    wire.carry().await;
    talks_on(&mut wire, &["hello Ben", "hello Ana"]).await;
}

/// The batch survived the error, and the store does not open at once: whoever asked must not be told that it failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_survived_is_not_refused_because_the_store_opens_late() {
    let mut wire = talking().await;
    wire.people[ANA].refuse_openings(1);
    wire.people[ANA].disk.fail_commit_after(0, AfterDurable);
    let mut answer = wire.begin(ANA, "send", &json!({ "group": "Circle", "text": "survived" })).await;
    wire.people[ANA].time_to_try_again();
    wire.turn(ANA).await;
    assert_eq!(answer.try_recv().expect("an answer").expect("it is kept")["state"], "kept");
    wire.carry().await;
    talks_on(&mut wire, &["hello Ben", "hello Ana", "survived"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_what_is_here_is_shown_and_with_room_everything_goes_on() {
    let mut wire = talking().await;
    let openings = wire.people[ANA].openings();
    wire.people[ANA].disk.fill(true);
    let answer = wire.ask_and_carry(ANA, "send", &json!({ "group": "Circle", "text": "lost" })).await;
    assert_eq!(answer.expect_err("no room").kind.name(), "disk_full");
    wire.say(BEN, "while it was full").await.expect("kept");
    assert_eq!(wire.said(ANA).await, ["hello Ben", "hello Ana"]);
    let status = wire.ask_and_carry(ANA, "status", &json!({})).await.expect("an answer");
    assert!(status["full"]["message"].is_string() && status["groups"][0]["connected"] == 0, "{status}");
    wire.people[ANA].disk.fill(false);
    // She hears it before she says anything more: otherwise neither would be the later one.
    wire.turn(ANA).await;
    wire.carry().await;
    assert_eq!(wire.said(ANA).await, ["hello Ben", "hello Ana", "while it was full"]);
    talks_on(&mut wire, &["hello Ben", "hello Ana", "while it was full"]).await;
    assert_eq!(wire.people[ANA].openings(), openings, "what opens needs no room");
}
