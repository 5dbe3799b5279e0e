//! Joining, coming back, resting, starting, and what is left on the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::cost::TEXT;
use crate::nodes::{self, GROUP, Node, bytes_of, counted, cpu};
use crate::raw_disk;
use crate::raw_mls;
use crate::table::{Table, millis, percentile, ratio};
use crate::talk::loopback;
use crate::wrong_clock::WrongClock;

/// Messages that were missed, or that are kept.
const MANY: usize = 10_000;
/// Members of a large group who are awake at a time.
const AWAKE: usize = 20;
/// How long a resting node is watched.
const REST: Duration = Duration::from_secs(60);
/// How long before that it has nothing to do: receipts and comparisons of what was said are over.
const SETTLED: Duration = Duration::from_secs(60);
/// Starts and joins of which the middle one counts.
const TRIES: usize = 5;
/// Between two starts: the others, on the same two cores, have then done what a member who goes and comes gives them to do.
const QUIET: Duration = Duration::from_secs(10);

/// When what a group says now is gone, if it has not set a time of its own, and so is every trace of it.
const LATER: &str = "+9d";

/// From accepting an invite to the first message that can be read.
pub(crate) fn joining() -> String {
    let mut table = joined();
    for size in [3, 20] {
        let place = TempDir::new().expect("a folder");
        let mut members = nodes::inside(place.path(), size - 1);
        nodes::group(&members);
        join(&mut table, place.path(), &mut members);
        members.into_iter().for_each(|node| drop(node.down()));
    }
    table.to_string()
}

/// The head of the table.
pub(crate) fn joined() -> Table {
    Table::new(&["members then", "until the first message is shown", "raw MLS: add and join"])
}

/// One more comes into a group, in a process of its own.
pub(crate) fn join(table: &mut Table, place: &Path, members: &mut Vec<Node>) {
    let first = members.first().expect("a founder");
    let guest = Node::process(Node::set_up(place, "Guest"), "Guest").0;
    let took = guest.join(first);
    let ear = guest.face().hear(GROUP);
    let begin = Instant::now();
    first.face().send(GROUP, TEXT);
    assert_eq!(ear.lines(1, crate::face::PATIENCE).len(), 1);
    let took = took + begin.elapsed();
    members.push(guest);
    let size = members.len();
    table.row(&[size.to_string(), millis(took), millis(raw_mls::joined(size))]);
}

/// Coming back to ten thousand missed messages, and then resting and starting again.
pub(crate) fn away() -> String {
    let place = TempDir::new().expect("a folder");
    let (table, back, members) = come_back(place.path(), 20);
    let table = format!("{table}\n{}", alone());
    let rest = resting(&back, members.len() + 1);
    let start = starting(back);
    members.into_iter().for_each(|node| drop(node.down()));
    format!("{table}\n{rest}{start}")
}

/// Coming back to as many in a large group.
pub(crate) fn hundred() -> String {
    let place = TempDir::new().expect("a folder");
    let (table, back, members) = come_back(place.path(), 100);
    drop(back.down());
    members.into_iter().for_each(|node| drop(node.down()));
    table.to_string()
}

/// One of so many comes back in a process of its own; what that took, the one, and the others.
fn come_back(place: &Path, size: usize) -> (Table, Node, Vec<Node>) {
    let mut members = nodes::inside(place, size - 1);
    members.push(Node::process(Node::set_up(place, "Away"), "Away").0);
    nodes::group(&members);
    let away = members.pop().expect("the last one").down();
    let (away, fresh) = started(away);
    let members = say(members);
    let (back, ready) = Node::process(away, "Away");
    let begin = Instant::now();
    back.face().until("status", &json!({}), |status| status["groups"][0]["unread"] == MANY);
    let (took, pid) = (begin.elapsed() + ready, back.pid());
    let alone = raw_mls::received(size, MANY) * u32::try_from(MANY).expect("few");
    let mut table = Table::new(&[
        "members",
        "start of a new group",
        "caught up in",
        "OpenMLS alone",
        "ratio",
        "memory at most",
        "written",
    ]);
    table.row(&[
        size.to_string(),
        millis(fresh),
        millis(took),
        millis(alone),
        ratio(took, alone),
        format!("{} MB", counted(pid, "status", "VmHWM") >> 10),
        format!("{} MB", counted(pid, "io", "write_bytes") >> 20),
    ]);
    (table, back, members)
}

/// What sled alone writes and keeps for as much.
fn alone() -> String {
    let (written, kept) = raw_disk::kept(MANY);
    let mut table = Table::new(&["sled alone: written", "kept"]);
    table.row(&[format!("{} MB", written >> 20), format!("{:.1} MB", kept as f64 / 1e6)]);
    table.to_string()
}

/// Starts some times; how long that takes, the passphrase left out.
fn started(mut dir: PathBuf) -> (PathBuf, Duration) {
    let mut spans = Vec::new();
    for _ in 0..TRIES {
        let (node, ready) = Node::process(dir, "Away");
        spans.push(ready);
        thread::sleep(QUIET);
        dir = node.down();
        thread::sleep(QUIET);
    }
    (dir, percentile(&spans, 50))
}

/// Everybody says as much as the others. Of a large group so many are awake at a time, as many as two cores carry, and go
/// when the next have heard all; those who said the last things stay.
fn say(mut members: Vec<Node>) -> Vec<Node> {
    let all = members.len();
    let share = |n: usize| MANY / all + usize::from(n < MANY % all);
    let mut asleep: Vec<PathBuf> = members.split_off(all.min(AWAKE)).into_iter().map(Node::down).collect();
    let (mut first, mut said) = (0, 0);
    loop {
        thread::scope(|scope| {
            for (n, member) in members.iter().enumerate() {
                scope.spawn(move || {
                    let mut face = member.face();
                    (0..share(first + n)).for_each(|_| drop(face.send(GROUP, TEXT)));
                });
            }
        });
        said += (first..first + members.len()).map(share).sum::<usize>();
        members.iter().enumerate().for_each(|(n, member)| hears(member, said - share(first + n)));
        if asleep.is_empty() {
            return members;
        }
        first += members.len();
        let next = asleep.drain(..asleep.len().min(AWAKE)).enumerate();
        let next: Vec<Node> = next.map(|(n, dir)| Node::inside(dir, &nodes::name(first + n))).collect();
        next.iter().for_each(|member| hears(member, said));
        std::mem::replace(&mut members, next).into_iter().for_each(|node| drop(node.down()));
    }
}

/// Waits until a member has so many messages of others.
fn hears(member: &Node, count: usize) {
    let heard = |status: &serde_json::Value| status["groups"][0]["unread"].as_u64() >= Some(count as u64);
    member.face().until("status", &json!({}), heard);
}

/// What a node costs that has nothing to do.
fn resting(node: &Node, size: usize) -> String {
    thread::sleep(SETTLED);
    let (begin, before) = (cpu(node.pid()), loopback());
    thread::sleep(REST);
    let busy = (cpu(node.pid()) - begin).as_secs_f64() / REST.as_secs_f64() * 100.0;
    let bytes = (loopback() - before) / REST.as_secs() / size as u64;
    let memory = counted(node.pid(), "status", "VmRSS") >> 10;
    let mut table = Table::new(&["at rest, 20 members, 10,000 messages", "memory", "processor", "bytes/s a node"]);
    table.row(&[String::new(), format!("{memory} MB"), format!("{busy:.2} %"), bytes.to_string()]);
    table.to_string()
}

/// Starting with all that, and what it takes on the disk.
fn starting(node: Node) -> String {
    let dir = node.down();
    let kept = bytes_of(&dir);
    let (dir, ready) = started(dir);
    let (node, _) = Node::process(dir, "Away");
    thread::sleep(SETTLED);
    let memory = counted(node.pid(), "status", "VmRSS") >> 10;
    let emptied = emptied(node.down());
    let program = fs::metadata(nodes::program()).expect("built").len();
    let mut table = Table::new(&[
        "start until ready",
        "memory a minute later",
        "program",
        "data directory",
        "a message",
        "emptied",
    ]);
    table.row(&[
        millis(ready),
        format!("{memory} MB"),
        format!("{:.1} MB", program as f64 / 1e6),
        format!("{:.1} MB", kept as f64 / 1e6),
        format!("{} bytes", kept / MANY as u64),
        format!("{:.1} MB", emptied as f64 / 1e6),
    ]);
    format!("\n{table}")
}

/// What is left on the disk when everything that was said is past its time and forgotten, and the node was stopped then.
fn emptied(dir: PathBuf) -> u64 {
    let clock = WrongClock::new(dir.with_extension("clock"), LATER).expect("libfaketime");
    let node = Node::by(&clock, dir, "Away");
    node.face().until("status", &json!({}), |status| status["groups"][0]["unread"] == 0);
    bytes_of(&node.down())
}
