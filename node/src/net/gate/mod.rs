//! A gate before a behaviour: it learns of a peer only when that peer was admitted.
//!
//! Gossipsub tells its topics to every peer that speaks its protocol, and hands messages to every peer that
//! subscribes. A stranger must get neither, nor see that the protocol is there. So the inner behaviour is not asked for
//! a handler, and not told of the connection, before [`Gate::admit`]; until then the connection has a [`Door`] with
//! nothing behind it.
//!
//! A peer goes through the gate once per connection. [`Gate::withhold`] shuts it, and the rest of the connection works
//! on; but gossipsub announces subscriptions only when a connection begins, so the other side would not repeat them.
//! Therefore what was withheld cannot be admitted again before all connections to the peer are closed.

mod door;

use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll, ready};

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::behaviour::{AddressChange, ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionHandler, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use door::{Door, ToDoor};

/// A behaviour that knows only admitted peers.
pub(super) struct Gate<B: NetworkBehaviour> {
    inner: B,
    peers: HashMap<PeerId, Peer>,
    /// For the swarm; the doors' orders come before anything the inner behaviour says after them.
    waiting: VecDeque<ToSwarm<B::ToSwarm, ToDoor<B::ConnectionHandler>>>,
}

/// A connected peer; its bound is the bound on connections.
#[derive(Default)]
struct Peer {
    standing: Standing,
    connections: Vec<Connection>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Standing {
    Admitted,
    #[default]
    Stranger,
    Withheld,
}

/// The peer was withheld: disconnect it, so that both ends begin anew.
#[derive(Debug)]
pub(super) struct Spent;

struct Connection {
    id: ConnectionId,
    endpoint: ConnectedPoint,
    /// Whether the inner behaviour knows it.
    open: bool,
}

impl<B: NetworkBehaviour> Gate<B> {
    pub(super) fn new(inner: B) -> Self {
        Self { inner, peers: HashMap::new(), waiting: VecDeque::new() }
    }

    /// The behaviour behind the gate.
    pub(super) const fn inner_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    /// Lets the inner behaviour know the peer, on all its connections.
    pub(super) fn admit(&mut self, peer: PeerId) -> Result<(), Spent> {
        let Some(entry) = self.peers.get_mut(&peer) else { return Ok(()) };
        match entry.standing {
            Standing::Admitted => Ok(()),
            Standing::Stranger => {
                entry.standing = Standing::Admitted;
                self.open(peer);
                Ok(())
            }
            Standing::Withheld => Err(Spent),
        }
    }

    /// Makes the inner behaviour forget the peer.
    pub(super) fn withhold(&mut self, peer: PeerId) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if entry.standing != Standing::Admitted {
            return;
        }
        entry.standing = Standing::Withheld;
        let mut remaining = entry.connections.iter().filter(|connection| connection.open).count();
        for connection in entry.connections.iter_mut().filter(|connection| connection.open) {
            connection.open = false;
            remaining = remaining.saturating_sub(1);
            self.inner.on_swarm_event(closed(peer, connection, remaining));
            self.waiting.push_back(ToSwarm::NotifyHandler {
                peer_id: peer,
                handler: NotifyHandler::One(connection.id),
                event: ToDoor::Shut,
            });
        }
    }

    /// Tells the inner behaviour of the peer's connections that it does not know yet.
    fn open(&mut self, peer: PeerId) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let mut known = entry.connections.iter().filter(|connection| connection.open).count();
        for connection in entry.connections.iter_mut().filter(|connection| !connection.open) {
            let Ok(handler) = handler_of(&mut self.inner, peer, connection) else {
                self.waiting.push_back(ToSwarm::CloseConnection {
                    peer_id: peer,
                    connection: CloseConnection::One(connection.id),
                });
                continue;
            };
            connection.open = true;
            self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id: peer,
                connection_id: connection.id,
                endpoint: &connection.endpoint,
                failed_addresses: &[],
                other_established: known,
            }));
            known = known.saturating_add(1);
            self.waiting.push_back(ToSwarm::NotifyHandler {
                peer_id: peer,
                handler: NotifyHandler::One(connection.id),
                event: ToDoor::Open(Box::new(handler)),
            });
        }
    }

    fn on_established(&mut self, event: ConnectionEstablished<'_>) {
        let entry = self.peers.entry(event.peer_id).or_default();
        entry.connections.push(Connection { id: event.connection_id, endpoint: event.endpoint.clone(), open: false });
        if entry.standing == Standing::Admitted {
            self.open(event.peer_id);
        }
    }

    fn on_closed(&mut self, event: ConnectionClosed<'_>) {
        let Some(entry) = self.peers.get_mut(&event.peer_id) else { return };
        let Some(index) = entry.connections.iter().position(|known| known.id == event.connection_id) else { return };
        let connection = entry.connections.swap_remove(index);
        let remaining = entry.connections.iter().filter(|other| other.open).count();
        if entry.connections.is_empty() {
            self.peers.remove(&event.peer_id);
        }
        if connection.open {
            self.inner.on_swarm_event(closed(event.peer_id, &connection, remaining));
        }
    }

    fn on_address_change(&mut self, event: AddressChange<'_>) {
        let Some(entry) = self.peers.get_mut(&event.peer_id) else { return };
        let Some(known) = entry.connections.iter_mut().find(|known| known.id == event.connection_id) else { return };
        known.endpoint = event.new.clone();
        if known.open {
            self.inner.on_swarm_event(FromSwarm::AddressChange(event));
        }
    }
}

fn handler_of<B: NetworkBehaviour>(
    inner: &mut B,
    peer: PeerId,
    connection: &Connection,
) -> Result<THandler<B>, ConnectionDenied> {
    match &connection.endpoint {
        ConnectedPoint::Dialer { address, role_override, port_use } => {
            inner.handle_established_outbound_connection(connection.id, peer, address, *role_override, *port_use)
        }
        ConnectedPoint::Listener { local_addr, send_back_addr } => {
            inner.handle_established_inbound_connection(connection.id, peer, local_addr, send_back_addr)
        }
    }
}

fn closed(peer: PeerId, connection: &Connection, remaining: usize) -> FromSwarm<'_> {
    FromSwarm::ConnectionClosed(ConnectionClosed {
        peer_id: peer,
        connection_id: connection.id,
        endpoint: &connection.endpoint,
        cause: None,
        remaining_established: remaining,
    })
}

impl<B> NetworkBehaviour for Gate<B>
where
    B: NetworkBehaviour,
    <B::ConnectionHandler as ConnectionHandler>::OutboundProtocol: Clone,
    <B::ConnectionHandler as ConnectionHandler>::OutboundOpenInfo: Clone,
{
    type ConnectionHandler = Door<B::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Door::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Door::new())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::AddressChange(change) => self.on_address_change(change),
            FromSwarm::ConnectionClosed(closed) => self.on_closed(closed),
            FromSwarm::ConnectionEstablished(established) => self.on_established(established),
            // They may name a peer that the inner behaviour must not know of.
            FromSwarm::DialFailure(_) | FromSwarm::ListenFailure(_) | FromSwarm::NewExternalAddrOfPeer(_) => {}
            other => self.inner.on_swarm_event(other),
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        // What a door said before it heard that it is shut is dropped.
        let known = self.peers.get(&peer).is_some_and(|entry| entry.connections.iter().any(|c| c.id == id && c.open));
        if known {
            self.inner.on_connection_handler_event(peer, id, event);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Poll::Ready(event);
            }
            match ready!(self.inner.poll(cx)) {
                // Only the core decides who is dialled.
                ToSwarm::Dial { .. } => {}
                event => return Poll::Ready(event.map_in(ToDoor::Inner)),
            }
        }
    }
}
