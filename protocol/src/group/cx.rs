//! What one step of a group works with.

use rand_chacha::ChaCha20Rng;
use rand_core::RngCore as _;

use crate::clock::{Clock, Now, Off};
use crate::id::{LinkId, NetId};
use crate::journal::Tx;
use crate::mls::Provider;
use crate::step::{Event, Transmit};

/// The step under way: its rows, its moments, its entropy, and what it will have produced.
pub(crate) struct Cx<'a> {
    pub(crate) tx: Tx<'a>,
    pub(crate) mls: &'a Provider,
    pub(crate) rng: &'a mut ChaCha20Rng,
    pub(crate) clock: &'a mut Clock,
    pub(crate) now: Now,
    /// Whose room is at work: the one to blame if something contradicts itself.
    pub(crate) at: Option<NetId>,
    pub(crate) transmits: Vec<Transmit>,
    pub(crate) events: Vec<Event>,
}

impl<'a> Cx<'a> {
    /// A step that has produced nothing yet.
    pub(crate) const fn new(
        tx: Tx<'a>,
        mls: &'a Provider,
        rng: &'a mut ChaCha20Rng,
        clock: &'a mut Clock,
        now: Now,
    ) -> Self {
        Self { tx, mls, rng, clock, now, at: None, transmits: Vec::new(), events: Vec::new() }
    }
    /// Random bytes.
    pub(crate) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// Something for the network to do once the batch is durable.
    pub(crate) fn transmit(&mut self, transmit: Transmit) {
        self.transmits.push(transmit);
    }

    /// Something to tell the faces after that.
    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Sends a frame on a link.
    pub(crate) fn frame(&mut self, link: LinkId, bytes: Vec<u8>) {
        self.transmit(Transmit::Frame { link, bytes });
    }

    /// Takes a peer's clock.
    pub(crate) fn heard_clock(&mut self, net: NetId, member: crate::id::MemberId, peer: crate::time::Time) {
        if let Some(Off { offset, corrected }) = self.clock.heard(net, member, peer, self.now.wall) {
            self.tell(Event::ClockOff { ahead_ms: offset.saturating_neg(), corrected });
        }
        self.now = self.clock.tick(self.now.wall);
    }
}
