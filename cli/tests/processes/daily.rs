//! What people do with the program, in real nodes: windows to talk in, what waits and what is unread, safety codes, and
//! messages that wait for their author's word.

use serde_json::{Value, json};

use crate::device::{Device, place, text, two};
use crate::wait::until;

const GROUP: &str = "Circle";

/// The only group, as `status` and `group list` show it.
fn group(device: &Device) -> [Value; 2] {
    [device.done(&["status"])["groups"][0].clone(), device.rows(&["group", "list"])[0].clone()]
}

#[test]
fn what_is_typed_in_one_window_appears_in_the_other_once() {
    let place = place();
    let [ana, ben] = two(place.path(), GROUP);
    let mut windows = [ana.chat(&[GROUP]), ben.chat(&[GROUP])];
    for (from, words) in [(0, "how are you, Ben"), (1, "better than last week"), (0, "I am glad")] {
        windows[from].type_in(words);
        windows[1 - from].shows(words);
    }
    let said = ana.texts_of(GROUP, 3);
    assert_eq!(ben.texts_of(GROUP, 3), said);
    for (window, own) in windows.into_iter().zip([2, 1]) {
        let rest = window.quit();
        assert!(!rest.iter().any(|line| said.iter().any(|(_, text)| line.contains(text))), "{own}: again: {rest:?}");
    }
}

#[test]
fn status_and_the_list_of_groups_tell_what_is_unread_and_who_is_connected() {
    let place = place();
    let [mut ana, ben] = two(place.path(), GROUP);
    for row in group(&ben) {
        assert_eq!((&row["unread"], &row["connected"], &row["present"]), (&json!(0), &json!(1), &json!(["Ana"])));
    }
    ana.done(&["send", GROUP, "one for later"]);
    ben.texts_of(GROUP, 1);
    for row in group(&ben) {
        assert_eq!((&row["unread"], &row["name"], &row["members"]), (&json!(1), &json!(GROUP), &json!(2)));
    }
    for row in group(&ana) {
        assert_eq!(row["unread"], 0, "one's own are read");
    }
    ben.rows(&["history", GROUP]);
    assert_eq!(group(&ben).map(|row| row["unread"].clone()), [json!(0), json!(0)]);
    ana.down();
    until("Ana is seen to be gone", || (group(&ben)[0]["connected"] == 0).then_some(()));
    assert_eq!(group(&ben).map(|row| row["present"].clone()), [json!([]), json!([])]);
}

#[test]
fn a_safety_code_is_the_same_on_both_sides_and_its_mark_stays_where_it_was_made() {
    let place = place();
    let [ana, mut ben] = two(place.path(), GROUP);
    let code = |device: &Device, whom: &str| device.done(&["verify", GROUP, whom]);
    let (at_ana, at_ben) = (code(&ana, "Ben"), code(&ben, "Ana"));
    assert_eq!(at_ana["safety_code"], at_ben["safety_code"]);
    let digits = text(&at_ana["safety_code"]);
    let groups: Vec<usize> = digits.split(' ').map(str::len).collect();
    assert!(groups == [5; 6] && digits.chars().all(|sign| sign == ' ' || sign.is_ascii_digit()), "{digits}");
    assert_eq!((&at_ana["verified"], &at_ben["verified"]), (&json!(false), &json!(false)));
    assert_eq!(ben.done(&["verify", GROUP, "Ana", "--confirm"])["verified"], true);
    ben.down();
    ben.up();
    let verified = |device: &Device, whom: &str| {
        let rows = device.rows(&["members", GROUP]);
        rows.iter().find(|row| row["name"] == whom).map(|row| row["verified"].clone())
    };
    assert_eq!(verified(&ben, "Ana"), Some(json!(true)), "it outlives a restart");
    assert_eq!(verified(&ana, "Ben"), Some(json!(false)), "Ana has not compared it");
}

#[test]
fn messages_that_somebody_newer_would_read_wait_for_their_authors_word() {
    let place = place();
    let [mut ana, mut ben] = two(place.path(), GROUP);
    ana.down();
    until("Ana is seen to be gone", || (group(&ben)[0]["connected"] == 0).then_some(()));
    let [sent, dropped] = ["still true", "no longer true"].map(|words| text(&ben.done(&["send", GROUP, words])["id"]));
    ben.down();
    ana.up();
    let chi = Device::started(place.path(), "Chi");
    chi.join(&ana, GROUP);
    ben.up();
    until("both wait", || group(&ben).iter().all(|row| row["waiting"] == 2).then_some(()));
    let rows = ben.rows(&["outbox"]);
    assert_eq!(rows.iter().map(|row| &row["state"]).collect::<Vec<_>>(), ["waiting", "waiting"]);
    assert_eq!(rows.iter().map(|row| text(&row["id"])).collect::<Vec<_>>(), [sent.as_str(), &dropped]);

    ben.done(&["outbox", "send", &sent]);
    ben.done(&["outbox", "drop", &dropped, "--yes"]);
    until("the end of the outbox", || ben.rows(&["outbox"]).is_empty().then_some(()));
    ben.done(&["send", GROUP, "after both"]);
    for device in [&ana, &chi, &ben] {
        let texts: Vec<String> = device.texts_of(GROUP, 2).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["still true", "after both"], "at {}", device.name);
    }
    assert_eq!(group(&ben)[0]["waiting"], 0);
}
