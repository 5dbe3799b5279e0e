//! One person's device: a data directory, and the node that runs on it, or does not.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};

use kinfold_node::control::socket;
use kinfold_node::paths::DataDir;
use kinfold_node::store::{SealedStore, Store};
use kinfold_node::vault::KdfCost;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::wait::{PATIENCE, until};
use crate::wrong_clock::WrongClock;

pub(crate) const PASSPHRASE: &str = "four plain words here";
/// Each group's own port, on this machine only.
pub(crate) const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";

/// A person with a device.
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    /// The system clock of programs that start from now on, if it is not the right one.
    pub(crate) clock: Option<WrongClock>,
    /// What else programs that start from now on find in their environment.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    node: Option<Child>,
}

/// How a verb ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) talk: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("an exit code"),
            out: String::from_utf8(output.stdout).expect("text"),
            talk: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Ran {
    /// The only line of data, as JSON.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "one line: {}{}", self.out, self.talk);
        serde_json::from_str(&self.out).expect("JSON")
    }

    /// The stable name of the refusal, with the exit code.
    pub(crate) fn refusal(&self) -> (i32, String) {
        let answer = self.json();
        assert_eq!(answer["ok"], false, "{answer}");
        assert!(answer["error"]["message"].is_string(), "{answer}");
        (self.code, answer["error"]["code"].as_str().expect("a code").to_owned())
    }
}

impl Device {
    /// A device that is set up, with a passphrase that costs little to try.
    pub(crate) fn new(place: &Path, name: &str) -> Self {
        let dir = place.join(name);
        let data = DataDir::new(&dir);
        let cost = KdfCost::new(64, 1, 1).expect("a cost");
        let store = SealedStore::create(&data, PASSPHRASE.as_bytes(), cost).expect("a store");
        Store::close(Box::new(store)).expect("closes");
        Self { name: name.to_owned(), dir, clock: None, environment: Vec::new(), node: None }
    }

    /// A device in a directory that is not set up.
    pub(crate) fn bare(dir: PathBuf, name: &str) -> Self {
        Self { name: name.to_owned(), dir, clock: None, environment: Vec::new(), node: None }
    }

    /// The same, running.
    pub(crate) fn started(place: &Path, name: &str) -> Self {
        let mut device = Self::new(place, name);
        device.up();
        device
    }

    pub(crate) fn up(&mut self) {
        self.up_at(LOOPBACK);
    }

    /// Starts the node, and waits until it is ready; what it said then.
    pub(crate) fn up_at(&mut self, listen: &str) -> Value {
        let mut command = self.command(&["up", "--json", "--listen", listen]);
        self.start(&mut command)
    }

    /// Starts the node; what it says to people goes into a file.
    pub(crate) fn up_telling(&mut self, talk: &Path) {
        let mut command = self.command(&["up", "--json", "--listen", LOOPBACK]);
        self.start(command.stderr(fs::File::create(talk).expect("a file")));
    }

    fn start(&mut self, command: &mut Command) -> Value {
        assert!(self.node.is_none(), "{} runs already", self.name);
        let mut child = command.spawn().expect("starts");
        let lines = lines(child.stdout.take().expect("a pipe"));
        self.node = Some(child);
        let said = lines.recv_timeout(PATIENCE).unwrap_or_else(|why| panic!("{} never got ready: {why}", self.name));
        let ready: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(ready["event"], "ready", "{said}");
        ready
    }

    /// The power goes.
    pub(crate) fn kill(&mut self) {
        let mut child = self.node.take().expect("runs");
        child.kill().expect("killed");
        child.wait().expect("ends");
        forget(child.id());
    }

    /// Stops the node in order.
    pub(crate) fn down(&mut self) {
        assert_eq!(self.run(&["down"]).code, 0, "{} did not stop", self.name);
        assert_eq!(self.ended(), 0, "{} did not end well", self.name);
    }

    /// Waits until the node has ended by itself; its exit code.
    pub(crate) fn ended(&mut self) -> i32 {
        let mut child = self.node.take().expect("runs");
        until("the end of a node", || child.try_wait().expect("a child")).code().expect("an exit code")
    }

    /// The node's process.
    pub(crate) fn pid(&self) -> u32 {
        self.node.as_ref().expect("runs").id()
    }

    /// Sends the node's process a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("told");
    }

    pub(crate) fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kinfold"));
        command.args(line).env("KINFOLD_DATA_DIR", &self.dir).env("KINFOLD_PASSPHRASE", PASSPHRASE);
        command.env("TZ", "UTC").env_remove("KINFOLD_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.envs(self.environment.iter().cloned());
        if let Some(clock) = &self.clock {
            clock.give(&mut command);
        }
        command
    }

    /// Runs a verb to its end.
    pub(crate) fn run(&self, line: &[&str]) -> Ran {
        self.command(line).stderr(Stdio::piped()).output().expect("runs").into()
    }

    /// Runs a verb with something on its standard input.
    pub(crate) fn run_typing(&self, line: &[&str], typed: &str) -> Ran {
        let mut child = self.command(line).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(typed.as_bytes()).expect("typed");
        drop(stdin);
        child.wait_with_output().expect("ends").into()
    }

    /// Runs a verb that must do its work; its only answer.
    pub(crate) fn done(&self, line: &[&str]) -> Value {
        let ran = self.run(&[line, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{}: {line:?}: {}{}", self.name, ran.out, ran.talk);
        ran.json()
    }

    /// Runs a verb that must be refused; the exit code and the stable name.
    pub(crate) fn refused(&self, line: &[&str]) -> (i32, String) {
        self.run(&[line, &["--json"]].concat()).refusal()
    }

    /// Runs a verb that shows rows.
    pub(crate) fn rows(&self, line: &[&str]) -> Vec<Value> {
        let ran = self.run(&[line, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{}: {line:?}: {}{}", self.name, ran.out, ran.talk);
        ran.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Makes an invite into the group.
    pub(crate) fn invite(&self, group: &str) -> String {
        self.done(&["invite", group])["invite"].as_str().expect("an invite").to_owned()
    }

    /// Comes in by an invite of somebody else.
    pub(crate) fn join(&self, inviter: &Self, group: &str) {
        let made = self.done(&["join", &inviter.invite(group), "--name", &self.name]);
        assert_eq!(made["name"], group, "{made}");
    }

    /// The texts of a group, in order, with their ids.
    pub(crate) fn texts(&self, group: &str) -> Vec<(String, String)> {
        let rows = self.rows(&["history", group, "--keep-unread"]);
        let texts = rows.iter().filter(|row| row["kind"] == "text");
        texts.map(|row| (text(&row["id"]), text(&row["text"]))).collect()
    }

    /// Waits until that many texts can be read; then they are all there must ever be.
    pub(crate) fn texts_of(&self, group: &str, count: usize) -> Vec<(String, String)> {
        let what = format!("{count} messages at {}", self.name);
        let found = until(&what, || Some(self.texts(group)).filter(|texts| texts.len() >= count));
        let ids: BTreeSet<_> = found.iter().map(|(id, _)| id).collect();
        assert_eq!((found.len(), ids.len()), (count, count), "{} shows each once", self.name);
        found
    }

    /// The names of the people of a group, in order.
    pub(crate) fn people(&self, group: &str) -> Vec<String> {
        let mut names: Vec<_> = self.rows(&["members", group]).iter().map(|row| text(&row["name"])).collect();
        names.sort();
        names
    }

    pub(crate) fn until_people(&self, group: &str, names: &[&str]) {
        until(&format!("{names:?} at {}", self.name), || (self.people(group) == names).then_some(()));
    }

    /// A connection to the node of its own.
    pub(crate) fn api(&self) -> Api {
        Api(BufReader::new(socket::connect(&self.dir).expect("a socket")))
    }

    /// A window that follows; the lines in it come as they are told.
    pub(crate) fn follow(&self, line: &[&str]) -> Window {
        let mut child = self.command(&[&["follow", "--json"], line].concat());
        let mut child = child.stderr(Stdio::piped()).spawn().expect("starts");
        let stderr = child.stderr.take().expect("a pipe");
        let mut talk = BufReader::new(stderr).lines().map_while(Result::ok);
        assert!(talk.any(|line| line.starts_with("Following.")), "never followed");
        Window { lines: lines(child.stdout.take().expect("a pipe")), child }
    }

    /// A window to read and type in.
    pub(crate) fn chat(&self, line: &[&str]) -> Window {
        let mut command = self.command(&[&["chat"], line].concat());
        let mut child = command.stdin(Stdio::piped()).spawn().expect("starts");
        Window { lines: lines(child.stdout.take().expect("a pipe")), child }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(mut child) = self.node.take() {
            // It may have ended by itself.
            child.kill().unwrap_or_default();
            child.wait().map(drop).unwrap_or_default();
            forget(child.id());
        }
    }
}

/// A program that talks to the node without starting a process for each word.
pub(crate) struct Api(BufReader<std::os::unix::net::UnixStream>);

impl Api {
    /// Asks without waiting for the answer.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) {
        let line = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        writeln!(self.0.get_mut(), "{line}").expect("asked");
    }

    /// The answer, or `None` when the node has gone.
    pub(crate) fn answer(&mut self) -> Option<Value> {
        self.0.get_ref().set_read_timeout(Some(PATIENCE)).expect("a deadline");
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).expect("JSON")),
        }
    }

    /// Asks, and must be given a result.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.ask(method, params);
        let mut answer = self.answer().expect("an answer");
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].take()
    }
}

/// A verb that runs until it is closed.
pub(crate) struct Window {
    child: Child,
    lines: Receiver<String>,
}

impl Window {
    /// The next row.
    pub(crate) fn next(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("a row");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Types a line.
    pub(crate) fn type_in(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("a pipe"), "{line}").expect("typed");
    }

    /// Waits until a line with these words is shown.
    pub(crate) fn shows(&self, words: &str) {
        while !self.lines.recv_timeout(PATIENCE).unwrap_or_else(|why| panic!("{words}: {why}")).contains(words) {}
    }

    /// Leaves, in order; what was shown that nobody has looked at.
    pub(crate) fn quit(mut self) -> Vec<String> {
        self.type_in("/quit");
        let rest = self.lines.iter().collect();
        assert!(self.child.wait().expect("ends").success());
        rest
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
        forget(self.child.id());
    }
}

/// Reads lines as they come, so that they can be waited for with a deadline.
fn lines(out: ChildStdout) -> Receiver<String> {
    let (tell, told) = mpsc::sync_channel(4_096);
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    told
}

/// Removes what a program with a wrong clock leaves in memory when it is killed; one that ends in order leaves nothing.
fn forget(pid: u32) {
    for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
        fs::remove_file(Path::new("/dev/shm").join(name)).unwrap_or_default();
    }
}

/// A text in JSON.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// A place for the devices of one test.
pub(crate) fn place() -> tempfile::TempDir {
    let place = tempfile::TempDir::new().expect("a folder");
    assert_eq!(fs::read_dir(place.path()).expect("reads").count(), 0);
    place
}

/// Ana and Ben in one group, linked; nothing is unread.
pub(crate) fn two(place: &Path, group: &str) -> [Device; 2] {
    let [ana, ben] = ["Ana", "Ben"].map(|name| Device::started(place, name));
    ana.done(&["group", "create", group, "--name", "Ana"]);
    ben.join(&ana, group);
    for device in [&ana, &ben] {
        until("a link", || (device.done(&["group", "show", group])["connected"] == 1).then_some(()));
        device.rows(&["history", group]);
    }
    [ana, ben]
}
