//! Messages of one sender that come before earlier ones: the gap is asked for before it is skipped (PROTOCOL M4).

use std::collections::BTreeMap;
use std::time::Duration;

use super::Group;
use super::cx::Cx;
use super::heard::Heard;
use super::log::Order;
use super::receive::Origin;
use super::waiting::Placed;
use crate::error::{Error, Refusal, Why};
use crate::id::{EnvelopeId, EpochId, LinkId, MemberId};
use crate::limits::RATCHET_WINDOW;
use crate::step::Outcome;
use crate::time::Time;
use crate::wire::envelope::Envelope;
use crate::wire::message::{Message, Span};

/// How long a message waits for those before it: the time of an answer on a slow line. Opening it first costs nothing
/// but keys that are kept for them.
const GAP_MAX: Duration = Duration::from_secs(2);
/// How long it waits while a link delivers what is missing. Gossip brings the last words first, and the keys of all
/// between would be kept, and written with each step.
const DELIVERED_MAX: Duration = Duration::from_secs(60);
/// How long it waits if opening it would destroy the keys of some before it: the time of a comparison, and, while a link
/// delivers, of a long delivery.
const COMPARED_MAX: Duration = Duration::from_secs(30);
const AT_A_PRICE_MAX: Duration = Duration::from_secs(600);
/// So few are asked for in any case, for what delivers may be somebody who holds others up.
const ASKED_MAX: u32 = 16;
/// So many are tried in one step: a quarter of a second, if all are nobody's and far.
pub(crate) const TRIED_MAX: usize = 128;

/// A sender in one epoch.
pub(crate) type Sender = (EpochId, u32);

/// Where a message stands among those of its sender, by the word inside its outer seal.
#[derive(Clone, Copy)]
pub(crate) struct Spot {
    pub(crate) sender: Sender,
    pub(crate) count: u32,
    /// How many just before it will never come.
    pub(crate) burnt: u32,
}

impl Spot {
    /// The count up to which everything before it should be here.
    const fn first(&self) -> u32 {
        self.count.saturating_sub(self.burnt)
    }
}

/// The messages of one sender that wait.
#[derive(Default)]
pub(crate) struct Gap {
    /// By count and envelope, for anybody can seal one that claims a place.
    waiting: BTreeMap<Place, Waits>,
    /// Since when; unknown if they are beyond the window of the ratchet, and wait for ever.
    since: Option<Time>,
    /// The count that was expected then.
    from: u32,
    /// Whether somebody was not told of something in it.
    pub(crate) withheld: bool,
}

type Place = (u32, EnvelopeId);

/// One that waits.
struct Waits {
    /// How many before it will never come.
    burnt: u32,
    /// Who brought it, as the log knows too: it is looked for among many.
    from: Option<MemberId>,
}

/// What is missing before one that waits.
struct Missing {
    span: Span,
    /// Whether it is the first that its bringer brought, or the first that costs keys to open.
    first: bool,
    first_far: bool,
    /// Whether no time brings it.
    lost: bool,
}

impl Gap {
    /// One more waits, brought by somebody, when the sender was expected to go on with `next` and opening up to `safe`
    /// destroys no key. What another brought may be nobody's: it answers for nothing that is missing before this one.
    fn add(
        &mut self,
        spot: &Spot,
        (id, from): (EnvelopeId, Option<MemberId>),
        (next, safe): (u32, u32),
        now: Time,
    ) -> Missing {
        // Time helps what is within the window; what is beyond it had its time.
        let first = self.waiting.keys().next().map_or(spot.count, |(count, _)| spot.count.min(*count));
        let opens = first.saturating_sub(next) < RATCHET_WINDOW;
        if self.from < next || (self.since.is_none() && opens) {
            (self.since, self.from) = (Some(now), next);
        }
        let of_it = |(_, waits): &(&Place, &Waits)| waits.from == from;
        let last = self.waiting.iter().rev().find(of_it).map(|((count, _), _)| *count);
        let place = (spot.count, EnvelopeId::from_bytes([0; 32]));
        let before = self.waiting.range(..place).rev().find(of_it).map(|((count, _), _)| count.saturating_add(1));
        self.waiting.insert((spot.count, id), Waits { burnt: spot.burnt, from });
        let (epoch, leaf) = spot.sender;
        Missing {
            span: Span { epoch, leaf, from: before.unwrap_or(next).max(next), to: spot.first() },
            first: last.is_none(),
            first_far: spot.count > safe && last.is_none_or(|last| last <= safe),
            lost: self.since.is_none(),
        }
    }

    /// What will be opened in time without anybody's help.
    pub(crate) fn soon(&self) -> impl Iterator<Item = EnvelopeId> + '_ {
        self.waiting.keys().map(|(_, id)| *id).filter(|_| self.since.is_some())
    }

    /// The wall clock went back.
    pub(crate) fn clock_went_back(&mut self, now: Time) {
        self.since = self.since.map(|since| since.min(now));
    }
}

impl Group {
    /// Has a message wait if others of its sender are missing before it and somebody can be asked for them.
    pub(crate) fn wait_for_gap(
        &mut self,
        cx: &mut Cx<'_>,
        placed: Placed,
        envelope: &Envelope,
        origin: Origin,
    ) -> Option<Outcome> {
        let spot = placed.spot?;
        let (next, safe) = (self.next_count(&spot.sender), self.safe(&spot.sender, cx.now.wall));
        let follows = spot.first() <= next && spot.count <= safe;
        if follows || self.author(&spot.sender).is_none_or(|author| author == self.me.member()) {
            return None;
        }
        // With nobody to ask, only what would destroy the keys of others waits.
        let peer = self.peer_to_ask(&spot.sender, origin.link);
        if peer.is_none() && spot.count <= safe {
            return None;
        }
        if !self.log.has(&envelope.id()) && !self.keep_waiting(cx, envelope, &origin, placed) {
            // Keys that are kept cost less than a message that is lost.
            return (spot.count > safe).then_some(Outcome::Refused(Refusal::NoRoom));
        }
        let gap = self.gaps.entry(spot.sender).or_insert_with(|| Gap { since: Some(cx.now.wall), ..Gap::default() });
        let missing = gap.add(&spot, (envelope.id(), origin.member), (next, safe), cx.now.wall);
        self.ask_for(cx, &missing, peer, origin.gossiped);
        Some(Outcome::Parked(Why::Gap))
    }

    /// Asks for what is missing before one that waits.
    fn ask_for(&mut self, cx: &mut Cx<'_>, missing: &Missing, peer: Option<LinkId>, gossiped: bool) {
        let count = missing.span.to.saturating_sub(missing.span.from);
        // Much of everybody is missing after a time away: it comes from one, and whoever delivers comes to it unasked.
        let much = count > ASKED_MAX;
        let comes = much && (!missing.first || self.delivery.until(cx.now.wall).is_some());
        if let Some(peer) = peer.filter(|_| count > 0 && !comes) {
            let one = self.full_links().first().copied().filter(|_| much).unwrap_or(peer);
            self.say(cx, one, &Message::Missing(missing.span));
        }
        // The one that was asked may keep silent; and what is lost does not go on from here by gossip.
        if missing.first_far || (much && !comes) || (missing.lost && gossiped) {
            self.ask_around(cx);
        }
        if missing.lost {
            self.say_blind_soon(cx);
        }
    }

    /// The count that a sender is expected to go on with.
    pub(crate) fn next_count(&self, sender: &Sender) -> u32 {
        self.epochs.heard_of(sender).map_or(0, Heard::next)
    }

    /// The last count of a sender that can be opened without destroying the key of one that may still come.
    fn safe(&self, sender: &Sender, now: Time) -> u32 {
        let since = if self.delivery.until(now).is_some() { AT_A_PRICE_MAX } else { COMPARED_MAX };
        let heard = self.epochs.heard_of(sender);
        let missing = heard.and_then(|heard| heard.missing_since(now - since));
        missing.unwrap_or_else(|| self.next_count(sender)).saturating_add(RATCHET_WINDOW - 1)
    }

    /// Who may have what is missing: whoever brought the later one, its author, or anybody.
    fn peer_to_ask(&self, (epoch, leaf): &Sender, from: Option<LinkId>) -> Option<LinkId> {
        let full = self.full_links();
        let author = || self.link_to(&self.epochs.get(epoch)?.roster.at(*leaf)?.member);
        from.filter(|from| full.contains(from)).or_else(author).or_else(|| full.first().copied())
    }

    /// A message is beyond the window of the ratchet: it waits until one of its sender was opened.
    pub(crate) fn wait_for_window(&mut self, cx: &mut Cx<'_>, spot: Spot, id: EnvelopeId) {
        if !self.gaps.contains_key(&spot.sender) {
            self.ask_around(cx);
        }
        let waits = Waits { burnt: spot.burnt, from: self.log.waiting.came(&id).by };
        self.gaps.entry(spot.sender).or_default().waiting.insert((spot.count, id), waits);
    }

    /// Something of a sender was opened: so is what follows it.
    pub(crate) fn close_gap(&mut self, cx: &mut Cx<'_>, sender: Sender) -> Result<(), Error> {
        let mut tried = 0_usize;
        while let Some(gap) = self.gaps.get(&sender) {
            let Some((place, waits)) = gap.waiting.first_key_value() else { break };
            let first = place.0.saturating_sub(waits.burnt);
            let (next, lost) = (self.next_count(&sender), gap.since.is_none());
            let (free, follows) = (place.0 <= self.safe(&sender, cx.now.wall), first <= next);
            tried = tried.saturating_add(usize::from(!follows));
            if !free || !(follows || (lost && tried <= TRIED_MAX)) {
                // What was given up as lost and is within reach waits as all else from now on.
                let within = place.0.saturating_sub(next) < RATCHET_WINDOW;
                let gap = self.gaps.get_mut(&sender).filter(|_| lost && within);
                gap.into_iter().for_each(|gap| (gap.since, gap.from) = (Some(cx.now.wall), next));
                return Ok(());
            }
            if !self.open_waiting(cx, sender, *place)? {
                return Ok(());
            }
        }
        self.gaps.remove(&sender);
        Ok(())
    }

    /// Opens one that waits. Whether it needs to wait no longer.
    fn open_waiting(&mut self, cx: &mut Cx<'_>, sender: Sender, place: Place) -> Result<bool, Error> {
        let withheld = self.gaps.get_mut(&sender).is_some_and(|gap| {
            gap.waiting.remove(&place);
            gap.withheld
        });
        let Some(envelope) = self.log.read(cx, self.net, &place.1)? else { return Ok(true) };
        if self.log.waiting.came(&place.1).by.is_some_and(|from| self.conduct.is_muted(&from)) {
            // Whoever else has it brings it again.
            self.log.forget(cx, self.net, &place.1);
            self.ask_around(cx);
            return Ok(true);
        }
        let outcome = self.open_late(cx, &envelope)?;
        if withheld && matches!(outcome, Outcome::Applied(_)) {
            // Whoever is linked to nobody else has not heard of it, and does not know that it is missing.
            self.ask_around(cx);
            self.gaps.get_mut(&sender).into_iter().for_each(|gap| gap.withheld = false);
        }
        Ok(outcome != Outcome::Parked(Why::Gap))
    }

    /// Opens what waits for messages below a count, without them, and itself stands no later than `last`. Whether that is
    /// done; it goes on in the next step.
    fn skip_gap(&mut self, cx: &mut Cx<'_>, sender: Sender, to: u32, last: u32) -> Result<bool, Error> {
        let skips = |(place, waits): (&Place, &Waits)| {
            (place.0.saturating_sub(waits.burnt) <= to && place.0 <= last).then_some(*place)
        };
        let mut tried = 0_usize;
        while let Some(place) = self.gaps.get(&sender).and_then(|gap| gap.waiting.first_key_value()).and_then(skips) {
            tried = tried.saturating_add(1);
            if tried > TRIED_MAX {
                return Ok(false);
            }
            if !self.open_waiting(cx, sender, place)? {
                self.wait_for_others(cx, &sender);
                return Ok(true);
            }
        }
        self.close_gap(cx, sender)?;
        Ok(true)
    }

    /// All that waits is looked at anew, or what waits in one epoch. Whoever was not told of it is told in the end, whatever
    /// becomes of it here.
    pub(crate) fn begin_gaps_anew(&mut self, cx: &mut Cx<'_>, of: impl Fn(&EpochId) -> bool) {
        if self.gaps.extract_if(.., |(epoch, _), _| of(epoch)).any(|(_, gap)| gap.withheld) {
            self.ask_around(cx);
        }
    }

    /// Opens what has waited long enough.
    pub(crate) fn skip_gaps(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let now = cx.now.wall;
        let due = |sender, gap| self.skips(sender, gap, now).filter(|(at, _)| *at <= now).map(|(_, last)| last);
        let due: Vec<_> = self.gaps.iter().filter_map(|(sender, gap)| Some((*sender, due(sender, gap)?))).collect();
        for (sender, last) in due {
            if self.skip_gap(cx, sender, u32::MAX, last)? && last == u32::MAX {
                self.wait_for_others(cx, &sender);
            }
        }
        Ok(())
    }

    /// What waits in a gap waits for others of its sender, and no time brings it: somebody may tell what it says, and
    /// others may open it.
    fn wait_for_others(&mut self, cx: &mut Cx<'_>, sender: &Sender) {
        let Some(gap) = self.gaps.get_mut(sender).filter(|gap| gap.since.is_some()) else { return };
        gap.since = None;
        self.say_blind_soon(cx);
        self.ask_around(cx);
    }

    /// When [`Self::skip_gaps`] has something to do.
    pub(crate) fn gaps_deadline(&self, now: Time) -> Option<Time> {
        self.gaps.iter().filter_map(|(sender, gap)| self.skips(sender, gap, now)).map(|(at, _)| at).min()
    }

    /// When what is missing is waited for no longer, and up to which count.
    fn skips(&self, sender: &Sender, gap: &Gap, now: Time) -> Option<(Time, u32)> {
        let since = gap.since?;
        let first = gap.waiting.first_key_value().map_or(0, |((count, _), _)| *count);
        let safe = self.safe(sender, now);
        let (least, most, last) =
            if first <= safe { (GAP_MAX, DELIVERED_MAX, safe) } else { (COMPARED_MAX, AT_A_PRICE_MAX, u32::MAX) };
        let until = self.delivery.until(now).unwrap_or(since);
        Some((until.max(since + least).min(since + most), last))
    }

    /// A peer lacks messages of a sender: it gets those that are here.
    pub(crate) fn on_missing(&mut self, cx: &mut Cx<'_>, id: LinkId, span: Span) -> Result<(), Error> {
        let Some(number) = self.epochs.get(&span.epoch).map(|epoch| epoch.number) else { return Ok(()) };
        let [from, to] = [span.from, span.to].map(|count| Order::said(number, &span.epoch, span.leaf, count));
        let window = usize::try_from(RATCHET_WINDOW).unwrap_or(usize::MAX);
        let held: Vec<EnvelopeId> = self.log.between(from, to).take(window).collect();
        if held.is_empty() {
            self.say(cx, id, &Message::Absent(span));
            return Ok(());
        }
        self.enqueue(cx, id, held)
    }

    /// A peer has none of what is missing; so it says, and another may have it: nothing is opened for it at a price.
    pub(crate) fn on_absent(&mut self, cx: &mut Cx<'_>, span: Span) -> Result<(), Error> {
        let sender = (span.epoch, span.leaf);
        let safe = self.safe(&sender, cx.now.wall);
        self.skip_gap(cx, sender, span.to, safe).map(drop)
    }
}
