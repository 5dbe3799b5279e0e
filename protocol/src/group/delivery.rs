//! Bringing a peer what it lacks: each envelope once, and by one link at a time, for whoever is linked has the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::Group;
use super::cx::Cx;
use super::sync::COMPARE_AFTER;
use crate::id::{EnvelopeId, LinkId, MemberId};
use crate::time::Time;
use crate::wire::message::Message;

/// How long the one who delivers may pause before another's turn comes: the time of an answer on a slow line.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long one's turn lasts, and how long it rests then at most: until each of the others could have had one. Whoever
/// has little and never ends, alone or with friends, holds nobody up for long.
const TURN_MAX: Duration = Duration::from_secs(20);
const REST_MAX: Duration = Duration::from_secs(600);
/// What is asked of another link in the meantime: a page with each comparison.
const MEANWHILE_MAX: usize = 64;
/// Envelopes waiting to be pushed on one link.
const QUEUE_MAX: usize = 100_000;

/// Envelopes to push on a link, in order.
#[derive(Default)]
pub(crate) struct Queue {
    order: VecDeque<EnvelopeId>,
    queued: BTreeSet<EnvelopeId>,
    /// Pushed since the last comparison began.
    pushed: BTreeSet<EnvelopeId>,
}

impl Queue {
    /// Adds one more, unless it is there or there is no room: comparing finds it again.
    pub(crate) fn add(&mut self, id: EnvelopeId) {
        if self.order.len() < QUEUE_MAX && self.queued.insert(id) {
            self.order.push_back(id);
        }
    }

    /// The next one.
    pub(crate) fn first(&self) -> Option<EnvelopeId> {
        self.order.front().copied()
    }

    /// Takes the next one off.
    pub(crate) fn take_first(&mut self) {
        if let Some(id) = self.order.pop_front() {
            self.queued.remove(&id);
            self.pushed.insert(id);
        }
    }

    /// A comparison begins. What is pushed from here on it may find lacking, and it is on its way.
    pub(crate) fn compare(&mut self) {
        self.pushed.clear();
    }

    /// Whether it was pushed since then.
    pub(crate) fn has_pushed(&self, id: &EnvelopeId) -> bool {
        self.pushed.contains(id)
    }

    /// Forgets them all.
    pub(crate) fn clear(&mut self) {
        self.order = VecDeque::new();
        self.queued.clear();
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

/// Which link delivers what is missing here, and until when it may pause.
#[derive(Default)]
pub(crate) struct Delivery {
    by: Option<Turn>,
    /// Whose turn was over, and until when they have none, on whatever link.
    rests: BTreeMap<MemberId, Time>,
    /// Who brought something last, in its turn or not, that more is to follow; and until when that may pause.
    coming: Option<(LinkId, Time)>,
}

struct Turn {
    link: LinkId,
    member: MemberId,
    /// How long it rests then.
    rest: Duration,
    /// Until when it may pause.
    until: Time,
    ends: Time,
}

impl Delivery {
    /// A member's link brought something, the last of it or not; of use, or known. So many are linked.
    pub(crate) fn brought(
        &mut self,
        (link, member): (LinkId, MemberId),
        (more, useful): (bool, bool),
        linked: usize,
        now: Time,
    ) {
        let goes_on = more && useful;
        if goes_on || self.coming.is_some_and(|(by, _)| by == link) {
            self.coming = goes_on.then_some((link, now + PAUSE_MAX));
        }
        self.rests.retain(|_, until| now < *until);
        if self.rests.contains_key(&member) || self.is_by_another(link, now) {
            return;
        }
        let ends = self.by.as_ref().filter(|turn| turn.link == link).map_or(now + TURN_MAX, |turn| turn.ends);
        let others = u32::try_from(linked.saturating_sub(1)).unwrap_or(u32::MAX).max(1);
        let rest = TURN_MAX.saturating_mul(others).min(REST_MAX);
        if now >= ends {
            self.rests.insert(member, now + rest);
        }
        let turn = Turn { link, member, rest, until: ends.min(now + PAUSE_MAX), ends };
        self.by = (goes_on && now < ends).then_some(turn);
    }

    /// Whether it is another link's turn.
    pub(crate) fn is_by_another(&self, link: LinkId, now: Time) -> bool {
        self.by.as_ref().is_some_and(|turn| turn.link != link && now < turn.until)
    }

    /// Whether a link delivers, or has something to bring.
    pub(crate) fn is_by(&self, link: LinkId) -> bool {
        self.by.as_ref().is_some_and(|turn| turn.link == link) || self.coming.is_some_and(|(by, _)| by == link)
    }

    /// Until when something may be expected, if a link delivers.
    pub(crate) fn until(&self, now: Time) -> Option<Time> {
        self.coming.map(|(_, until)| until).filter(|until| now < *until)
    }

    /// The link is gone; whoever comes back on another has had its turn.
    pub(crate) fn lost(&mut self, link: LinkId, now: Time) {
        self.coming = self.coming.filter(|(by, _)| *by != link);
        if let Some(turn) = self.by.take_if(|turn| turn.link == link) {
            self.rests.insert(turn.member, now + turn.rest);
        }
    }

    /// The wall clock went back.
    pub(crate) fn clock_went_back(&mut self, now: Time) {
        if let Some(turn) = &mut self.by {
            turn.until = turn.until.min(now + PAUSE_MAX);
            turn.ends = turn.ends.min(now + TURN_MAX);
        }
        self.rests.values_mut().for_each(|until| *until = (*until).min(now + REST_MAX));
        self.coming = self.coming.map(|(link, until)| (link, until.min(now + PAUSE_MAX)));
    }
}

impl Group {
    /// A link brought a page of what is missing here, of use or not; or only the answer to a question. Whether it is its
    /// turn to bring more.
    pub(crate) fn takes_more(&mut self, cx: &mut Cx<'_>, id: LinkId, more: bool, useful: Option<bool>) -> bool {
        if let (Some(useful), Some(member)) = (useful, self.member_at(id)) {
            let linked = self.linked().len();
            self.delivery.brought((id, member), (more, useful), linked, cx.now.wall);
        }
        let other = self.delivery.is_by_another(id, cx.now.wall);
        if other && more {
            self.compare_later(cx, id);
            self.say(cx, id, &Message::Enough);
        }
        !other
    }

    /// What is missing is asked for page by page; where another link delivers, a little of it.
    pub(crate) fn ask_in_turn(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        if self.delivery.is_by_another(id, cx.now.wall) {
            let mut wants = self.links.get_mut(&id).map(|link| std::mem::take(&mut link.wants)).unwrap_or_default();
            self.compare_later(cx, id);
            wants.truncate(MEANWHILE_MAX);
            wants.shrink_to_fit();
            if let Some(link) = self.links.get_mut(&id) {
                link.wants = wants;
            }
        }
        self.ask(cx, id);
    }

    /// A peer has the rest from somebody else.
    pub(crate) fn on_enough(&mut self, cx: &Cx<'_>, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.queue.clear();
            link.wanted = Vec::new();
        }
        self.compare_later(cx, id);
    }

    /// What does not come on a link now is looked for again when it may have come on another.
    pub(crate) fn compare_later(&mut self, cx: &Cx<'_>, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.wants = VecDeque::new();
            link.sync_due = link.sync_due.map(|due| due.min(cx.now.wall + COMPARE_AFTER));
        }
    }
}
