//! Windows that stay open.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout};

use kinfold_node::control::lines::{Notice, Stand, State};
use serde_json::{Value, json};

use crate::fake::{Fake, GROUP, Ran, line, row, start};

/// A child that is ended with the test.
struct Window {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Window {
    fn open(fake: &Fake, line: &[&str]) -> Self {
        let mut child = start(&fake.directory, line);
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, out }
    }

    fn read(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("reads");
        line.trim_end().to_owned()
    }

    fn type_in(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{line}").expect("writes");
    }

    /// Waits until it says on stderr that it follows.
    fn following(&mut self) {
        let stderr = self.child.stderr.take().expect("a pipe");
        let mut talk = BufReader::new(stderr).lines().map_while(Result::ok);
        assert!(talk.any(|line| line.starts_with("Following.")), "never followed");
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().unwrap_or_default();
        self.child.wait().expect("ends");
    }
}

fn received(id: &str) -> Notice {
    let stand = Stand { state: State::Received, received_by: Some(1), received_of: Some(1) };
    Notice::State { group_id: GROUP.into(), id: id.into(), stand }
}

#[test]
fn follow_for_scripts_is_the_rows_alone_each_once() {
    let fake = Fake::start();
    let mut window = Window::open(&fake, &["follow", "Circle", "--json"]);
    window.following();
    for notice in [line("03", "one", false), received("03"), line("03", "one", false), line("04", "two", false)] {
        fake.feed.send(notice).expect("somebody listens");
    }
    let mut read = || serde_json::from_str::<Value>(&window.read()).expect("JSON");
    assert_eq!(read(), row("03", "one", false));
    assert_eq!(read(), row("04", "two", false));
}

#[test]
fn follow_shows_people_lines_and_changes() {
    let fake = Fake::start();
    let mut window = Window::open(&fake, &["follow"]);
    window.following();
    for notice in [line("03", "one", true), received("03"), received("03"), line("04", "two", false)] {
        fake.feed.send(notice).expect("somebody listens");
    }
    assert_eq!(window.read(), "Sunday 22 November 2026");
    let expected = "13:05  [Circle] You: one  (gone Sun 29 Nov at 13:05; on this device only so far)";
    assert_eq!(window.read(), expected);
    assert_eq!(window.read(), "[Circle] Your message of 13:05 “one”: 1 of 1 have it.");
    assert!(window.read().starts_with("13:05  [Circle] Ana: two"), "once is enough");
}

#[test]
fn follow_ends_with_three_when_the_node_does() {
    let fake = Fake::start();
    let mut window = Window::open(&fake, &["follow", "--json"]);
    window.following();
    assert_eq!(fake.run(&["down"]).code, 0);
    assert_eq!(serde_json::from_str::<Value>(&window.read()).expect("JSON")["error"]["code"], "not_running");
    assert_eq!(window.child.wait().expect("ends").code(), Some(3));
}

#[test]
fn chat_shows_what_was_said_sends_what_is_typed_and_ends_when_told() {
    let fake = Fake::start();
    let mut window = Window::open(&fake, &["chat", "Circle"]);
    assert_eq!(window.read(), "Sunday 22 November 2026");
    assert_eq!(window.read(), "13:05  Ana: How is");
    assert_eq!(window.read(), "       everyone?␛[2J  (gone Sun 29 Nov at 13:05)");
    window.type_in("fine, thanks");
    let kept = "13:05  Kept on this device; it goes out when somebody is connected.  (gone Sun 29 Nov at 13:05)";
    assert_eq!(window.read(), kept);
    assert_eq!(fake.last("send")["text"], "fine, thanks");
    assert_eq!(fake.last("history"), json!({"group": GROUP, "last": 20, "all_unread": true, "mark_read": false}));
    fake.feed.send(received("02")).expect("somebody listens");
    assert_eq!(window.read(), "Your message of 13:05 “fine, thanks”: 1 of 1 have it.");
    fake.feed.send(received("02")).expect("somebody listens");
    window.type_in("/who");
    assert_eq!(window.read(), "Ana: facilitator, connected, safety code not compared yet  [aa01aa01]");
    window.type_in("/quti");
    window.type_in("/quit");
    assert_eq!(window.read(), "");
    let mut child = std::mem::replace(&mut window.child, start(&fake.directory, &["version"]));
    assert_eq!(child.stdin.take().map(drop), Some(()));
    let ran = Ran::from(child.wait_with_output().expect("ends"));
    assert_eq!(ran.code, 0);
    assert!(ran.talk.starts_with("Circle: 2 people, 1 connected (Ana), 1 unread"), "{}", ran.talk);
    assert!(ran.talk.contains("what was said before is not\nshown"), "{}", ran.talk);
    assert!(ran.talk.contains("/quti is nothing that can be done here; it was not sent."), "{}", ran.talk);
    assert_eq!(fake.last("send")["text"], "fine, thanks", "a slip is never sent");
}

#[test]
fn chat_tells_what_became_of_the_last_line_before_it_ends() {
    let fake = Fake::start();
    let ran = crate::fake::run(&fake.directory, &["chat", "Circle"], "fine, thanks\n");
    let kept = "13:05  Kept on this device; it goes out when somebody is connected.  (gone Sun 29 Nov at 13:05)\n";
    assert!(ran.code == 0 && ran.out.ends_with(kept), "{}", ran.out);
}

#[test]
fn what_is_typed_after_the_end_of_a_chat_is_not_sent() {
    let fake = Fake::start();
    let ran = crate::fake::run(&fake.directory, &["chat", "Circle"], "fine, thanks\n/quit\nmy four words\n");
    assert_eq!((ran.code, fake.last("send")["text"].as_str()), (0, Some("fine, thanks")));
}

#[test]
fn chat_tells_once_that_another_device_has_a_message() {
    let fake = Fake::start();
    let mut window = Window::open(&fake, &["chat", "Circle"]);
    for _ in 0..3 {
        window.read();
    }
    window.type_in("is anybody there?");
    assert_eq!(window.read(), "13:05  Sent; another device has it.  (gone Sun 29 Nov at 13:05)");
    fake.feed.send(received("02")).expect("somebody listens");
    fake.feed.send(line("05", "yes", false)).expect("somebody listens");
    assert_eq!(window.read(), "13:05  Ana: yes  (gone Sun 29 Nov at 13:05)", "nothing more about it");
}
