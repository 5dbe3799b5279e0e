//! The network of a node, with a tape running between Noise and the multiplexer: what it keeps is what Noise carries,
//! and all that anybody could see of it if Noise were not there.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};
use kinfold_protocol::id::NetId;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::identity::Keypair;
use libp2p::{PeerId, noise};
use tokio::sync::mpsc;

use super::{FromNet, NetConfig, NetError, NetHandle, Patience, start_over, swarm};

/// One connection, as one of its ends saw it.
#[derive(Clone)]
pub(crate) struct Taped {
    /// The network of this end.
    pub(crate) net: NetId,
    /// Whether this end dialled.
    pub(crate) dialled: bool,
    /// The transport ids of this end and of the other.
    pub(crate) ends: [Vec<u8>; 2],
    /// What this end wrote.
    pub(crate) written: Vec<u8>,
    /// What it read.
    pub(crate) read: Vec<u8>,
}

/// All connections of all networks of a device.
#[derive(Clone, Default)]
pub(crate) struct Tape(Arc<Mutex<Vec<Taped>>>);

impl Tape {
    /// What is on it by now.
    pub(crate) fn so_far(&self) -> Vec<Taped> {
        self.0.lock().unwrap().clone()
    }

    /// Starts a network that is recorded.
    pub(crate) fn start(&self, config: NetConfig, inbox: mpsc::Sender<FromNet>) -> Result<NetHandle, NetError> {
        let key = Keypair::generate_ed25519();
        let noise = noise::Config::new(&key).map_err(NetError::Transport)?;
        let recording = Recording { noise, net: config.net, local: key.public().to_peer_id(), tape: self.clone() };
        let (bare, known) = swarm::bare();
        let wire = bare.authenticate(recording).multiplex(swarm::muxer()).boxed();
        let patience = Patience::default();
        start_over(swarm::build_over(wire, key, patience.stream), known, config, inbox, patience)
    }
}

/// Noise, and a tape behind it.
#[derive(Clone)]
struct Recording {
    noise: noise::Config,
    net: NetId,
    local: PeerId,
    tape: Tape,
}

impl Recording {
    fn begin<S>(&self, (remote, io): (PeerId, S), dialled: bool) -> (PeerId, Recorded<S>) {
        let ends = [self.local, remote].map(PeerId::to_bytes);
        let taped = Taped { net: self.net, dialled, ends, written: Vec::new(), read: Vec::new() };
        let mut tape = self.tape.0.lock().unwrap();
        tape.push(taped);
        (remote, Recorded { io, tape: self.tape.clone(), place: tape.len() - 1 })
    }
}

impl UpgradeInfo for Recording {
    type Info = <noise::Config as UpgradeInfo>::Info;
    type InfoIter = <noise::Config as UpgradeInfo>::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.noise.protocol_info()
    }
}

/// An upgrade that has not ended.
type Upgrading<S> = Pin<Box<dyn Future<Output = Result<(PeerId, Recorded<noise::Output<S>>), noise::Error>> + Send>>;

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> InboundConnectionUpgrade<S> for Recording {
    type Output = (PeerId, Recorded<noise::Output<S>>);
    type Error = noise::Error;
    type Future = Upgrading<S>;

    fn upgrade_inbound(self, socket: S, info: Self::Info) -> Self::Future {
        Box::pin(async move { Ok(self.begin(self.noise.clone().upgrade_inbound(socket, info).await?, false)) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> OutboundConnectionUpgrade<S> for Recording {
    type Output = (PeerId, Recorded<noise::Output<S>>);
    type Error = noise::Error;
    type Future = Upgrading<S>;

    fn upgrade_outbound(self, socket: S, info: Self::Info) -> Self::Future {
        Box::pin(async move { Ok(self.begin(self.noise.clone().upgrade_outbound(socket, info).await?, true)) })
    }
}

/// A connection whose bytes are kept.
struct Recorded<S> {
    io: S,
    tape: Tape,
    place: usize,
}

impl<S> Recorded<S> {
    fn keep(&self, what: impl FnOnce(&mut Taped)) {
        what(&mut self.tape.0.lock().unwrap()[self.place]);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Recorded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, room);
        if let Poll::Ready(Ok(count)) = polled {
            self.keep(|taped| taped.read.extend_from_slice(&room[..count]));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Recorded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = polled {
            self.keep(|taped| taped.written.extend_from_slice(&bytes[..count]));
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}
