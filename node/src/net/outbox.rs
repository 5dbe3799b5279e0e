//! What the net task has to tell the core and cannot wait to hand over.

use std::collections::VecDeque;
use std::time::Duration;

use kinfold_protocol::id::{LinkId, NetId};
use kinfold_protocol::limits::ADDRESSES_MAX;
use kinfold_protocol::step::{Address, Input};
use tokio::time::Instant;

use super::{FromNet, GossipTicket};

/// Gossip that waits for the core: 2 MiB at most; a core that is that far behind gets the rest by reconciliation.
const GOSSIP_MAX: usize = 64;
/// How long gossip may wait: gossipsub forgets what is not judged within five heartbeats of one second.
const GOSSIP_WAIT: Duration = Duration::from_secs(4);
/// Failed dials that wait: four times all the addresses that a core has for a group, which it dials once a step.
const FAILED_MAX: usize = 4 * ADDRESSES_MAX;

/// Bounded queues, most urgent first.
pub(super) struct Outbox {
    net: NetId,
    listening: Option<Input>,
    failed: VecDeque<Address>,
    gossip: VecDeque<(Instant, FromNet)>,
}

impl Outbox {
    pub(super) const fn new(net: NetId) -> Self {
        Self { net, listening: None, failed: VecDeque::new(), gossip: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listening.is_none() && self.failed.is_empty() && self.gossip.is_empty()
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

    /// Gives the ticket back when there is no room.
    pub(super) fn gossip(
        &mut self,
        link: Option<LinkId>,
        bytes: Vec<u8>,
        ticket: GossipTicket,
    ) -> Result<(), GossipTicket> {
        if self.gossip.len() == GOSSIP_MAX {
            return Err(ticket);
        }
        let input = Input::Gossip { net: self.net, link, bytes };
        self.gossip.push_back((Instant::now(), FromNet { input, verdict: Some(ticket) }));
        Ok(())
    }

    /// The tickets of gossip that has waited too long.
    pub(super) fn expire_gossip(&mut self) -> Vec<GossipTicket> {
        let stale = self.gossip.iter().take_while(|(since, _)| since.elapsed() > GOSSIP_WAIT).count();
        self.gossip.drain(..stale).filter_map(|(_, message)| message.verdict).collect()
    }

    /// The next thing to tell.
    pub(super) fn next(&mut self) -> Option<FromNet> {
        let plain = |input| FromNet { input, verdict: None };
        if let Some(input) = self.listening.take() {
            return Some(plain(input));
        }
        if let Some(address) = self.failed.pop_front() {
            return Some(plain(Input::DialFailed { net: self.net, address }));
        }
        self.gossip.pop_front().map(|(_, message)| message)
    }
}
