//! What is known of one link while it lives.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::delivery::Queue;
use super::spare::SETTLED;
use crate::id::{EnvelopeId, EpochId, MemberId};
use crate::meet::generation::Rank;
use crate::meet::hello::Admission;
use crate::meet::reconcile::Session;
use crate::meet::talk::Talk;
use crate::step::Address;
use crate::time::Time;
use crate::wire::message::{Head, SessionId};

/// How long a reconciliation waits for its next round, and for what is asked for after it: the time of a page on a slow
/// line.
const SESSION_MAX: Duration = Duration::from_secs(60);

/// One link.
pub(crate) struct Link {
    pub(crate) talk: Talk,
    /// On what ground the channel was sealed.
    pub(crate) admission: Option<Admission>,
    /// The member at the other end, by its signature over the channel.
    pub(crate) member: Option<MemberId>,
    /// Where we stood when we greeted.
    pub(crate) greeted_from: Option<EpochId>,
    /// Where the peer stood when it last said so.
    pub(crate) head: Option<Head>,
    /// The newest generation that the peer has proved to hold.
    pub(crate) proved: Option<Rank>,
    /// A proof of a generation that is not known here yet.
    pub(crate) unread_proof: Option<[u8; 16]>,
    /// The newest generation that we have proved to it.
    pub(crate) shown: Option<Rank>,
    /// Whether gossip and sync flow.
    pub(crate) full: bool,
    /// Since when; or, if they did once, since when no more.
    pub(crate) full_since: Time,
    /// Whether only commits, tickets and votes flow until the heads agree (PROTOCOL M2).
    pub(crate) catch_up: bool,
    /// The state after which the peer was asked for commits.
    pub(crate) asked_after: Option<EpochId>,
    /// Where we stood when the peer was told how we came there.
    pub(crate) lined: Option<EpochId>,
    /// Where we stood when the peer was let in once more.
    pub(crate) welcomed: Option<EpochId>,
    /// Whether the peer has been told the tickets and votes.
    pub(crate) has_controls: bool,
    /// The reconciliation under way.
    pub(crate) session: Option<Session>,
    /// When it is given up: it holds a name for everything in the log.
    pub(crate) session_ends: Option<Time>,
    /// Whether it has not ended; only the end that opened it knows.
    pub(crate) comparing: bool,
    /// Whether another was wished for meanwhile.
    pub(crate) again: bool,
    /// When the peer, which opens them, was last asked for one.
    pub(crate) wished: Option<Time>,
    /// How long the log was when it ended with a part of what is missing, if it did.
    pub(crate) part: Option<usize>,
    /// When the next reconciliation is due, if we open them.
    pub(crate) sync_due: Option<Time>,
    /// Envelopes to push, in order.
    pub(crate) queue: Queue,
    /// Pushes not answered yet.
    pub(crate) under_way: usize,
    /// What the peer has brought and is not told of. It has it, so a comparison names it all the same: else it would bring
    /// it each time. With its hour, if it was refused for good and is not here.
    pub(crate) offered: BTreeMap<EnvelopeId, Option<u32>>,
    /// What to ask for, page by page.
    pub(crate) wants: VecDeque<SessionId>,
    /// What the peer has asked for so far, before its last page.
    pub(crate) wanted: Vec<EnvelopeId>,
    /// When another comparison was last asked for because too much had been brought.
    pub(crate) asked_again: Option<Time>,
    /// What the peer was told that we cannot open.
    pub(crate) blind: BTreeSet<EnvelopeId>,
    /// What the peer was told that there is no room for.
    pub(crate) no_room: BTreeSet<EnvelopeId>,
    /// What to say that we hold, and when.
    pub(crate) haves: BTreeSet<EnvelopeId>,
    pub(crate) have_due: Option<Time>,
    /// Where we dialled.
    pub(crate) address: Option<Address>,
    /// When it must be gone: nothing came of it, or the peer is out.
    pub(crate) closes: Option<Time>,
    /// Until when own messages wait for what the peer knows of the group and we do not.
    pub(crate) catches_up: Option<Time>,
    /// Whether the faces were told that the member is connected.
    pub(crate) told: bool,
}

impl Link {
    /// A link on which nothing has been said.
    pub(crate) fn new(talk: Talk, address: Option<Address>, closes: Time) -> Self {
        Self {
            talk,
            admission: None,
            member: None,
            greeted_from: None,
            head: None,
            proved: None,
            unread_proof: None,
            shown: None,
            full: false,
            full_since: Time::ZERO,
            catch_up: false,
            asked_after: None,
            lined: None,
            welcomed: None,
            has_controls: false,
            session: None,
            session_ends: None,
            comparing: false,
            again: false,
            wished: None,
            part: None,
            sync_due: None,
            queue: Queue::default(),
            under_way: 0,
            offered: BTreeMap::new(),
            wants: VecDeque::new(),
            wanted: Vec::new(),
            asked_again: None,
            blind: BTreeSet::new(),
            no_room: BTreeSet::new(),
            haves: BTreeSet::new(),
            have_due: None,
            address,
            closes: Some(closes),
            catches_up: None,
            told: false,
        }
    }

    /// Gossip and sync end, with all that was under way.
    pub(crate) fn withhold(&mut self, now: Time) {
        self.full = false;
        self.full_since = now;
        self.sync_due = None;
        self.end_session();
        self.comparing = false;
        (self.again, self.wished) = (false, None);
        self.queue = Queue::default();
        self.wants = VecDeque::new();
        self.wanted = Vec::new();
    }

    /// Nothing speaks against it any more, unless frames that it needs are lost: then it ends.
    pub(crate) fn keep(&mut self) {
        self.closes = self.closes.filter(|at| *at == Time::ZERO);
    }

    /// The reconciliation under way goes on.
    pub(crate) fn use_session(&mut self, now: Time) {
        self.session_ends = Some(now + SESSION_MAX);
    }

    /// A comparison begins anew: what cannot be opened is told again.
    pub(crate) fn forget_blind(&mut self) {
        self.blind = BTreeSet::new();
        self.no_room = BTreeSet::new();
    }

    /// Nothing is asked of the reconciliation any more.
    pub(crate) fn end_session(&mut self) {
        self.session = None;
        self.session_ends = None;
    }

    /// The wall clock went back: nothing on a link waits longer than a minute, but for reconciliation.
    pub(crate) fn clock_went_back(&mut self, now: Time) {
        let soon = |due: &mut Option<Time>| *due = due.map(|due| due.min(now + Duration::from_secs(60)));
        soon(&mut self.closes);
        soon(&mut self.sync_due);
        soon(&mut self.session_ends);
        self.full_since = self.full_since.min(now);
        self.have_due = self.have_due.map(|due| due.min(now));
        (self.wished, self.asked_again) = (None, None);
        self.catches_up = self.catches_up.map(|until| until.min(now));
    }

    /// Whether it is that of an invite's holder.
    pub(crate) const fn is_invited(&self) -> bool {
        matches!(self.admission, Some(Admission::Invite(_)))
    }

    /// Until when nobody takes its place, if everything flowed on it a moment ago: most likely it soon does again.
    pub(crate) fn withheld_until(&self) -> Option<Time> {
        (!self.full && self.full_since > Time::ZERO).then(|| self.full_since + SETTLED)
    }

    /// Whether nothing is on its way, either way.
    pub(crate) fn is_idle(&self) -> bool {
        let sends = self.under_way > 0 || !self.queue.is_empty() || !self.haves.is_empty();
        let asks = self.comparing || !self.wants.is_empty() || !self.wanted.is_empty() || self.catches_up.is_some();
        !sends && !asks
    }

    /// When it needs attention.
    pub(crate) fn deadline(&self) -> Option<Time> {
        [self.have_due, self.sync_due, self.session_ends, self.closes, self.catches_up].into_iter().flatten().min()
    }
}
