//! Gossipsub alone: nodes that speak as much of the local API as a measurement needs, send what an envelope of the same
//! text weighs, and keep each message in a file with one write barrier, as Kinfold does.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;

use futures::StreamExt;
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, MessageId, ValidationMode};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, SwarmBuilder, noise, tcp, yamux};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::face::PATIENCE;

/// The weight of an envelope that holds the text.
pub(crate) const PAYLOAD: usize = 1_024;
const TOPIC: &str = "circle";
/// More than any measurement has under way.
const QUEUE: usize = 16_384;

/// A request: what is asked, and where the answer goes.
type Call = (Value, oneshot::Sender<Value>);

/// A node that listens on a port; `peers` are dialled.
async fn serve(dir: PathBuf, port: u16, peers: Vec<u16>, ready: impl FnOnce()) {
    let mut swarm = swarm();
    swarm.listen_on(address(port)).expect("listens");
    for peer in peers {
        swarm.dial(address(peer)).expect("dials");
    }
    let (to_calls, mut calls) = mpsc::channel::<Call>(QUEUE);
    let (feed, _) = broadcast::channel(QUEUE);
    let listener = UnixListener::bind(dir.join("control.sock")).expect("a socket");
    let told = feed.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, to_calls.clone(), told.subscribe()));
        }
    });
    let mut file = File::create(dir.join("log")).expect("a file");
    ready();
    loop {
        tokio::select! {
            Some((call, reply)) = calls.recv() => {
                let answer = answer(&mut swarm, &mut file, &call);
                drop(reply.send(answer));
                if call["method"] == "down" {
                    return;
                }
            }
            event = swarm.select_next_some() => {
                if let SwarmEvent::Behaviour(gossipsub::Event::Message { message, .. }) = event {
                    keep(&mut file, &message.data);
                    let id = blake3::hash(&message.data).to_hex().to_string();
                    let line = json!({ "event": "line", "kind": "text", "own": false, "id": id });
                    drop(feed.send(json!({ "jsonrpc": "2.0", "method": "event", "params": line })));
                }
            }
        }
    }
}

fn answer(swarm: &mut Swarm<gossipsub::Behaviour>, file: &mut File, call: &Value) -> Value {
    match call["method"].as_str() {
        Some("send") => {
            let mut bytes = vec![0; PAYLOAD];
            getrandom::fill(&mut bytes).expect("entropy");
            keep(file, &bytes);
            let id = blake3::hash(&bytes).to_hex().to_string();
            swarm.behaviour_mut().publish(IdentTopic::new(TOPIC), bytes).expect("published");
            json!({ "id": id })
        }
        Some("group.show") => {
            json!({ "connected": swarm.behaviour().all_peers().filter(|(_, topics)| !topics.is_empty()).count() })
        }
        _ => json!({}),
    }
}

fn keep(file: &mut File, bytes: &[u8]) {
    tokio::task::block_in_place(|| {
        file.write_all(bytes).and_then(|()| file.sync_data()).expect("written");
    });
}

/// One connection: answers, and notices once they were asked for.
async fn talk(stream: UnixStream, calls: mpsc::Sender<Call>, mut feed: broadcast::Receiver<Value>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut subscribed = false;
    loop {
        let line = tokio::select! {
            Ok(Some(line)) = lines.next_line() => {
                let call: Value = serde_json::from_str(&line).expect("JSON");
                subscribed |= call["method"] == "subscribe";
                let (reply, answer) = oneshot::channel();
                let Ok(()) = calls.send((call, reply)).await else { return };
                let Ok(answer) = answer.await else { return };
                json!({ "jsonrpc": "2.0", "id": 1, "result": answer })
            }
            Ok(notice) = feed.recv(), if subscribed => notice,
            else => return,
        };
        if write.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The same transport and the same settings of gossipsub as Kinfold's.
fn swarm() -> Swarm<gossipsub::Behaviour> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(|message| MessageId::from(blake3::hash(&message.data).as_bytes().to_vec()))
        .heartbeat_initial_delay(std::time::Duration::from_millis(200))
        .idontwant_on_publish(true)
        .build()
        .expect("within bounds");
    let behaviour = |_: &libp2p::identity::Keypair| {
        let mut gossip = gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config.clone()).expect("a pair");
        gossip.subscribe(&IdentTopic::new(TOPIC)).expect("subscribed");
        gossip
    };
    let builder = SwarmBuilder::with_new_identity().with_tokio();
    let builder = builder.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default);
    let Ok(builder) = builder.expect("a transport").with_behaviour(behaviour);
    builder.with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE)).build()
}

fn address(port: u16) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address")
}

/// Whom the n-th dials, of those before it: four, as a device of Kinfold's does.
pub(crate) fn dialled(n: usize) -> BTreeSet<usize> {
    [n.checked_sub(1), n.checked_sub(2), Some(n / 2), Some(n / 3)]
        .into_iter()
        .flatten()
        .filter(|peer| *peer < n)
        .collect()
}

/// How many links each of so many then has.
pub(crate) fn links(count: usize) -> Vec<usize> {
    let dials = |n: usize| (0..count).filter(move |other| dialled(*other).contains(&n));
    (0..count).map(|n| dialled(n).len() + dials(n).count()).collect()
}

/// So many of them in this process, each linked to some, on threads of their own as Kinfold's are; their directories.
pub(crate) fn inside(place: &Path, count: usize) -> Vec<PathBuf> {
    let ports = free_ports(count);
    let mut dirs = Vec::new();
    for (n, port) in ports.iter().enumerate() {
        let dir = place.join(format!("bare {n}"));
        std::fs::create_dir(&dir).expect("a folder");
        let peers = dialled(n).iter().filter_map(|peer| ports.get(*peer)).copied().collect();
        let (tell, told) = sync_channel(1);
        let (at, port) = (dir.clone(), *port);
        thread::spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
            runtime.block_on(serve(at, port, peers, move || tell.send(()).expect("somebody waits")));
        });
        told.recv_timeout(PATIENCE).expect("ready");
        dirs.push(dir);
    }
    dirs
}

/// What a child process of this benchmark runs: directory, port, ports to dial.
pub(crate) fn child(arguments: &[String]) {
    let [dir, port, peers @ ..] = arguments else { panic!("a directory and a port") };
    let number = |text: &String| text.parse().expect("a port");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // On the thread that blocks: a task that says `block_in_place` on a worker was seen to be polled no more.
    runtime.block_on(serve(PathBuf::from(dir), number(port), peers.iter().map(number).collect(), println_ready));
}

fn println_ready() {
    let mut out = std::io::stdout().lock();
    out.write_all(b"ready\n").and_then(|()| out.flush()).expect("written");
}

/// Ports that nobody has now.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port")).collect();
    held.iter().map(|listener| listener.local_addr().expect("bound").port()).collect()
}
