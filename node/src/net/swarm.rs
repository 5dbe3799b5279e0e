//! The swarm: what it speaks and every bound of it.

use std::time::Duration;

use kinfold_protocol::limits::{ADDRESSES_MAX, ENVELOPE_BYTES_MAX, LINKS_MAX};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, upgrade::Builder};
use libp2p::core::upgrade::Version;
use libp2p::gossipsub::{self, MessageAuthenticity, MessageId, ValidationMode};
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{PeerId, Swarm, SwarmBuilder, Transport, noise, ping, tcp, yamux};

use super::NetError;
use super::gate::Gate;
use super::lobby::{Known, Lobby, STRANGERS_MAX};
use super::stream::Streams;

/// Between two pings. libp2p tells of the second failure in a row, so a peer that is gone without a word is noticed
/// after four times this at most.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// For the answer: a path slower than this carries no conversation.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection without a stream; one with a link is kept by it.
const IDLE: Duration = Duration::from_secs(60);
/// Connections per peer: both ends may have dialled at once.
const PER_PEER_MAX: u32 = 2;
/// Inbound connections before their handshake: the lobby bounds them, and those that have to leave it are gone when
/// their tasks have run.
const PENDING_INBOUND_MAX: usize = 4 * STRANGERS_MAX;
/// Streams of one connection: link, two pings, two gossips, and refused ones that are not gone yet.
const STREAMS_MAX: usize = 16;
/// Streams of one connection that are being negotiated.
const NEGOTIATING_MAX: usize = 8;
/// What gossipsub adds to an envelope.
const GOSSIP_SLACK: usize = 1_024;
/// Before gossipsub's first heartbeat: soon, so that meshes form while the first links do.
const HEARTBEAT_DELAY: Duration = Duration::from_millis(200);
/// How long gossipsub knows an id again: beyond the time that a copy can wander through a group.
const DUPLICATES_KEPT: Duration = Duration::from_secs(30 * 60);

/// Everything that a connection is asked for; limits first, so that the others never see what they refuse.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(super) streams: Streams,
    pub(super) gossip: Gate<gossipsub::Behaviour>,
    ping: ping::Behaviour,
}

/// What connects: an encrypted connection to a peer, with many streams.
pub(super) type Wire = Boxed<(PeerId, StreamMuxerBox)>;

/// A swarm with a fresh identity.
pub(super) fn build(stream_patience: Duration) -> Result<(Swarm<Behaviour>, Known), NetError> {
    let key = Keypair::generate_ed25519();
    let noise = noise::Config::new(&key).map_err(NetError::Transport)?;
    let (bare, known) = bare();
    Ok((build_over(bare.authenticate(noise).multiplex(muxer()).boxed(), key, stream_patience), known))
}

/// A swarm with the identity that the wire has.
pub(super) fn build_over(wire: Wire, key: Keypair, stream_patience: Duration) -> Swarm<Behaviour> {
    let builder = SwarmBuilder::with_existing_identity(key).with_tokio();
    let Ok(builder) = builder.with_other_transport(|_| wire);
    let Ok(builder) = builder.with_behaviour(|key| behaviour(key.public().to_peer_id(), stream_patience));
    builder
        .with_swarm_config(|config| {
            config.with_idle_connection_timeout(IDLE).with_max_negotiating_inbound_streams(NEGOTIATING_MAX)
        })
        .build()
}

/// TCP with its bound on strangers, before anything is encrypted.
pub(super) fn bare() -> (Builder<Lobby>, Known) {
    let (lobby, known) = Lobby::new(tcp::tokio::Transport::new(tcp::Config::default()));
    (lobby.upgrade(Version::V1Lazy), known)
}

pub(super) fn muxer() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_MAX);
    config
}

fn behaviour(local: PeerId, stream_patience: Duration) -> Behaviour {
    let limits = ConnectionLimits::default()
        .with_max_established(Some(bound(LINKS_MAX + STRANGERS_MAX)))
        .with_max_established_per_peer(Some(PER_PEER_MAX))
        .with_max_pending_incoming(Some(bound(PENDING_INBOUND_MAX)))
        .with_max_pending_outgoing(Some(bound(ADDRESSES_MAX)));
    Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        streams: Streams::new(local, stream_patience),
        gossip: Gate::new(gossip()),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT)),
    }
}

/// Gossipsub without names or signatures: the envelope inside has its own, and its id is the message's.
fn gossip() -> gossipsub::Behaviour {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| MessageId::from(blake3::hash(&message.data).as_bytes().to_vec()))
        .heartbeat_initial_delay(HEARTBEAT_DELAY)
        .duplicate_cache_time(DUPLICATES_KEPT)
        .max_transmit_size(ENVELOPE_BYTES_MAX + GOSSIP_SLACK)
        .idontwant_on_publish(true)
        .build()
        .expect("the constants above are within gossipsub's own bounds");
    gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config)
        .expect("anonymous authenticity goes with anonymous validation")
}

fn bound(max: usize) -> u32 {
    u32::try_from(max).unwrap_or(u32::MAX)
}
