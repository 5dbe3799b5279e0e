//! From `send` to shown: latency, throughput, bytes and processor time, ours beside gossipsub alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::cost::TEXT;
use crate::face::{Ear, Face};
use crate::nodes::{self, GROUP, cpu, name};
use crate::raw_gossip;
use crate::rest;
use crate::table::{Table, millis, percentile, ratio};

/// How long one measurement sends.
const SPAN: Duration = Duration::from_secs(10);
/// The most people that a group has.
const LARGEST: usize = 150;
/// After the last message, what has not come is lost.
const LATE: Duration = Duration::from_secs(20);

/// What came of it.
struct Heard {
    sent: usize,
    lost: usize,
    spans: Vec<Duration>,
    /// Of all processes of the nodes and of this one, per delivery.
    cpu: Duration,
    /// That went over the loopback interface, per delivery.
    bytes: u64,
}

/// Nodes that talk, whatever they are.
struct Circle {
    dirs: Vec<PathBuf>,
    pids: Vec<u32>,
}

/// Three, each its own process.
pub(crate) fn three() -> String {
    apart(3, &[10, 50, 500])
}

/// Twenty, each its own process.
pub(crate) fn twenty_apart() -> String {
    apart(20, &[20, 60])
}

/// The largest group, each its own process.
pub(crate) fn largest_apart() -> String {
    apart(LARGEST, &[1])
}

fn apart(count: usize, per_second: &[u32]) -> String {
    let place = TempDir::new().expect("a folder");
    let members = nodes::processes(place.path(), count);
    nodes::group(&members);
    let ours = Circle {
        dirs: members.iter().map(|node| node.dir.clone()).collect(),
        pids: members.iter().map(nodes::Node::pid).collect(),
    };
    let (bare, mut children) = bare_processes(place.path(), count);
    let table = rates(&ours, &bare, per_second);
    children.iter_mut().for_each(|child| child.kill().and_then(|()| child.wait()).map(drop).expect("killed"));
    table
}

/// Twenty, in this process.
pub(crate) fn twenty() -> String {
    inside(20, &[20, 60])
}

/// Fifty, in this process.
pub(crate) fn fifty() -> String {
    inside(50, &[5])
}

/// The largest group, in this process, and how the last one came into it.
pub(crate) fn largest() -> String {
    let place = TempDir::new().expect("a folder");
    let floor = bare_inside(place.path(), LARGEST, &[1]).remove(0);
    let mut members = nodes::inside(place.path(), LARGEST - 1);
    nodes::group(&members);
    let mut joining = rest::joined();
    rest::join(&mut joining, place.path(), &mut members);
    let guest = members.last().expect("the last one").pid();
    members.iter().for_each(|member| member.linked(LARGEST - 1));
    let mut ours = circle(&members);
    ours.pids.push(guest);
    let mut table = head();
    row(&mut table, 1, &ours.talk(1), &floor);
    members.into_iter().for_each(|node| drop(node.down()));
    format!("{table}\n{joining}")
}

/// Nodes of this process.
fn circle(members: &[nodes::Node]) -> Circle {
    Circle { dirs: members.iter().map(|node| node.dir.clone()).collect(), pids: vec![std::process::id()] }
}

/// What gossipsub alone does with so many in this process.
fn bare_inside(place: &Path, count: usize, per_second: &[u32]) -> Vec<Heard> {
    let bare = Circle { dirs: raw_gossip::inside(place, count), pids: vec![std::process::id()] };
    linked(&bare, &raw_gossip::links(count));
    let floors = per_second.iter().map(|rate| bare.talk(*rate)).collect();
    bare.down();
    floors
}

fn inside(count: usize, per_second: &[u32]) -> String {
    let place = TempDir::new().expect("a folder");
    let floors = bare_inside(place.path(), count, per_second);
    let members = nodes::inside(place.path(), count);
    nodes::group(&members);
    let ours = circle(&members);
    let mut table = head();
    for (rate, floor) in per_second.iter().zip(floors) {
        row(&mut table, *rate, &ours.talk(*rate), &floor);
    }
    members.into_iter().for_each(|node| drop(node.down()));
    table.to_string()
}

fn head() -> Table {
    Table::new(&[
        "messages/s",
        "lost",
        "p50",
        "p99",
        "bare p50",
        "bare p99",
        "p99 / bare",
        "CPU a delivery",
        "bare",
        "bytes a delivery",
        "bare",
    ])
}

fn rates(ours: &Circle, bare: &Circle, per_second: &[u32]) -> String {
    let mut table = head();
    for rate in per_second {
        let floor = bare.talk(*rate);
        row(&mut table, *rate, &ours.talk(*rate), &floor);
    }
    table.to_string()
}

fn row(table: &mut Table, rate: u32, ours: &Heard, bare: &Heard) {
    let (p50, p99) = (percentile(&ours.spans, 50), percentile(&ours.spans, 99));
    let (bare50, bare99) = (percentile(&bare.spans, 50), percentile(&bare.spans, 99));
    table.row(&[
        rate.to_string(),
        format!("{} of {} (bare {})", ours.lost, ours.sent, bare.lost),
        millis(p50),
        millis(p99),
        millis(bare50),
        millis(bare99),
        ratio(p99, bare99),
        millis(ours.cpu),
        millis(bare.cpu),
        ours.bytes.to_string(),
        bare.bytes.to_string(),
    ]);
}

impl Circle {
    /// Everybody says something in turn, so many a second in all.
    fn talk(&self, per_second: u32) -> Heard {
        let ears: Vec<Ear> = self.dirs.iter().map(|dir| Face::to(dir).hear(GROUP)).collect();
        let (cpu_before, bytes_before) = (self.cpu(), loopback());
        let every = Duration::from_secs(1) / per_second;
        let speakers = self.dirs.len().min(per_second as usize);
        let begin = Instant::now();
        let said: Vec<Vec<(String, Instant)>> = thread::scope(|scope| {
            let speak = |speaker: usize| {
                let mut face = Face::to(self.dirs.get(speaker).expect("one of them"));
                move || {
                    let mut said = Vec::new();
                    for turn in (speaker..).step_by(speakers) {
                        let due = every * u32::try_from(turn).expect("few");
                        if due >= SPAN {
                            return said;
                        }
                        thread::sleep((begin + due).saturating_duration_since(Instant::now()));
                        let at = Instant::now();
                        said.push((face.send(GROUP, TEXT), at));
                    }
                    said
                }
            };
            let speaking: Vec<_> = (0..speakers).map(|speaker| scope.spawn(speak(speaker))).collect();
            speaking.into_iter().map(|speaking| speaking.join().expect("speaks")).collect()
        });
        self.heard(&ears, &said, (cpu_before, bytes_before))
    }

    fn heard(&self, ears: &[Ear], said: &[Vec<(String, Instant)>], (cpu, bytes): (Duration, u64)) -> Heard {
        let all: BTreeMap<&String, Instant> = said.iter().flatten().map(|(id, at)| (id, *at)).collect();
        let (mut spans, mut lost) = (Vec::new(), 0);
        for (listener, ear) in ears.iter().enumerate() {
            let own = said.get(listener).map_or(0, Vec::len);
            let lines = ear.lines(all.len() - own, LATE);
            lost += all.len() - own - lines.len();
            spans.extend(lines.iter().filter_map(|(id, at)| Some(at.duration_since(*all.get(id)?))));
        }
        let deliveries = spans.len().max(1);
        let each = u32::try_from(deliveries).expect("few");
        Heard {
            sent: all.len(),
            lost,
            cpu: (self.cpu() - cpu) / each,
            bytes: (loopback() - bytes) / deliveries as u64,
            spans,
        }
    }

    fn cpu(&self) -> Duration {
        self.pids.iter().map(|pid| cpu(*pid)).sum()
    }

    fn down(&self) {
        for dir in &self.dirs {
            Face::to(dir).ask("down", &json!({}));
        }
    }
}

fn bare_processes(place: &Path, count: usize) -> (Circle, Vec<Child>) {
    let ports = raw_gossip::free_ports(count);
    let (mut dirs, mut children) = (Vec::new(), Vec::new());
    for (n, port) in ports.iter().enumerate() {
        let dir = place.join(format!("bare {}", name(n)));
        fs::create_dir(&dir).expect("a folder");
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.arg(crate::BARE_NODE).arg(&dir).arg(port.to_string());
        let dialled = raw_gossip::dialled(n).into_iter().filter_map(|peer| ports.get(peer));
        command.args(dialled.map(ToString::to_string)).stdout(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        nodes::until_ready(&mut child);
        children.push(child);
        dirs.push(dir);
    }
    let circle = Circle { dirs, pids: children.iter().map(Child::id).collect() };
    linked(&circle, &raw_gossip::links(count));
    (circle, children)
}

/// Waits until each knows of the subscriptions of so many.
fn linked(circle: &Circle, links: &[usize]) {
    for (dir, links) in circle.dirs.iter().zip(links) {
        Face::to(dir).until("group.show", &json!({}), |group| group["connected"] == *links);
    }
}

/// Bytes that the loopback interface has carried: of this benchmark alone, if the machine is quiet.
pub(crate) fn loopback() -> u64 {
    let text = fs::read_to_string("/proc/net/dev").expect("Linux");
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:")).expect("an interface");
    line.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).expect("a number")
}
