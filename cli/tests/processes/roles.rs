//! Who may change a group, and how one goes.

use serde_json::Value;

use crate::device::{Device, place, text};
use crate::wait::until;

const GROUP: &str = "Circle";

fn refused(code: &str) -> (i32, String) {
    (1, code.to_owned())
}

fn kinds(device: &Device) -> Vec<(String, Option<String>)> {
    let rows = device.rows(&["history", GROUP]);
    rows.iter().map(|row| (text(&row["kind"]), row["member"].as_str().map(str::to_owned))).collect()
}

#[test]
fn only_a_facilitator_changes_the_group_and_the_last_one_stays() {
    let place = place();
    let [ana, ben] = ["Ana", "Ben"].map(|name| Device::started(place.path(), name));
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ben.join(&ana, GROUP);
    ben.until_people(GROUP, &["Ana", "Ben"]);
    for line in [&["invite", GROUP][..], &["remove", GROUP, "Ana", "--yes"], &["retention", GROUP, "2d"]] {
        let ran = ben.run(&[line, &["--json"]].concat());
        assert_eq!(ran.refusal(), refused("not_facilitator"), "{line:?}");
        let error = &ran.json()["error"];
        assert_eq!(error["message"], "only a facilitator of this group can do that; nothing was changed");
        assert!(error["hint"].is_string(), "{line:?}: what to do instead");
    }
    assert_eq!(ana.refused(&["group", "leave", GROUP, "--yes"]), refused("last_facilitator"));
    assert_eq!(ana.refused(&["remove", GROUP, "Ana", "--yes"]), refused("remove_self"));
    for device in [&ana, &ben] {
        assert_eq!(device.people(GROUP), ["Ana", "Ben"]);
        assert_eq!(device.done(&["retention", GROUP])["retention_secs"], 7 * 86_400);
    }
    ana.done(&["retention", GROUP, "2d"]);
    until("the new rule at Ben", || (ben.done(&["retention", GROUP])["retention_secs"] == 172_800).then_some(()));
}

#[test]
fn a_leave_waits_for_the_facilitator_and_the_last_one_may_go_when_alone() {
    let place = place();
    let [mut ana, ben, chi] = ["Ana", "Ben", "Chi"].map(|name| Device::started(place.path(), name));
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ben.join(&ana, GROUP);
    chi.join(&ana, GROUP);
    chi.until_people(GROUP, &["Ana", "Ben", "Chi"]);
    ben.until_people(GROUP, &["Ana", "Ben", "Chi"]);
    ana.down();
    assert_eq!(ben.done(&["group", "leave", GROUP, "--yes"])["standing"], "leaving");
    assert_eq!(ben.refused(&["send", GROUP, "one more thing"]), refused("group_left"));
    assert_eq!(chi.people(GROUP), ["Ana", "Ben", "Chi"]);
    ana.up();
    ana.until_people(GROUP, &["Ana", "Chi"]);
    chi.until_people(GROUP, &["Ana", "Chi"]);
    for device in [&ana, &chi] {
        let left: Vec<_> = kinds(device).into_iter().filter(|(kind, _)| kind == "left" || kind == "removed").collect();
        assert_eq!(left, [("left".to_owned(), Some("Ben".to_owned()))], "at {}", device.name);
    }
    until("the end of the group at Ben", || {
        ben.rows(&["group", "list"]).iter().all(|row| row["standing"] == "left").then_some(())
    });
    ana.done(&["remove", GROUP, "Chi", "--yes"]);
    until("the removal at Chi", || {
        chi.rows(&["group", "list"]).iter().any(|row| row["standing"] == "removed").then_some(())
    });
    assert_eq!(chi.refused(&["send", GROUP, "hello?"]), refused("group_removed"));
    assert_eq!(ana.done(&["group", "leave", GROUP, "--yes"])["standing"], "left");
    assert_eq!(ana.rows(&["group", "list"]), Vec::<Value>::new());
}

/// Ana shares the group with Ben, who lets Chi in, and then with Chi. Of three it takes two to take the role from one.
#[test]
fn a_group_that_is_shared_is_changed_by_each_and_against_one_of_three_by_two() {
    let place = place();
    let [ana, mut ben, chi] = ["Ana", "Ben", "Chi"].map(|name| Device::started(place.path(), name));
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ben.join(&ana, GROUP);
    ben.until_people(GROUP, &["Ana", "Ben"]);
    assert_eq!(ana.done(&["facilitator", "add", GROUP, "Ben", "--yes"])["proposed"], Value::Null);
    let role = |at: &Device, name: &str| {
        let people = at.rows(&["members", GROUP]);
        people.iter().find(|row| row["name"] == name).map(|row| text(&row["role"])).expect("a member")
    };
    until("Ben as facilitator", || (role(&ben, "Ben") == "facilitator").then_some(()));
    chi.join(&ben, GROUP);
    for device in [&ana, &ben, &chi] {
        device.until_people(GROUP, &["Ana", "Ben", "Chi"]);
    }
    ben.done(&["facilitator", "add", GROUP, "Chi", "--yes"]);
    until("Chi as facilitator", || {
        (role(&chi, "Chi") == "facilitator" && role(&ana, "Chi") == "facilitator").then_some(())
    });
    assert_eq!(ana.done(&["facilitator", "remove", GROUP, "Ben", "--yes"])["proposed"], true);
    until("Ana's wish at Chi", || {
        let shown = chi.done(&["group", "show", GROUP]);
        (shown["proposals"][0]["by"] == "Ana" && shown["proposals"][0]["member"] == "Ben").then_some(())
    });
    assert_eq!(role(&ben, "Ben"), "facilitator");
    assert_eq!(chi.done(&["facilitator", "remove", GROUP, "Ben", "--yes"])["proposed"], Value::Null);
    until("the end of Ben's role", || (role(&ben, "Ben") == "member").then_some(()));
    assert_eq!(ben.refused(&["invite", GROUP]), refused("not_facilitator"));
    // The one who made the group may go now, whoever else is there.
    assert_eq!(ana.done(&["group", "leave", GROUP, "--yes"])["standing"], "leaving");
    chi.until_people(GROUP, &["Ben", "Chi"]);
    let told: Vec<_> = kinds(&chi).into_iter().filter(|(kind, _)| kind != "text" && kind != "joined").collect();
    let told: Vec<_> =
        told.iter().map(|(kind, member)| (kind.as_str(), member.as_deref().unwrap_or_default())).collect();
    assert_eq!(told, [("appointed", "Chi"), ("dismissed", "Ben"), ("left", "Ana")]);
    let [at_ben, at_chi] = [&ben, &chi].map(|device| device.done(&["doctor", "group", GROUP]));
    assert_eq!((&at_ben["state"], &at_ben["number"]), (&at_chi["state"], &at_chi["number"]));
    assert!(at_chi["peers"].as_array().expect("peers").iter().any(|peer| peer["state"] == at_chi["state"]));
    let log = chi.rows(&["log", GROUP]);
    let logged: Vec<_> = log.iter().map(|row| (text(&row["kind"]), text(&row["author"]))).collect();
    // Two wanted it, and one of them is named: which, their ids decide.
    let named = &logged[2].1;
    assert!(["Ana", "Chi"].contains(&named.as_str()), "{named}");
    let expected = [("joined", "Chi"), ("appointed", "Ben"), ("dismissed", named), ("left", "Ana")];
    assert_eq!(logged, expected.map(|(kind, by)| (kind.to_owned(), by.to_owned())));
    ben.down();
}
