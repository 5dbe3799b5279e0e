//! Two people talk, and strangers do to the port of one of them what a script can do.
//!
//! `KINFOLD_STRANGERS_SECS=120` lets them talk on for so long after the last attack.
#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "an answer without the field asked for, or shorter than it must be, is a failed test"
)]

mod attacks;
#[path = "../processes/device.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod device;
mod script;
#[path = "../processes/wait.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod wait;
#[path = "../../../tests/tests/shared/wrong_clock.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod wrong_clock;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use attacks::{Attack, DONE, VISITS};
use device::{Api, Device, Window, place, two};
use wait::{pause, until};

const GROUP: &str = "Circle";
/// Talk of one kind, quiet or not.
const SPELL: Duration = Duration::from_millis(1_500);
/// Between two things that are said.
const BREATH: Duration = Duration::from_millis(5);
/// What a busy machine with spinning neighbours takes for a turn of the scheduler and the disk: below this, twice the
/// quiet time says more of them than of us.
const NOISE: Duration = Duration::from_millis(50);
/// What the node may take of memory: the aim set for it.
const MEMORY_KIB_MAX: u64 = 128 << 10;
/// Strangers there may be, those whose connections are being dropped, and what a node has open by itself.
const FILES_MAX: usize = 400;

/// Ana and Ben, each with a window on what the other says.
struct Talk {
    ana: (Api, Window),
    ben: (Api, Window),
    said: usize,
}

impl Talk {
    /// Each says something and the other sees it, until the time is over; how long each took.
    fn go_on(&mut self, time: Duration) -> Vec<Duration> {
        let (begun, mut took) = (Instant::now(), Vec::new());
        while begun.elapsed() < time {
            let ([from, to], text) = (
                if self.said.is_multiple_of(2) {
                    [&mut self.ana, &mut self.ben]
                } else {
                    [&mut self.ben, &mut self.ana]
                },
                format!("words {}", self.said),
            );
            self.said += 1;
            let at = Instant::now();
            from.0.call("send", &json!({ "group": GROUP, "text": text }));
            while to.1.next()["text"] != text.as_str() {}
            took.push(at.elapsed());
            pause(BREATH);
        }
        took
    }
}

/// The time that all but one in a hundred keep.
fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[(took.len() * 99).div_ceil(100) - 1]
}

/// The numbers of a process that its system keeps, in KiB.
fn kept(pid: u32, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("runs");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a line");
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().expect("a number")
}

fn files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("runs").count()
}

/// Strangers make an attack until they are told to end; their work is not to slow ours, as it does not from elsewhere.
fn begin(runtime: &Runtime, attack: Attack, count: usize, to: SocketAddr) -> Vec<JoinHandle<()>> {
    (0..count).map(|_| runtime.spawn(visits(attack, to))).collect()
}

async fn visits(attack: Attack, to: SocketAddr) {
    loop {
        attack.visit(to).await;
        if attack.stays() {
            // Who was thrown out comes again, but not in the same moment.
            drop(tokio::time::timeout(Duration::from_millis(200), std::future::pending::<()>()).await);
        }
        tokio::task::yield_now().await;
    }
}

fn port(device: &Device) -> u16 {
    let shown = device.done(&["group", "show", GROUP]);
    let addresses = shown["addresses"].as_array().expect("addresses");
    let address = addresses[0].as_str().expect("an address");
    address.rsplit('/').next().expect("a port").parse().expect("a number")
}

#[test]
fn two_people_talk_as_ever_whatever_strangers_do_and_a_third_comes_in() {
    let place = place();
    let [ana, ben] = two(place.path(), GROUP);
    let chi = Device::started(place.path(), "Chi");
    let (ana_sees, ben_sees) = (ana.follow(&[GROUP]), ben.follow(&[GROUP]));
    let mut talk = Talk { ana: (ana.api(), ana_sees), ben: (ben.api(), ben_sees), said: 0 };
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port(&ana)));
    let nice = || rustix::process::setpriority_process(None, 19).expect("may be slower");
    let runtime =
        Builder::new_multi_thread().worker_threads(1).enable_all().on_thread_start(nice).build().expect("runs");
    talk.go_on(SPELL);

    let (mut quiet, mut loud) = (Vec::new(), Vec::new());
    for (attack, count) in Attack::ALL {
        quiet.extend(talk.go_on(SPELL / 2));
        let (visits, done) = (VISITS.load(Ordering::Relaxed), DONE.load(Ordering::Relaxed));
        let strangers = begin(&runtime, attack, count, to);
        let took = talk.go_on(SPELL);
        let (visits, done) = (VISITS.load(Ordering::Relaxed) - visits, DONE.load(Ordering::Relaxed) - done);
        let open = files(ana.pid());
        println!(
            "{attack:?}: {visits} visits, {done} done, {} said, p99 {:?}, {open} files, {} KiB",
            took.len(),
            p99(took.clone()),
            kept(ana.pid(), "VmRSS")
        );
        assert!(visits >= count as u64, "{attack:?}: only {visits} came");
        assert!(open <= FILES_MAX, "{attack:?}: {open} files");
        if attack == Attack::Crowd {
            chi.join(&ana, GROUP);
        }
        strangers.iter().for_each(JoinHandle::abort);
        loud.extend(took);
    }
    let (quiet, loud) = (p99(quiet), p99(loud));
    let most = kept(ana.pid(), "VmHWM");
    println!("quiet p99 {quiet:?}, under attack {loud:?}, most memory {most} KiB, {} said", talk.said);
    assert!(loud < (quiet * 2).max(NOISE), "{loud:?} under attack, {quiet:?} when quiet");
    assert!(most < MEMORY_KIB_MAX, "{most} KiB");

    let on = std::env::var("KINFOLD_STRANGERS_SECS").map_or(0, |secs| secs.parse().expect("seconds"));
    talk.go_on(Duration::from_secs(on));
    assert_eq!(ana.done(&["status"])["groups"].as_array().map(Vec::len), Some(1));
    chi.until_people(GROUP, &["Ana", "Ben", "Chi"]);
    until("Chi is linked", || (chi.done(&["group", "show", GROUP])["connected"] == 2).then_some(()));
    chi.done(&["send", GROUP, "here I am"]);
    let all = talk.said + 1;
    ana.texts_of(GROUP, all);
    ben.texts_of(GROUP, all);
}
