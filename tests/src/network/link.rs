//! Links: dialling, frames in order, and breaking.

use kinfold_protocol::id::{LinkId, NetId};
use kinfold_protocol::step::{Address, Ends, Input};

use super::{Arrival, Network, Parcel, Start, owner};
use crate::levers::{self, Levers};

/// One stream between two nodes.
#[derive(Debug)]
pub(super) struct Cable {
    pub(super) ends: [End; 2],
}

/// One end of it.
#[derive(Debug)]
pub(super) struct End {
    pub(super) node: usize,
    pub(super) net: NetId,
    pub(super) link: LinkId,
    pub(super) start: Start,
    /// This end lets gossip flow.
    pub(super) admits: bool,
    /// The transport id, which names the start of the network.
    id: Vec<u8>,
    /// When the last frame to this end arrives: the next one arrives no earlier.
    last: u64,
}

impl Network {
    /// The link of one end of a cable, if it still holds.
    pub(super) fn plug(&self, cable: u64, node: usize) -> Option<LinkId> {
        self.cables.get(&cable)?.ends.iter().find(|end| end.node == node).map(|end| end.link)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one parcel, and where what comes of it goes")]
    pub(super) fn dial(
        &mut self,
        from: usize,
        start: Start,
        net: NetId,
        address: Address,
        now: u64,
        levers: &mut Levers,
        found: &mut Vec<Arrival>,
    ) {
        if self.start(from) != Some(start) || !self.stations.contains_key(&(from, net)) {
            return;
        }
        let peer = owner(&address).filter(|(node, _)| *node != from && self.reaches(from, *node));
        let ends = peer.and_then(|(node, there)| {
            let there_start = self.start(node)?;
            let [one, other] = [self.end(from, net, start)?, self.end(node, there, there_start)?];
            Some([one, other])
        });
        let Some([mut near, mut far]) = ends else {
            levers.pull(levers::DIALS_FAILED);
            found.push(Arrival { node: from, input: Input::DialFailed { net, address }, route: None });
            return;
        };
        let same = |cable: &Cable| [&near.id, &far.id].iter().all(|id| cable.ends.iter().any(|end| end.id == **id));
        if self.cables.values().any(same) {
            // A second connection to a peer that is linked already carries no second stream, and a dial is answered.
            found.push(Arrival { node: from, input: Input::DialFailed { net, address }, route: None });
            return;
        }
        levers.pull(levers::LINKS_UP);
        near.link = self.fresh_link();
        far.link = self.fresh_link();
        let to_near = Ends { local: near.id.clone(), remote: far.id.clone() };
        let to_far = Ends { local: far.id.clone(), remote: near.id.clone() };
        let connected = |end: &End, ends, address| {
            let input = Input::Connected { net: end.net, link: end.link, ends, address };
            Arrival { node: end.node, input, route: None }
        };
        found.push(connected(&near, to_near, Some(address)));
        found.push(connected(&far, to_far, None));
        (near.last, far.last) = (now, now);
        self.drawn += 1;
        let name = self.drawn;
        self.plugs.insert((near.node, near.link), (name, 0));
        self.plugs.insert((far.node, far.link), (name, 1));
        self.cables.insert(name, Cable { ends: [near, far] });
    }

    pub(super) fn frame(&mut self, node: usize, link: LinkId, bytes: Vec<u8>, now: u64) {
        let way = self.way();
        let Some((name, side)) = self.plugs.get(&(node, link)).copied() else { return };
        let Some(far) = self.cables.get_mut(&name).and_then(|cable| cable.ends.get_mut(1 - side)) else { return };
        far.last = far.last.max(now + way);
        let at = far.last;
        self.post(at, Parcel::Frame { cable: name, to: 1 - side, bytes });
    }

    /// A frame at the end of its way: it is lost only together with its link.
    pub(super) fn framed(&self, cable: u64, to: usize, bytes: Vec<u8>) -> Option<Arrival> {
        let end = self.cables.get(&cable)?.ends.get(to)?;
        let input = Input::Frame { link: end.link, bytes };
        (self.start(end.node) == Some(end.start)).then_some(Arrival { node: end.node, input, route: None })
    }

    pub(super) fn admit(&mut self, node: usize, link: LinkId, admits: bool) {
        let Some((name, side)) = self.plugs.get(&(node, link)).copied() else { return };
        if let Some(end) = self.cables.get_mut(&name).and_then(|cable| cable.ends.get_mut(side)) {
            end.admits = admits;
        }
    }

    pub(super) fn cut_plug(&mut self, node: usize, link: LinkId, now: u64) {
        if let Some((name, _)) = self.plugs.get(&(node, link)).copied() {
            self.cut(name, now, 100);
        }
    }

    /// Breaks a link; each end notices by itself, `notice_ms_max` later at most.
    pub(super) fn cut(&mut self, name: u64, now: u64, notice_ms_max: u64) {
        let Some(cable) = self.cables.remove(&name) else { return };
        for end in cable.ends {
            self.plugs.remove(&(end.node, end.link));
            if self.start(end.node) == Some(end.start) && self.stations.contains_key(&(end.node, end.net)) {
                let at = now + self.dice.between(1, notice_ms_max);
                let input = Input::Disconnected { link: end.link };
                self.post(at, Parcel::Direct { to: end.node, start: end.start, input });
            }
        }
    }

    pub(super) fn cables_of(&self, of: impl Fn(&Cable) -> bool) -> Vec<u64> {
        self.cables.iter().filter(|(_, cable)| of(cable)).map(|(name, _)| *name).collect()
    }

    fn end(&self, node: usize, net: NetId, start: Start) -> Option<End> {
        let id = self.stations.get(&(node, net))?.id.clone();
        Some(End { node, net, link: LinkId(0), start, admits: false, id, last: 0 })
    }

    fn fresh_link(&mut self) -> LinkId {
        self.drawn += 1;
        LinkId(self.drawn)
    }
}
