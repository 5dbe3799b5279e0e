//! How much of this device each member uses, and what becomes of who uses too much: its links end, and for a while
//! nothing of it is taken but control. All of it is forgotten at a restart.

use std::collections::BTreeMap;

use super::Group;
use super::cx::Cx;
use super::link::Link;
use super::log::Order;
use super::receive::Origin;
use super::waiting::{Came, Placed};
use crate::allowance::Used;
use crate::error::{Error, Refusal, Why};
use crate::id::{LinkId, MemberId};
use crate::limits::{ASKED_BY_MEMBER, BROUGHT_BY_HAND, BURN, MEMBERS_MAX, MUTED, SAID_BY_AUTHOR, SAID_HERE};
use crate::step::Outcome;
use crate::time::Time;
use crate::wire::message::Message;

/// Joining a comparison takes a snapshot of the whole log: of so many envelopes for a unit. Whoever comes and goes all
/// the time in a small group costs little.
const COMPARED_FOR_A_UNIT: usize = 50;
/// The log is our own: however long it is, nobody is muted for a few comparisons.
const COMPARED_MAX: u64 = ASKED_BY_MEMBER.burst / 8;
/// A wish for a comparison has us take the snapshot a few seconds later, and once for so many wishes.
const WISHES: u64 = 4;
/// Any frame: opened, decoded, made durable.
const FRAME: u64 = 4;
/// A page of envelopes, or the answer to one: the next comes when this is answered, and what is wrong with one is on
/// its own account.
const PAGE: u64 = 1;
/// A ticket or vote has a signature to be checked.
const CONTROL: u64 = 4;
/// MLS looks at every leaf of the group.
const WELCOME: u64 = 200;
/// Handing over what nobody signed.
pub(crate) const BAD_HAND: u64 = 50;
/// A commit that MLS had to read before it was refused.
const BAD_COMMIT: u64 = 50;
/// Another envelope that gossip should not have brought.
const BAD_GOSSIP: u64 = 10;
/// One that waits is written, and looked at again; one that says what was said before is opened, and its id is written.
const KEPT: u64 = 2;
/// Keys of a sender's ratchet that are derived in the time of a unit.
const SKIPPED_FOR_A_UNIT: u32 = 16;
/// Opening one in vain whose key is at hand.
const OPENED: u64 = 1;
/// What costs more than the keys that [`BURN`] lets be skipped takes much to open.
const SMALL: u64 = OPENED + (BURN / SKIPPED_FOR_A_UNIT) as u64;

/// What each member has used, in this run.
#[derive(Default)]
pub(crate) struct Conduct {
    /// The own messages that were given to gossip.
    own: Used,
    members: BTreeMap<MemberId, Record>,
    /// Whoever is no member: there can be any number of them, and none is known from another.
    outsiders: Used,
    brought_by_outsiders: Used,
}

#[derive(Default)]
struct Record {
    /// What it said that others brought by gossip, and what it signed that anybody did.
    said: Used,
    /// What it said and brought itself.
    own: Used,
    asked: Used,
    /// What it gave on by hand and was nobody's.
    brought: Used,
    muted: Option<Time>,
    /// Until when nothing of it is taken from gossip.
    hushed: Option<Time>,
}

impl Conduct {
    /// Whether one more own message may be given to gossip.
    pub(crate) fn may_publish(&mut self, now: Time) -> bool {
        self.own.take(SAID_HERE, 1, now)
    }

    /// Whether nothing but control is taken of a member.
    pub(crate) fn is_muted(&self, member: &MemberId) -> bool {
        self.members.get(member).is_some_and(|record| record.muted.is_some())
    }

    /// Whether what gossip brings of an author is not even opened.
    pub(crate) fn is_hushed(&self, author: &MemberId, now: Time) -> bool {
        let hushed = |record: &Record| record.muted.is_some() || record.hushed.is_some_and(|until| until > now);
        self.members.get(author).is_some_and(hushed)
    }

    /// Who is muted.
    pub(crate) fn muted(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.members.iter().filter(|(_, record)| record.muted.is_some()).map(|(member, _)| *member)
    }

    /// The wall clock went back.
    pub(crate) fn clock_went_back(&mut self, now: Time) {
        for record in self.members.values_mut() {
            record.muted = record.muted.map(|until| until.min(now + MUTED));
            record.hushed = record.hushed.map(|until| until.min(now + MUTED));
        }
    }

    /// When somebody is muted no longer.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.members.values().filter_map(|record| record.muted).min()
    }
}

/// What a message costs its receiver beyond the envelopes in it.
fn cost(link: &Link, message: &Message, log: usize) -> u64 {
    let each = |count: usize, units: u64| u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(units);
    let listed = log.saturating_add(link.offered.len());
    let compared = each(listed / COMPARED_FOR_A_UNIT, 1).min(COMPARED_MAX);
    let work = match message {
        Message::Reconcile(round) => {
            let known = link.session.as_ref().is_some_and(|session| session.is(&round.nonce));
            if known || !round.opener { 0 } else { compared }
        }
        Message::Compare | Message::Enough => compared / WISHES,
        // What is handed over for it is counted then.
        Message::Cannot(ids) => each(ids.len(), 1) / 16,
        Message::Handed(handed) => each(handed.len(), 1),
        Message::Want(want) => each(want.names.len(), 1) / 8,
        Message::Missing(span) => u64::from(span.to.saturating_sub(span.from).min(crate::limits::RATCHET_WINDOW)) / 16,
        Message::Controls(controls) => each(controls.len(), CONTROL),
        Message::After(_) => CONTROL,
        Message::Welcome(_) => WELCOME,
        Message::Line(commits) => each(commits.len(), 1),
        Message::Have(ids) | Message::Got(ids) => each(ids.len(), 1) / 32,
        _ => 0,
    };
    let frame = if matches!(message, Message::Push(_) | Message::Got(_)) { PAGE } else { FRAME };
    work.saturating_add(frame)
}

impl Group {
    /// A peer asks for something: whether it may. A link on which nobody has greeted has a time of its own.
    pub(crate) fn may_ask(&mut self, cx: &Cx<'_>, id: LinkId, message: &Message) -> bool {
        let Some(link) = self.links.get(&id) else { return true };
        let Some(member) = link.member else { return true };
        let units = cost(link, message, self.log.len());
        self.charge(cx, &member, units)
    }

    fn charge(&mut self, cx: &Cx<'_>, member: &MemberId, units: u64) -> bool {
        let used = if self.roster().is_ok_and(|roster| roster.has(member)) {
            &mut self.record(*member).asked
        } else {
            &mut self.conduct.outsiders
        };
        used.take(ASKED_BY_MEMBER, units, cx.now.wall)
    }

    /// Of members only, so that there are never many.
    fn record(&mut self, member: MemberId) -> &mut Record {
        if self.conduct.members.len() >= MEMBERS_MAX {
            let roster = self.roster().cloned().unwrap_or_default();
            self.conduct.members.retain(|member, _| roster.has(member));
        }
        self.conduct.members.entry(member).or_default()
    }

    /// A peer asked for more than it may.
    pub(crate) fn refuse_more(&mut self, cx: &mut Cx<'_>, id: LinkId) -> Outcome {
        let member = self.member_at(id);
        self.close(cx, id);
        if let Some(member) = member {
            self.mute(cx, member);
        }
        Outcome::Refused(Refusal::OverBudget)
    }

    /// What became of an envelope that gossip brought is on the account of whoever passed it on.
    pub(crate) fn account(&mut self, cx: &mut Cx<'_>, id: LinkId, outcome: &Outcome) {
        let units = match outcome {
            Outcome::Refused(Refusal::BadSeal | Refusal::Malformed) => BAD_GOSSIP,
            // Whoever has not heard yet that its signer is out passes that on in good faith.
            Outcome::Refused(Refusal::NotAMember) => CONTROL,
            // Whoever is in step passes that on in good faith.
            Outcome::Parked(Why::Ahead) => return,
            Outcome::Duplicate | Outcome::Parked(_) => KEPT,
            _ => return,
        };
        let Some(member) = self.member_at(id) else { return };
        if !self.charge(cx, &member, units) {
            self.refuse_more(cx, id);
        }
    }

    /// What a peer asked for took more than the question told: whether it is still heard.
    pub(crate) fn may_use(&mut self, cx: &mut Cx<'_>, id: LinkId, units: u64) -> bool {
        let Some(member) = self.member_at(id) else { return false };
        let may = self.charge(cx, &member, units);
        if !may {
            self.refuse_more(cx, id);
        }
        may
    }

    /// Whether a member may have us look at one more that it gives on by hand. It may not know what it brings, and is not
    /// muted: what is not taken now is brought again.
    pub(crate) fn may_bring(&mut self, cx: &Cx<'_>, origin: &Origin) -> bool {
        let now = cx.now.wall;
        origin.by_hand().is_none_or(|member| self.by_hand(&member).fits(BROUGHT_BY_HAND, OPENED, now))
    }

    /// Has a member pay for having us open one more, before what takes much waits to be opened: that leaves half for the
    /// rest, and what is somebody's is given back. `false` if it may not.
    pub(crate) fn may_open(&mut self, cx: &Cx<'_>, origin: &mut Origin, placed: &Placed) -> bool {
        let Some(member) = origin.by_hand() else { return true };
        let (price, now) = (self.price(placed), cx.now.wall);
        let used = self.by_hand(&member);
        // Not every commit is staged.
        if price <= SMALL || placed.spot.is_none() {
            return used.fits(BROUGHT_BY_HAND, price, now);
        }
        let may = used.fits(BROUGHT_BY_HAND, price.saturating_add(BROUGHT_BY_HAND.burst / 2), now);
        if may && used.take(BROUGHT_BY_HAND, price, now) {
            origin.paid = price;
        }
        may
    }

    /// What a member brought by hand was of use. In time some of it came back anyway; but what takes so much to open uses
    /// up its sender's counts, and nobody has many of that.
    pub(crate) fn give_back(&mut self, came: &Came) {
        if let Some(from) = came.by.filter(|_| came.paid > 0) {
            self.by_hand(&from).give_back(came.paid);
        }
    }

    /// What a member brought by hand could not be used.
    pub(crate) fn note_useless(&mut self, cx: &Cx<'_>, origin: &Origin, outcome: &Outcome) {
        let units = match outcome {
            Outcome::Refused(Refusal::NotAMember) => CONTROL,
            Outcome::Refused(refusal) if refusal.is_final() || *refusal == Refusal::OverBudget => return,
            Outcome::Duplicate | Outcome::Refused(_) => OPENED,
            Outcome::Applied(_) | Outcome::Parked(_) => return,
        };
        if let Some(member) = origin.by_hand() {
            // Beyond the allowance nothing more is looked at, so that there is little to be let off.
            self.by_hand(&member).take(BROUGHT_BY_HAND, units, cx.now.wall);
        }
    }

    /// What it took to see that an envelope is nobody's.
    fn price(&self, placed: &Placed) -> u64 {
        match &placed.spot {
            _ if placed.order.is_commit() => BAD_COMMIT,
            _ if placed.order == Order::CONTROL => CONTROL,
            Some(spot) => OPENED + u64::from(self.keys_before(spot) / SKIPPED_FOR_A_UNIT),
            None => OPENED,
        }
    }

    fn by_hand(&mut self, member: &MemberId) -> &mut Used {
        if self.roster().is_ok_and(|roster| roster.has(member)) {
            &mut self.record(*member).brought
        } else {
            &mut self.conduct.brought_by_outsiders
        }
    }

    /// What a member brought was nobody's. Gossip brings only what was opened before.
    pub(crate) fn charge_vain(&mut self, cx: &mut Cx<'_>, came: &Came, placed: &Placed) {
        let Some(from) = came.by else { return };
        let price = self.price(placed).saturating_sub(came.paid);
        if came.gossiped.is_none() {
            // What waited for its epoch may come to more than there is: once, for it is gone then.
            let now = cx.now.wall;
            self.by_hand(&from).take(BROUGHT_BY_HAND, price, now);
        } else if !self.charge(cx, &from, price) {
            self.mute(cx, from);
        }
    }

    /// Gossip brought a message that an author has indeed written. Too many of them are not taken from there for a while;
    /// whose they are answers only for those that it brings itself, for others may repeat at once what was said in an hour.
    pub(crate) fn note_said(&mut self, cx: &mut Cx<'_>, author: MemberId, by: Option<MemberId>) {
        if author == self.me.member() {
            return;
        }
        let (record, now) = (self.record(author), cx.now.wall);
        if by == Some(author) {
            if !record.own.take(SAID_BY_AUTHOR, 1, now) {
                self.mute(cx, author);
            }
        } else if !record.said.take(SAID_BY_AUTHOR, 1, now) {
            record.hushed = Some(now + MUTED);
        }
    }

    /// Whether one more ticket, vote or link of a member's is taken from gossip.
    pub(crate) fn may_sign(&mut self, cx: &Cx<'_>, signer: MemberId) -> bool {
        signer == self.me.member() || self.record(signer).said.take(SAID_BY_AUTHOR, 1, cx.now.wall)
    }

    /// The network cannot keep up with what a link brings.
    pub(crate) fn on_flooded(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        self.refuse_more(cx, id);
    }

    /// A member's links end, and none of them is full for a while.
    fn mute(&mut self, cx: &mut Cx<'_>, member: MemberId) {
        if !self.roster().is_ok_and(|roster| roster.has(&member)) {
            return;
        }
        tracing::warn!(code = "member_muted");
        self.record(member).muted = Some(cx.now.wall + MUTED);
        let of_it = self.links.iter().filter(|(_, link)| link.full && link.member == Some(member));
        let links: Vec<LinkId> = of_it.map(|(id, _)| *id).collect();
        for id in links {
            self.close(cx, id);
        }
    }

    /// Listens again to those whose time is over.
    pub(crate) fn unmute(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let mut heard = Vec::new();
        for (member, record) in &mut self.conduct.members {
            if record.muted.take_if(|until| *until <= cx.now.wall).is_some() {
                heard.push(*member);
            }
        }
        let back = |link: &Link| link.member.is_some_and(|member| heard.contains(&member));
        let links: Vec<LinkId> = self.links.iter().filter(|(_, link)| back(link)).map(|(id, _)| *id).collect();
        for id in links {
            self.weigh(cx, id)?;
        }
        Ok(())
    }
}
