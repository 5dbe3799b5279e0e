//! Groups, people and messages that cannot be what was asked for.

use crate::device::{Device, place, two};
use crate::told::Words;
use crate::wait::until;

const GROUP: &str = "Circle";
/// The longest message, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

const TOO_LONG_HINT: &str = "a message can have about 2,500 words; a longer one can go in parts";
const GROUPS_HINT: &str = "`kinfold group list` shows the groups you are in";

#[test]
fn a_message_is_sent_whole_or_not_at_all() {
    let place = place();
    let ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    let longest = "x".repeat(TEXT_BYTES_MAX);
    let too_long = Words(1, "bad_text", "the message is too long; it was not sent", TOO_LONG_HINT);
    too_long.told_by(&ana, &["send", GROUP, &format!("{longest}x")]);
    let typed = ana.run_typing(&["send", GROUP, "-", "--json"], &format!("{longest}x"));
    Words(1, "bad_text", "the text is too long; it was not sent", TOO_LONG_HINT).are(&typed);
    let empty = Words(1, "bad_text", "the message is empty; it was not sent", "write something, then send it");
    empty.told_by(&ana, &["send", GROUP, " "]);
    assert_eq!(ana.texts(GROUP), []);
    ana.done(&["send", GROUP, &longest]);
    assert_eq!(ana.texts_of(GROUP, 1)[0].1, longest);
}

#[test]
fn a_group_that_is_not_here_is_named_and_a_near_one_asked_about() {
    let place = place();
    let ana = Device::started(place.path(), "Ana");
    ana.done(&["group", "create", GROUP, "--name", "Ana"]);
    let unknown = |message, hint| Words(1, "unknown_group", message, hint);
    let message = "there is no such group on this device; nothing was changed";
    for line in [&["history", "Elsewhere"][..], &["members", "Elsewhere"], &["invite", "Elsewhere"]] {
        unknown(message, GROUPS_HINT).told_by(&ana, line);
    }
    unknown(message, "did you mean \"Circle\"?").told_by(&ana, &["history", "Cirlce"]);
    let not_sent = "there is no such group on this device; your message was not sent";
    unknown(not_sent, GROUPS_HINT).told_by(&ana, &["send", "Elsewhere", "hello"]);
    unknown(not_sent, "did you mean \"Circle\"?").told_by(&ana, &["send", "Cirlce", "hello"]);
    assert_eq!(ana.texts(GROUP), []);
}

#[test]
fn somebody_who_is_not_in_the_group_is_not_removed_from_it() {
    let place = place();
    let [ana, ben] = two(place.path(), GROUP);
    let unknown =
        |hint| Words(1, "unknown_member", "nobody in this group goes by that name; nothing was changed", hint);
    let members = "`kinfold members \"Circle\"` shows who is in it";
    for line in [&["remove", GROUP, "Somebody", "--yes"][..], &["verify", GROUP, "Somebody"]] {
        unknown(members).told_by(&ana, line);
    }
    unknown("did you mean \"Ben\"?").told_by(&ana, &["remove", GROUP, "Benn", "--yes"]);
    for device in [&ana, &ben] {
        assert_eq!(device.people(GROUP), ["Ana", "Ben"]);
    }
}

#[test]
fn who_was_removed_is_told_so_and_what_they_write_goes_nowhere() {
    let place = place();
    let [ana, ben] = two(place.path(), GROUP);
    ben.done(&["send", GROUP, "before"]);
    until("the end of an outbox", || ben.rows(&["outbox"]).is_empty().then_some(()));
    ana.done(&["remove", GROUP, "Ben", "--yes"]);
    until("the news at Ben", || (ben.done(&["group", "show", GROUP])["standing"] == "removed").then_some(()));
    Words(
        1,
        "group_removed",
        "you are no longer in this group; your other groups are not affected; your message was not sent",
        "a facilitator of the group can tell you more",
    )
    .told_by(&ben, &["send", GROUP, "after"]);
    assert_eq!(ben.rows(&["outbox"]), Vec::<serde_json::Value>::new());
    ana.done(&["send", GROUP, "to those who are here"]);
    let texts: Vec<_> = ana.texts_of(GROUP, 2).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["before", "to those who are here"]);
}

#[test]
fn a_name_that_would_pass_for_a_word_of_ours_or_hides_something_is_not_taken() {
    let place = place();
    let [ana, ben] = ["Ana", "Ben"].map(|name| Device::started(place.path(), name));
    let taken = "your name would be read as a word of Kinfold itself, such as You; nothing was changed";
    let hidden = "your name has characters in it that cannot be seen; nothing was changed";
    let taken = Words(1, "bad_name", taken, "choose a name that can only be you, such as Ana");
    let hidden = Words(1, "bad_name", hidden, "type it by hand instead of pasting it");
    let names =
        [("You", taken), ("y\u{43e}u", taken), ("System", taken), ("An\u{fe01}a", hidden), ("A\u{200d}na", hidden)];
    for (name, words) in names {
        words.told_by(&ana, &["group", "create", GROUP, "--name", name]);
    }
    ana.done(&["group", "create", GROUP, "--name", "Ana \u{2764}\u{fe0f}"]);
    let invite = ana.invite(GROUP);
    for (name, words) in names {
        words.are(&ben.run(&["join", &invite, "--name", name, "--json"]));
    }
    // Somebody else's name in other letters is told apart, in JSON too.
    ben.done(&["join", &invite, "--name", "\u{410}n\u{430} \u{2764}\u{fe0f}"]);
    let present = until("Ben at Ana", || {
        let row = ana.done(&["group", "show", GROUP]);
        row["present"][0].as_str().map(str::to_owned)
    });
    assert!(present.ends_with(']') && present.contains(" ["), "{present}");
}
