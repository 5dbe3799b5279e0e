//! Where strangers wait: what others have dialled, from the moment it is accepted until the hello has shown whose it is.
//!
//! Whoever can reach the port can open connections, make an identity for each, and stay. What that costs is bounded here,
//! at the socket, whatever the connection has come to: so many strangers at a time, so many bytes from each. When one
//! too many comes, the one leaves that has waited longest of those from the address that has most of them here, so that
//! a flood takes no room from people elsewhere. Its socket fails at once: a peer that reads nothing could drag out a
//! close in good order for ever.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::future::{BoxFuture, FutureExt};
use futures::{AsyncRead, AsyncWrite};
use kinfold_protocol::limits::LINKS_MAX;
use libp2p::core::Transport;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::{Multiaddr, tcp};
use tokio::sync::{mpsc, oneshot};

use super::listen;

/// Strangers at a time: hellos that are under way at once when a large group wakes, and few enough that all that they
/// may have us keep is a few megabytes.
pub(super) const STRANGERS_MAX: usize = 64;
/// Bytes that a stranger may send: many times a handshake and a hello, which is all that there is to say before.
const STRANGER_BYTES_MAX: usize = 64 * 1024;

type Tcp = tcp::tokio::Transport;

/// TCP, with a bound on strangers.
pub(super) struct Lobby {
    tcp: Tcp,
    /// Who waits, oldest first.
    guests: VecDeque<Guest>,
    known: mpsc::Receiver<Multiaddr>,
}

/// Tells the lobby who is no stranger any more.
pub(super) struct Known(mpsc::Sender<Multiaddr>);

struct Guest {
    remote: Multiaddr,
    from: Option<IpAddr>,
    /// Sending asks it to leave; dropping lets it go on as a friend. Closed when the connection is.
    leave: oneshot::Sender<()>,
}

impl Known {
    /// The connection from this address is no stranger's.
    pub(super) fn tell(&self, remote: &Multiaddr) {
        if self.0.try_send(remote.clone()).is_err() {
            tracing::warn!(code = "net-lobby-behind");
        }
    }
}

impl Lobby {
    pub(super) fn new(tcp: Tcp) -> (Self, Known) {
        let (tell, known) = mpsc::channel(LINKS_MAX);
        (Self { tcp, guests: VecDeque::new(), known }, Known(tell))
    }

    fn enter(&mut self, remote: &Multiaddr) -> Stay {
        let (leave, told) = oneshot::channel();
        self.guests.retain(|guest| !guest.leave.is_closed());
        self.guests.push_back(Guest { remote: remote.clone(), from: neighbourhood(remote), leave });
        if self.guests.len() > STRANGERS_MAX
            && let Some(guest) = self.longest_of_the_most().and_then(|index| self.guests.remove(index))
        {
            tracing::debug!(code = "net-stranger-left");
            // It may have gone by itself.
            let _gone = guest.leave.send(());
        }
        Stay::Stranger { told, bytes: STRANGER_BYTES_MAX }
    }

    /// Who has waited longest of those from the address with the most.
    fn longest_of_the_most(&self) -> Option<usize> {
        let mut counts = BTreeMap::<_, usize>::new();
        for guest in &self.guests {
            let count = counts.entry(guest.from).or_default();
            *count = count.saturating_add(1);
        }
        let most = counts.values().max()?;
        self.guests.iter().position(|guest| counts.get(&guest.from) == Some(most))
    }
}

/// What one household or one machine has: an IPv4 address, or an IPv6 network.
fn neighbourhood(remote: &Multiaddr) -> Option<IpAddr> {
    listen::socket_addr(remote).map(|socket| match socket.ip() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    })
}

impl Transport for Lobby {
    type Output = Visitor;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Visitor>>;
    type Dial = BoxFuture<'static, io::Result<Visitor>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.tcp.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.tcp.remove_listener(id)
    }

    /// Whom we dial, we have chosen.
    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        Ok(visit(self.tcp.dial(address, options)?, Stay::Known))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        while let Poll::Ready(Some(remote)) = self.known.poll_recv(cx) {
            self.guests.retain(|guest| guest.remote != remote);
        }
        let event = ready!(Pin::new(&mut self.tcp).poll(cx));
        let stay = match &event {
            TransportEvent::Incoming { send_back_addr, .. } => self.enter(send_back_addr),
            _ => Stay::Known,
        };
        Poll::Ready(event.map_upgrade(|upgrade| visit(upgrade, stay)))
    }
}

fn visit(
    socket: impl Future<Output = io::Result<tcp::tokio::TcpStream>> + Send + 'static,
    stay: Stay,
) -> BoxFuture<'static, io::Result<Visitor>> {
    async move { Ok(Visitor { socket: socket.await?, stay }) }.boxed()
}

/// A connection, with what the lobby allows it.
pub(super) struct Visitor {
    socket: tcp::tokio::TcpStream,
    stay: Stay,
}

enum Stay {
    Known,
    Over,
    Stranger {
        told: oneshot::Receiver<()>,
        /// That it may still send.
        bytes: usize,
    },
}

impl Visitor {
    /// The socket, if the lobby lets it be used.
    fn socket(&mut self, cx: &mut Context<'_>) -> io::Result<Pin<&mut tcp::tokio::TcpStream>> {
        if let Stay::Stranger { told, .. } = &mut self.stay
            && let Poll::Ready(said) = told.poll_unpin(cx)
        {
            self.stay = if said.is_ok() { Stay::Over } else { Stay::Known };
        }
        match self.stay {
            Stay::Known | Stay::Stranger { .. } => Ok(Pin::new(&mut self.socket)),
            Stay::Over => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    /// How much more is read for now. A stranger that has said all it may is not cut, for the word that it is a friend
    /// may be on its way: what it says next waits in the socket.
    const fn room(&self) -> usize {
        match self.stay {
            Stay::Stranger { bytes, .. } => bytes,
            Stay::Known | Stay::Over => usize::MAX,
        }
    }
}

impl AsyncRead for Visitor {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        // Also wakes this when the lobby says something.
        self.socket(cx)?;
        let room = self.room().min(buffer.len());
        if room == 0 {
            return Poll::Pending;
        }
        let (buffer, _) = buffer.split_at_mut(room);
        let read = ready!(self.socket(cx)?.poll_read(cx, buffer))?;
        if let Stay::Stranger { bytes, .. } = &mut self.stay {
            *bytes = bytes.saturating_sub(read);
        }
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket(cx)?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket(cx)?.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket(cx)?.poll_close(cx)
    }
}
