//! One person's device in a process of its own, that dies when it is told to.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use kinfold_node::control::socket;
use kinfold_node::paths::DataDir;
use kinfold_node::store::{SealedStore, Store};
use kinfold_node::vault::KdfCost;
use kinfold_tests::death::{Chain, WRONG};
use serde_json::{Value, json};

use crate::ledger::{Death, Share};
use crate::wait::{PATIENCE, pause, seen_within, until};

/// The same that the program has.
pub(crate) const PASSPHRASE: &str = "four plain words here";
/// What SIGKILL is called in an exit status.
const KILLED: i32 = 9;
/// How long a point is waited for: the keyring is written a second after the work, and machines can be busy.
const POINT_WITHIN: Duration = Duration::from_secs(20);

/// A device.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    /// What the ear of its process has noted.
    pub(crate) record: PathBuf,
    running: Option<Running>,
}

struct Running {
    child: Child,
    stdin: ChildStdin,
    says: Receiver<String>,
}

impl Node {
    /// A device that is set up, with a passphrase that costs little to try; it runs.
    pub(crate) fn started(place: &Path, name: &str) -> Self {
        let dir = place.join(name);
        let cost = KdfCost::new(64, 1, 1).expect("a cost");
        let store = SealedStore::create(&DataDir::new(&dir), PASSPHRASE.as_bytes(), cost).expect("a store");
        Store::close(Box::new(store)).expect("closes");
        let record = place.join(format!("{name}.record"));
        let mut node = Self { name: name.to_owned(), dir, record, running: None };
        node.up();
        node
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn up(&mut self) {
        self.spawn(None);
        let said = self.says();
        assert_eq!(said, "ready", "{} does not start: {}", self.name, self.noted());
    }

    /// Starts it, to die while it does.
    pub(crate) fn up_to(&mut self, share: &Share<'_>, death: &Death) {
        let Death::At(chain) = death else { panic!("not a point: {death:?}") };
        self.spawn(Some(chain));
        assert!(self.died(PATIENCE), "{} lives on after {chain}", self.name);
        share.died(death);
    }

    fn spawn(&mut self, chain: Option<&Chain>) {
        assert!(self.running.is_none(), "{} runs already", self.name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_mortal"));
        command.arg(&self.dir).arg(&self.record).args(chain.map(Chain::to_string));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
        let (stdin, stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (tell, says) = mpsc::sync_channel(16);
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        self.running = Some(Running { child, stdin, says });
    }

    fn says(&self) -> String {
        let running = self.running.as_ref().expect("runs");
        running.says.recv_timeout(PATIENCE).unwrap_or_else(|why| panic!("{} says nothing: {why}", self.name))
    }

    /// Lets it die in what begins now, of which `took` is the usual time. Whether it did.
    pub(crate) fn dies(&mut self, share: &Share<'_>, death: &Death, took: Duration, begin: impl FnOnce()) -> bool {
        match death {
            Death::Random(share) => {
                begin();
                pause(took * *share / 1_000);
                self.kill();
            }
            Death::At(chain) => {
                self.set(Some(chain));
                begin();
                if !self.died(POINT_WITHIN) {
                    self.set(None);
                    return false;
                }
            }
        }
        share.died(death);
        true
    }

    fn set(&mut self, chain: Option<&Chain>) {
        let chain = chain.map(Chain::to_string).unwrap_or_default();
        let running = self.running.as_mut().expect("runs");
        writeln!(running.stdin, "{chain}").expect("told");
        assert_eq!(self.says(), "set", "{}", self.name);
    }

    /// Waits for its death; no other end is one.
    fn died(&mut self, patience: Duration) -> bool {
        let child = &mut self.running.as_mut().expect("runs").child;
        let Some(status) = seen_within(patience, || child.try_wait().expect("a child")) else { return false };
        self.running = None;
        assert_eq!(status.signal(), Some(KILLED), "{} ended otherwise: {status}; {}", self.name, self.noted());
        true
    }

    /// The power goes now.
    pub(crate) fn kill(&mut self) {
        let mut running = self.running.take().expect("runs");
        running.child.kill().expect("killed");
        let status = running.child.wait().expect("ends");
        assert_eq!(status.signal(), Some(KILLED), "{} had ended before: {status}; {}", self.name, self.noted());
    }

    /// The lines of its record that begin so.
    pub(crate) fn notes(&self, kind: &str) -> Vec<String> {
        let record = fs::read_to_string(&self.record).unwrap_or_default();
        record.lines().filter_map(|line| line.strip_prefix(kind)).map(str::to_owned).collect()
    }

    fn noted(&self) -> String {
        self.notes(WRONG).join("; ")
    }

    /// A connection to it.
    pub(crate) fn api(&self) -> Api {
        Api(BufReader::new(socket::connect(&self.dir).expect("a socket")))
    }

    /// Asks for something that must be given.
    pub(crate) fn call(&self, method: &str, params: &Value) -> Value {
        let answer = self.api().try_call(method, params).expect("an answer");
        assert!(answer["error"].is_null(), "{}: {method}: {answer}", self.name);
        answer["result"].clone()
    }

    /// Makes an invite into a group.
    pub(crate) fn invite(&self, group: &str) -> Value {
        self.call("invite.create", &json!({ "group": group }))["invite"].clone()
    }

    /// The standing in a group, if it knows it.
    pub(crate) fn standing(&self, group: &str) -> Option<String> {
        let groups = self.call("group.list", &json!({}));
        let row = groups["groups"].as_array().expect("rows").iter().find(|row| row["name"] == group)?;
        Some(text(&row["standing"]))
    }

    /// The people of a group, names and ids in order.
    pub(crate) fn people(&self, group: &str) -> Vec<(String, String)> {
        let rows = self.call("members", &json!({ "group": group }));
        let rows = rows["members"].as_array().expect("rows");
        let mut people: Vec<_> = rows.iter().map(|row| (text(&row["name"]), text(&row["member_id"]))).collect();
        people.sort();
        people
    }

    /// The texts of a group, in order, with their ids.
    pub(crate) fn texts(&self, group: &str) -> Vec<(String, String)> {
        let history = self.call("history", &json!({ "group": group }));
        let rows = history["rows"].as_array().expect("rows").iter().filter(|row| row["kind"] == "text");
        rows.map(|row| (text(&row["id"]), text(&row["text"]))).collect()
    }

    /// Waits until so many others are connected.
    pub(crate) fn until_linked(&self, group: &str, others: u64) {
        until(&format!("{others} links of {}", self.name), || {
            (self.call("group.show", &json!({ "group": group }))["connected"] == others).then_some(())
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.child.kill().unwrap_or_default();
            running.child.wait().map(drop).unwrap_or_default();
        }
    }
}

/// A program that talks to a node, which may die meanwhile.
pub(crate) struct Api(BufReader<UnixStream>);

impl Api {
    /// Asks without waiting for the answer; whether there was somebody to ask.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> bool {
        let line = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        writeln!(self.0.get_mut(), "{line}").is_ok()
    }

    /// The next line that the node says, or `None` when it is gone.
    pub(crate) fn hear(&mut self) -> Option<Value> {
        self.0.get_ref().set_read_timeout(Some(PATIENCE)).expect("a deadline");
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            // A node that dies while it writes leaves half a line, which says nothing.
            Ok(_) if line.ends_with('\n') => Some(serde_json::from_str(&line).expect("JSON")),
            Ok(_) => None,
            Err(error) => {
                let late = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut].contains(&error.kind());
                assert!(!late, "a node that runs does not answer");
                None
            }
        }
    }

    pub(crate) fn try_call(&mut self, method: &str, params: &Value) -> Option<Value> {
        self.ask(method, params).then(|| self.hear()).flatten()
    }

    /// Hears what it was subscribed to, until the node is gone, without a deadline.
    pub(crate) fn events(self) -> impl Iterator<Item = Value> {
        self.0.get_ref().set_read_timeout(None).expect("no deadline");
        self.0.lines().map_while(Result::ok).map(|line| serde_json::from_str(&line).expect("JSON"))
    }
}

/// A text in JSON.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
