//! A peer that is no program but a script: it speaks Noise as everybody does, and everything above it by hand.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::upgrade::OutboundConnectionUpgrade as _;
use libp2p::identity::Keypair;
use libp2p::noise;
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

pub(crate) const DATA: u8 = 0;
pub(crate) const WINDOW: u8 = 1;
pub(crate) const PING: u8 = 2;
pub(crate) const SYN: u16 = 1;
const MULTISTREAM: &str = "/multistream/1.0.0";
pub(crate) const LINK: &str = "/kinfold/link/1";

/// A connection past Noise and the choice of yamux.
pub(crate) struct Peer {
    wire: noise::Output<Compat<TcpStream>>,
    /// Whether this end has to open the link stream.
    pub(crate) opens: bool,
}

/// A socket from an address of this machine.
pub(crate) async fn tcp(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // What is not read stays with who sent it.
    socket.set_recv_buffer_size(4_096)?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(to).await
}

/// A name as multistream-select has it.
pub(crate) fn named(protocol: &str) -> Vec<u8> {
    let length = u8::try_from(protocol.len() + 1).expect("a short name");
    [&[length], protocol.as_bytes(), b"\n"].concat()
}

/// What opens a stream for a protocol.
pub(crate) fn asking(protocol: &str) -> Vec<u8> {
    [named(MULTISTREAM), named(protocol)].concat()
}

/// A frame of yamux, which may lie about its length.
pub(crate) fn frame(kind: u8, flags: u16, stream: u32, length: u32, body: &[u8]) -> Vec<u8> {
    let head = [&[0, kind], flags.to_be_bytes().as_slice(), &stream.to_be_bytes(), &length.to_be_bytes()].concat();
    [head.as_slice(), body].concat()
}

/// A frame of yamux with data.
pub(crate) fn data(flags: u16, stream: u32, body: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, u32::try_from(body.len()).expect("short"), body)
}

/// A frame of a link.
pub(crate) fn said(bytes: &[u8]) -> Vec<u8> {
    [u32::try_from(bytes.len()).expect("short").to_be_bytes().as_slice(), bytes].concat()
}

async fn choose(wire: &mut (impl futures::AsyncRead + futures::AsyncWrite + Unpin), protocol: &str) -> io::Result<()> {
    let asked = asking(protocol);
    wire.write_all(&asked).await?;
    wire.flush().await?;
    let mut answer = vec![0; asked.len()];
    wire.read_exact(&mut answer).await?;
    if answer == asked { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

impl Peer {
    /// Comes from an address under a name made for it.
    pub(crate) async fn meet(from: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        let mut socket = tcp(from, to).await?.compat();
        choose(&mut socket, "/noise").await?;
        let key = Keypair::generate_ed25519();
        let noise = noise::Config::new(&key).map_err(io::Error::other)?;
        let (node, mut wire) = noise.upgrade_outbound(socket, "/noise").await.map_err(io::Error::other)?;
        choose(&mut wire, "/yamux/1.0.0").await?;
        Ok(Self { wire, opens: key.public().to_peer_id().to_bytes() < node.to_bytes() })
    }

    /// Comes as one who has to open the link, and opens it.
    pub(crate) async fn link(from: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        loop {
            let mut peer = Self::meet(from, to).await?;
            if peer.opens {
                peer.send(&data(SYN, 1, &asking(LINK))).await?;
                let mut answer = vec![0; asking(LINK).len()];
                peer.heard(&mut answer).await?;
                return Ok(peer);
            }
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes).await?;
        self.wire.flush().await
    }

    /// A frame on the link stream.
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.send(&data(0, 1, &said(bytes))).await
    }

    /// Fills the buffer with what comes on the first stream; what comes on others is dropped.
    pub(crate) async fn heard(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let mut head = [0; 12];
            self.wire.read_exact(&mut head).await?;
            let [_, kind, _, flags, a, b, c, d, e, f, g, h] = head;
            let (stream, length) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
            if stream == 1 && flags & 8 != 0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if kind != DATA {
                continue;
            }
            let mut body = vec![0; length as usize];
            self.wire.read_exact(&mut body).await?;
            if stream == 1 {
                let end = buffer.len().min(filled + body.len());
                buffer[filled..end].copy_from_slice(&body[..end - filled]);
                filled = end;
            }
        }
        Ok(())
    }

    /// A frame of the link.
    pub(crate) async fn next(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut all = vec![0; 4 + length];
        self.heard(&mut all).await?;
        assert_eq!(all[..4], said(&vec![0; length])[..4], "a frame of the hello has always one length");
        Ok(all.split_off(4))
    }

    /// Waits until the node has closed.
    pub(crate) async fn closed(&mut self) {
        let mut bytes = [0; 1_024];
        while self.wire.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    }
}
