//! One group's network on this device: a task that owns one libp2p swarm and knows only bytes.
//!
//! The core loop gives [`NetCommand`]s and gets [`FromNet`]s; there is no other way in or out.
//!
//! - The transport identity is new at every start, and for every network: nothing on the wire ties two groups, or two
//!   days, to one device. No identify, no mDNS, no DHT, no UPnP, no DNS: a peer learns the protocols of [`stream`], of
//!   ping, and after admission of gossipsub, and nothing is ever dialled but what [`NetCommand::Dial`] names.
//! - Two peers have one link ([`stream`], [`link`]), which carries frames in order. A link is reported by one
//!   [`Input::Connected`], then its frames, then one [`Input::Disconnected`].
//! - Gossip flows to and from admitted peers only ([`gate`]).
//! - What strangers may cost is bounded where their connections come in ([`lobby`]).
//! - The task never waits for the core, for a peer or for a disk. What cannot be queued within a named bound costs the
//!   peer its link, or, for gossip, costs the message its fast path. No frame is ever dropped from a link that lives.

mod gate;
mod link;
mod listen;
mod lobby;
mod offer;
mod outbox;
#[cfg(test)]
pub(crate) mod recorded;
mod stream;
mod swarm;
mod task;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use kinfold_protocol::id::{EnvelopeId, LinkId, NetId, Topic};
use kinfold_protocol::step::{Address, Input};
use libp2p::gossipsub::MessageId;
use libp2p::{PeerId, Swarm};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use self::lobby::Known;

/// Commands that wait for the task: what a full step of the core can ask for at once, so that it seldom waits.
const COMMANDS_MAX: usize = 1_024;

pub(crate) use libp2p::Multiaddr;

/// Interfaces as people write them; all interfaces if none is named. One without a port is one with port 0. The flag
/// tells whether a port is fixed.
pub(crate) fn interfaces(named: &[String]) -> Result<(Vec<Multiaddr>, bool), NetError> {
    let all = ["/ip4/0.0.0.0/tcp/0".to_owned(), "/ip6/::/tcp/0".to_owned()];
    let named = if named.is_empty() { &all[..] } else { named };
    let parsed: Vec<Multiaddr> = named
        .iter()
        .map(|text| text.parse().map(with_port))
        .collect::<Result<_, _>>()
        .map_err(|_| NetError::Address)?;
    let fixed = parsed.iter().flatten().any(|part| matches!(part, libp2p::multiaddr::Protocol::Tcp(1..)));
    Ok((parsed, fixed))
}

fn with_port(address: Multiaddr) -> Multiaddr {
    use libp2p::multiaddr::Protocol::{Ip4, Ip6, Tcp};
    let bare = address.iter().count() == 1 && matches!(address.iter().next(), Some(Ip4(_) | Ip6(_)));
    if bare { address.with(Tcp(0)) } else { address }
}

/// Whether an address typed by hand is one that can be tried.
pub(crate) fn can_dial(address: &str) -> bool {
    listen::dialable(address).is_some()
}

/// What a network needs to start.
#[derive(Debug)]
pub(crate) struct NetConfig {
    /// Its name.
    pub(crate) net: NetId,
    /// Interfaces as `/ip4/../tcp/..` or `/ip6/../tcp/..`. Port 0 stands for one port that is the same on all of them.
    pub(crate) listen: Vec<Multiaddr>,
    /// The port to take for port 0, if it is free.
    pub(crate) port: Option<u16>,
    /// Where every network of this process takes its link ids from.
    pub(crate) links: Arc<AtomicU64>,
}

/// Why a network did not start.
#[derive(Debug, Error)]
pub(crate) enum NetError {
    /// Name interfaces by IP address and TCP port, at least one.
    #[error("no usable address to listen on")]
    Address,
    /// The interface is not there or may not be used.
    #[error("cannot listen")]
    Listen(#[source] io::Error),
    /// The port that was asked for belongs to somebody else: name another, or port 0.
    #[error("the port is taken")]
    PortTaken,
    /// The transport's cryptography did not start.
    #[error("cannot set up the transport")]
    Transport(#[source] libp2p::noise::Error),
}

/// Something for the core.
#[derive(Debug)]
pub(crate) struct FromNet {
    /// What happened.
    pub(crate) input: Input,
    /// With [`Input::Gossip`] only: to be given back in [`NetCommand::Verdict`] within four seconds, or the message is
    /// not passed on.
    pub(crate) verdict: Option<GossipTicket>,
    /// What it takes of its source's share of the core's inbox, until the core has done with it.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

impl FromNet {
    /// Something that is rare, and takes no share.
    pub(crate) const fn plain(input: Input) -> Self {
        Self { input, verdict: None, room: None }
    }
}

/// Which gossip a verdict is on.
pub(crate) struct GossipTicket {
    id: MessageId,
    source: PeerId,
}

impl NetError {
    /// Its name in logs.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Address => "net_address",
            Self::Listen(_) => "net_listen",
            Self::PortTaken => "net_port_taken",
            Self::Transport(_) => "net_transport",
        }
    }
}

impl std::fmt::Debug for GossipTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GossipTicket(..)")
    }
}

/// What is to become of a gossiped message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Pass it on.
    Accept,
    /// Let it end here.
    Ignore,
    /// Let it end here; the peer should not have sent it.
    Reject,
}

/// Something to do. Commands on a link that is gone are void: its `Disconnected` is on its way.
pub(crate) enum NetCommand {
    /// Gossip may flow to and from the peer. After [`NetCommand::Withhold`] on the same link it ends the link instead,
    /// so that both ends begin anew.
    Admit {
        /// Which.
        link: LinkId,
    },
    /// Answered by `Connected` with the address, or by `DialFailed`; twice asked while under way, once answered.
    Dial {
        /// Where.
        address: Address,
    },
    /// Sends what was queued, for two seconds at most, then closes all connections to the peer.
    Disconnect {
        /// Which.
        link: LinkId,
    },
    /// Sends a frame after those sent before.
    Frame {
        /// To whom.
        link: LinkId,
        /// What.
        bytes: Vec<u8>,
    },
    /// The peer is no stranger: its connection is not bounded as theirs are.
    Known {
        /// Which.
        link: LinkId,
    },
    /// What gossip brought, and was not judged when it came, goes on; too late after four seconds.
    PassOn {
        /// Which.
        id: EnvelopeId,
    },
    /// Gossips an envelope to admitted peers that subscribe to the topic.
    Publish {
        /// On which topic.
        topic: Topic,
        /// What.
        bytes: Vec<u8>,
    },
    /// Ends the network. The inbox should be drained until the task has ended: it says goodbye for up to three seconds.
    Stop,
    /// Subscribes to these topics and no others.
    Topics(Vec<Topic>),
    /// Says what becomes of a gossiped message.
    Verdict {
        /// Which.
        ticket: GossipTicket,
        /// What.
        verdict: Verdict,
    },
    /// Takes gossip back from the peer; the link stays.
    Withhold {
        /// Which.
        link: LinkId,
    },
}

impl std::fmt::Debug for NetCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NetCommand(..)")
    }
}

/// A running network. Dropping the sender stops it as [`NetCommand::Stop`] does.
#[derive(Debug)]
pub(crate) struct NetHandle {
    /// Where commands go.
    pub(crate) commands: mpsc::Sender<NetCommand>,
    /// Ends when the network has.
    pub(crate) task: JoinHandle<()>,
}

/// How long the network waits for peers.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For the link stream of a new connection.
    stream: Duration,
    /// For a peer that takes nothing of what is written to it.
    stall: Duration,
    /// For a peer to be admitted: a member's hello takes a round trip, an invite's holder is served within a minute.
    stranger: Duration,
    /// For queued frames to leave before a link that the core ended is closed.
    farewell: Duration,
    /// For all links to end when the network does; more than a farewell.
    stop: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            stream: Duration::from_secs(10),
            stall: Duration::from_secs(15),
            stranger: Duration::from_secs(60),
            farewell: Duration::from_secs(2),
            stop: Duration::from_secs(3),
        }
    }
}

/// Starts a network; needs a tokio runtime around it. What it has to say goes to `inbox`.
pub(crate) fn start(config: NetConfig, inbox: mpsc::Sender<FromNet>) -> Result<NetHandle, NetError> {
    start_with(config, inbox, Patience::default())
}

fn start_with(config: NetConfig, inbox: mpsc::Sender<FromNet>, patience: Patience) -> Result<NetHandle, NetError> {
    let (swarm, known) = swarm::build(patience.stream)?;
    start_over(swarm, known, config, inbox, patience)
}

fn start_over(
    swarm: Swarm<swarm::Behaviour>,
    known: Known,
    config: NetConfig,
    inbox: mpsc::Sender<FromNet>,
    patience: Patience,
) -> Result<NetHandle, NetError> {
    let (listen, port) = listen::choose(&config.listen, config.port)?;
    let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
    let net = task::Net::new(config, swarm, known, inbox, patience);
    let task = tokio::spawn(net.listen(listen, port)?.run(receiver));
    Ok(NetHandle { commands, task })
}
