//! Keeping the logs of two members equal: reconciliation, asking, pushing, and saying what is held (PROTOCOL M4, D5).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::Group;
use super::cx::Cx;
use super::log::Order;
use super::receive::{Batch, Flow};
use crate::error::{Error, Refusal};
use crate::id::{EnvelopeId, LinkId, MemberId};
use crate::limits::{PUSH_BYTES_MAX, RETENTION_MAX, WAITING_BY_PEER_MAX};
use crate::meet::reconcile::{Listed, Session, Step};
use crate::policy::roster::Roster;
use crate::step::{Outcome, Reply};
use crate::wire::envelope::Envelope;
use crate::wire::message::{Bytes, IDS_MAX, Message, Push, Round, SessionId, Want};

/// Between two reconciliations on one link.
const SYNC_EVERY: Duration = Duration::from_secs(600);
/// The pause before one that a gap asks for, or what another link brings: several are one reason.
pub(crate) const COMPARE_AFTER: Duration = Duration::from_secs(5);
/// What is held is said in batches.
const HAVE_AFTER: Duration = Duration::from_millis(200);
/// What a peer has brought and is not told of: as much as what waits of it may be, four times.
const OFFERED_MAX: usize = 4 * WAITING_BY_PEER_MAX;
/// Pushes under way on one link: enough to keep a line busy, few enough to stay small in every queue.
const PUSHES_MAX: usize = 2;

/// Envelopes for one frame.
#[derive(Default)]
pub(crate) struct Bundle {
    envelopes: Vec<Bytes>,
    size: usize,
}

impl Bundle {
    /// Takes one more, unless the frame is full. The first always fits.
    pub(crate) fn add(&mut self, envelope: Vec<u8>) -> bool {
        let size = self.size.saturating_add(envelope.len());
        let fits = self.envelopes.is_empty() || size <= PUSH_BYTES_MAX;
        if fits {
            self.size = size;
            self.envelopes.push(Bytes(envelope));
        }
        fits
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.envelopes.is_empty()
    }

    /// The message that carries it.
    pub(crate) fn into_push(self, more: bool) -> Message {
        Message::Push(Push { envelopes: self.envelopes, more })
    }
}

impl Group {
    /// Opens a reconciliation over everything that both can use.
    pub(crate) fn open_session(&mut self, cx: &mut Cx<'_>, id: LinkId) -> Result<(), Error> {
        self.forget_offered(cx, id);
        let nonce = cx.random();
        let opened = Session::open(nonce, self.sync_since(cx, id), self.listed(id));
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        link.sync_due = Some(cx.now.wall + SYNC_EVERY);
        let (session, round) = opened.map_err(|_| Error::Broken)?;
        link.session = Some(session);
        link.use_session(cx.now.wall);
        link.comparing = true;
        // Whatever was asked for and did not come is found again.
        link.wants = VecDeque::new();
        link.queue.compare();
        self.say(cx, id, &Message::Reconcile(round));
        Ok(())
    }

    /// The peer would like to compare soon: it sees a gap. Only the opener of a link begins, so that two do not begin
    /// across each other.
    pub(crate) fn on_compare(&mut self, cx: &Cx<'_>, id: LinkId) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.full && link.talk.is_opener()) else { return };
        if link.comparing {
            // It may have begun before what the wish is for.
            link.again = true;
        } else {
            link.sync_due = link.sync_due.map(|due| due.min(cx.now.wall + COMPARE_AFTER));
        }
    }

    /// A peer has moved: it may have ignored a comparison of ours that came before it knew us.
    pub(crate) fn compare_again(&mut self, cx: &Cx<'_>, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.full && link.comparing) {
            link.sync_due = link.sync_due.map(|due| due.min(cx.now.wall + COMPARE_AFTER));
        }
    }

    /// A gap was seen: compare with whoever is linked, without waiting for the next turn.
    pub(crate) fn ask_around(&mut self, cx: &mut Cx<'_>) {
        for id in self.full_links() {
            self.ask_to_compare(cx, id);
        }
    }

    /// Has a link compared soon, by whoever opened it. Reasons that come before it begins are one wish.
    pub(crate) fn ask_to_compare(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.talk.is_opener() {
            self.on_compare(cx, id);
        } else if link.wished.is_none_or(|at| cx.now.wall >= at + COMPARE_AFTER) {
            link.wished = Some(cx.now.wall);
            self.say(cx, id, &Message::Compare);
        }
    }

    fn sync_since(&self, cx: &Cx<'_>, id: LinkId) -> u32 {
        let theirs = self.links.get(&id).and_then(|link| link.head).map_or(0, |head| head.since);
        let oldest = (cx.now.sweep - RETENTION_MAX).hour();
        theirs.max(self.facts.since).max(oldest)
    }

    /// A round of reconciliation came.
    pub(crate) fn on_round(&mut self, cx: &mut Cx<'_>, id: LinkId, round: &Round) -> Result<Outcome, Error> {
        let session = self.links.get(&id).ok_or(Error::Broken)?.session.as_ref();
        let known = session.is_some_and(|session| session.is(&round.nonce));
        if !known {
            if !round.opener {
                // The end of a session that was given up.
                return Ok(Outcome::Duplicate);
            }
            self.forget_offered(cx, id);
            let joined = Session::join(round, self.listed(id));
            let link = self.links.get_mut(&id).ok_or(Error::Broken)?;
            match joined {
                Ok(session) => {
                    link.session = Some(session);
                    link.forget_blind();
                    link.wished = None;
                    link.queue.compare();
                    self.say_blind_soon(cx);
                }
                Err(_) => return self.refuse_link(cx, id, Refusal::Malformed),
            }
        }
        let link = self.links.get_mut(&id).ok_or(Error::Broken)?;
        link.use_session(cx.now.wall);
        let Some(session) = link.session.as_mut() else { return Err(Error::Broken) };
        match session.receive(round) {
            Err(_) => return self.refuse_link(cx, id, Refusal::Malformed),
            Ok(Step::Next(round)) => self.say(cx, id, &Message::Reconcile(round)),
            Ok(Step::Done(difference)) => {
                link.comparing = false;
                link.end_session();
                link.forget_blind();
                let comes = !difference.wants.is_empty();
                link.wants.extend(difference.wants);
                link.part = (!difference.all).then_some(self.log.len());
                let lacks = difference.lacks.into_iter().filter(|id| !link.queue.has_pushed(id)).collect();
                self.enqueue(cx, id, lacks)?;
                self.ask_in_turn(cx, id);
                self.say_blind(cx, id);
                if !comes {
                    self.compare_rest(cx, id);
                }
            }
        }
        Ok(Outcome::Applied(Reply::Done))
    }

    fn refuse_link(&mut self, cx: &mut Cx<'_>, id: LinkId, refusal: Refusal) -> Result<Outcome, Error> {
        self.close(cx, id);
        Ok(Outcome::Refused(refusal))
    }

    /// Asks for the next page of what the peer has and we lack. The peer sends when it has seen the last.
    pub(crate) fn ask(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.wants.is_empty()) else { return };
        let count = link.wants.len().min(IDS_MAX);
        let names: Vec<SessionId> = link.wants.drain(..count).collect();
        let more = !link.wants.is_empty();
        link.wants.shrink_to_fit();
        self.say(cx, id, &Message::Want(Want { names, more }));
    }

    /// A peer asks for envelopes under the session's names.
    pub(crate) fn on_want(&mut self, cx: &mut Cx<'_>, id: LinkId, want: &Want) -> Result<(), Error> {
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        let Some(session) = &link.session else { return Ok(()) };
        let room = self.log.len().saturating_sub(link.wanted.len());
        link.wanted.extend(want.names.iter().filter_map(|name| session.envelope(name)).take(room));
        if want.more {
            link.use_session(cx.now.wall);
            // An empty answer asks for the next page.
            link.under_way = link.under_way.saturating_add(1);
            self.say(cx, id, &Bundle::default().into_push(true));
            return Ok(());
        }
        link.end_session();
        let (wanted, before) = (std::mem::take(&mut link.wanted), link.under_way);
        self.enqueue(cx, id, wanted)?;
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.queue.is_empty() && link.under_way == before) {
            // Nothing of it is for the peer, who waits for the end.
            link.under_way = link.under_way.saturating_add(1);
            self.say(cx, id, &Bundle::default().into_push(false));
        }
        Ok(())
    }

    /// Puts envelopes in the queue of a link, oldest first.
    pub(crate) fn enqueue(&mut self, cx: &mut Cx<'_>, id: LinkId, mut ids: Vec<EnvelopeId>) -> Result<(), Error> {
        self.log.sort(&mut ids);
        let Some(member) = self.member_at(id) else { return Ok(()) };
        let opens = self.opens(Some(member));
        ids.retain(|id| self.log.tells(id, &opens));
        // It may be nobody's, and whoever brings it answers for it: it is told of once it was opened.
        for gap in self.gaps.values_mut() {
            let waiting: BTreeSet<EnvelopeId> = gap.soon().collect();
            let before = ids.len();
            ids.retain(|id| !waiting.contains(id));
            gap.withheld |= ids.len() < before;
        }
        if let Some(link) = self.links.get_mut(&id) {
            ids.into_iter().for_each(|id| link.queue.add(id));
        }
        self.push(cx, id)
    }

    /// All that a comparison with a peer is over.
    fn listed(&self, id: LinkId) -> impl Iterator<Item = Listed> {
        let offered = self.links.get(&id).map(|link| &link.offered);
        let has_offered = move |id: &EnvelopeId| offered.is_some_and(|offered| offered.contains_key(id));
        let ours = self.log.reconciled(self.opens(self.member_at(id)));
        let ours = ours.map(move |listed| Listed { told: listed.told || has_offered(&listed.id), ..listed });
        let refused = offered.into_iter().flatten().filter_map(|(id, hour)| Some((*id, (*hour)?)));
        let refused = refused.filter(|(id, _)| !self.log.has(id));
        ours.chain(refused.map(|(id, hour)| Listed { hour, id, told: true }))
    }

    /// A peer has brought these, which are here or, those with their hour, were refused for good.
    pub(crate) fn note_offered(&mut self, id: LinkId, mut settled: Vec<(EnvelopeId, Option<u32>)>) {
        let (log, number) = (&self.log, self.head().ok().map(|head| head.number));
        settled.retain(|(id, refused)| refused.is_some() || log.has(id));
        // Most of what comes twice was sealed at the head, where the peer stands too.
        settled.retain(|(id, _)| !log.tells(id, |order| Some(order.number) == number));
        if settled.is_empty() {
            return;
        }
        let opens = self.opens(self.member_at(id));
        settled.retain(|(id, _)| !self.log.tells(id, &opens));
        let Some(link) = self.links.get_mut(&id) else { return };
        let room = OFFERED_MAX.saturating_sub(link.offered.len());
        let has = |id: &EnvelopeId| self.log.has(id);
        link.offered.extend(settled.into_iter().take(room).map(|(id, hour)| (id, hour.filter(|_| !has(&id)))));
    }

    /// What a peer has brought is of no use once it is no longer here, or everywhere over.
    fn forget_offered(&mut self, cx: &Cx<'_>, id: LinkId) {
        let oldest = (cx.now.sweep - RETENTION_MAX).hour();
        let Some(link) = self.links.get_mut(&id) else { return };
        link.offered.retain(|id, refused| refused.map_or_else(|| self.log.has(id), |hour| hour >= oldest));
    }

    /// Which envelopes are of use to a member, by where they stand: not those of epochs that it was not in (PROTOCOL M6).
    pub(crate) fn opens(&self, member: Option<MemberId>) -> impl Fn(&Order) -> bool + use<> {
        let was_in = |roster: &Roster| member.is_some_and(|member| roster.has(&member));
        let epochs = self.epochs.iter().map(|(_, epoch)| (epoch.number, was_in(&epoch.roster)));
        let known = epochs.fold(BTreeMap::new(), |mut known, (number, has)| {
            *known.entry(number).or_insert(false) |= has;
            known
        });
        move |order| *order == Order::CONTROL || known.get(&order.number).copied().unwrap_or(true)
    }

    /// Pushes from a link's queue as long as not too much is unanswered.
    fn push(&mut self, cx: &mut Cx<'_>, id: LinkId) -> Result<(), Error> {
        loop {
            let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
            if link.queue.is_empty() || link.under_way >= PUSHES_MAX {
                return Ok(());
            }
            let mut bundle = Bundle::default();
            while let Some(next) = link.queue.first() {
                let envelope = self.log.read(cx, self.net, &next)?;
                if envelope.is_some_and(|envelope| !bundle.add(envelope.into_bytes())) {
                    break;
                }
                link.queue.take_first();
            }
            link.under_way = link.under_way.saturating_add(1);
            let more = !link.queue.is_empty();
            self.say(cx, id, &bundle.into_push(more));
        }
    }

    /// Envelopes came by stream.
    pub(crate) fn on_push(&mut self, cx: &mut Cx<'_>, id: LinkId, push: Push) -> Result<Outcome, Error> {
        let mut envelopes = Vec::with_capacity(push.envelopes.len());
        for Bytes(bytes) in push.envelopes {
            let Ok(envelope) = Envelope::parse(bytes) else { return self.refuse_link(cx, id, Refusal::Malformed) };
            envelopes.push(envelope);
        }
        let ids: Vec<EnvelopeId> = envelopes.iter().map(Envelope::id).collect();
        let brought = ids.len();
        let own = ids.iter().any(|id| self.outbox.by_envelope(id).is_some());
        let unknown: Vec<EnvelopeId> = ids.iter().filter(|id| !self.log.has(id)).copied().collect();
        let full = self.links.get(&id).ok_or(Error::Broken)?.full;
        let before = self.facts.head;
        let outcome = if full {
            self.ingest(cx, Batch { envelopes, from: Some(id), flow: Flow::All })?
        } else {
            self.ingest_commits(cx, Batch { envelopes, from: Some(id), flow: Flow::ControlOnly })?
        };
        // What came from the peer is held by the peer; what is durable here by the end of the step is held here.
        self.note_held(cx, id, &ids)?;
        let held = ids.into_iter().filter(|id| self.log.has_read(id)).collect();
        self.say(cx, id, &Message::Got(held));
        // What only waits may be nobody's.
        let useful = unknown.iter().any(|id| self.log.has_read(id));
        // What comes in catch-up is nobody's turn.
        if !full || self.takes_more(cx, id, push.more, (brought > 0).then_some(useful)) {
            self.ask(cx, id);
        }
        if !push.more {
            self.compare_rest(cx, id);
        }
        if self.facts.head != before {
            self.ask_after(cx, id);
            self.follow(cx);
        }
        if unknown.iter().any(|id| self.log.waiting.has(id)) {
            self.say_blind(cx, id);
        }
        // That the peer holds them is news of own words, which are known here.
        Ok(if own && outcome == Outcome::Duplicate { Outcome::Applied(Reply::Done) } else { outcome })
    }

    /// What one comparison could not name is named by the next, if what it named was of use; and so is what was wished for
    /// meanwhile.
    fn compare_rest(&mut self, cx: &Cx<'_>, id: LinkId) {
        let len = self.log.len();
        let grown = |part: Option<usize>| part.is_some_and(|before| len > before);
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.wants.is_empty() && !link.comparing)
            && (grown(link.part.take()) || std::mem::take(&mut link.again))
        {
            self.on_compare(cx, id);
        }
    }

    /// A peer answers a push.
    pub(crate) fn on_got(&mut self, cx: &mut Cx<'_>, id: LinkId, ids: &[EnvelopeId]) -> Result<(), Error> {
        if let Some(link) = self.links.get_mut(&id) {
            link.under_way = link.under_way.saturating_sub(1);
        }
        self.note_held(cx, id, ids)?;
        self.push(cx, id)
    }

    /// A linked member holds these: a fact for the author (PROTOCOL D5).
    pub(crate) fn note_held(&mut self, cx: &mut Cx<'_>, id: LinkId, ids: &[EnvelopeId]) -> Result<(), Error> {
        let Some(link) = self.links.get(&id).filter(|link| link.full) else { return Ok(()) };
        let member = link.member;
        for envelope in ids {
            self.spread.held(envelope, id);
            if let Some(member) = member.filter(|member| *member != self.me.member()) {
                self.mark_held(cx, envelope, member);
            }
        }
        Ok(())
    }

    /// Remembers to tell the one who waits for it that an envelope is held here.
    pub(crate) fn have_soon(&mut self, cx: &Cx<'_>, to: LinkId, envelope: EnvelopeId) {
        if let Some(link) = self.links.get_mut(&to) {
            link.haves.insert(envelope);
            link.have_due.get_or_insert(cx.now.wall + HAVE_AFTER);
        }
    }

    /// Says what is held.
    pub(crate) fn flush_haves(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.have_due = None;
        let haves: Vec<EnvelopeId> = std::mem::take(&mut link.haves).into_iter().collect();
        for part in haves.chunks(IDS_MAX) {
            self.say(cx, id, &Message::Have(part.to_vec()));
        }
    }

    /// Pushes own envelopes to linked members who have not said that they hold them.
    pub(crate) fn push_lacking(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let links = self.full_links();
        for (link, envelope) in self.spread.due(&links, cx.now.wall) {
            self.enqueue(cx, link, vec![envelope])?;
        }
        Ok(())
    }
}
