//! Nodes to measure: each a process of the program `kinfold`, or many of them in this process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use kinfold_node::paths::DataDir;
use kinfold_node::store::{SealedStore, Store};
use kinfold_node::vault::KdfCost;
use kinfold_node::{Options, run};
use serde_json::{Value, json};
use tokio::runtime::Builder;
use zeroize::Zeroizing;

use crate::face::{Face, PATIENCE};
use crate::wrong_clock::WrongClock;

/// So many others a node dials and keeps; in a small group these are all.
const LINKS: usize = 4;
/// The name of every group here.
pub(crate) const GROUP: &str = "Circle";
const PASSPHRASE: &str = "four plain words here";
const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";

/// A person's node that runs.
pub(crate) struct Node {
    pub(crate) dir: PathBuf,
    pub(crate) name: String,
    child: Option<Child>,
}

impl Node {
    /// A data directory whose passphrase costs nothing to try: what that costs is chosen, not measured.
    pub(crate) fn set_up(place: &Path, name: &str) -> PathBuf {
        let dir = place.join(name);
        let cost = KdfCost::new(64, 1, 1).expect("a cost");
        let store = SealedStore::create(&DataDir::new(&dir), PASSPHRASE.as_bytes(), cost).expect("a store");
        Store::close(Box::new(store)).expect("closes");
        dir
    }

    /// A process of its own; how long it took until it was ready.
    pub(crate) fn process(dir: PathBuf, name: &str) -> (Self, Duration) {
        Self::started(dir, name, Command::new(program()))
    }

    /// The same by another clock.
    pub(crate) fn by(clock: &WrongClock, dir: PathBuf, name: &str) -> Self {
        let mut command = Command::new(program());
        clock.give(&mut command);
        Self::started(dir, name, command).0
    }

    fn started(dir: PathBuf, name: &str, mut command: Command) -> (Self, Duration) {
        command.args(["up", "--json", "--listen", LOOPBACK]).stdin(Stdio::null()).stdout(Stdio::piped());
        command.env("KINFOLD_DATA_DIR", &dir).env("KINFOLD_PASSPHRASE", PASSPHRASE).stderr(Stdio::null());
        let begin = Instant::now();
        let mut child = command.spawn().expect("starts");
        until_ready(&mut child);
        (Self { dir, name: name.to_owned(), child: Some(child) }, begin.elapsed())
    }

    /// One of many in this process, on a thread of its own.
    pub(crate) fn inside(dir: PathBuf, name: &str) -> Self {
        let passphrase = Zeroizing::new(PASSPHRASE.to_owned());
        let options = Options { data_dir: dir.clone(), listen: vec![LOOPBACK.to_owned()], passphrase, lan: false };
        let (tell, told) = sync_channel(1);
        thread::spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
            runtime.block_on(run(options, |_| tell.send(()).expect("somebody waits"))).expect("runs");
        });
        told.recv_timeout(PATIENCE).expect("ready");
        let node = Self { dir, name: name.to_owned(), child: None };
        // Ready is said a moment before the socket answers nobody else's calls.
        node.face().call("version", &json!({}));
        node
    }

    pub(crate) fn face(&self) -> Face {
        Face::to(&self.dir)
    }

    /// The process id: of the node's own process, or of the one that all are in.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().map_or_else(std::process::id, Child::id)
    }

    /// Stops it in order; its directory.
    pub(crate) fn down(mut self) -> PathBuf {
        self.face().call("down", &json!({}));
        if let Some(mut child) = self.child.take() {
            assert!(child.wait().expect("ends").success());
        }
        self.dir.clone()
    }

    /// Comes into a group by an invite of somebody's; how long that took.
    pub(crate) fn join(&self, inviter: &Self) -> Duration {
        let invite = inviter.face().call("invite.create", &json!({ "group": GROUP }));
        let begin = Instant::now();
        self.face().call("join", &json!({ "invite": invite["invite"], "name": self.name }));
        begin.elapsed()
    }

    /// Waits until it knows of all the others, and has as many links as it keeps.
    pub(crate) fn linked(&self, others: usize) {
        let enough = |group: &Value| {
            let (members, connected) = (group["members"].as_u64(), group["connected"].as_u64());
            members == Some(others as u64 + 1) && connected >= Some(others.min(LINKS) as u64)
        };
        self.face().until("group.show", &json!({ "group": GROUP }), enough);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().unwrap_or_default();
            child.wait().map(drop).unwrap_or_default();
        }
    }
}

/// A group of so many, made by the first; all linked to as many as they keep to.
pub(crate) fn group(nodes: &[Node]) {
    let (first, others) = nodes.split_first().expect("a founder");
    first.face().call("group.create", &json!({ "name": GROUP, "display_name": first.name }));
    for node in others {
        node.join(first);
    }
    for node in nodes {
        node.linked(others.len());
    }
}

/// So many nodes of their own processes.
pub(crate) fn processes(place: &Path, count: usize) -> Vec<Node> {
    (0..count).map(name).map(|name| Node::process(Node::set_up(place, &name), &name).0).collect()
}

/// So many nodes in this process.
pub(crate) fn inside(place: &Path, count: usize) -> Vec<Node> {
    (0..count).map(name).map(|name| Node::inside(Node::set_up(place, &name), &name)).collect()
}

/// Waits until a process says that it is ready.
pub(crate) fn until_ready(child: &mut Child) {
    let mut ready = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut ready).expect("ready");
    assert!(ready.contains("ready"), "{ready}");
}

/// The name of a member.
pub(crate) fn name(n: usize) -> String {
    format!("Member {n}")
}

/// The program, built for release beside this benchmark.
pub(crate) fn program() -> PathBuf {
    let here = std::env::current_exe().expect("a path");
    here.ancestors().nth(2).expect("target/release").join("kinfold")
}

/// What the system counts of a process.
pub(crate) fn counted(pid: u32, file: &str, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).expect("runs");
    let line = text.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
    line.trim_start_matches(':').split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Bytes of all files in a directory.
pub(crate) fn bytes_of(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).expect("reads").map_while(Result::ok);
    let sizes = entries.map(|entry| {
        let what = entry.metadata().expect("reads");
        if what.is_dir() { bytes_of(&entry.path()) } else { what.len() }
    });
    sizes.sum()
}

/// Processor time of a process so far, in the ticks of 10 ms that the kernel counts it in.
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("runs");
    let after_name = stat.rsplit(") ").next().expect("a line");
    let ticks = after_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}
