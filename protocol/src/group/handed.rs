//! What a member cannot open any more, because it came to the state's end too late, reaches it from hand to hand: the
//! same signed inner bytes, from whoever shows them, to whoever was in the audience (PROTOCOL D2).

use std::collections::{BTreeMap, BTreeSet};

use super::Group;
use super::cx::Cx;
use super::gaps::Gap;
use super::history::History;
use super::log::Order;
use crate::error::Error;
use crate::id::{EnvelopeId, EpochId, LinkId};
use crate::limits::PUSH_BYTES_MAX;
use crate::step::Outcome;
use crate::wire::content::{Content, msg_id};
use crate::wire::message::{Handed, IDS_MAX, Message};

impl Group {
    /// Says what waits here and cannot be opened, to a peer who stands where we stand: it may show it.
    pub(crate) fn say_blind(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        let head = self.facts.head;
        let Some(link) = self.links.get_mut(&id).filter(|link| link.full) else { return };
        if link.head.is_none_or(|theirs| theirs.epoch != head) {
            return;
        }
        let log = &self.log;
        link.blind.retain(|id| log.waits(id));
        let room = IDS_MAX.saturating_sub(link.blind.len());
        let soon: BTreeSet<EnvelopeId> = self.gaps.values().flat_map(Gap::soon).collect();
        let mut waits = log.unknown();
        waits.retain(|id| !link.blind.contains(id) && !soon.contains(id));
        if waits.len() > room {
            // Each time from another one on: what nobody can show must not keep the rest from being asked for.
            let from = EnvelopeId::from_bytes(cx.random());
            let at = waits.partition_point(|id| *id < from);
            waits.rotate_left(at);
            waits.truncate(room);
        }
        let new = waits;
        link.blind.extend(new.iter().copied());
        if !new.is_empty() {
            self.say(cx, id, &Message::Cannot(new));
        }
    }

    /// A member cannot open these: it is handed what they say, if it was in the roster they were sealed for.
    pub(crate) fn on_cannot(&mut self, cx: &mut Cx<'_>, id: LinkId, ids: &[EnvelopeId]) -> Result<(), Error> {
        let Some(member) = self.links.get(&id).and_then(|link| link.member) else { return Ok(()) };
        let audience = self.epochs.iter().filter(|(_, epoch)| epoch.roster.has(&member));
        let audience: BTreeMap<u64, EpochId> = audience.map(|(id, epoch)| (epoch.number, *id)).collect();
        let (mut handed, mut size) = (Vec::new(), 0_usize);
        for envelope in ids {
            let epoch = self.log.order(envelope).and_then(|order| audience.get(&order.number));
            let (Some(epoch), Some(message)) = (epoch, self.log.message(envelope)) else { continue };
            let Some(row) = History::row(cx, self.net, &message)? else { continue };
            let live = row.expires.is_some_and(|expires| expires > cx.now.sweep);
            let Some(signed) = row.signed.clone().filter(|_| live) else { continue };
            size = size.saturating_add(signed.body.len());
            if size > PUSH_BYTES_MAX {
                break;
            }
            handed.push(Handed { envelope: *envelope, epoch: *epoch, signed });
        }
        if !handed.is_empty() {
            self.say(cx, id, &Message::Handed(handed));
        }
        Ok(())
    }

    /// A peer hands over what waits here.
    pub(crate) fn on_handed(&mut self, cx: &mut Cx<'_>, id: LinkId, handed: Vec<Handed>) -> Result<(), Error> {
        let mut taken = false;
        let peer = self.links.get(&id).and_then(|link| link.member);
        for Handed { envelope, epoch, signed } in handed {
            let asked = self.links.get_mut(&id).is_some_and(|link| link.blind.remove(&envelope));
            let Some(epoch) = self.epochs.get(&epoch).filter(|epoch| asked && epoch.roster.has(&self.me.member()))
            else {
                continue;
            };
            let Ok(content) = signed.open::<Content>(self.id) else { continue };
            let Some(seat) = epoch.roster.seat(&content.author.member()) else { continue };
            let in_audience = peer.is_some_and(|peer| epoch.roster.has(&peer));
            let (order, name) = (Order::said(epoch.number, seat.leaf, 0), seat.credential.name.clone());
            if let Some(envelope) = self.log.read(cx, self.net, &envelope)?.filter(|held| self.log.waits(&held.id())) {
                let author = content.author.member();
                let said = msg_id(&signed);
                let outcome = self.take_content(cx, &envelope, order, (signed, content), name)?;
                taken = true;
                if let Some(peer) = peer.filter(|_| author == self.me.member() && in_audience) {
                    self.mark_handed_back(cx, said, peer);
                }
                // Of what was past its time, or was dropped unseen before, nobody is told that it is here.
                let held = matches!(outcome, Outcome::Applied(_) | Outcome::Parked(_));
                if let Some(author) = self.link_to(&author).filter(|_| held) {
                    self.have_soon(cx, author, envelope.id());
                }
            }
        }
        // Not everything fits into one answer.
        if let Some(link) = self.links.get_mut(&id).filter(|_| taken) {
            link.blind.clear();
            self.say_blind(cx, id);
        }
        Ok(())
    }
}
