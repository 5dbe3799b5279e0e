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
