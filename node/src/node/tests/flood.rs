//! One member with a changed program says 5,000 small messages a second, at no pace and to everybody, over real TCP. The
//! four others talk on: everything they say arrives, soon, and the one who floods is cut.
//!
//! Three seconds of it, or the whole fourteen with `KINFOLD_FLOOD_SECONDS=14`. The test runs in a process of its own, so
//! that its memory is what five devices take together; with `--nocapture` it prints its figures.

mod device;
mod eve;
mod node;

use std::env;
use std::fs;
use std::process::Command as Process;
use std::sync::Arc;
use std::time::Duration;

use device::{people, seal_in_advance};
use eve::{Eve, flood};
use kinfold_protocol::id::GroupId;
use node::Node;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::*;
use crate::net::NetCommand;

const EVE: usize = 4;
const NAMES: [&str; 5] = ["Ana", "Ben", "Chi", "Dan", "Eve"];
/// Said by Eve in a second.
const A_SECOND: usize = 5_000;
/// Longer than anything takes that is not broken.
const LONG: Duration = Duration::from_secs(60);
/// Who floods is cut by then.
const CUT_WITHIN: Duration = Duration::from_secs(5);
/// More memory than that the four and Eve together never need for it: much of it is what she has yet to send.
const FLOOD_KIB: u64 = 256 * 1_024;
/// Set in the process that is the test.
const INSIDE: &str = "KINFOLD_FLOOD_INSIDE";

/// Who said what, and when.
type Said = (usize, String, Instant);

/// Each of the four says something ten times a second until it is over; who said what, and when.
async fn talk(nodes: &[Node], what: &str, until: Instant) -> Vec<Said> {
    let mut said = Vec::new();
    let mut pace = interval(Duration::from_millis(25));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 0.. {
        pace.tick().await;
        if Instant::now() >= until {
            break;
        }
        let (who, text) = (n % nodes.len(), format!("{what} {n}"));
        let at = Instant::now();
        nodes[who].say(&text).await;
        said.push((who, text, at));
    }
    said
}

fn texts(said: &[Said]) -> Vec<String> {
    said.iter().map(|(_, text, _)| text.clone()).collect()
}

/// How long each took to each of the others, shortest first.
fn delays(nodes: &[Node], said: &[Said]) -> Vec<Duration> {
    let mut delays = Vec::new();
    for (reader, node) in nodes.iter().enumerate() {
        let shown = node.shown.lock().unwrap();
        for (_, text, at) in said.iter().filter(|(author, ..)| *author != reader) {
            delays.extend(shown.get(text).map(|seen| seen.saturating_duration_since(*at)));
        }
    }
    delays.sort();
    delays
}

fn at_99(delays: &[Duration]) -> Duration {
    delays[delays.len() * 99 / 100]
}

/// What the process takes of memory, in KiB: now, or at most since this was set back.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find(|line| line.starts_with(field)).expect("a field");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

#[test]
fn who_floods_is_cut_and_the_others_talk_on() {
    if env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        return runtime.expect("a runtime").block_on(the_flood());
    }
    let name = "node::tests::flood::who_floods_is_cut_and_the_others_talk_on";
    let this = env::current_exe().expect("a program");
    let inside = Process::new(this).args(["--exact", name, "--nocapture"]).env(INSIDE, "1").output().expect("runs");
    assert!(inside.status.success(), "{}", String::from_utf8_lossy(&inside.stderr));
    let printed = String::from_utf8_lossy(&inside.stdout);
    assert!(printed.contains("1 passed"));
    println!("{}", printed.lines().find(|line| line.starts_with("flood")).expect("figures"));
}

/// Everybody dials everybody, Eve too.
async fn all_dial_all(nodes: &[Node], eve: &mpsc::Sender<NetCommand>) {
    for node in &nodes[1..] {
        for address in nodes.iter().flat_map(|other| &other.addresses).filter(|other| !node.addresses.contains(other)) {
            let connect = json!({ "group": "Circle", "address": address });
            node.ask("connect", &connect).await.expect("an address");
        }
    }
    for address in nodes.iter().flat_map(|node| &node.addresses) {
        let address = kinfold_protocol::step::Address(address.clone());
        eve.send(NetCommand::Dial { address }).await.expect("her network runs");
    }
}

/// What happens when nobody floods: everything is shown to all.
async fn quiet(nodes: &[Node]) -> Vec<Said> {
    let warm: Vec<String> = NAMES[..EVE].iter().map(|name| format!("{name} is here")).collect();
    for (node, text) in nodes.iter().zip(&warm) {
        node.say(text).await;
    }
    for node in nodes {
        node.shows(&warm).await;
    }
    let said = talk(nodes, "quiet", Instant::now() + Duration::from_secs(2)).await;
    for node in nodes {
        node.shows(&texts(&said)).await;
    }
    said
}

async fn the_flood() {
    let seconds = env::var("KINFOLD_FLOOD_SECONDS").map_or(3, |seconds| seconds.parse().expect("a number"));
    let rows = people().await;
    let mut nodes = Vec::new();
    for kept in &rows[..EVE] {
        nodes.push(Node::start(kept).await);
    }
    let groups = nodes[ANA].ask("group.list", &json!({})).await.expect("groups");
    let group = GroupId::from_hex(groups["groups"][0]["group_id"].as_str().expect("an id")).expect("an id");
    let sealed = seal_in_advance(&rows[ANA], &rows[EVE], group, seconds * A_SECOND);
    let eve = Eve::start(&rows[EVE]);
    let (links, commands) = (Arc::clone(&eve.links), eve.commands.clone());
    all_dial_all(&nodes, &commands).await;
    let running = tokio::spawn(eve.run());
    let mut looks = interval(Duration::from_millis(50));
    let linked = async {
        while links.lock().unwrap().up.len() < EVE {
            looks.tick().await;
        }
    };
    timeout(LONG, linked).await.expect("Eve is linked with all");
    let calm = delays(&nodes, &quiet(&nodes).await);
    links.lock().unwrap().ended.clear();
    assert_eq!(links.lock().unwrap().up.len(), EVE);

    fs::write("/proc/self/clear_refs", "5").expect("a new peak");
    let before = memory("VmRSS:");
    let begin = Instant::now();
    let flooding = tokio::spawn(flood(commands, sealed));
    let said = talk(&nodes, "amid", begin + Duration::from_secs(seconds as u64 + 1)).await;
    let took = flooding.await.expect("it is over");
    for node in &nodes {
        node.shows(&texts(&said)).await;
    }
    let peak = memory("VmHWM:");
    let cut: Vec<_> = links.lock().unwrap().ended.iter().map(|at| at.saturating_duration_since(begin)).collect();
    let amid = delays(&nodes, &said);
    let mut of_eve = Vec::new();
    for node in &nodes {
        let history = node.history().await;
        assert!(texts(&said).iter().all(|text| history.contains(text)), "what was said is there");
        of_eve.push(history.iter().filter(|text| text.starts_with("flood")).count());
    }
    println!(
        "flood of {} in {took:?}; cut after {cut:?}; taken {of_eve:?}; said {}, p50 {:?}, p99 {:?}, max {:?}; quiet p99 \
         {:?}; five devices {before} KiB before, {peak} KiB at most",
        seconds * A_SECOND,
        said.len(),
        amid[amid.len() / 2],
        at_99(&amid),
        amid[amid.len() - 1],
        at_99(&calm),
    );
    assert_eq!(amid.len(), said.len() * (nodes.len() - 1), "each was shown to each");
    assert!(cut.len() >= EVE, "everybody cut her: {cut:?}");
    assert!(cut[..EVE].iter().all(|after| *after < CUT_WITHIN), "{cut:?}");
    assert!(of_eve.iter().all(|taken| *taken < 2 * A_SECOND), "{of_eve:?}");
    assert!(peak < before + FLOOD_KIB, "{before} KiB, then {peak} KiB");
    running.abort();
    for node in nodes {
        node.stop().await;
    }
}
