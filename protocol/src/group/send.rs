//! Saying something: accepted and kept at once, sealed as late as possible, told truly how far it came (PROTOCOL D).

use std::time::Duration;

use zeroize::Zeroizing;

use super::Group;
use super::cx::Cx;
use super::line::{LineRow, RowKind, to_line};
use super::link::Link;
use super::outbox::Entry;
use crate::error::Error;
use crate::id::{EnvelopeId, EpochId, MemberId, MsgId, MsgStem};
use crate::limits::{BURN, EXPIRY_MIN, OUTBOX_MAX, RETENTION_MAX, TEXT_BYTES_MAX, TOMBSTONE_KEPT};
use crate::mls::{Provider, Signer, State};
use crate::step::{Event, MessageState, Reply, Transmit};
use crate::time::Time;
use crate::wire;
use crate::wire::content::{Class, Content, Kind, Numbered, RECEIPTS_MAX, msg_id};
use crate::wire::envelope::Envelope;
use crate::wire::signed::Signed;

/// Version of the content format.
const CONTENT_VERSION: u16 = 1;
/// Between two receipts, at least (PROTOCOL D5).
const RECEIPT_EVERY: Duration = Duration::from_secs(10);
/// The same for each member, where that is more: all together send no more receipts than twenty-five do.
const RECEIPT_SHARE: Duration = Duration::from_millis(400);
/// Hours after which sealed bytes that reached nobody are given up: the others keep what opens them for 72 after the
/// head has left it, and may have left it long before we hear of it.
const RESEALED_AFTER: u32 = 48;
/// The first receipt after a pause comes sooner: people look at their screen after they have sent.
const RECEIPT_FIRST: Duration = Duration::from_secs(1);
/// In a group of more than so many they spread, so that not all answer in one moment: each costs every member an envelope.
const RECEIPTS_AT_ONCE: u32 = 8;
/// The time in which the receipts spread, for each member: together never longer than until the next one.
const RECEIPT_SPREAD: Duration = Duration::from_millis(200);

impl Group {
    /// Accepts a text: when this returns and its batch is durable, it is kept, and `send` may say so.
    pub(crate) fn send(
        &mut self,
        cx: &mut Cx<'_>,
        text: &Zeroizing<String>,
        expires: Option<Duration>,
    ) -> Result<Reply, Error> {
        self.require_active()?;
        if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX {
            return Err(Error::BadText);
        }
        if self.outbox.unheld() >= OUTBOX_MAX {
            return Err(Error::OutboxFull);
        }
        let retention = Duration::from_secs(self.extension()?.policy.retention);
        let life = expires.unwrap_or(retention);
        if life < EXPIRY_MIN || life > retention {
            return Err(Error::BadLifetime);
        }
        let (signed, content) = self.content(cx, Kind::Text(text.to_string()), life);
        let id = msg_id(&signed);
        let row = LineRow {
            pos: content.pos,
            author: self.me.member(),
            author_name: self.me.credential.name.clone(),
            kind: RowKind::Text(text.to_string()),
            expires: Some(content.deadline),
            own: true,
            arrival: None,
            late: false,
            signed: Some(signed),
            envelope: None,
        };
        let line = to_line(id, &row, MessageState::Kept);
        self.history.insert(cx, self.net, id, row);
        let entry = Entry::new(self.facts.head, content.deadline);
        self.outbox.set(cx, self.net, id, entry);
        if self.may_say(cx.now)? {
            self.seal_message(cx, id)?;
        }
        cx.tell(Event::Line { group: self.id, line });
        Ok(Reply::Message { id, state: MessageState::Kept })
    }

    /// Signed inner bytes of this person, stamped now (PROTOCOL D4).
    fn content(&self, cx: &Cx<'_>, kind: Kind, life: Duration) -> (Signed, Content) {
        let pos = self.history.next_pos(cx.now.stamp);
        let content = Content {
            version: CONTENT_VERSION,
            author: self.me.key(),
            pos,
            parents: self.history.tips(),
            deadline: pos + life.min(RETENTION_MAX),
            class: Class::Talk,
            kind,
        };
        (self.me.sign(self.id, &content), content)
    }

    /// Whether somebody is there to seal for, and nobody who is there seems to know of a later head: under one that was
    /// left long ago, nobody could open it any more. Who has claimed one in vain is not waited for again.
    pub(super) fn may_seal(&self) -> bool {
        let mut full = self.links.values().filter(|link| link.full).peekable();
        let vain = |link: &Link| link.member.is_some_and(|member| self.vain_claims.contains(&member));
        full.peek().is_some() && full.all(|link| link.catches_up.is_none() || vain(link))
    }

    /// Seals every message that was never sealed, unless its author must be asked first.
    pub(crate) fn seal_intents(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        if self.require_active().is_err() || !self.may_say(cx.now)? {
            return Ok(());
        }
        if !self.receipts.ids.is_empty() && self.receipts.due.is_none() {
            self.receipts.by(cx.now.wall + RECEIPT_FIRST);
        }
        let mut intents: Vec<(MsgId, Time)> = self
            .outbox
            .iter()
            .filter(|(_, entry)| entry.sealed().is_none() && !entry.is_held() && !entry.dropped)
            .filter(|(_, entry)| entry.expires > cx.now.sweep)
            .filter(|(id, _)| self.is_mine(id))
            .map(|(id, entry)| (*id, entry.expires))
            .collect();
        intents.sort_by_key(|(id, _)| self.history.place(id));
        for (id, _) in intents {
            if self.has_said_enough() {
                return Ok(());
            }
            if self.has_newcomers(&id)? {
                self.wait_for_author(cx, id);
            } else {
                // Whoever was new may be out again.
                self.wait_no_more(cx, id);
                self.seal_message(cx, id)?;
            }
        }
        Ok(())
    }

    /// Whether a message was signed by who this person is now, and not before it was removed and came back.
    fn is_mine(&self, id: &MsgId) -> bool {
        self.history.place(id).is_some_and(|place| place.member == self.me.member())
    }

    /// Whether the head has gained a member since a message was accepted: the audience never widens silently (D1).
    fn has_newcomers(&self, id: &MsgId) -> Result<bool, Error> {
        let entry = self.outbox.get(id).ok_or(Error::UnknownMessage)?;
        let Some(accepted) = self.epochs.get(&entry.accepted_in) else { return Ok(true) };
        Ok(self.roster()?.without(&accepted.roster).next().is_some())
    }

    fn wait_for_author(&mut self, cx: &mut Cx<'_>, id: MsgId) {
        if let Some(mut entry) = self.outbox.get(&id).filter(|entry| !entry.waiting).cloned() {
            entry.waiting = true;
            self.outbox.set(cx, self.net, id, entry);
            cx.tell(Event::State { group: self.id, id, state: MessageState::Waiting });
        }
    }

    fn wait_no_more(&mut self, cx: &mut Cx<'_>, id: MsgId) {
        if let Some(mut entry) = self.outbox.get(&id).filter(|entry| entry.waiting).cloned() {
            entry.waiting = false;
            let state = entry.state();
            self.outbox.set(cx, self.net, id, entry);
            cx.tell(Event::State { group: self.id, id, state });
        }
    }

    /// The author's word: to the people who have joined since, too.
    pub(crate) fn release(&mut self, cx: &mut Cx<'_>, id: MsgId) -> Result<(), Error> {
        self.require_active()?;
        let mut entry = self.outbox.get(&id).filter(|_| self.is_mine(&id)).ok_or(Error::UnknownMessage)?.clone();
        entry.accepted_in = self.facts.head;
        entry.waiting = false;
        let state = entry.state();
        self.outbox.set(cx, self.net, id, entry);
        cx.tell(Event::State { group: self.id, id, state });
        self.seal_intents(cx)
    }

    /// Drops a message that nobody else is known to hold. If somebody has it all the same, its author will hear so.
    pub(crate) fn drop_message(&mut self, cx: &mut Cx<'_>, id: MsgId) -> Result<(), Error> {
        let entry = self.outbox.get(&id).filter(|entry| !entry.is_held() && !entry.dropped);
        let mut entry = entry.ok_or(Error::UnknownMessage)?.clone();
        if let Some((_, envelope)) = entry.sealed() {
            self.log.withdraw(cx, self.net, &envelope);
            self.spread.stop(&envelope);
        }
        entry.unseal();
        (entry.dropped, entry.waiting) = (true, false);
        self.outbox.set(cx, self.net, id, entry);
        self.history.drop_line(cx, self.net, &id);
        cx.tx.urgent();
        cx.tell(Event::Gone { group: self.id, ids: vec![id] });
        Ok(())
    }

    /// The head has moved by a commit of some moment. What was sealed before and is held by nobody who is still here is
    /// sealed anew, under the same id, when somebody is out; and when it or the commit is so old that the others have
    /// dropped what opens it. Otherwise the sealed bytes go out as they are, and a newcomer does not get them
    /// (PROTOCOL D1).
    pub(crate) fn unseal_unheld(&mut self, cx: &mut Cx<'_>, someone_left: bool, at: Time) -> Result<(), Error> {
        let head = self.roster()?.clone();
        let long_ago = |hour: u32| hour.saturating_add(RESEALED_AFTER) <= cx.now.stamp.hour();
        let stale = |entry: &Entry| {
            let Some((_, envelope)) = entry.sealed().filter(|(epoch, _)| *epoch != self.facts.head) else {
                return false;
            };
            someone_left || long_ago(at.hour()) || self.log.hour(&envelope).is_none_or(long_ago)
        };
        let lost = |entry: &Entry| {
            let accepted = self.epochs.get(&entry.accepted_in).map(|epoch| &epoch.roster);
            entry.is_lost_with_its_readers(&head, accepted, &self.me.member())
        };
        let moved = |entry: &Entry| !entry.dropped && if entry.is_held() { lost(entry) } else { stale(entry) };
        let moved: Vec<MsgId> = self.outbox.iter().filter(|(_, entry)| moved(entry)).map(|(id, _)| *id).collect();
        for id in moved {
            let Some(mut entry) = self.outbox.get(&id).cloned() else { continue };
            if let Some((_, envelope)) = entry.sealed() {
                self.log.withdraw(cx, self.net, &envelope);
                self.spread.stop(&envelope);
            }
            let before = entry.state();
            entry.unseal();
            entry.held.clear();
            entry.received.clear();
            let state = entry.state();
            self.outbox.set(cx, self.net, id, entry);
            if state != before {
                cx.tell(Event::State { group: self.id, id, state });
            }
        }
        Ok(())
    }

    pub(super) fn seal_message(&mut self, cx: &mut Cx<'_>, id: MsgId) -> Result<(), Error> {
        let Some(row) = super::history::History::row(cx, self.net, &id)? else {
            // Its deadline came between two sweeps.
            self.outbox.remove(cx, self.net, &id);
            self.history.drop_line(cx, self.net, &id);
            return Ok(());
        };
        let signed = row.signed.clone().ok_or(Error::Broken)?;
        let mut entry = self.outbox.get(&id).ok_or(Error::Broken)?.clone();
        let envelope = self.seal_content(cx, &signed, entry.expires)?;
        entry.seal(self.facts.head, envelope);
        entry.audience = u32::try_from(self.roster()?.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.outbox.set(cx, self.net, id, entry);
        self.history.set_envelope(cx, self.net, id, envelope)
    }

    /// MLS and outer seal around signed inner bytes, kept in the log, on its way by gossip.
    fn seal_content(&mut self, cx: &mut Cx<'_>, signed: &Signed, deadline: Time) -> Result<EnvelopeId, Error> {
        let head = self.facts.head;
        let burnt = self.burn(cx, &head)?;
        let count = self.head()?.sent;
        let leaf = self.roster()?.seat(&self.me.member()).ok_or(Error::Broken)?.leaf;
        let generation = self.newest()?.clone();
        let cover = self.cover(cx, &generation)?;
        let (signer, plain) = (Signer::new(&self.me.device_secret()), Zeroizing::new(wire::encode(signed)));
        let binding = cover.binding(leaf, count, burnt);
        let encrypt = |state: &mut State, mls: &Provider| state.encrypt(mls, &signer, &plain, &binding);
        let sealed = self.epochs.with(cx, self.net, self.id, &head, encrypt)?;
        let mls = sealed.map_err(|_| Error::Broken)?;
        self.epochs.count_sent(cx, self.net, &head, 1);
        let body = wire::encode(&Numbered { leaf, count, burnt, mls });
        let key = self.head()?.keys.as_ref().ok_or(Error::Broken)?.content.clone();
        let envelope = Envelope::seal(&key, &cover, &body).ok_or(Error::Broken)?;
        let order = super::log::Order::said(self.head()?.number, &head, leaf, count);
        let seen = (msg_id(signed), deadline + TOMBSTONE_KEPT);
        self.log.keep_opened(cx, self.net, &envelope, order, Some(deadline), Some(seen));
        self.publish(cx, &envelope)?;
        Ok(envelope.id())
    }

    fn publish(&mut self, cx: &mut Cx<'_>, envelope: &Envelope) -> Result<(), Error> {
        if self.conduct.may_publish(cx.now.wall) {
            let topic = self.newest()?.topic(cx.now.stamp.day());
            cx.transmit(Transmit::Publish { net: self.net, topic, bytes: envelope.as_bytes().to_vec() });
        }
        self.spread.begin(envelope.id(), cx.now.wall);
        Ok(())
    }

    /// After an unclean stop, generations that a lost batch may have used are burnt before the first send (G3).
    fn burn(&mut self, cx: &mut Cx<'_>, head: &EpochId) -> Result<u32, Error> {
        if !std::mem::take(&mut self.burn_due) {
            return Ok(0);
        }
        let signer = Signer::new(&self.me.device_secret());
        for _ in 0..BURN {
            let encrypt = |state: &mut State, mls: &Provider| state.encrypt(mls, &signer, &[], &[]);
            let burnt = self.epochs.with(cx, self.net, self.id, head, encrypt)?;
            burnt.map_err(|_| Error::Broken)?;
        }
        self.epochs.count_sent(cx, self.net, head, BURN);
        Ok(BURN)
    }

    /// A member holds an own message in this envelope: a fact if it was one of those it was sealed for.
    pub(crate) fn mark_held(&mut self, cx: &mut Cx<'_>, envelope: &EnvelopeId, by: MemberId) {
        let Some(id) = self.outbox.by_envelope(envelope) else { return };
        let Some(entry) = self.outbox.get(&id) else { return };
        if !entry.held.contains(&by) && self.could_open(entry, Some(*envelope), &by) {
            self.note_fact(cx, id, |entry| entry.held.push(by));
        }
    }

    /// A member hands back an own message whose sealing was lost here: it holds what it shows.
    pub(crate) fn mark_handed_back(&mut self, cx: &mut Cx<'_>, id: MsgId, by: MemberId) {
        let sealed_for = |entry: &Entry| entry.epochs(None).next().is_none() || self.could_open(entry, None, &by);
        if self.outbox.get(&id).is_some_and(|entry| !entry.held.contains(&by) && sealed_for(entry)) {
            self.note_fact(cx, id, |entry| entry.held.push(by));
        }
    }

    /// A member says which messages it has opened.
    pub(crate) fn mark_received(&mut self, cx: &mut Cx<'_>, by: MemberId, stems: &[MsgStem]) {
        for stem in stems {
            let Some((id, entry)) = self.outbox.find(stem) else { continue };
            if !entry.received.contains(&by) && self.could_open(entry, None, &by) {
                self.note_fact(cx, id, |entry| entry.received.push(by));
            }
        }
    }

    /// Whether a message, or one envelope of it, was sealed for somebody who is still a member: what others have does not
    /// keep it from being sealed anew. Of what was taken back its author hears in any case.
    fn could_open(&self, entry: &Entry, envelope: Option<EnvelopeId>, member: &MemberId) -> bool {
        if !entry.dropped && !self.roster().is_ok_and(|roster| roster.has(member)) {
            return false;
        }
        let mut epochs = entry.epochs(envelope).filter_map(|epoch| self.epochs.get(&epoch));
        epochs.any(|epoch| epoch.roster.has(member))
    }

    fn note_fact(&mut self, cx: &mut Cx<'_>, id: MsgId, fact: impl FnOnce(&mut Entry)) {
        let Some(mut entry) = self.outbox.get(&id).cloned() else { return };
        let before = entry.state();
        fact(&mut entry);
        entry.waiting = false;
        let state = entry.state();
        self.outbox.set(cx, self.net, id, entry);
        if state != before {
            cx.tell(Event::State { group: self.id, id, state });
        }
    }

    /// Remembers to tell the author that a message was opened.
    pub(crate) fn receipt_soon(&mut self, cx: &mut Cx<'_>, id: MsgId) {
        self.receipts.ids.push(id);
        if let Some(next) = self.receipts_next().filter(|next| *next > cx.now.wall) {
            return self.receipts.by(next);
        }
        let latest = cx.now.wall + RECEIPT_FIRST + self.receipts_spread();
        // One draw for all that come before: of many the earliest would count.
        if self.receipts.due.is_none_or(|due| due > latest) {
            let part = u32::from(u16::from_be_bytes(cx.random()));
            let spread = self.receipts_spread().saturating_mul(part).checked_div(u32::from(u16::MAX));
            self.receipts.by(cx.now.wall + RECEIPT_FIRST + spread.unwrap_or_default());
        }
    }

    /// A member was let in anew: what others told it meanwhile of its messages it could not open.
    pub(super) fn receipt_again(&mut self, cx: &mut Cx<'_>, member: &MemberId) {
        for id in self.history.latest_of(member, RECEIPTS_MAX) {
            if !self.receipts.ids.contains(&id) {
                self.receipt_soon(cx, id);
            }
        }
        self.history.mark_receipted(cx, self.net, &self.receipts.ids);
    }

    /// Between two receipts of this device.
    fn receipts_pause(&self) -> Duration {
        RECEIPT_EVERY.max(RECEIPT_SHARE.saturating_mul(self.people()))
    }

    /// When the next may leave, if one has left.
    fn receipts_next(&self) -> Option<Time> {
        self.receipts.last.map(|last| last + self.receipts_pause())
    }

    /// How far apart the first receipts of all members may come.
    fn receipts_spread(&self) -> Duration {
        let spread = RECEIPT_SPREAD.saturating_mul(self.people());
        let most = self.receipts_pause().saturating_sub(RECEIPT_FIRST);
        if self.people() > RECEIPTS_AT_ONCE { spread.min(most) } else { Duration::ZERO }
    }

    pub(super) fn people(&self) -> u32 {
        self.roster().map_or(0, |roster| u32::try_from(roster.len()).unwrap_or(u32::MAX))
    }

    /// Sends the receipts that are due; they are never receipted themselves.
    pub(crate) fn flush_receipts(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        if self.receipts.due.is_none_or(|due| due > cx.now.wall) {
            return Ok(());
        }
        self.receipts.due = self.receipts_next().filter(|next| *next > cx.now.wall);
        if self.receipts.due.is_some() {
            return Ok(());
        }
        // Alone, they would be sealed in a state that the others may have left long ago: they wait for somebody.
        if self.require_active().is_err() || !self.may_say(cx.now)? {
            return Ok(());
        }
        self.receipts.last = Some(cx.now.wall);
        let retention = Duration::from_secs(self.extension()?.policy.retention);
        let opened = std::mem::take(&mut self.receipts.ids).into_iter().filter(|id| self.history.has(id));
        // What was stamped far ahead of this clock, or is hidden by it, nobody has seen.
        let (ids, hidden): (Vec<_>, Vec<_>) = opened.partition(|id| self.history.is_visible(id, cx.now.stamp));
        self.receipts.ids = hidden;
        for part in ids.chunks(RECEIPTS_MAX) {
            let (signed, content) = self.content(cx, Kind::Receipt(part.iter().map(MsgId::stem).collect()), retention);
            self.seal_content(cx, &signed, content.deadline)?;
        }
        self.history.mark_receipted(cx, self.net, &self.receipts.ids);
        let come = self.receipts.ids.iter().filter_map(|id| self.history.comes(id, cx.now.stamp)).min();
        self.receipts.due = come.map(|at| cx.now.wall + at.since(cx.now.stamp));
        Ok(())
    }
}
