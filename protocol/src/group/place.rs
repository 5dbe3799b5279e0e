//! Where an envelope stands, before MLS is asked: under which key it is, whose it says it is, and whether it may come in.

use super::Group;
use super::cx::Cx;
use super::gaps::{Sender, Spot};
use super::log::Order;
use super::receive::Flow;
use super::waiting::Placed;
use crate::error::Refusal;
use crate::id::{EpochId, MemberId};
use crate::limits::{BURN, ENVELOPE_BYTES_MAX, RATCHET_WINDOW};
use crate::meet::generation::Rank;
use crate::wire;
use crate::wire::content::Numbered;
use crate::wire::envelope::Envelope;

/// Hours by which a sender's clock may be ahead where nothing but the lane vouches for the sender.
const HOURS_AHEAD: u32 = 25;

/// Hours by which a member's clock may be ahead: nobody corrects two that are apart.
const HOURS_AHEAD_VOUCHED: u32 = 90 * 24;

/// Under which key an envelope is sealed.
#[derive(Clone, Copy)]
pub(crate) enum Seal {
    Content(EpochId),
    Commit(EpochId),
    Control(Rank),
    Unknown,
}

impl Group {
    /// Whether an envelope may come in at all, and where along the chain it stands.
    pub(super) fn place(
        &self,
        cx: &Cx<'_>,
        envelope: &Envelope,
        flow: Flow,
        from: Option<MemberId>,
    ) -> Result<Placed, Refusal> {
        let day = envelope.hour() / 24;
        let seal = self.seal_of(envelope);
        let control = matches!(seal, Seal::Commit(_) | Seal::Control(_));
        let lane = envelope.lane();
        let known = self.generations.values().rev().any(|generation| generation.has_lane(&lane, day));
        if !known && !self.begins().any(|generation| generation.has_lane(&lane, day)) {
            return Err(Refusal::WrongLane);
        }
        if flow == Flow::ControlOnly && !control {
            return Err(Refusal::OutOfTurn);
        }
        if !control && envelope.hour() < self.facts.since {
            return Err(Refusal::NotForUs);
        }
        // Commits are walked for 97 days, long after their class has ended (PROTOCOL M6); tickets and votes are told then.
        if !matches!(seal, Seal::Commit(_)) && super::log::end_of(envelope) <= cx.now.sweep {
            return Err(Refusal::Expired);
        }
        // No hour keeps anything for ever; what no member's key vouches for stays no longer than its class.
        let ahead = if matches!(seal, Seal::Commit(_) | Seal::Content(_)) { HOURS_AHEAD_VOUCHED } else { HOURS_AHEAD };
        if envelope.hour() > cx.now.stamp.hour().saturating_add(ahead) {
            return Err(Refusal::WrongLane);
        }
        let placed = self.placed(&seal, envelope);
        if !placed.is_known() && !self.log.waiting.has_room(&placed, from) {
            return Err(Refusal::NoRoom);
        }
        // What comes now keeps no keys from being destroyed; soon it is of an unknown epoch.
        if matches!(seal, Seal::Content(epoch) if self.epochs.is_dying(&epoch, cx.now.sweep)) {
            return Err(Refusal::NoRoom);
        }
        // Before MLS is asked: a flood costs no more than reading whose it says to be. Links bring the rest in time.
        if flow == Flow::Gossip
            && placed
                .spot
                .and_then(|spot| self.author(&spot.sender))
                .is_some_and(|author| self.conduct.is_hushed(&author, cx.now.wall))
        {
            return Err(Refusal::OverBudget);
        }
        Ok(placed)
    }

    pub(crate) fn seal_of(&self, envelope: &Envelope) -> Seal {
        for (id, epoch) in self.epochs.iter() {
            let Some(keys) = &epoch.keys else { continue };
            if envelope.is_under(&keys.content) {
                return Seal::Content(*id);
            }
            if envelope.is_under(&keys.commit) {
                return Seal::Commit(*id);
            }
        }
        let control = self.generations.iter().find(|(_, generation)| envelope.is_under(&generation.control_key()));
        control.map_or(Seal::Unknown, |(rank, _)| Seal::Control(*rank))
    }

    pub(crate) fn placed(&self, seal: &Seal, envelope: &Envelope) -> Placed {
        let number = |id: &EpochId| self.epochs.get(id).map(|epoch| epoch.number);
        let order = match seal {
            Seal::Unknown => Order::UNKNOWN,
            Seal::Control(_) => Order::CONTROL,
            Seal::Commit(parent) => number(parent).map_or(Order::UNKNOWN, |number| Order::commit(number, parent)),
            Seal::Content(id) => {
                let Some(number) = number(id) else { return Placed::NOWHERE };
                let Ok(Numbered { leaf, count, burnt, .. }) = self.numbered(id, envelope) else {
                    return Placed { order: Order::said(number, id, 0, 0), spot: None };
                };
                let spot = Some(Spot { sender: (*id, leaf), count, burnt });
                return Placed { order: Order::said(number, id, leaf, count), spot };
            }
        };
        Placed { order, spot: None }
    }

    pub(crate) fn numbered(&self, id: &EpochId, envelope: &Envelope) -> Result<Numbered, Refusal> {
        let keys = self.epochs.get(id).and_then(|epoch| epoch.keys.as_ref()).ok_or(Refusal::NotForUs)?;
        let body = envelope.open(&keys.content).map_err(|_| Refusal::BadSeal)?;
        let numbered: Numbered = wire::decode(&body, ENVELOPE_BYTES_MAX).map_err(|_| Refusal::Malformed)?;
        // More would let anybody say that there is nothing to wait for.
        if numbered.burnt > BURN { Err(Refusal::Malformed) } else { Ok(numbered) }
    }

    /// How many keys are derived to open what stands there: none if it is under nobody's leaf, or the own.
    pub(crate) fn keys_before(&self, spot: &Spot) -> u32 {
        let author = self.author(&spot.sender).filter(|author| *author != self.me.member());
        author.map_or(0, |_| spot.count.saturating_sub(self.next_count(&spot.sender)).min(RATCHET_WINDOW))
    }

    /// Whose messages stand under a leaf.
    pub(crate) fn author(&self, (epoch, leaf): &Sender) -> Option<MemberId> {
        self.epochs.get(epoch)?.roster.at(*leaf).map(|seat| seat.member)
    }
}
