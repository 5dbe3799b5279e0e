//! What strangers do. Each attack is one visit, made again and again by several at a time.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::io::AsyncWriteExt as _;

use crate::script::{DATA, LINK, PING, Peer, SYN, WINDOW, asking, data, frame, named, tcp};

const NONCE: usize = 512;
/// The tags of a hello: 64 generations and 64 invites, sixteen bytes each.
const TAGS: usize = 16 * 128;
/// Visits made.
pub(crate) static VISITS: AtomicU64 = AtomicU64::new(0);
/// Visits that came as far as they were to come.
pub(crate) static DONE: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    Junk,
    Silence,
    Halfway,
    Hello,
    Replay,
    Frames,
    Streams,
    Unread,
    Crowd,
    Churn,
}

impl Attack {
    /// Every attack, and how many strangers make it at a time.
    pub(crate) const ALL: [(Self, usize); 10] = [
        (Self::Junk, 4),
        (Self::Silence, 300),
        (Self::Halfway, 100),
        (Self::Hello, 4),
        (Self::Replay, 4),
        (Self::Frames, 4),
        (Self::Streams, 4),
        (Self::Unread, 100),
        (Self::Crowd, 1_000),
        (Self::Churn, 4),
    ];

    /// Whether a visit lasts until the node ends it.
    pub(crate) const fn stays(self) -> bool {
        matches!(self, Self::Silence | Self::Halfway | Self::Unread | Self::Crowd)
    }

    /// One visit.
    pub(crate) async fn visit(self, to: SocketAddr) {
        let turn = VISITS.fetch_add(1, Ordering::Relaxed);
        // A node that has closed makes every call an error.
        if self.make(to, turn).await.is_ok() {
            DONE.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn make(self, to: SocketAddr, turn: u64) -> io::Result<()> {
        let from = address(self);
        match self {
            Self::Junk => tcp(from, to).await?.write_all(&noise(1 << 20, turn)).await,
            Self::Silence => {
                let mut socket = tcp(from, to).await?;
                let begun = asking("/noise");
                let much = usize::try_from(turn).unwrap_or(0) % begun.len();
                socket.write_all(&begun[..much]).await?;
                let mut byte = [0; 64];
                while tokio::io::AsyncReadExt::read(&mut socket, &mut byte).await? > 0 {}
                Ok(())
            }
            Self::Halfway | Self::Crowd => {
                let mut peer = Peer::meet(from, to).await?;
                if turn.is_multiple_of(2) {
                    peer.send(&data(SYN, 1, &asking(LINK)[..9])).await?;
                }
                peer.closed().await;
                Ok(())
            }
            Self::Hello => hello(from, to, turn).await,
            Self::Replay => replay(from, to).await,
            Self::Frames => frames(from, to, turn).await,
            Self::Streams => streams(from, to, turn).await,
            Self::Unread => unread(from, to).await,
            Self::Churn => Peer::meet(from, to).await.map(drop),
        }
    }
}

/// One address for each attack but the crowd, which comes from many and from where honest people are.
fn address(attack: Attack) -> Ipv4Addr {
    static TURN: AtomicU32 = AtomicU32::new(0);
    match attack {
        Attack::Crowd => match TURN.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => Ipv4Addr::LOCALHOST,
            _ => Ipv4Addr::new(127, 0, 0, 66),
        },
        _ => Ipv4Addr::new(127, 0, 0, 67),
    }
}

/// Bytes that mean nothing and differ each time.
fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(count).collect()
}

/// A hello that nobody made with a key.
async fn hello(from: Ipv4Addr, to: SocketAddr, turn: u64) -> io::Result<()> {
    let mut peer = Peer::link(from, to).await?;
    peer.say(&noise(NONCE, turn)).await?;
    peer.next(NONCE).await?;
    peer.next(TAGS).await?;
    peer.say(&noise(TAGS, turn)).await?;
    peer.closed().await;
    Ok(())
}

/// The node's own hello, in another talk.
async fn replay(from: Ipv4Addr, to: SocketAddr) -> io::Result<()> {
    let mut first = Peer::link(from, to).await?;
    first.say(&noise(NONCE, 1)).await?;
    let (nonce, tags) = (first.next(NONCE).await?, first.next(TAGS).await?);
    let mut second = Peer::link(from, to).await?;
    second.say(&nonce).await?;
    second.next(NONCE).await?;
    let own = second.next(TAGS).await?;
    // What it shows here is not what it showed there, so neither is worth anything.
    assert_ne!(own, tags);
    second.say(&tags).await?;
    second.closed().await;
    first.say(&tags).await?;
    first.closed().await;
    Ok(())
}

/// What is malformed, by the protocol that it is for.
fn malformed() -> Vec<Vec<u8>> {
    let much = 256 * 1024 + 1;
    let mut all = vec![
        // Yamux: more than the credit with the first frame; credit beyond what a number holds; and lies.
        frame(DATA, SYN, 1, u32::try_from(much).expect("short"), &vec![7; much]),
        [frame(WINDOW, SYN, 1, u32::MAX, &[]), frame(WINDOW, 0, 1, u32::MAX, &[])].concat(),
        frame(DATA, SYN, 1, u32::MAX, &[7; 100]),
        frame(DATA, SYN, 2, 0, &[]),
        frame(DATA, 0, 99, 4, &[7; 4]),
        frame(9, 0xffff, 0, 0, &[]),
        [&[0xff], frame(DATA, SYN, 1, 0, &[]).as_slice()].concat(),
        [data(SYN, 1, &[]), data(SYN, 1, &[])].concat(),
        frame(PING, SYN, 0, 7, &[]).repeat(1_000),
        frame(3, 0, 0, 0, &[]).repeat(100),
    ];
    // The choice of a protocol: no length, one without end, no line, one that is not offered, all that are.
    for asked in [vec![0], vec![0xff; 32], vec![3, b'a', b'b', b'c'], named("ls"), vec![0xff, 0x7f]] {
        all.push(data(SYN, 1, &[named("/multistream/1.0.0"), asked].concat()));
    }
    for protocol in ["/meshsub/1.1.0", "/floodsub/1.0.0", "/ipfs/id/1.0.0", "/ipfs/kad/1.0.0"] {
        all.push(data(SYN, 1, &[asking(protocol), vec![0xff; 1_000]].concat()));
    }
    for pinged in [vec![7; 1], vec![7; 33], vec![7; 60_000]] {
        all.push(data(SYN, 1, &[asking("/ipfs/ping/1.0.0"), pinged].concat()));
    }
    // The link: lengths of nothing, of less than a hello, and of more than there is.
    for link in [vec![0; 4], vec![0, 0, 0, 1, 7], vec![0xff; 4], vec![0, 4, 0, 1], vec![0, 0, 2, 0, 1]] {
        all.push(data(SYN, 1, &[asking(LINK), link].concat()));
    }
    all
}

async fn frames(from: Ipv4Addr, to: SocketAddr, turn: u64) -> io::Result<()> {
    let all = malformed();
    let index = usize::try_from(turn).unwrap_or(0) % (all.len() + 1);
    let Some(bytes) = all.get(index) else {
        // Noise itself: the largest message there is, with nothing in it.
        let mut socket = tcp(from, to).await?;
        return socket.write_all(&[asking("/noise"), vec![0xff; 65_537]].concat()).await;
    };
    let mut peer = Peer::meet(from, to).await?;
    peer.send(bytes).await
}

/// Ten thousand streams on one connection, or fifty on each of many.
async fn streams(from: Ipv4Addr, to: SocketAddr, turn: u64) -> io::Result<()> {
    let count = if turn.is_multiple_of(4) { 10_000 } else { 50 };
    let mut peer = Peer::meet(from, to).await?;
    for id in (1..).step_by(2).take(count) {
        peer.send(&data(SYN, id, &asking(LINK))).await?;
    }
    Ok(())
}

/// Asks for much, in as many streams as there may be, and reads none of it.
async fn unread(from: Ipv4Addr, to: SocketAddr) -> io::Result<()> {
    let mut peer = Peer::meet(from, to).await?;
    let asked = [named("/multistream/1.0.0"), named("/nothing/of/the/kind").repeat(1_000)].concat();
    for id in [1, 3, 5, 7] {
        peer.send(&data(SYN, id, &asked)).await?;
    }
    loop {
        peer.send(&frame(PING, SYN, 0, 7, &[]).repeat(100)).await?;
    }
}
