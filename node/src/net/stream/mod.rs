//! Exactly one stream between two peers, whatever they dial.
//!
//! The end with the smaller peer id opens it, on the first connection that it sees; the other end accepts. Both then
//! agree which connection carries the link, and close any other. `libp2p-stream` was not enough: it drops inbound
//! streams when two come at once, picks any connection to open one on, and dials when there is none.

mod handler;

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, Stream,
    StreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use handler::{Handler, Happened, Open};

/// The protocol of the link stream.
pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/kinfold/link/1");

/// The behaviour that makes link streams.
pub(super) struct Streams {
    local: PeerId,
    /// How long a connection may be without its stream.
    patience: Duration,
    peers: HashMap<PeerId, Peer>,
    waiting: VecDeque<ToSwarm<Event, Open>>,
}

/// What became of a peer.
#[derive(Debug)]
pub(super) enum Event {
    /// It does not do as it should: disconnect it.
    Failed(PeerId),
    /// A link stream is open.
    Opened {
        /// With whom.
        peer: PeerId,
        /// On which connection.
        connection: ConnectionId,
        /// Where that comes from or goes to.
        remote: Multiaddr,
        /// The stream.
        stream: Stream,
    },
}

#[derive(Default)]
struct Peer {
    connections: Vec<(ConnectionId, Multiaddr)>,
    /// The connection that carries the link, or that this end has asked to.
    carrier: Option<ConnectionId>,
}

impl Streams {
    pub(super) fn new(local: PeerId, patience: Duration) -> Self {
        Self { local, patience, peers: HashMap::new(), waiting: VecDeque::new() }
    }

    /// Whether this end opens the stream to the peer.
    fn opens(&self, peer: &PeerId) -> bool {
        self.local.to_bytes().cmp(&peer.to_bytes()) == Ordering::Less
    }

    /// Closes a connection that carries no link.
    fn close(&mut self, peer_id: PeerId, connection: ConnectionId) {
        self.waiting.push_back(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(connection) });
    }

    fn fail(&mut self, peer: PeerId) {
        self.waiting.push_back(ToSwarm::GenerateEvent(Event::Failed(peer)));
    }

    fn on_established(&mut self, event: ConnectionEstablished<'_>) {
        let (peer, id) = (event.peer_id, event.connection_id);
        let opens = self.opens(&peer);
        let entry = self.peers.entry(peer).or_default();
        entry.connections.push((id, event.endpoint.get_remote_address().clone()));
        if entry.carrier.is_some() {
            // Both ends know the same carrier, so this one is nobody's.
            self.close(peer, id);
        } else if opens {
            entry.carrier = Some(id);
            self.waiting.push_back(ToSwarm::NotifyHandler {
                peer_id: peer,
                handler: NotifyHandler::One(id),
                event: Open,
            });
        }
    }

    fn on_closed(&mut self, event: ConnectionClosed<'_>) {
        let Some(entry) = self.peers.get_mut(&event.peer_id) else { return };
        entry.connections.retain(|(id, _)| *id != event.connection_id);
        if entry.connections.is_empty() {
            self.peers.remove(&event.peer_id);
        } else if entry.carrier == Some(event.connection_id) {
            entry.carrier = None;
            self.fail(event.peer_id);
        }
    }

    fn on_stream(&mut self, peer: PeerId, connection: ConnectionId, stream: Stream) {
        let opens = self.opens(&peer);
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let expected = if opens { entry.carrier == Some(connection) } else { entry.carrier.is_none() };
        let remote = entry.connections.iter().find(|(id, _)| *id == connection).map(|(_, remote)| remote.clone());
        if let (true, Some(remote)) = (expected, remote) {
            entry.carrier = Some(connection);
            self.waiting.push_back(ToSwarm::GenerateEvent(Event::Opened { peer, connection, remote, stream }));
        } else {
            tracing::debug!(code = "net-second-stream");
            self.fail(peer);
        }
    }

    fn on_late(&mut self, peer: PeerId, connection: ConnectionId) {
        let Some(entry) = self.peers.get(&peer) else { return };
        match entry.carrier {
            Some(carrier) if carrier != connection => self.close(peer, connection),
            Some(_) | None => {
                tracing::debug!(code = "net-no-stream");
                self.fail(peer);
            }
        }
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.opens(&peer), self.patience))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.opens(&peer), self.patience))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(closed) => self.on_closed(closed),
            FromSwarm::ConnectionEstablished(established) => self.on_established(established),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            Happened::Late => self.on_late(peer, id),
            Happened::Stream(stream) => self.on_stream(peer, id, stream),
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.waiting.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}
