//! Runs the examples, so that they stay true.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kinfold_node::control::socket;
use kinfold_node::{NodeError, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

#[test]
fn two_members_talk_without_a_network() {
    let output = Command::new(env!("CARGO_BIN_EXE_two_members")).output().expect("runs");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    for line in [
        "Ana reads: Ana: Welcome, Ben.",
        "Ben reads: Ana: Welcome, Ben.",
        "Ana reads: Ben: Thank you, Ana.",
        "Ben reads: Ben: Thank you, Ana.",
    ] {
        assert_eq!(lines.iter().filter(|seen| **seen == line).count(), 1, "{line} in:\n{said}");
    }
}

/// Asks a node, and takes the answer.
fn ask(data_dir: &Path, method: &str, params: &Value) -> Value {
    let mut stream = socket::connect(data_dir).expect("runs");
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    writeln!(stream, "{request}").expect("writes");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("reads");
    let answer: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(answer.get("error"), None, "{method}");
    answer.get("result").cloned().unwrap_or_default()
}

/// A node inside this process, on this computer only.
fn start(data_dir: &Path) -> JoinHandle<Result<(), NodeError>> {
    let passphrase = Zeroizing::new("four unrelated plain words".to_owned());
    kinfold_node::init(data_dir, &passphrase).expect("is set up");
    let (tell, told) = sync_channel(1);
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    let options = Options { data_dir: data_dir.to_owned(), listen, passphrase, lan: false };
    let node = thread::spawn(move || {
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(kinfold_node::run(options, |_| tell.send(()).expect("somebody waits")))
    });
    told.recv().expect("is ready");
    node
}

/// Ended with the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().expect("ends");
    }
}

#[test]
fn the_bot_greets_a_newcomer_and_answers() {
    let root = TempDir::new().expect("a folder");
    let (ana, ben) = (root.path().join("ana"), root.path().join("ben"));
    let nodes = [start(&ana), start(&ben)];

    ask(&ana, "group.create", &json!({ "name": "Circle", "display_name": "Ana" }));
    while ask(&ana, "group.show", &json!({ "group": "Circle" }))["addresses"].as_array().is_none_or(Vec::is_empty) {
        thread::yield_now();
    }
    let mut bot = Command::new(env!("CARGO_BIN_EXE_bot"));
    let mut bot = Ended(bot.arg(&ana).arg("Circle").stdout(Stdio::piped()).spawn().expect("starts"));
    let mut said = BufReader::new(bot.0.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    assert_eq!(said.next().as_deref(), Some("The bot listens."));

    let invite = ask(&ana, "invite.create", &json!({ "group": "Circle" }));
    ask(&ben, "join", &json!({ "invite": invite["invite"], "name": "Ben" }));
    hears(&ben, "Welcome, Ben.");
    ask(&ben, "send", &json!({ "group": "Circle", "text": "ping" }));
    hears(&ben, "pong");

    for data_dir in [&ana, &ben] {
        ask(data_dir, "down", &json!({}));
    }
    for node in nodes {
        node.join().expect("does not panic").expect("stops well");
    }
    assert_eq!(said.next().as_deref(), Some("Kinfold has stopped, and the bot with it."));
    assert!(bot.0.wait().expect("ends").success());
}

/// Follows the group until somebody has said this; what was said before counts too.
fn hears(data_dir: &Path, text: &str) {
    let mut stream = socket::connect(data_dir).expect("runs");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("is set");
    for method in ["subscribe", "history"] {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": { "group": "Circle" } });
        writeln!(stream, "{request}").expect("writes");
    }
    let wanted = format!("\"text\":\"{text}\"");
    let heard = BufReader::new(stream).lines().map(|line| line.expect("in time")).any(|line| line.contains(&wanted));
    assert!(heard, "nobody said {text}");
}
