//! Receiving: decode, know, place, open and judge. Each room ends early with an outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Group;
use super::cx::Cx;
use super::gaps::{Sender, Spot};
use super::greet::CATCH_UP_MAX;
use super::log::Order;
use super::place::Seal;
use super::waiting::{Came, Placed};
use crate::error::{Error, Refusal, Why};
use crate::id::{EnvelopeId, EpochId, LinkId, MemberId};
use crate::limits::ENVELOPE_BYTES_MAX;
use crate::mls::{MlsError, Under};
use crate::step::Outcome;
use crate::wire;
use crate::wire::content::Content;
use crate::wire::envelope::Envelope;
use crate::wire::signed::Signed;

/// What may come on the way it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Everything, on a link.
    All,
    /// Everything, as long as it is not too much.
    Gossip,
    /// Commits, tickets, votes and links: the link is in catch-up (PROTOCOL M2).
    ControlOnly,
}

/// Envelopes that came together.
pub(crate) struct Batch {
    pub(crate) envelopes: Vec<Envelope>,
    /// Who brought them, if it is still linked.
    pub(crate) from: Option<LinkId>,
    pub(crate) flow: Flow,
}

/// Who brought an envelope, as far as is known.
#[derive(Clone, Copy, Default)]
pub(crate) struct Origin {
    pub(crate) link: Option<LinkId>,
    pub(crate) member: Option<MemberId>,
    /// Whether gossip brought it, just now.
    pub(crate) gossiped: bool,
    /// What it has used of its bringer's allowance.
    pub(crate) paid: u64,
}

impl Origin {
    /// How an envelope came that waits from now on.
    pub(crate) fn came(&self, cx: &Cx<'_>) -> Came {
        Came { by: self.member, gossiped: self.gossiped.then_some(cx.now.wall), paid: self.paid }
    }

    /// Who gives it on by hand, just now.
    pub(crate) fn by_hand(&self) -> Option<MemberId> {
        self.member.filter(|_| self.link.is_some() && !self.gossiped)
    }
}

/// How often a comparison is asked for because more was brought than is looked at: the regular ones go on.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

impl Group {
    /// One envelope that gossip brought.
    pub(crate) fn on_gossip(
        &mut self,
        cx: &mut Cx<'_>,
        from: Option<LinkId>,
        bytes: Vec<u8>,
    ) -> Result<Outcome, Error> {
        match Envelope::parse(bytes) {
            Ok(envelope) => self.ingest(cx, Batch { envelopes: vec![envelope], from, flow: Flow::Gossip }),
            Err(_) => {
                let outcome = Outcome::Refused(Refusal::Malformed);
                from.into_iter().for_each(|from| self.account(cx, from, &outcome));
                Ok(outcome)
            }
        }
    }

    /// What came in catch-up, in its order: each commit is known to be one by that before it.
    pub(crate) fn ingest_commits(&mut self, cx: &mut Cx<'_>, batch: Batch) -> Result<Outcome, Error> {
        let mut outcome = None;
        for envelope in batch.envelopes {
            let one = Batch { envelopes: vec![envelope], from: batch.from, flow: batch.flow };
            outcome = Some(joint(outcome, self.ingest(cx, one)?));
        }
        Ok(outcome.unwrap_or(Outcome::Duplicate))
    }

    /// The one way in for envelopes, whatever brought them. The outcome is that of the last one that was not refused: a
    /// refusal says that nothing of them all took effect.
    pub(crate) fn ingest(&mut self, cx: &mut Cx<'_>, batch: Batch) -> Result<Outcome, Error> {
        let mut outcome = None;
        let member = batch.from.and_then(|link| self.member_at(link));
        let origin = Origin { link: batch.from, member, gossiped: batch.flow == Flow::Gossip, paid: 0 };
        let (mut placed, mut no_room, mut settled, mut again) = (BTreeMap::new(), Vec::new(), Vec::new(), false);
        for envelope in batch.envelopes {
            let id = envelope.id();
            if self.log.has(&id) {
                settled.push((id, None));
                outcome = Some(Outcome::Duplicate);
                continue;
            }
            let may = self.may_bring(cx, &origin);
            again |= !may;
            let of_it = if may { self.place(cx, &envelope, batch.flow, member) } else { Err(Refusal::OverBudget) };
            match of_it {
                Ok(of_it) => drop(placed.insert((of_it.order, id), (envelope, of_it))),
                Err(refusal) => {
                    let refused = Outcome::Refused(refusal);
                    self.note_useless(cx, &origin, &refused);
                    // Or it was said on a branch that was never known here, where a removal had moved the group elsewhere.
                    let elsewhere = refusal == Refusal::WrongLane && batch.flow == Flow::All;
                    no_room.extend((refusal == Refusal::NoRoom || elsewhere).then_some(id));
                    outcome = Some(joint(outcome, refused));
                }
            }
        }
        let known = self.epochs.len();
        for ((_, id), (envelope, placed)) in placed {
            let mut origin = origin;
            let taken = if self.may_open(cx, &mut origin, &placed) {
                self.take(cx, &envelope, placed, origin)?
            } else {
                again = true;
                Outcome::Refused(Refusal::OverBudget)
            };
            if matches!(taken, Outcome::Refused(Refusal::NoRoom) | Outcome::Duplicate) {
                self.give_back(&origin.came(cx));
            }
            self.note_useless(cx, &origin, &taken);
            no_room.extend((taken == Outcome::Refused(Refusal::NoRoom)).then_some(id));
            settled.extend(is_settled(&taken).then(|| (id, Some(envelope.hour()))));
            if origin.gossiped {
                batch.from.into_iter().for_each(|from| self.account(cx, from, &taken));
            }
            outcome = Some(joint(outcome, taken));
        }
        self.missed |= !no_room.is_empty();
        if let Some(from) = batch.from {
            if !origin.gossiped {
                self.note_offered(from, settled);
            }
            if again {
                self.ask_again(cx, from);
            }
            match batch.flow {
                _ if no_room.is_empty() => {}
                Flow::All => self.say_no_room(cx, from, no_room),
                // By link it is asked for from hand to hand.
                Flow::Gossip | Flow::ControlOnly => self.ask_to_compare(cx, from),
            }
        }
        if self.epochs.len() != known {
            self.rescan(cx)?;
        }
        Ok(outcome.unwrap_or(Outcome::Duplicate))
    }

    /// Of what was not taken now another comparison brings the messages, and another answer the commits.
    fn ask_again(&mut self, cx: &mut Cx<'_>, from: LinkId) {
        let now = cx.now.wall;
        let ahead = self.links.get(&from).is_some_and(|link| self.is_ahead(link));
        let Some(link) = self.links.get_mut(&from) else { return };
        link.asked_after = None;
        if ahead {
            link.catches_up.get_or_insert(now + CATCH_UP_MAX);
        }
        if link.asked_again.is_none_or(|at| now >= at + AGAIN_AFTER) {
            link.asked_again = Some(now);
            self.ask_to_compare(cx, from);
        }
    }

    /// Opens an envelope in its turn, and what waited for it.
    pub(crate) fn take(
        &mut self,
        cx: &mut Cx<'_>,
        envelope: &Envelope,
        placed: Placed,
        origin: Origin,
    ) -> Result<Outcome, Error> {
        if let Some(outcome) = self.wait_for_gap(cx, placed, envelope, origin) {
            return Ok(outcome);
        }
        let outcome = self.open(cx, envelope, placed, origin)?;
        if let Some(spot) = placed.spot {
            self.close_gap(cx, spot.sender)?;
        }
        Ok(outcome)
    }

    /// Keeps an envelope that cannot be opened yet, if there is room.
    pub(crate) fn keep_waiting(
        &mut self,
        cx: &mut Cx<'_>,
        envelope: &Envelope,
        origin: &Origin,
        placed: Placed,
    ) -> bool {
        let room = self.log.waiting.has_room(&placed, origin.member);
        if room {
            self.log.keep_waiting(cx, self.net, envelope, (origin.came(cx), placed));
        }
        room
    }

    /// Opens an envelope whose turn it is.
    pub(crate) fn open(
        &mut self,
        cx: &mut Cx<'_>,
        envelope: &Envelope,
        placed: Placed,
        origin: Origin,
    ) -> Result<Outcome, Error> {
        if !self.talks() {
            return Ok(Outcome::Refused(Refusal::Removed));
        }
        let id = envelope.id();
        let came = if self.log.waiting.has(&id) { self.log.waiting.came(&id) } else { origin.came(cx) };
        let outcome = match self.seal_of(envelope) {
            Seal::Unknown => {
                let kept = self.log.has(&id) || self.keep_waiting(cx, envelope, &origin, Placed::NOWHERE);
                if kept { Outcome::Parked(Why::UnknownEpoch) } else { Outcome::Refused(Refusal::NoRoom) }
            }
            Seal::Control(rank) => self.open_control(cx, envelope, &rank, &origin)?,
            Seal::Commit(parent) => self.open_commit(cx, envelope, &parent, &origin)?,
            Seal::Content(epoch) => self.open_content(cx, envelope, &epoch, origin)?,
        };
        // What only waits here is not yet held for its author: it may never open.
        if matches!(outcome, Outcome::Applied(_) | Outcome::Parked(Why::Ahead))
            && let Some(spot) = placed.spot
        {
            self.owe_have(cx, id, &spot.sender);
            self.give_back(&came);
        }
        let refused = matches!(&outcome, Outcome::Refused(why) if why.is_final());
        if refused && (self.log.waiting.has(&id) || !self.log.has(&id)) {
            self.note_nobodys(cx, envelope, &came, &placed);
        }
        Ok(outcome)
    }

    /// The author of a message, if it is linked, will hear that it is held here.
    fn owe_have(&mut self, cx: &Cx<'_>, id: EnvelopeId, sender: &Sender) {
        if let Some(link) = self.author(sender).and_then(|author| self.link_to(&author)) {
            self.have_soon(cx, link, id);
        }
    }

    fn open_content(
        &mut self,
        cx: &mut Cx<'_>,
        envelope: &Envelope,
        epoch: &EpochId,
        origin: Origin,
    ) -> Result<Outcome, Error> {
        let numbered = match self.numbered(epoch, envelope) {
            Ok(numbered) => numbered,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        let known = self.epochs.get(epoch).ok_or(Error::Broken)?;
        let order = Order::said(known.number, epoch, numbered.leaf, numbered.count);
        let sender = (*epoch, numbered.leaf);
        let seat = known.roster.at(numbered.leaf).map(|seat| seat.credential.clone());
        let binding = envelope.cover().binding(numbered.leaf, numbered.count, numbered.burnt);
        let under = Under { leaf: numbered.leaf, count: numbered.count, binding: &binding };
        let opened = self.epochs.decrypt(cx, self.net, self.id, (epoch, &numbered.mls, under))?;
        let plain = match opened {
            Ok(plain) => plain,
            Err(error @ (MlsError::TooFarAhead | MlsError::TooFarBehind | MlsError::Own)) => {
                let spot = Spot { sender, count: numbered.count, burnt: numbered.burnt };
                let placed = Placed { order, spot: Some(spot) };
                if !self.log.has(&envelope.id()) && !self.keep_waiting(cx, envelope, &origin, placed) {
                    return Ok(Outcome::Refused(Refusal::NoRoom));
                }
                if origin.gossiped {
                    // It does not go on from here by gossip, and others may open it.
                    self.ask_around(cx);
                }
                if error == MlsError::Own {
                    return Ok(Outcome::Parked(Why::Own));
                }
                // What is too far behind never opens here: it is asked for from hand to hand.
                if error == MlsError::TooFarAhead {
                    self.wait_for_window(cx, spot, envelope.id());
                }
                return Ok(Outcome::Parked(Why::Gap));
            }
            Err(MlsError::Reused) => {
                // Opened before, and the note of it did not survive: its key is gone, so it is settled. Anybody can make
                // more such, and they look like this before the seal is tried: none of them is noted on the disk.
                tracing::debug!(code = "secret_reused", "a message came under a key that was used before");
                self.log.note_vain(cx, self.net, envelope, (origin.member, true));
                return Ok(Outcome::Duplicate);
            }
            Err(_) => return Ok(Outcome::Refused(Refusal::BadSeal)),
        };
        // From here on the message's key is spent: whatever is decided, the batch is kept (PROTOCOL E).
        self.epochs.heard(sender, numbered.count, numbered.burnt, cx.now.wall);
        if let Some(author) = self.author(&sender).filter(|_| origin.gossiped) {
            self.note_said(cx, author, origin.member);
        }
        let content = wire::decode::<Signed>(&plain, ENVELOPE_BYTES_MAX)
            .ok()
            .and_then(|signed| signed.open::<Content>(self.id).ok().map(|content| (signed, content)))
            .filter(|(_, content)| seat.as_ref().is_some_and(|seat| seat.member_key == content.author));
        let Some((signed, content)) = content else { return Ok(Outcome::Refused(Refusal::Malformed)) };
        let name = seat.map(|seat| seat.name).unwrap_or_default();
        self.take_content(cx, envelope, order, (signed, content), name)
    }
}

/// Whether nothing more becomes of an envelope, however often it comes.
const fn is_settled(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Duplicate => true,
        Outcome::Refused(refusal) => refusal.is_final(),
        Outcome::Applied(_) | Outcome::Parked(_) => false,
    }
}

/// What became of two that came together.
fn joint(before: Option<Outcome>, next: Outcome) -> Outcome {
    match (before, next) {
        (Some(before @ (Outcome::Applied(_) | Outcome::Duplicate | Outcome::Parked(_))), Outcome::Refused(_)) => before,
        (_, next) => next,
    }
}
