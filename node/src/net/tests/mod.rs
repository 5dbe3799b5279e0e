//! Networks on real TCP, on the loopback interface only.

mod gossip;
mod hostile;
mod links;
mod listening;
mod lobby;
mod raw;
mod strangers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kinfold_protocol::id::{EnvelopeId, LinkId, NetId, Topic};
use kinfold_protocol::step::{Address, Ends, Input};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{FromNet, GossipTicket, NetCommand, NetConfig, NetHandle, Patience, Verdict, start_with};

/// Nothing here takes this long unless it is broken, also when the machine is busy.
const LONG: Duration = Duration::from_secs(30);
/// Between two tries of something that needs both ends.
const TRY: Duration = Duration::from_millis(100);
const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";
const TOPIC: Topic = Topic::from_bytes([7; 16]);

/// A network and the core's side of it.
struct Node {
    handle: NetHandle,
    inbox: mpsc::Receiver<FromNet>,
    /// Came, and nobody has asked for it yet.
    pending: VecDeque<FromNet>,
    port: u16,
    addresses: Vec<Address>,
}

fn config(listen: &str, port: Option<u16>) -> NetConfig {
    static NETS: AtomicU64 = AtomicU64::new(1);
    let links = Arc::new(AtomicU64::new(1));
    let net = NetId(NETS.fetch_add(1, Ordering::Relaxed));
    NetConfig { net, listen: vec![listen.parse().unwrap()], port, links }
}

impl Node {
    async fn new() -> Self {
        Self::with(None, 256, Patience::default()).await
    }

    async fn with(port: Option<u16>, inbox_cap: usize, patience: Patience) -> Self {
        let (sender, inbox) = mpsc::channel(inbox_cap);
        let handle = start_with(config(LOOPBACK, port), sender, patience).unwrap();
        let mut node = Self { handle, inbox, pending: VecDeque::new(), port: 0, addresses: Vec::new() };
        (node.port, node.addresses) = node
            .wait(|input| match input {
                Input::Listening { port, addresses, .. } => Some((*port, addresses.clone())),
                _ => None,
            })
            .await;
        node
    }

    /// The first thing that `wanted` knows, earlier ones first; the others stay.
    async fn wait<T>(&mut self, mut wanted: impl FnMut(&Input) -> Option<T>) -> T {
        self.wait_with(|message| wanted(&message.input)).await.0
    }

    async fn wait_with<T>(&mut self, mut wanted: impl FnMut(&FromNet) -> Option<T>) -> (T, FromNet) {
        for index in 0..self.pending.len() {
            if let Some(found) = wanted(&self.pending[index]) {
                return (found, self.pending.remove(index).unwrap());
            }
        }
        let found = timeout(LONG, async {
            loop {
                let message = self.inbox.recv().await.expect("the network has ended");
                match wanted(&message) {
                    Some(found) => return (found, message),
                    None => self.pending.push_back(message),
                }
            }
        })
        .await;
        let came = || self.pending.iter().map(|message| &message.input).collect::<Vec<_>>();
        found.unwrap_or_else(|_| panic!("it never came; what did: {:?}", came()))
    }

    async fn order(&self, command: NetCommand) {
        self.handle.commands.send(command).await.expect("the network has ended");
    }

    async fn dial(&self, address: &Address) {
        self.order(NetCommand::Dial { address: address.clone() }).await;
    }

    async fn frame(&self, link: LinkId, bytes: Vec<u8>) {
        self.order(NetCommand::Frame { link, bytes }).await;
    }

    async fn connected(&mut self) -> (LinkId, Ends, Option<Address>) {
        self.wait(|input| match input {
            Input::Connected { link, ends, address, .. } => Some((*link, ends.clone(), address.clone())),
            _ => None,
        })
        .await
    }

    async fn disconnected(&mut self, wanted: LinkId) {
        self.wait(|input| matches!(input, Input::Disconnected { link } if *link == wanted).then_some(())).await;
    }

    async fn dial_failed(&mut self) -> Address {
        self.wait(|input| match input {
            Input::DialFailed { address, .. } => Some(address.clone()),
            _ => None,
        })
        .await
    }

    async fn received(&mut self, wanted: LinkId) -> Vec<u8> {
        self.wait(|input| match input {
            Input::Frame { link, bytes } if *link == wanted => Some(bytes.clone()),
            _ => None,
        })
        .await
    }

    async fn gossip(&mut self) -> (Vec<u8>, GossipTicket) {
        let (bytes, message) = self
            .wait_with(|message| match &message.input {
                Input::Gossip { bytes, .. } => Some(bytes.clone()),
                _ => None,
            })
            .await;
        (bytes, message.verdict.expect("gossip comes with a ticket"))
    }

    /// What gossip has come and was not asked for.
    fn gossip_so_far(&mut self) -> Vec<Vec<u8>> {
        while let Ok(message) = self.inbox.try_recv() {
            self.pending.push_back(message);
        }
        let gossip = |message: &FromNet| match &message.input {
            Input::Gossip { bytes, .. } => Some(bytes.clone()),
            _ => None,
        };
        let found = self.pending.iter().filter_map(gossip).collect();
        self.pending.retain(|message| gossip(message).is_none());
        found
    }

    async fn publish(&self, bytes: &[u8]) {
        self.order(NetCommand::Publish { topic: TOPIC, bytes: bytes.to_vec() }).await;
    }

    async fn judge(&self, ticket: GossipTicket, verdict: Verdict) {
        self.order(NetCommand::Verdict { ticket, verdict }).await;
    }

    async fn stop(self) {
        self.order(NetCommand::Stop).await;
        let mut inbox = self.inbox;
        let drain = async { while inbox.recv().await.is_some() {} };
        timeout(LONG, async { tokio::join!(drain, self.handle.task) }).await.unwrap().1.unwrap();
    }
}

/// Dials `b` from `a`, who is no stranger there; the link as each of them names it.
async fn connect(a: &mut Node, b: &mut Node) -> (LinkId, LinkId) {
    let address = b.addresses[0].clone();
    a.dial(&address).await;
    let (at_a, ends_a, dialled) = a.connected().await;
    let (at_b, ends_b, inbound) = b.connected().await;
    assert_eq!((dialled, inbound), (Some(address), None));
    assert_eq!((&ends_a.local, &ends_a.remote), (&ends_b.remote, &ends_b.local));
    b.order(NetCommand::Known { link: at_b }).await;
    round_trip(a, at_a, b, at_b).await;
    (at_a, at_b)
}

/// Both hear each other on the link: whatever was on its way before has come.
async fn round_trip(a: &mut Node, at_a: LinkId, b: &mut Node, at_b: LinkId) {
    a.frame(at_a, b"there".to_vec()).await;
    assert_eq!(b.received(at_b).await, b"there");
    b.frame(at_b, b"back".to_vec()).await;
    assert_eq!(a.received(at_a).await, b"back");
}
