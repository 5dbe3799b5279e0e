//! Gossip: to every peer admitted by both ends that listens to the topic, by way of those who found it good; lost,
//! doubled and late as the weather will.

use kinfold_protocol::error::Why;
use kinfold_protocol::id::{EnvelopeId, NetId, Topic};
use kinfold_protocol::step::{Input, Outcome};

use super::{Network, Parcel, Route};
use crate::levers::{self, Levers};

/// For how long what is not judged can still be passed on.
const HELD_MS: u64 = 4_500;
/// How late gossip can be.
const LATE_MS_MAX: u64 = 30_000;

impl Network {
    pub(super) fn publish(
        &mut self,
        node: usize,
        net: NetId,
        topic: Topic,
        bytes: Vec<u8>,
        now: u64,
        levers: &mut Levers,
    ) {
        if let Some(station) = self.stations.get_mut(&(node, net)) {
            station.seen.insert(bytes.clone());
            self.spread(node, net, Route { topic, via: 0 }, &bytes, now, levers);
        }
    }

    /// What a node does with gossip after its client has judged it: once each, and only what the client found good.
    pub fn judged(
        &mut self,
        node: usize,
        input: &Input,
        route: Route,
        outcome: &Outcome,
        now: u64,
        levers: &mut Levers,
    ) {
        let Input::Gossip { net, bytes, .. } = input else { return };
        let good = match outcome {
            Outcome::Applied(_) | Outcome::Parked(Why::Ahead) => true,
            Outcome::Parked(_) => return,
            Outcome::Duplicate | Outcome::Refused(_) => false,
        };
        let Some(station) = self.stations.get_mut(&(node, *net)) else { return };
        if good && station.seen.insert(bytes.clone()) && self.spread(node, *net, route, bytes, now, levers) {
            levers.pull(levers::FORWARDED);
        }
    }

    /// Something came by gossip: a node can pass it on for some seconds.
    pub(super) fn hold(&mut self, station: (usize, NetId), bytes: &[u8], route: Route, now: u64) {
        if let Some(station) = self.stations.get_mut(&station) {
            station.waits.retain(|_, (until, ..)| *until > now);
            let id = EnvelopeId::from_bytes(*blake3::hash(bytes).as_bytes());
            station.waits.entry(id).or_insert((now + HELD_MS, route, bytes.to_vec()));
        }
    }

    /// A client found out later that something is good.
    pub(super) fn pass_on(&mut self, node: usize, net: NetId, id: &EnvelopeId, now: u64, levers: &mut Levers) {
        let Some(station) = self.stations.get_mut(&(node, net)) else { return };
        let Some((_, route, bytes)) = station.waits.remove(id).filter(|(until, ..)| *until > now) else { return };
        if station.seen.insert(bytes.clone()) && self.spread(node, net, route, &bytes, now, levers) {
            levers.pull(levers::PASSED_ON_LATE);
        }
    }

    fn spread(&mut self, node: usize, net: NetId, route: Route, bytes: &[u8], now: u64, levers: &mut Levers) -> bool {
        let mut targets = Vec::new();
        for (name, cable) in &self.cables {
            let [one, other] = &cable.ends;
            let both = one.admits && other.admits && *name != route.via;
            for (near, far) in [(one, other), (other, one)] {
                let here = near.node == node && near.net == net;
                let listens =
                    self.stations.get(&(far.node, far.net)).is_some_and(|far| far.topics.contains(&route.topic));
                if both && here && listens {
                    targets.push((*name, far.node, far.start, far.net));
                }
            }
        }
        for (via, to, start, net) in &targets {
            for at in self.fates(now, levers) {
                let route = Route { topic: route.topic, via: *via };
                self.post(at, Parcel::Gossip { to: *to, start: *start, net: *net, bytes: bytes.to_vec(), route });
            }
        }
        !targets.is_empty()
    }

    /// When one published envelope arrives at one peer: never, once or twice.
    fn fates(&mut self, now: u64, levers: &mut Levers) -> Vec<u64> {
        if self.dice.chance(self.weather.loss) {
            levers.pull(levers::LOST);
            return Vec::new();
        }
        let mut at = now + self.way();
        if self.dice.chance(self.weather.late) {
            levers.pull(levers::LATE);
            at += self.dice.below(LATE_MS_MAX);
        }
        if !self.dice.chance(self.weather.doubled) {
            return vec![at];
        }
        levers.pull(levers::DOUBLED);
        vec![at, at + self.dice.below(LATE_MS_MAX)]
    }
}
