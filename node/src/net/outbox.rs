//! What the net task has to tell the core and cannot wait to hand over.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kinfold_protocol::id::{LinkId, NetId};
use kinfold_protocol::limits::ADDRESSES_MAX;
use kinfold_protocol::step::{Address, Input};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{FromNet, GossipTicket};

/// Gossip that waits for the core: 2 MiB at most; a core that is that far behind gets the rest by reconciliation.
const GOSSIP_MAX: usize = 64;
/// Gossip that the core has been given and has not done with: a round. More would only make everything else wait.
const IN_HAND_MAX: usize = 64;
/// How long gossip may wait: gossipsub forgets what is not judged within five heartbeats of one second.
const GOSSIP_WAIT: Duration = Duration::from_secs(4);
/// Failed dials that wait: four times all the addresses that a core has for a group, which it dials once a step.
const FAILED_MAX: usize = 4 * ADDRESSES_MAX;

/// Bounded queues, most urgent first.
pub(super) struct Outbox {
    net: NetId,
    listening: Option<Input>,
    failed: VecDeque<Address>,
    /// Links that bring more than any may.
    floods: BTreeSet<LinkId>,
    gossip: VecDeque<Heard>,
    in_hand: Arc<Semaphore>,
}

/// One gossiped message.
struct Heard {
    at: Instant,
    link: Option<LinkId>,
    bytes: Vec<u8>,
    ticket: GossipTicket,
}

impl Outbox {
    pub(super) fn new(net: NetId) -> Self {
        let in_hand = Arc::new(Semaphore::new(IN_HAND_MAX));
        let (failed, floods, gossip) = (VecDeque::new(), BTreeSet::new(), VecDeque::new());
        Self { net, listening: None, failed, floods, gossip, in_hand }
    }

    /// Whether there is anything that the core may be given now.
    pub(super) fn has_some(&self) -> bool {
        let gossip = !self.gossip.is_empty() && self.in_hand.available_permits() > 0;
        self.listening.is_some() || !self.failed.is_empty() || !self.floods.is_empty() || gossip
    }

    /// What may be given when the core has done with something, comes without its saying so.
    pub(super) fn waits_for_core(&self) -> Option<Arc<Semaphore>> {
        (!self.gossip.is_empty() && !self.has_some()).then(|| Arc::clone(&self.in_hand))
    }

    /// The newest replaces one that still waits.
    pub(super) fn listening(&mut self, input: Input) {
        self.listening = Some(input);
    }

    pub(super) fn dial_failed(&mut self, address: Address) {
        if self.failed.len() == FAILED_MAX {
            tracing::warn!(code = "net-dials-lost");
            self.failed.pop_front();
        }
        self.failed.push_back(address);
    }

    /// A link brings more than any may.
    pub(super) fn flooded(&mut self, link: LinkId) {
        self.floods.insert(link);
    }

    /// Gives back a ticket when there is no room: of the link that has the most waiting, so that one that brings much
    /// takes the room of nobody else.
    pub(super) fn gossip(
        &mut self,
        link: Option<LinkId>,
        bytes: Vec<u8>,
        ticket: GossipTicket,
    ) -> Result<(), GossipTicket> {
        let full = self.gossip.len() == GOSSIP_MAX;
        self.gossip.push_back(Heard { at: Instant::now(), link, bytes, ticket });
        if !full {
            return Ok(());
        }
        let of = |link: Option<LinkId>| self.gossip.iter().filter(|heard| heard.link == link).count();
        let longest = self.gossip.iter().map(|heard| heard.link).max_by_key(|link| of(*link)).flatten();
        let newest = self.gossip.iter().rposition(|heard| heard.link == longest);
        let dropped = newest.and_then(|at| self.gossip.remove(at));
        dropped.map_or(Ok(()), |dropped| Err(dropped.ticket))
    }

    /// The tickets of gossip that has waited too long.
    pub(super) fn expire_gossip(&mut self) -> Vec<GossipTicket> {
        let stale = self.gossip.iter().take_while(|heard| heard.at.elapsed() > GOSSIP_WAIT).count();
        self.gossip.drain(..stale).map(|heard| heard.ticket).collect()
    }

    /// The next thing to tell.
    pub(super) fn next(&mut self) -> Option<FromNet> {
        if let Some(input) = self.listening.take() {
            return Some(FromNet::plain(input));
        }
        if let Some(link) = self.floods.pop_first() {
            return Some(FromNet::plain(Input::Flooded { link }));
        }
        if let Some(address) = self.failed.pop_front() {
            return Some(FromNet::plain(Input::DialFailed { net: self.net, address }));
        }
        if self.gossip.is_empty() {
            return None;
        }
        let room = Arc::clone(&self.in_hand).try_acquire_owned().ok()?;
        let Heard { link, bytes, ticket, .. } = self.gossip.pop_front()?;
        let input = Input::Gossip { net: self.net, link, bytes };
        Some(FromNet { input, verdict: Some(ticket), room: Some(room) })
    }
}
