//! What waits is opened once its epoch is known, or before the keys of its epoch die (PROTOCOL M5, E).

use std::time::Duration;

use super::Group;
use super::cx::Cx;
use super::gaps::{Spot, TRIED_MAX};
use super::log::Order;
use super::receive::Origin;
use super::waiting::{Came, Placed};
use crate::error::{Error, Why};
use crate::id::EnvelopeId;
use crate::limits::RATCHET_WINDOW;
use crate::step::{Outcome, Transmit};
use crate::wire::envelope::Envelope;

/// What gossip brought surely goes on by gossip if it is opened within this; else it is told of too. Gossip forgets it after
/// four seconds, and it may have come late.
const PASSED_ON: Duration = Duration::from_secs(1);

/// Where looking at what waits begins.
pub(crate) const BEGIN: (Order, EnvelopeId) = (Order::CONTROL, EnvelopeId::from_bytes([0; 32]));

impl Group {
    /// Opens what waited for an epoch that is known now (PROTOCOL M5), as long as that brings more.
    pub(crate) fn rescan(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        self.look_from = Some(BEGIN);
        self.look_on(cx)
    }

    /// Goes on with that: what is nobody's is tried some at a time.
    pub(crate) fn look_on(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let mut vain = 0_usize;
        while let Some(from) = self.look_from.take().filter(|_| self.talks()) {
            let known = self.epochs.len();
            if from == BEGIN {
                self.begin_gaps_anew(cx, |_| true);
                self.place_waiting(cx)?;
            }
            let epochs = &self.epochs;
            let can = |spot: Spot| epochs.has_keys(&spot.sender.0);
            for at in self.log.waiting.in_order(|placed| placed.spot.is_none_or(can)).split_off(&from) {
                if vain >= TRIED_MAX {
                    self.look_from = Some(if self.epochs.len() == known { at } else { BEGIN });
                    return Ok(());
                }
                let (_, id) = at;
                let Some(envelope) = self.log.read(cx, self.net, &id)? else { continue };
                let (came, placed) = (self.log.waiting.came(&id), self.log.waiting.placed(&id));
                let outcome = self.take(cx, &envelope, placed, Origin { member: came.by, ..Origin::default() })?;
                self.pass_gossip_on(cx, id, &came, &outcome);
                vain = vain.saturating_add(usize::from(matches!(outcome, Outcome::Refused(_))));
            }
            if self.epochs.len() != known {
                self.look_from = Some(BEGIN);
            }
        }
        Ok(())
    }

    /// Looks where what waits stands, as far as that is not known.
    fn place_waiting(&mut self, cx: &Cx<'_>) -> Result<(), Error> {
        for id in self.log.waiting.nowhere() {
            let Some(envelope) = self.log.read(cx, self.net, &id)? else { continue };
            let placed = self.placed(&self.seal_of(&envelope), &envelope);
            if placed.is_known() {
                let came = self.log.waiting.came(&id);
                self.log.waiting.put(id, came, placed);
            }
        }
        Ok(())
    }

    /// The device may have slept while messages waited for others: they are opened as long as that can be. Whether that
    /// is done; it goes on in the next step.
    pub(crate) fn open_before_keys_die(&mut self, cx: &mut Cx<'_>) -> Result<bool, Error> {
        let dying = self.epochs.dying(cx.now.sweep);
        if dying.is_empty() || !self.talks() {
            return Ok(true);
        }
        if self.look_from.is_some() {
            self.place_waiting(cx)?;
        }
        let dies = |spot: Spot| dying.contains(&spot.sender.0);
        self.begin_gaps_anew(cx, |epoch| dying.contains(epoch));
        let mut tried = 0_usize;
        for (_, id) in self.log.waiting.in_order(|placed| placed.spot.is_some_and(dies)) {
            let within = |spot: &Spot| self.is_within_window(spot);
            if !self.log.waiting.placed(&id).spot.as_ref().is_some_and(within) {
                continue;
            }
            let Some(envelope) = self.log.read(cx, self.net, &id)? else { continue };
            self.open_late(cx, &envelope)?;
            // What still waits cost little, and would wait in the next step too.
            tried = tried.saturating_add(usize::from(!self.log.waiting.has(&id)));
            if tried >= TRIED_MAX {
                return Ok(false);
            }
        }
        self.begin_gaps_anew(cx, |epoch| dying.contains(epoch));
        Ok(true)
    }

    /// Whether MLS would look at all for a message's key: neither too far ahead nor too far behind, nor the own.
    fn is_within_window(&self, spot: &Spot) -> bool {
        let next = self.next_count(&spot.sender);
        let within =
            spot.count < next.saturating_add(RATCHET_WINDOW) && next <= spot.count.saturating_add(RATCHET_WINDOW);
        within && self.author(&spot.sender) != Some(self.me.member())
    }

    /// Opens what waited, on the account of whoever brought it.
    pub(crate) fn open_late(&mut self, cx: &mut Cx<'_>, envelope: &Envelope) -> Result<Outcome, Error> {
        let id = envelope.id();
        let (came, placed) = (self.log.waiting.came(&id), self.log.waiting.placed(&id));
        let outcome = self.open(cx, envelope, placed, Origin { member: came.by, ..Origin::default() })?;
        self.pass_gossip_on(cx, id, &came, &outcome);
        Ok(outcome)
    }

    /// What gossip brought turns out to be somebody's: others may have it.
    fn pass_gossip_on(&mut self, cx: &mut Cx<'_>, id: EnvelopeId, came: &Came, outcome: &Outcome) {
        let opened = matches!(outcome, Outcome::Applied(_) | Outcome::Parked(Why::Ahead));
        let Some(at) = came.gossiped.filter(|_| opened) else { return };
        cx.transmit(Transmit::PassOn { net: self.net, id });
        if cx.now.wall > at + PASSED_ON {
            self.ask_around(cx);
        }
    }

    /// An envelope was opened in vain, and no other time will be better. What waited, or was given on by hand, is not kept,
    /// nor taken again.
    pub(crate) fn note_nobodys(&mut self, cx: &mut Cx<'_>, envelope: &Envelope, came: &Came, placed: &Placed) {
        if self.log.waiting.has(&envelope.id()) || came.gossiped.is_none() {
            self.log.note_vain(cx, self.net, envelope, (came.by, true));
        }
        self.charge_vain(cx, came, placed);
    }
}
