//! Somebody is away for a long time.

use serde_json::json;

use crate::device::{Api, Device, place};
use crate::wait::until;

const GROUP: &str = "Circle";

/// Says many things at once: each next only after the last was kept.
fn say(api: &mut Api, said: &mut Vec<String>, name: &str, count: usize) {
    for _ in 0..count {
        let text = format!("{name} says {}", said.len());
        api.call("send", &json!({ "group": GROUP, "text": text }));
        said.push(text);
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[test]
fn who_was_away_for_five_hundred_messages_gets_each_once_and_in_order_without_their_main_author() {
    let place = place();
    let [mut ana, mut ben, mut chi, dan] = ["Ana", "Ben", "Chi", "Dan"].map(|name| Device::new(place.path(), name));
    let mut dan = dan;
    for device in [&mut ana, &mut ben, &mut chi, &mut dan] {
        device.up();
    }
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ben.join(&ana, GROUP);
    chi.join(&ana, GROUP);
    chi.until_people(GROUP, &["Ana", "Ben", "Chi"]);
    until("Chi knows where Ben listens", || (chi.done(&["group", "show", GROUP])["connected"] == 2).then_some(()));
    chi.down();

    let mut said = Vec::new();
    say(&mut ana.api(), &mut said, "Ana", 60);
    say(&mut ben.api(), &mut said, "Ben", 40);
    dan.join(&ana, GROUP);
    say(&mut ana.api(), &mut said, "Ana", 60);
    say(&mut dan.api(), &mut said, "Dan", 80);
    // Dan is heard before he has to go.
    let by_now = said.len();
    ana.texts_of(GROUP, by_now);
    ana.done(&["remove", GROUP, "Dan", "--yes"]);
    ana.down();
    ana.up();
    say(&mut ana.api(), &mut said, "Ana", 100);
    say(&mut ben.api(), &mut said, "Ben", 60);
    ben.down();
    ben.up();
    ana.done(&["retention", GROUP, "30d"]);
    say(&mut ana.api(), &mut said, "Ana", 100);
    assert_eq!(said.len(), 500);
    let at_ben = ben.texts_of(GROUP, 500);
    assert_eq!(ana.texts_of(GROUP, 500), at_ben);
    ana.down();

    chi.up();
    until("the first of them", || (!chi.texts(GROUP).is_empty()).then_some(()));
    chi.kill();
    chi.up();
    let at_chi = chi.texts_of(GROUP, 500);
    assert_eq!(at_chi, at_ben, "the same order");
    let texts: Vec<String> = at_chi.into_iter().map(|(_, text)| text).collect();
    assert_eq!(sorted(texts), sorted(said), "all of them");
    assert_eq!(chi.people(GROUP), ["Ana", "Ben", "Chi"]);
    assert_eq!(chi.done(&["retention", GROUP])["retention_secs"], 30 * 86_400);
    drop(dan);
}

#[test]
fn who_was_away_while_a_member_was_removed_finds_the_newcomer_although_the_founder_is_gone() {
    let place = place();
    let [mut ana, mut ben, mut chi, mut dan] =
        ["Ana", "Ben", "Chi", "Dan"].map(|name| Device::started(place.path(), name));
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    ben.join(&ana, GROUP);
    chi.join(&ana, GROUP);
    chi.until_people(GROUP, &["Ana", "Ben", "Chi"]);
    // Only who has greeted as a member has said where it can be found.
    until("Chi at Ana's", || (ana.done(&["group", "show", GROUP])["connected"] == 2).then_some(()));
    chi.down();
    dan.join(&ana, GROUP);
    ana.done(&["remove", GROUP, "Ben", "--yes"]);
    let mut said = Vec::new();
    say(&mut ana.api(), &mut said, "Ana", 5);
    say(&mut dan.api(), &mut said, "Dan", 5);
    let at_dan = dan.texts_of(GROUP, 10);
    ana.texts_of(GROUP, 10);
    ana.down();
    // Ben's device is still up, and where Chi's remembers it; it can neither help nor hinder.
    chi.up();
    assert_eq!(chi.texts_of(GROUP, 10), at_dan);
    assert_eq!(chi.people(GROUP), ["Ana", "Chi", "Dan"]);
    assert_eq!(ben.texts(GROUP), Vec::new());
    ben.down();
    dan.down();
}
