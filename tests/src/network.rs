//! Networks between nodes: links that keep order until they break, and gossip that keeps nothing.

mod gossip;
mod link;

use std::collections::{BTreeMap, BTreeSet};

use kinfold_protocol::id::{EnvelopeId, LinkId, NetId, Topic};
use kinfold_protocol::step::{Address, Input, Transmit};

use crate::dice::Dice;
use crate::levers::Levers;
use link::Cable;

/// A start of a node: what was sent to an earlier one never arrives.
pub type Start = u64;

/// How bad the weather is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Gossip lost, in a thousand.
    pub loss: u64,
    /// Gossip that comes twice, in a thousand.
    pub doubled: u64,
    /// Gossip that comes late, in a thousand.
    pub late: u64,
    /// The longest way of a frame.
    pub latency_ms_max: u64,
}

impl Weather {
    /// Nothing goes wrong.
    pub const FAIR: Self = Self { loss: 0, doubled: 0, late: 0, latency_ms_max: 50 };

    /// The weather of one run.
    pub fn of(dice: &mut Dice) -> Self {
        Self {
            loss: dice.between(0, 300),
            doubled: dice.between(0, 200),
            late: dice.between(0, 200),
            latency_ms_max: dice.between(5, 400),
        }
    }
}

/// What comes to a node.
#[derive(Debug)]
pub struct Arrival {
    /// To which.
    pub node: usize,
    /// What.
    pub input: Input,
    /// Where a gossiped envelope came from, to pass it on.
    pub route: Option<Route>,
}

/// Where a gossiped envelope came from.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    topic: Topic,
    via: u64,
}

/// All networks of all nodes.
#[derive(Debug)]
pub struct Network {
    dice: Dice,
    /// The weather; it may change during a run.
    pub weather: Weather,
    stations: BTreeMap<(usize, NetId), Station>,
    cables: BTreeMap<u64, Cable>,
    plugs: BTreeMap<(usize, LinkId), (u64, usize)>,
    queue: BTreeMap<(u64, u64), Parcel>,
    drawn: u64,
    sides: Vec<u64>,
    starts: Vec<Option<Start>>,
}

/// One network of one node, while it is open.
#[derive(Debug)]
struct Station {
    id: Vec<u8>,
    topics: BTreeSet<Topic>,
    seen: BTreeSet<Vec<u8>>,
    /// What came by gossip and is not judged yet, by its id, and until when it can still go on.
    waits: BTreeMap<EnvelopeId, (u64, Route, Vec<u8>)>,
}

#[derive(Debug)]
enum Parcel {
    Dial { from: usize, start: Start, net: NetId, address: Address },
    Direct { to: usize, start: Start, input: Input },
    Frame { cable: u64, to: usize, bytes: Vec<u8> },
    Gossip { to: usize, start: Start, net: NetId, bytes: Vec<u8>, route: Route },
}

impl Network {
    /// Networks of so many nodes, all switched off.
    #[must_use]
    pub fn new(seed: u64, nodes: usize) -> Self {
        let mut dice = Dice::new(seed, 2);
        let weather = Weather::of(&mut dice);
        Self {
            dice,
            weather,
            stations: BTreeMap::new(),
            cables: BTreeMap::new(),
            plugs: BTreeMap::new(),
            queue: BTreeMap::new(),
            drawn: 0,
            sides: vec![0; nodes],
            starts: vec![None; nodes],
        }
    }

    /// Carries out what a client wants of its network.
    pub fn carry(&mut self, node: usize, transmit: Transmit, now: u64, levers: &mut Levers) {
        match transmit {
            Transmit::Admit { link } => self.admit(node, link, true),
            Transmit::Close { net } => self.close(node, net, now),
            Transmit::Dial { net, address } => {
                let Some(start) = self.start(node) else { return };
                let at = now + self.way();
                self.post(at, Parcel::Dial { from: node, start, net, address });
            }
            Transmit::Disconnect { link } => self.cut_plug(node, link, now),
            Transmit::Frame { link, bytes } => self.frame(node, link, bytes, now),
            // Nobody here is a stranger.
            Transmit::Known { .. } => {}
            Transmit::Open { net, port } => self.open(node, net, port, now),
            Transmit::PassOn { net, id } => self.pass_on(node, net, &id, now, levers),
            Transmit::Publish { net, topic, bytes } => self.publish(node, net, topic, bytes, now, levers),
            Transmit::Topics { net, topics } => {
                if let Some(station) = self.stations.get_mut(&(node, net)) {
                    station.topics = topics.into_iter().collect();
                }
            }
            Transmit::Withhold { link } => self.admit(node, link, false),
        }
    }

    /// When something arrives next.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// What has arrived by now, in order. Dials are made on the way.
    pub fn arrivals(&mut self, now: u64, levers: &mut Levers) -> Vec<Arrival> {
        let mut found = Vec::new();
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Parcel::Dial { from, start, net, address } => {
                    self.dial(from, start, net, address, now, levers, &mut found)
                }
                Parcel::Direct { to, start, input } => {
                    if self.start(to) == Some(start) {
                        found.push(Arrival { node: to, input, route: None });
                    }
                }
                Parcel::Frame { cable, to, bytes } => found.extend(self.framed(cable, to, bytes)),
                Parcel::Gossip { to, start, net, bytes, route } => {
                    if self.start(to) == Some(start) && self.stations.contains_key(&(to, net)) {
                        let link = self.plug(route.via, to);
                        self.hold((to, net), &bytes, route, now);
                        found.push(Arrival { node: to, input: Input::Gossip { net, link, bytes }, route: Some(route) });
                    }
                }
            }
        }
        found
    }

    /// A node comes up.
    pub fn power_on(&mut self, node: usize, start: Start) {
        if let Some(slot) = self.starts.get_mut(node) {
            *slot = Some(start);
        }
    }

    /// A node goes down, and its peers notice sooner or later.
    pub fn power_off(&mut self, node: usize, now: u64) {
        if let Some(slot) = self.starts.get_mut(node) {
            *slot = None;
        }
        self.stations.retain(|(owner, _), _| *owner != node);
        for cable in self.cables_of(|cable| cable.ends.iter().any(|end| end.node == node)) {
            self.cut(cable, now, 5_000);
        }
    }

    /// The network falls apart: nodes on different sides do not reach each other.
    pub fn partition(&mut self, sides: Vec<u64>, now: u64) {
        self.sides = sides;
        let across = self.cables_of(|cable| {
            let [one, other] = &cable.ends;
            self.sides.get(one.node) != self.sides.get(other.node)
        });
        for cable in across {
            self.cut(cable, now, 20_000);
        }
    }

    /// Every node reaches every other.
    pub fn heal(&mut self) {
        self.sides.fill(0);
    }

    /// Whether the network is in parts.
    #[must_use]
    pub fn is_apart(&self) -> bool {
        self.sides.iter().any(|side| *side != 0)
    }

    /// Breaks one link, if there is one.
    pub fn cut_any(&mut self, now: u64) -> bool {
        let all = self.cables_of(|_| true);
        let Some(cable) = self.dice.pick(&all).copied() else { return false };
        self.cut(cable, now, 2_000);
        true
    }

    fn open(&mut self, node: usize, net: NetId, port: Option<u16>, now: u64) {
        let Some(start) = self.start(node) else { return };
        self.close(node, net, now);
        let id = self.dice.bytes().to_vec();
        self.stations.insert(
            (node, net),
            Station { id, topics: BTreeSet::new(), seen: BTreeSet::new(), waits: BTreeMap::new() },
        );
        let port = port.unwrap_or_else(|| u16::try_from(20_000 + self.dice.below(10_000)).unwrap_or(20_000));
        let input = Input::Listening { net, port, addresses: vec![address(node, net)] };
        self.post(now + 1, Parcel::Direct { to: node, start, input });
    }

    fn close(&mut self, node: usize, net: NetId, now: u64) {
        if self.stations.remove(&(node, net)).is_none() {
            return;
        }
        for cable in self.cables_of(|cable| cable.ends.iter().any(|end| end.node == node && end.net == net)) {
            self.cut(cable, now, 100);
        }
    }

    fn start(&self, node: usize) -> Option<Start> {
        self.starts.get(node).copied().flatten()
    }

    fn reaches(&self, one: usize, other: usize) -> bool {
        self.start(one).is_some() && self.start(other).is_some() && self.sides.get(one) == self.sides.get(other)
    }

    fn way(&mut self) -> u64 {
        self.dice.between(1, self.weather.latency_ms_max)
    }

    fn post(&mut self, at: u64, parcel: Parcel) {
        self.drawn += 1;
        self.queue.insert((at, self.drawn), parcel);
    }
}

/// The address of a node's network; it survives restarts, as a kept port does.
#[must_use]
pub fn address(node: usize, net: NetId) -> Address {
    Address(format!("sim:{node}:{}", net.0))
}

/// Whose address it is.
fn owner(address: &Address) -> Option<(usize, NetId)> {
    let (node, net) = address.0.strip_prefix("sim:")?.split_once(':')?;
    Some((node.parse().ok()?, NetId(net.parse().ok()?)))
}

#[cfg(test)]
mod tests;
