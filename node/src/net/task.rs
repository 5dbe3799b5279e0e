//! The task that owns the swarm.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;

use futures::StreamExt;
use kinfold_protocol::allowance::Used;
use kinfold_protocol::id::{EnvelopeId, LinkId, Topic};
use kinfold_protocol::limits::{ENVELOPE_BYTES_MAX, GOSSIP_BY_LINK, LINKS_MAX};
use kinfold_protocol::step::{Address, Ends};
use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance, MessageId, PublishError};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, Stream, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, TransportError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep_until, timeout};

use super::link::{self, Link, Start};
use super::listen::{self, Listening};
use super::lobby::Known;
use super::outbox::Outbox;
use super::stream::Event;
use super::swarm::{Behaviour, BehaviourEvent};
use super::{FromNet, GossipTicket, NetCommand, NetConfig, NetError, Patience, Verdict};
use crate::clock;

/// Link tasks at a time: a link that waits for the core to take its end has no connection, so there can be more tasks
/// than connections, but not without bound.
const LINK_TASKS_MAX: usize = 2 * LINKS_MAX;

/// A network's state.
pub(super) struct Net {
    config: NetConfig,
    swarm: Swarm<Behaviour>,
    known: Known,
    inbox: mpsc::Sender<FromNet>,
    patience: Patience,
    links: HashMap<LinkId, (PeerId, Link)>,
    newest: HashMap<PeerId, Newest>,
    tasks: JoinSet<(LinkId, PeerId)>,
    /// What was dialled and is not answered.
    dials: HashMap<ConnectionId, Address>,
    topics: BTreeSet<Topic>,
    listening: Listening,
    outbox: Outbox,
}

/// The newest link of a peer, until its task has ended.
struct Newest {
    link: LinkId,
    /// What it has brought by gossip.
    heard: Used,
    /// Resolves when the end was told.
    told: oneshot::Receiver<()>,
    /// Whether its connections are still to be closed.
    connected: bool,
}

impl Net {
    pub(super) fn new(
        config: NetConfig,
        swarm: Swarm<Behaviour>,
        known: Known,
        inbox: mpsc::Sender<FromNet>,
        patience: Patience,
    ) -> Self {
        let outbox = Outbox::new(config.net);
        Self {
            config,
            swarm,
            known,
            inbox,
            patience,
            links: HashMap::new(),
            newest: HashMap::new(),
            tasks: JoinSet::new(),
            dials: HashMap::new(),
            topics: BTreeSet::new(),
            listening: Listening::default(),
            outbox,
        }
    }

    /// Binds the addresses.
    pub(super) fn listen(mut self, addresses: Vec<Multiaddr>, port: u16) -> Result<Self, NetError> {
        self.listening = Listening::new(port);
        for address in addresses {
            let listener = self.swarm.listen_on(address).map_err(|error| match error {
                TransportError::MultiaddrNotSupported(_) => NetError::Address,
                TransportError::Other(error) => NetError::Listen(error),
            })?;
            self.listening.expect(listener);
        }
        Ok(self)
    }

    /// Runs until it is stopped or the core is gone.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<NetCommand>) {
        let inbox = self.inbox.clone();
        loop {
            let settled_at = self.listening.settled_at();
            let in_hand = self.outbox.waits_for_core();
            tokio::select! {
                command = commands.recv() => match command {
                    None | Some(NetCommand::Stop) => break,
                    Some(command) => self.on_command(command),
                },
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                Some(ended) = self.tasks.join_next() => self.on_link_ended(ended),
                permit = inbox.reserve(), if self.outbox.has_some() => {
                    let Ok(permit) = permit else { break };
                    for ticket in self.outbox.expire_gossip() {
                        self.judge(&ticket, Verdict::Ignore);
                    }
                    if let Some(message) = self.outbox.next() {
                        permit.send(message);
                    }
                }
                // The permit is given back at once: it only says that there is one.
                _room = async { in_hand.clone().expect("the branch is off without it").acquire_owned().await },
                    if in_hand.is_some() => {}
                () = async { sleep_until(settled_at.expect("the branch is off without a time")).await },
                    if settled_at.is_some() =>
                {
                    if let Some(input) = self.listening.settle(self.config.net) {
                        self.outbox.listening(input);
                    }
                }
            }
        }
        self.stop().await;
    }

    /// Lets every link say what it had to say, then closes the connections.
    async fn stop(mut self) {
        self.links.clear();
        let patience = self.patience.stop;
        let goodbye = async {
            while !self.tasks.is_empty() {
                tokio::select! {
                    _ = self.tasks.join_next() => {}
                    _ = self.swarm.select_next_some() => {}
                }
            }
            let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
            for peer in peers {
                self.disconnect(peer);
            }
            while self.swarm.network_info().num_peers() > 0 {
                let _closed = self.swarm.select_next_some().await;
            }
        };
        if timeout(patience, goodbye).await.is_err() {
            tracing::debug!(code = "net-stop-cut-short");
        }
    }

    fn on_command(&mut self, command: NetCommand) {
        match command {
            NetCommand::Admit { link } => {
                let Some((peer, handle)) = self.links.get(&link) else { return };
                handle.admit();
                let peer = *peer;
                if self.swarm.behaviour_mut().gossip.admit(peer).is_err() {
                    self.disconnect(peer);
                }
            }
            NetCommand::Dial { address } => self.dial(address),
            NetCommand::Disconnect { link } => self.leave(link),
            NetCommand::Frame { link, bytes } => self.send(link, bytes),
            NetCommand::Known { link } => {
                if let Some((_, handle)) = self.links.get(&link) {
                    self.known.tell(handle.remote());
                }
            }
            NetCommand::Publish { topic, bytes } => self.publish(topic, bytes),
            NetCommand::Stop => {}
            NetCommand::Topics(topics) => self.subscribe(topics.into_iter().collect()),
            NetCommand::PassOn { id } => self.pass_on(&id),
            NetCommand::Verdict { ticket, verdict } => self.judge(&ticket, verdict),
            NetCommand::Withhold { link } => {
                if let Some((peer, _)) = self.links.get(&link) {
                    self.swarm.behaviour_mut().gossip.withhold(*peer);
                }
            }
        }
    }

    /// The link's task writes what is queued and ends; the connections go with it.
    fn leave(&mut self, link: LinkId) {
        if let Some((peer, _handle)) = self.links.remove(&link) {
            self.swarm.behaviour_mut().gossip.withhold(peer);
        }
    }

    fn dial(&mut self, address: Address) {
        if self.dials.values().any(|dialled| *dialled == address) {
            return;
        }
        let Some(parsed) = listen::dialable(&address.0) else { return self.outbox.dial_failed(address) };
        // A port of its own: dialling from the listening port fails while an old connection to the peer lingers.
        let options = DialOpts::unknown_peer_id().address(parsed).allocate_new_port().build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dials.insert(connection, address)),
            Err(_) => self.outbox.dial_failed(address),
        }
    }

    fn on_dial_failed(&mut self, connection: ConnectionId) {
        if let Some(address) = self.dials.remove(&connection) {
            self.outbox.dial_failed(address);
        }
    }

    fn send(&mut self, link: LinkId, bytes: Vec<u8>) {
        let Some((peer, handle)) = self.links.get(&link) else { return };
        if handle.send(bytes).is_err() {
            tracing::debug!(code = "link-no-room");
            let peer = *peer;
            self.disconnect(peer);
        }
    }

    fn publish(&mut self, topic: Topic, bytes: Vec<u8>) {
        let gossip = self.swarm.behaviour_mut().gossip.inner_mut();
        match gossip.publish(IdentTopic::new(topic.to_hex()), bytes) {
            // Nobody to tell yet, or all are slow: reconciliation brings it.
            Ok(_)
            | Err(PublishError::AllQueuesFull(_) | PublishError::Duplicate | PublishError::NoPeersSubscribedToTopic) => {
            }
            Err(_) => tracing::warn!(code = "net-publish-refused"),
        }
    }

    fn subscribe(&mut self, wanted: BTreeSet<Topic>) {
        let gossip = self.swarm.behaviour_mut().gossip.inner_mut();
        for topic in self.topics.difference(&wanted) {
            gossip.unsubscribe(&IdentTopic::new(topic.to_hex()));
        }
        for topic in wanted.difference(&self.topics) {
            if gossip.subscribe(&IdentTopic::new(topic.to_hex())).is_err() {
                tracing::warn!(code = "net-subscribe-refused");
            }
        }
        self.topics = wanted;
    }

    fn judge(&mut self, ticket: &GossipTicket, verdict: Verdict) {
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => MessageAcceptance::Reject,
        };
        let gossip = self.swarm.behaviour_mut().gossip.inner_mut();
        // False if gossipsub has forgotten it meanwhile: then it is not passed on.
        gossip.report_message_validation_result(&ticket.id, &ticket.source, acceptance);
    }

    /// Passes on what was not judged when it came.
    fn pass_on(&mut self, id: &EnvelopeId) {
        let (id, us) = (MessageId::from(id.as_bytes().to_vec()), *self.swarm.local_peer_id());
        let gossip = self.swarm.behaviour_mut().gossip.inner_mut();
        // Whoever brought it gets it once more, and knows it again.
        gossip.report_message_validation_result(&id, &us, MessageAcceptance::Accept);
    }

    /// Closes all connections to the peer, and ends its link: a stream does not notice that its own end closed the
    /// connection, and over a dead path the closing itself may take minutes.
    fn disconnect(&mut self, peer: PeerId) {
        if let Some(newest) = self.newest.get_mut(&peer) {
            newest.connected = false;
            self.links.remove(&newest.link);
        }
        // An error says that the peer is not connected.
        let _disconnected = self.swarm.disconnect_peer_id(peer);
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Streams(Event::Failed(peer))) => self.disconnect(peer),
            SwarmEvent::Behaviour(BehaviourEvent::Streams(Event::Opened { peer, connection, remote, stream })) => {
                self.on_opened(peer, connection, remote, stream);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            })) => self.on_gossip(message.data, GossipTicket { id: message_id, source: propagation_source }),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping)) if ping.result.is_err() => {
                tracing::debug!(code = "net-ping-failed");
                // All connections, not this one: gossipsub stays deaf to a peer whose old connection lives on.
                self.disconnect(ping.peer);
            }
            SwarmEvent::ConnectionClosed { connection_id, peer_id, num_established, .. } => {
                self.on_dial_failed(connection_id);
                if num_established == 0
                    && let Some(newest) = self.newest.get_mut(&peer_id)
                {
                    // Its task goes on until it has handed over what had arrived.
                    newest.connected = false;
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, .. } => self.on_dial_failed(connection_id),
            SwarmEvent::NewListenAddr { listener_id, address } => self.listening.add(listener_id, &address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.listening.remove(&address),
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                if reason.is_err() {
                    tracing::warn!(code = "net-listener-closed");
                }
                self.listening.close(listener_id, &addresses);
            }
            SwarmEvent::ListenerError { .. } => tracing::debug!(code = "net-listener-error"),
            _ => {}
        }
    }

    fn on_gossip(&mut self, bytes: Vec<u8>, ticket: GossipTicket) {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return self.judge(&ticket, Verdict::Reject);
        }
        let newest = self.newest.get_mut(&ticket.source);
        let link = newest.as_ref().map(|newest| newest.link);
        if newest.is_some_and(|newest| !newest.heard.take(GOSSIP_BY_LINK, 1, clock::wall())) {
            return self.on_flood(ticket, link);
        }
        if let Err(ticket) = self.outbox.gossip(link, bytes, ticket) {
            tracing::debug!(code = "net-gossip-ignored");
            self.judge(&ticket, Verdict::Ignore);
        }
    }

    /// Nothing is read of it from here on, before the core knows.
    fn on_flood(&mut self, ticket: GossipTicket, link: Option<LinkId>) {
        tracing::debug!(code = "net-gossip-flood");
        self.swarm.behaviour_mut().gossip.withhold(ticket.source);
        self.judge(&ticket, Verdict::Ignore);
        link.into_iter().for_each(|link| self.outbox.flooded(link));
    }

    fn on_opened(&mut self, peer: PeerId, connection: ConnectionId, remote: Multiaddr, stream: Stream) {
        if self.tasks.len() >= LINK_TASKS_MAX {
            tracing::warn!(code = "net-links-full");
            return self.disconnect(peer);
        }
        let link = LinkId(self.config.links.fetch_add(1, Ordering::Relaxed));
        let (tell, told) = oneshot::channel();
        let before = self
            .newest
            .insert(peer, Newest { link, heard: Used::default(), told, connected: true })
            .map(|old| old.told);
        let (handle, task) = link::prepare(Start {
            net: self.config.net,
            link,
            ends: Ends { local: self.swarm.local_peer_id().to_bytes(), remote: peer.to_bytes() },
            address: self.dials.remove(&connection),
            remote,
            stream,
            inbox: self.inbox.clone(),
            before,
            patience: self.patience,
        });
        self.links.insert(link, (peer, handle));
        self.tasks.spawn(async move {
            task.await;
            drop(tell);
            (link, peer)
        });
    }

    fn on_link_ended(&mut self, ended: Result<(LinkId, PeerId), JoinError>) {
        match ended {
            Ok((link, peer)) => {
                self.links.remove(&link);
                if let Entry::Occupied(newest) = self.newest.entry(peer)
                    && newest.get().link == link
                    && newest.remove().connected
                {
                    self.disconnect(peer);
                }
            }
            // A bug must not look like a quiet network: the handle's task shows it.
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}
