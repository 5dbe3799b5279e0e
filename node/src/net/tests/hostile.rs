//! A member whose gossip is written by hand: what made earlier versions of gossipsub panic or grow.
//!
//! With `KINFOLD_ALL` the honest members talk on for two minutes after the last attack, because some of what gossipsub
//! once did wrong came to light only at a later heartbeat.

use std::time::Instant;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::{Stream, StreamProtocol};

use super::gossip::{admit_both, flows};
use super::raw::Raw;
use super::*;

const MESH: StreamProtocol = StreamProtocol::new("/meshsub/1.1.0");
/// Below the bound of gossipsub on what is no message.
const FRAME_BYTES: usize = 15_000;
const TOPICS: u64 = 10_000;
/// What a script may make the whole process grow by; what it sends in all is many times more.
const GROWTH_BYTES_MAX: usize = 64 << 20;
/// A stream that takes nothing for so long is one that the node has given up.
const STUCK: Duration = Duration::from_millis(500);
const AFTER: Duration = Duration::from_secs(120);

/// One field of a message: bytes, or a number.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn number(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

fn control(kind: u64, body: &[u8]) -> Vec<u8> {
    field(3, &field(kind, body))
}

fn topic(n: u64) -> Vec<u8> {
    [n.to_string().into_bytes(), vec![b'x'; 2_500]].concat()
}

fn ours() -> Vec<u8> {
    TOPIC.to_hex().into_bytes()
}

fn subscribe_to(topic: &[u8]) -> Vec<u8> {
    field(1, &[number(1, 1), field(2, topic)].concat())
}

fn prune(topic: &[u8], backoff: u64) -> Vec<u8> {
    control(4, &[field(1, topic), number(3, backoff)].concat())
}

fn message(bytes: usize) -> Vec<u8> {
    field(2, &[field(2, &vec![9; bytes]), field(4, &ours())].concat())
}

/// Messages packed into as few frames as a script that knows the bounds would use.
fn packed(parts: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut frames = vec![Vec::new()];
    for part in parts {
        if frames.last().unwrap().len() + part.len() > FRAME_BYTES {
            frames.push(Vec::new());
        }
        frames.last_mut().unwrap().extend(part);
    }
    frames
}

/// Every attack: its name, and the bodies of the frames.
fn attacks() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    // Now and the largest moments that a clock can name, as the advisories had them.
    let backoffs = [u64::MAX, u64::MAX / 2, i64::MAX.unsigned_abs(), i64::MAX.unsigned_abs() - 10_000_000_000, 1 << 62];
    let ids = |kind: u64, at: u64| {
        packed((0..TOPICS).map(move |n| {
            let many: Vec<u8> = (0..16_u64).flat_map(|m| field(at, &(n << 8 | m).to_be_bytes().repeat(4))).collect();
            let named = if kind == 1 { field(1, &ours()) } else { Vec::new() };
            control(kind, &[named, many].concat())
        }))
    };
    vec![
        ("a back-off without end", backoffs.iter().map(|backoff| prune(&ours(), *backoff)).collect()),
        ("a back-off for what is not joined", backoffs.iter().map(|backoff| prune(b"elsewhere", *backoff)).collect()),
        ("prunes for ten thousand topics", packed((0..TOPICS).map(|n| prune(&topic(n), 3_600)))),
        ("grafts for ten thousand topics", packed((0..TOPICS).map(|n| control(3, &field(1, &topic(n)))))),
        (
            "grafts and prunes in turn",
            packed((0..TOPICS).map(|n| match n % 2 {
                0 => control(3, &field(1, &ours())),
                _ => prune(&ours(), n),
            })),
        ),
        ("subscribing to ten thousand topics", packed((0..TOPICS).map(|n| subscribe_to(&topic(n))))),
        ("ihave", ids(1, 2)),
        ("iwant", ids(2, 1)),
        ("idontwant", ids(5, 1)),
        ("unknown fields", packed((0..TOPICS).map(|n| field(n + 10, &[1, 2, 3])))),
        ("nonsense", vec![vec![0xff; 1_000], vec![0x0a; 1_000], field(3, &[0xff; 100]), field(1, &[0x12, 0x7f])]),
        ("large messages", [33, 64, 1 << 10, 64 << 10].map(|kib: usize| message(kib << 10)).to_vec()),
    ]
}

/// Writes as much as the node takes; it may cut the stream when it likes.
async fn write(stream: &mut Stream, body: &[u8]) -> std::io::Result<()> {
    stream.write_all(&varint(body.len() as u64)).await?;
    stream.write_all(body).await?;
    stream.flush().await
}

/// A member at the node that speaks by hand, with its link, and reads what is gossiped to it.
async fn member(node: &mut Node) -> (Raw, libp2p::PeerId, Stream) {
    let mut raw = Raw::scripted();
    let mut incoming = raw.control.accept(MESH).unwrap();
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
        }
    });
    let peer = raw.dial(&node.addresses[0]).await;
    let link_stream = raw.link(peer).await;
    let (link, ..) = node.connected().await;
    node.order(NetCommand::Known { link }).await;
    node.order(NetCommand::Admit { link }).await;
    (raw, peer, link_stream)
}

/// A stream for gossip, once the node offers it.
async fn mesh(raw: &mut Raw, peer: libp2p::PeerId) -> Option<Stream> {
    timeout(LONG, async {
        loop {
            match raw.control.open_stream(peer, MESH).await {
                Ok(stream) => return Some(stream),
                Err(libp2p_stream::OpenStreamError::UnsupportedProtocol(_)) => tokio::task::yield_now().await,
                // The node has thrown it out.
                Err(_) => return None,
            }
        }
    })
    .await
    .expect("an answer")
}

/// Whatever is said from now on arrives, both ways.
async fn honest(a: &mut Node, b: &mut Node, said: &mut u64) {
    for _ in 0..5 {
        *said += 1;
        let words = format!("honest {said}").into_bytes();
        a.publish(&words).await;
        heard(b, &words).await;
        let words = format!("honest too {said}").into_bytes();
        b.publish(&words).await;
        heard(a, &words).await;
    }
}

async fn heard(node: &mut Node, words: &[u8]) {
    loop {
        let (bytes, ticket) = node.gossip().await;
        node.judge(ticket, Verdict::Ignore).await;
        if bytes == words {
            return;
        }
    }
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_writes_its_gossip_by_hand_stops_nobody_and_fills_nothing() {
    let (mut node, mut friend) = (Node::new().await, Node::new().await);
    let (at_node, at_friend) = connect(&mut node, &mut friend).await;
    admit_both(&node, at_node, &friend, at_friend).await;
    flows(&node, &mut friend).await;
    flows(&friend, &mut node).await;
    let attacks = attacks();
    let (before, mut said) = (resident(), 0);
    for (name, frames) in &attacks {
        let (mut raw, peer, _link) = member(&mut node).await;
        let attack = async {
            let (mut sent, mut stream) = (0_usize, None);
            for frame in frames {
                if stream.is_none() {
                    stream = mesh(&mut raw, peer).await;
                }
                let Some(open) = &mut stream else { break };
                // What is refused costs the stream; the next frame gets another, as long as there is one.
                match timeout(STUCK, write(open, frame)).await {
                    Ok(Ok(())) => sent += 1,
                    _ => stream = None,
                }
            }
            sent
        };
        let (sent, ()) = tokio::join!(attack, honest(&mut node, &mut friend, &mut said));
        assert!(sent > 0, "{name}: nothing was sent");
        honest(&mut node, &mut friend, &mut said).await;
        round_trip(&mut node, at_node, &mut friend, at_friend).await;
        let grown = resident().saturating_sub(before);
        assert!(grown < GROWTH_BYTES_MAX, "{name}: grew by {grown}");
    }
    let end = Instant::now();
    while std::env::var_os("KINFOLD_ALL").is_some() && end.elapsed() < AFTER {
        honest(&mut node, &mut friend, &mut said).await;
        let (_nobody, mut never) = mpsc::channel::<()>(1);
        drop(timeout(TRY, never.recv()).await);
    }
}
