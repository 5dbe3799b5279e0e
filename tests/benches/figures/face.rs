//! One connection to a node's local API, and the lines it tells.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use kinfold_node::control::socket;
use serde_json::{Value, json};

/// Nothing here takes this long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at something that has no notice.
const LOOK: Duration = Duration::from_millis(5);

/// A connection.
pub(crate) struct Face(BufReader<UnixStream>);

impl Face {
    /// To the node that runs in a directory.
    pub(crate) fn to(dir: &Path) -> Self {
        Self(BufReader::new(socket::connect(dir).expect("a node")))
    }

    /// Asks, and must be given a result.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.ask(method, params);
        let mut answer = self.line().expect("an answer");
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Asks, and does not wait for an answer.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) {
        let line = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        writeln!(self.0.get_mut(), "{line}").expect("asked");
    }

    /// Says something; the message's id.
    pub(crate) fn send(&mut self, group: &str, text: &str) -> String {
        let sent = self.call("send", &json!({ "group": group, "text": text }));
        sent["id"].as_str().expect("an id").to_owned()
    }

    /// Asks until an answer is as it should be.
    pub(crate) fn until(&mut self, method: &str, params: &Value, good: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.call(method, params);
            if good(&answer) {
                return answer;
            }
            assert!(Instant::now() < end, "{method} never came to it: {answer}");
            thread::sleep(LOOK);
        }
    }

    /// Hears what others say from now on, and when it was told.
    pub(crate) fn hear(mut self, group: &str) -> Ear {
        self.call("subscribe", &json!({ "group": group }));
        let (tell, told) = sync_channel(100_000);
        thread::spawn(move || {
            while let Some(line) = self.line() {
                let (now, line) = (Instant::now(), &line["params"]);
                if line["event"] == "line" && line["kind"] == "text" && line["own"] == false {
                    let id = line["id"].as_str().unwrap_or_default().to_owned();
                    if tell.send((id, now)).is_err() {
                        return;
                    }
                }
                assert_ne!(line["event"], "lagged", "the driver is too slow");
            }
        });
        Ear(told)
    }

    fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).expect("JSON")),
        }
    }
}

/// What one node was told.
pub(crate) struct Ear(Receiver<(String, Instant)>);

impl Ear {
    /// Waits for so many lines; when each was told, and how many were told twice.
    pub(crate) fn lines(&self, count: usize, patience: Duration) -> BTreeMap<String, Instant> {
        let end = Instant::now() + patience;
        let mut heard = BTreeMap::new();
        while heard.len() < count {
            let Ok((id, at)) = self.0.recv_timeout(end.saturating_duration_since(Instant::now())) else { break };
            assert!(heard.insert(id, at).is_none(), "shown twice");
        }
        heard
    }
}
