//! Where the network listens: one port on every interface, kept over restarts if nobody took it.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use kinfold_protocol::id::NetId;
use kinfold_protocol::limits::ADDRESS_BYTES_MAX;
use kinfold_protocol::step::{Address, Input};
use libp2p::Multiaddr;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use tokio::time::Instant;

use super::NetError;

/// How often a port is chosen that is free on the first interface, before one must be free on all.
const PORT_TRIES: usize = 16;
/// After the last change before the set is told: interfaces come one by one.
const SETTLE: Duration = Duration::from_millis(100);
/// Addresses told: more than a machine has interfaces that a person would name.
const ADDRESSES_TOLD_MAX: usize = 16;

/// The IP address and port of an address that this network can use.
pub(super) fn socket_addr(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else { return None };
    parts.next().is_none().then_some(SocketAddr::new(ip, port))
}

/// An address as it is written, if this network can dial it.
pub(super) fn dialable(address: &str) -> Option<Multiaddr> {
    address.parse().ok().filter(|parsed| socket_addr(parsed).is_some_and(|socket| socket.port() != 0))
}

fn multiaddr(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip()).with(Protocol::Tcp(socket.port()))
}

/// The addresses to listen on, and the port to keep.
pub(super) fn choose(listen: &[Multiaddr], kept: Option<u16>) -> Result<(Vec<Multiaddr>, u16), NetError> {
    let wanted: Vec<SocketAddr> = listen.iter().map(socket_addr).collect::<Option<_>>().ok_or(NetError::Address)?;
    let (open, explicit): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|socket| socket.port() == 0);
    for socket in &explicit {
        probe(*socket)?;
    }
    let mut chosen: Vec<Multiaddr> = explicit.iter().copied().map(multiaddr).collect();
    if let (true, Some(first)) = (open.is_empty(), explicit.first()) {
        return Ok((chosen, first.port()));
    }
    let open = usable(open)?;
    let first = *open.first().ok_or(NetError::Address)?;
    let port = common_port(first, &open, kept.filter(|port| *port != 0))?;
    chosen.extend(open.iter().map(|socket| multiaddr(SocketAddr::new(socket.ip(), port))));
    Ok((chosen, port))
}

/// The interfaces that are there; an error if none is. A machine without IPv6, or out of its usual network, can talk.
fn usable(sockets: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NetError> {
    let mut missing = None;
    let mut usable = Vec::with_capacity(sockets.len());
    for socket in sockets {
        match probe(socket) {
            Ok(_) => usable.push(socket),
            Err(error) => {
                tracing::info!(code = "net-interface-missing");
                missing = Some(error);
            }
        }
    }
    missing.filter(|_| usable.is_empty()).map_or(Ok(usable), Err)
}

/// A port that is free on all of the interfaces: the kept one if it is.
fn common_port(first: SocketAddr, all: &[SocketAddr], kept: Option<u16>) -> Result<u16, NetError> {
    let free = |port: u16| all.iter().try_for_each(|socket| probe(SocketAddr::new(socket.ip(), port)).map(drop));
    if let Some(port) = kept {
        match free(port) {
            Ok(()) => return Ok(port),
            Err(NetError::PortTaken) => tracing::info!(code = "net-kept-port-taken"),
            Err(other) => return Err(other),
        }
    }
    for _ in 0..PORT_TRIES {
        let port = probe(first)?;
        match free(port) {
            Ok(()) => return Ok(port),
            Err(NetError::PortTaken) => {}
            Err(other) => return Err(other),
        }
    }
    Err(NetError::PortTaken)
}

/// The port, if it is free. libp2p cannot tell: its sockets share their port with any other of the same user.
fn probe(socket: SocketAddr) -> Result<u16, NetError> {
    match TcpListener::bind(socket).and_then(|listener| listener.local_addr()) {
        Ok(bound) => Ok(bound.port()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(NetError::PortTaken),
        Err(error) => Err(NetError::Listen(error)),
    }
}

/// The addresses that the swarm reports, and when to tell them.
#[derive(Default)]
pub(super) struct Listening {
    port: u16,
    /// Listeners that have not said where they listen.
    silent: HashSet<ListenerId>,
    /// Best first: other machines can dial what is no loopback.
    addresses: BTreeSet<(bool, String)>,
    told: Option<Vec<Address>>,
    settled_at: Option<Instant>,
}

impl Listening {
    pub(super) fn new(port: u16) -> Self {
        Self { port, ..Self::default() }
    }

    pub(super) fn expect(&mut self, listener: ListenerId) {
        self.silent.insert(listener);
    }

    pub(super) fn add(&mut self, listener: ListenerId, address: &Multiaddr) {
        self.silent.remove(&listener);
        self.addresses.extend(entry(address));
        self.changed();
    }

    pub(super) fn remove(&mut self, address: &Multiaddr) {
        if let Some(entry) = entry(address) {
            self.addresses.remove(&entry);
        }
        self.changed();
    }

    pub(super) fn close(&mut self, listener: ListenerId, addresses: &[Multiaddr]) {
        self.silent.remove(&listener);
        for entry in addresses.iter().filter_map(entry) {
            self.addresses.remove(&entry);
        }
        self.changed();
    }

    fn changed(&mut self) {
        if self.silent.is_empty() {
            self.settled_at = Some(Instant::now() + SETTLE);
        }
    }

    /// When [`Self::settle`] is to be called.
    pub(super) const fn settled_at(&self) -> Option<Instant> {
        self.settled_at
    }

    /// What to tell, if it is not what was told last.
    pub(super) fn settle(&mut self, net: NetId) -> Option<Input> {
        self.settled_at = None;
        let addresses: Vec<Address> =
            self.addresses.iter().take(ADDRESSES_TOLD_MAX).map(|(_, text)| Address(text.clone())).collect();
        if self.told.as_ref() == Some(&addresses) {
            return None;
        }
        self.told = Some(addresses.clone());
        Some(Input::Listening { net, port: self.port, addresses })
    }
}

/// An address as it is told; none for one that no other machine could dial, or not without naming an interface.
fn entry(address: &Multiaddr) -> Option<(bool, String)> {
    let ip = socket_addr(address)?.ip();
    let local_to_link = match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip == Ipv6Addr::UNSPECIFIED,
    };
    let text = address.to_string();
    (!local_to_link && text.len() <= ADDRESS_BYTES_MAX).then_some((ip.is_loopback(), text))
}
