//! A libp2p peer that is not Kinfold's: it speaks gossipsub from the first moment, and does with streams as it likes.

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use kinfold_protocol::step::Address;
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, ValidationMode};
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{NetworkBehaviour, Stream, SwarmEvent};
use libp2p::{Multiaddr, PeerId, SwarmBuilder, noise, ping, tcp, yamux};
use libp2p_stream::{Control, IncomingStreams};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::LONG;
use crate::net::stream::PROTOCOL;

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Behaviour {
    gossip: Toggle<gossipsub::Behaviour>,
    streams: libp2p_stream::Behaviour,
    ping: ping::Behaviour,
}

/// What it sees.
#[derive(Debug)]
pub(super) enum Seen {
    Closed,
    Connected(PeerId),
    Gossip(gossipsub::Event),
    Listens(Multiaddr),
}

pub(super) struct Raw {
    pub(super) id: PeerId,
    pub(super) control: Control,
    pub(super) seen: mpsc::Receiver<Seen>,
    incoming: IncomingStreams,
    dials: mpsc::Sender<Multiaddr>,
}

impl Raw {
    /// A peer that listens, and subscribes to the topic.
    pub(super) fn new(topic: &str) -> Self {
        let config = gossipsub::ConfigBuilder::default().validation_mode(ValidationMode::Anonymous).build().unwrap();
        let mut gossip = gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config).unwrap();
        gossip.subscribe(&IdentTopic::new(topic)).unwrap();
        Self::start(Some(gossip).into())
    }

    /// A peer whose gossip is written by hand.
    pub(super) fn scripted() -> Self {
        Self::start(None.into())
    }

    fn start(gossip: Toggle<gossipsub::Behaviour>) -> Self {
        let streams = libp2p_stream::Behaviour::new();
        let mut control = streams.new_control();
        let incoming = control.accept(PROTOCOL).unwrap();
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| Behaviour { gossip, streams, ping: ping::Behaviour::default() })
            .unwrap()
            .build();
        swarm.listen_on(super::LOOPBACK.parse().unwrap()).unwrap();
        let id = *swarm.local_peer_id();
        let (dials, mut to_dial) = mpsc::channel::<Multiaddr>(4);
        let (tell, seen) = mpsc::channel(256);
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    address = to_dial.recv() => match address {
                        Some(address) => {
                            // From where nobody waits: other tests leave ports that are not free for a minute.
                            let dial = DialOpts::unknown_peer_id().address(address).allocate_new_port();
                            swarm.dial(dial.build()).unwrap();
                            continue
                        }
                        None => return,
                    },
                    event = swarm.select_next_some() => event,
                };
                let seen = match event {
                    SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => Seen::Gossip(event),
                    SwarmEvent::ConnectionEstablished { peer_id, .. } => Seen::Connected(peer_id),
                    SwarmEvent::ConnectionClosed { .. } => Seen::Closed,
                    SwarmEvent::NewListenAddr { address, .. } => Seen::Listens(address),
                    _ => continue,
                };
                if tell.send(seen).await.is_err() {
                    return;
                }
            }
        });
        Self { id, control, seen, incoming, dials }
    }

    pub(super) async fn wait<T>(&mut self, mut wanted: impl FnMut(Seen) -> Option<T>) -> T {
        timeout(LONG, async {
            loop {
                if let Some(found) = wanted(self.seen.recv().await.unwrap()) {
                    return found;
                }
            }
        })
        .await
        .expect("the peer never saw it")
    }

    pub(super) async fn address(&mut self) -> Address {
        let listens = |seen| if let Seen::Listens(address) = seen { Some(address) } else { None };
        Address(self.wait(listens).await.to_string())
    }

    /// Dials, and is connected.
    pub(super) async fn dial(&mut self, address: &Address) -> PeerId {
        self.dials.send(address.0.parse().unwrap()).await.unwrap();
        self.wait(|seen| if let Seen::Connected(peer) = seen { Some(peer) } else { None }).await
    }

    /// Whether this end has to open the link stream.
    pub(super) fn opens(&self, peer: PeerId) -> bool {
        self.id.to_bytes() < peer.to_bytes()
    }

    /// The link stream, as Kinfold wants it.
    pub(super) async fn link(&mut self, peer: PeerId) -> Stream {
        if self.opens(peer) {
            self.control.open_stream(peer, PROTOCOL).await.unwrap()
        } else {
            timeout(LONG, self.incoming.next()).await.unwrap().unwrap().1
        }
    }

    pub(super) async fn closed(&mut self) {
        self.wait(|seen| matches!(seen, Seen::Closed).then_some(())).await;
    }
}

pub(super) async fn write_frame(stream: &mut Stream, bytes: &[u8]) {
    stream.write_all(&u32::try_from(bytes.len()).unwrap().to_be_bytes()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
}

pub(super) async fn read_frame(stream: &mut Stream) -> Vec<u8> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.unwrap();
    let mut bytes = vec![0; u32::from_be_bytes(head) as usize];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}
