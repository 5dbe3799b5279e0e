//! What a member cannot open any more, because it came to the state's end too late, reaches it from hand to hand: the
//! same signed inner bytes, from whoever shows them, to whoever was in the audience (PROTOCOL D2).

use std::collections::{BTreeMap, BTreeSet};

use super::Group;
use super::conduct::BAD_HAND;
use super::cx::Cx;
use super::gaps::Gap;
use super::history::History;
use super::link::Link;
use super::sync::COMPARE_AFTER;
use crate::error::Error;
use crate::id::{EnvelopeId, EpochId, LinkId, MemberId, MsgId};
use crate::limits::{PUSH_BYTES_MAX, TOMBSTONE_KEPT};
use crate::step::Outcome;
use crate::time::Time;
use crate::wire::content::{Content, Kind, msg_id};
use crate::wire::message::{Handed, Head, IDS_MAX, Message};

/// Different words that are taken of one member for one envelope: nothing proves which are its own, and all are their
/// authors'.
const WORDS_MAX: usize = 4;

/// What was handed over for an envelope that waits. It waits on: nobody can take the place of what is in it.
#[derive(Default)]
pub(crate) struct Hand {
    /// What it is said to have said, and for whom, by the epoch.
    said: Vec<(EpochId, MsgId)>,
    /// Who told something, and how much that nobody had told before.
    from: BTreeMap<MemberId, usize>,
}

impl Hand {
    /// Whether a member could still tell more.
    pub(crate) fn asks(&self, member: &MemberId) -> bool {
        !self.from.contains_key(member)
    }

    /// Notes what a member tells. Whether it is taken.
    fn takes(&mut self, member: MemberId, said: (EpochId, MsgId)) -> bool {
        let told = self.from.entry(member).or_default();
        let new = !self.said.contains(&said);
        if new && *told < WORDS_MAX {
            *told = told.saturating_add(1);
            self.said.push(said);
            return true;
        }
        !new
    }
}

impl Group {
    /// All peers are told before long what waits here and cannot be opened: each time all that waits is looked through.
    pub(crate) fn say_blind_soon(&mut self, cx: &Cx<'_>) {
        if self.log.waiting.is_empty() {
            return;
        }
        self.blind_due.get_or_insert(cx.now.wall + COMPARE_AFTER);
    }

    /// What was told of an envelope is of use as long as that waits, or somebody was told that there is no room for it.
    fn forget_hands(&mut self) {
        let (waiting, links) = (&self.log.waiting, &self.links);
        self.hands.retain(|id, _| waiting.has(id) || links.values().any(|link| link.no_room.contains(id)));
    }

    /// Tells them, when it is time.
    pub(crate) fn say_blind_around(&mut self, cx: &mut Cx<'_>) {
        if self.blind_due.take_if(|due| *due <= cx.now.wall).is_some() {
            self.full_links().into_iter().for_each(|link| self.say_blind(cx, link));
        }
    }

    /// Says what waits here and cannot be opened, to a peer who stands where we stand, or on another branch: it may show it.
    pub(crate) fn say_blind(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        let head = self.facts.head;
        self.forget_hands();
        let Some(link) = self.links.get_mut(&id).filter(|link| link.full) else { return };
        let stays = |theirs: Head| theirs.epoch == head || link.catches_up.is_none();
        let Some(member) = link.member.filter(|_| link.head.is_some_and(stays)) else { return };
        let waiting = &self.log.waiting;
        link.blind.retain(|id| waiting.has(id));
        let room = IDS_MAX.saturating_sub(link.blind.len());
        if room == 0 {
            return;
        }
        let soon: BTreeSet<EnvelopeId> = self.gaps.values().flat_map(Gap::soon).collect();
        let mut waits: Vec<EnvelopeId> = waiting.ids().collect();
        waits.retain(|id| !link.blind.contains(id) && !soon.contains(id));
        waits.retain(|id| self.hands.get(id).is_none_or(|hand| hand.asks(&member)));
        from_anywhere(cx, &mut waits, room);
        link.blind.extend(waits.iter().copied());
        if !waits.is_empty() {
            self.say(cx, id, &Message::Cannot(waits));
        }
    }

    /// There is no room here for these that would wait: a peer that shows them may tell what they say.
    pub(crate) fn say_no_room(&mut self, cx: &mut Cx<'_>, id: LinkId, mut ids: Vec<EnvelopeId>) {
        let head = self.facts.head;
        let Some(link) = self.links.get_mut(&id).filter(|link| link.full) else { return };
        if ids.is_empty() || link.head.is_none_or(|theirs| theirs.epoch != head) {
            return;
        }
        let Some(member) = link.member else { return };
        ids.retain(|id| !link.no_room.contains(id) && self.hands.get(id).is_none_or(|hand| hand.asks(&member)));
        from_anywhere(cx, &mut ids, IDS_MAX.saturating_sub(link.no_room.len()));
        link.no_room.extend(ids.iter().copied());
        if !ids.is_empty() {
            self.say(cx, id, &Message::Cannot(ids));
        }
    }

    /// A member cannot open these: it is handed what they say, if it was in the roster they were sealed for.
    pub(crate) fn on_cannot(&mut self, cx: &mut Cx<'_>, id: LinkId, ids: &[EnvelopeId]) -> Result<(), Error> {
        let Some(member) = self.member_at(id) else { return Ok(()) };
        let audience = self.epochs.iter().filter(|(_, epoch)| epoch.roster.has(&member));
        let audience: BTreeSet<EpochId> = audience.map(|(id, _)| *id).collect();
        let (mut handed, mut size) = (Vec::new(), 0_usize);
        for (envelope, epoch, message) in ids.iter().flat_map(|envelope| self.said_in(envelope)) {
            let Some(row) = History::row(cx, self.net, &message)?.filter(|_| audience.contains(&epoch)) else {
                continue;
            };
            let live = row.expires.is_some_and(|expires| expires > cx.now.sweep);
            let Some(signed) = row.signed.clone().filter(|_| live) else { continue };
            size = size.saturating_add(signed.body.len());
            if size > PUSH_BYTES_MAX {
                break;
            }
            handed.push(Handed { envelope, epoch, signed });
        }
        // Whoever was not there cannot tell for whom it was.
        let here = self.links.get(&id).and_then(|link| link.head).is_some_and(|theirs| theirs.epoch == self.facts.head);
        let aside: BTreeSet<EpochId> = handed.iter().map(|handed: &Handed| handed.epoch).collect();
        for epoch in aside.into_iter().filter(|epoch| !here || !self.is_on_line(epoch)).collect::<Vec<_>>() {
            self.say_branch(cx, id, epoch)?;
        }
        if !handed.is_empty() && self.may_use(cx, id, u64::try_from(handed.len()).unwrap_or(u64::MAX)) {
            self.say(cx, id, &Message::Handed(handed));
        }
        Ok(())
    }

    /// What is known of an envelope here: where it was sealed, and what it said or is said to have said.
    pub(crate) fn said_in(&self, envelope: &EnvelopeId) -> Vec<(EnvelopeId, EpochId, MsgId)> {
        if let (Some(order), Some(message)) = (self.log.order(envelope), self.log.message(envelope)) {
            let mut epochs = self.epochs.iter().filter(|(id, epoch)| order.is_in(id, epoch.number));
            // Where two could be meant nobody knows for whom it was.
            let only = epochs.next().filter(|_| epochs.next().is_none());
            return only.map(|(epoch, _)| (*envelope, *epoch, message)).into_iter().collect();
        }
        let hand = self.hands.get(envelope);
        hand.into_iter().flat_map(|hand| hand.said.iter().map(|(epoch, said)| (*envelope, *epoch, *said))).collect()
    }

    /// A peer hands over what waits here.
    pub(crate) fn on_handed(&mut self, cx: &mut Cx<'_>, id: LinkId, handed: Vec<Handed>) -> Result<(), Error> {
        let Some(peer) = self.member_at(id) else { return Ok(()) };
        let mut taken = false;
        let told = self.rosters(handed.iter().map(|handed| handed.epoch).collect::<BTreeSet<_>>().into_iter());
        for handed in handed {
            let asked = |link: &Link| match self.log.has(&handed.envelope) {
                true => link.blind.contains(&handed.envelope) && self.log.waiting.has(&handed.envelope),
                false => link.no_room.contains(&handed.envelope),
            };
            if !self.links.get(&id).is_some_and(asked) {
                continue;
            }
            if let Ok(content) = handed.signed.open::<Content>(self.id) {
                taken |= self.take_handed(cx, (peer, handed, content), &told)?;
            } else if !self.may_use(cx, id, BAD_HAND) {
                return Ok(());
            }
        }
        // Not everything fits into one answer.
        if let Some(link) = self.links.get_mut(&id).filter(|_| taken) {
            link.blind.clear();
            self.say_blind(cx, id);
        }
        Ok(())
    }

    /// Takes words that a member who was in the epoch signed, unless it was out when it said them.
    fn take_handed(
        &mut self,
        cx: &mut Cx<'_>,
        (peer, handed, content): (MemberId, Handed, Content),
        told: &BTreeMap<EpochId, BTreeSet<MemberId>>,
    ) -> Result<bool, Error> {
        let Handed { envelope, epoch: id, signed } = handed;
        let (author, me) = (content.author.member(), self.me.member());
        // Where this device was not, as it was told when it was let in anew.
        let Some(audience) = told.get(&id).filter(|audience| [me, author].iter().all(|who| audience.contains(who)))
        else {
            return Ok(false);
        };
        let (name, in_audience) = (self.name_of(&author), audience.contains(&peer));
        if !matches!(content.kind, Kind::Text(_)) || self.left_before(&author, content.pos)? {
            return Ok(false);
        }
        let said = msg_id(&signed);
        if !self.hands.entry(envelope).or_default().takes(peer, (id, said)) {
            return Ok(false);
        }
        if author == self.me.member() && in_audience {
            self.mark_handed_back(cx, said, peer);
        }
        if !self.knows(cx, &said) {
            let until = content.deadline + TOMBSTONE_KEPT;
            if matches!(self.take_words(cx, (signed, content), name, None), Outcome::Applied(_) | Outcome::Parked(_)) {
                self.log.note_said(cx, self.net, said, &envelope, until);
            }
        }
        Ok(true)
    }

    /// By which name somebody was known last.
    fn name_of(&self, member: &MemberId) -> String {
        let head = self.roster().into_iter();
        let others = self.epochs.iter().map(|(_, epoch)| &epoch.roster);
        let seat = head.chain(others).find_map(|roster| roster.seat(member));
        seat.map(|seat| seat.credential.name.clone()).unwrap_or_default()
    }

    /// Whether a member was out at a moment, as far as this device followed.
    fn left_before(&self, member: &MemberId, at: Time) -> Result<bool, Error> {
        if self.roster()?.has(member) {
            return Ok(false);
        }
        let was_in = self.epochs.iter().filter(|(_, epoch)| epoch.roster.has(member));
        Ok(was_in.filter_map(|(_, epoch)| epoch.left).max().is_none_or(|left| left < at))
    }
}

/// So many of these, each time from another one on: neither what nobody can show nor what fills an answer keeps the rest from
/// coming.
fn from_anywhere(cx: &mut Cx<'_>, ids: &mut Vec<EnvelopeId>, room: usize) {
    let from = EnvelopeId::from_bytes(cx.random());
    ids.sort_unstable();
    let at = ids.partition_point(|id| *id < from);
    ids.rotate_left(at);
    ids.truncate(room);
}
