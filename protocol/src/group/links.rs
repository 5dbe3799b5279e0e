//! The links of a group: who is at the other end, what it has proved, and what may flow (PROTOCOL M2).

use std::collections::BTreeSet;
use std::time::Duration;

use super::commits::{Commits, Made};
use super::cx::Cx;
use super::link::Link;
use super::{Group, sync};
use crate::error::{Error, Refusal};
use crate::id::{EpochId, InviteId, LinkId, MemberId};
use crate::limits::{ADDRESS_BYTES_MAX, LINKS_MAX};
use crate::meet::hello::{Admission, Candidate};
use crate::meet::talk::{Heard, Talk};
use crate::step::{Address, Ends, Event, Outcome, Reply, Transmit};
use crate::time::Time;
use crate::wire::message::{Message, OWN_ADDRESSES_MAX};

/// By when a peer must have proved something.
const HELLO_MAX: Duration = Duration::from_secs(20);
/// How long an invite's holder may stay: the time of a join on a slow line.
pub(crate) const INVITED_MAX: Duration = Duration::from_secs(60);
/// How long a removed member's link lives on, so that it learns of its removal.
pub(crate) const REMOVED_MAX: Duration = Duration::from_secs(5);
/// Links of one member at a time: both ends may have dialled at once. With more, one could take all that there are.
const LINKS_OF_MEMBER: usize = 2;
/// Links of whoever is no member, and as many of each invite's holders: they can have any number of names.
const LINKS_OF_OTHERS: usize = 16;
/// Links of all invites together.
const LINKS_OF_INVITED: usize = 64;
/// A link that lasted so long is dialled anew at once; whoever hangs up sooner waits its time.
const LASTED: Duration = Duration::from_secs(10);

/// Whose a link is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Member(MemberId),
    /// Who was one, or says so.
    Other,
    Invited(InviteId),
}

impl Group {
    /// A link is up.
    pub(crate) fn on_connected(&mut self, cx: &mut Cx<'_>, link: LinkId, ends: Ends, address: Option<Address>) {
        if self.links.len() >= LINKS_MAX || !self.talks() {
            cx.transmit(Transmit::Disconnect { link });
            return;
        }
        let (talk, frame) = Talk::begin(ends, cx.rng);
        self.links.insert(link, Link::new(talk, address, cx.now.wall + HELLO_MAX));
        cx.frame(link, frame);
    }

    /// A link is down.
    pub(crate) fn on_disconnected(&mut self, cx: &mut Cx<'_>, link: LinkId) {
        if let Some(member) = self.member_at(link) {
            self.note_met(cx, member);
        }
        self.drop_link(cx, link);
    }

    fn drop_link(&mut self, cx: &mut Cx<'_>, link: LinkId) {
        let Some(gone) = self.links.remove(&link) else { return };
        self.delivery.lost(link, cx.now.wall);
        let Some(member) = gone.member.filter(|_| gone.told) else { return };
        if !self.links.values().any(|link| link.told && link.member == Some(member)) {
            if gone.full_since + LASTED <= cx.now.wall {
                self.reach.retry(cx.now.wall, Some(member));
            }
            cx.tell(Event::Connected { group: self.id, member, up: false });
        } else if let Some(other) = self.link_to(&member) {
            // What was on its way is looked for there.
            self.ask_to_compare(cx, other);
        }
    }

    /// The network listens.
    pub(crate) fn on_listening(&mut self, cx: &mut Cx<'_>, port: u16, addresses: Vec<Address>) -> Result<(), Error> {
        let fits = |address: &Address| address.0.len() <= ADDRESS_BYTES_MAX;
        self.listening = addresses.into_iter().filter(fits).take(OWN_ADDRESSES_MAX).collect();
        if self.facts.port != Some(port) {
            self.facts.port = Some(port);
            self.write_facts(cx);
        }
        for link in self.full_links() {
            self.say_addresses(cx, link)?;
        }
        self.reach.retry(cx.now.wall, None);
        self.dial(cx);
        Ok(())
    }

    /// A frame came.
    pub(crate) fn on_frame(&mut self, cx: &mut Cx<'_>, id: LinkId, bytes: &[u8]) -> Result<Outcome, Error> {
        let Some(mut link) = self.links.remove(&id) else { return Ok(Outcome::Refused(Refusal::UnknownLink)) };
        let heard = link.talk.hear(bytes, || self.candidates(), cx.rng);
        self.links.insert(id, link);
        let heard = match heard {
            Ok(Heard::Answer(frame)) => {
                cx.frame(id, frame);
                Ok(())
            }
            Ok(Heard::Sealed(admission)) => self.on_sealed(cx, id, admission),
            Ok(Heard::Message(message)) => return self.on_message(cx, id, *message),
            Err(refusal) => {
                self.close(cx, id);
                return Ok(Outcome::Refused(refusal));
            }
        };
        heard.map(|()| Outcome::Applied(Reply::Done))
    }

    /// Ends a link from our side.
    pub(crate) fn close(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        cx.transmit(Transmit::Disconnect { link: id });
        self.on_disconnected(cx, id);
    }

    /// Ends all links from our side, since when nobody knows; whoever is there greets anew.
    pub(crate) fn close_all(&mut self, cx: &mut Cx<'_>) {
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            cx.transmit(Transmit::Disconnect { link: id });
            self.drop_link(cx, id);
        }
    }

    /// Somebody is there on one link more. Of a member's links the oldest goes, for it has left that or has no use for it;
    /// of those of others the oldest of all.
    pub(crate) fn make_room(&mut self, cx: &mut Cx<'_>, new: LinkId) {
        let roster = self.roster().cloned().unwrap_or_default();
        let holder = |link: &Link| match (link.admission, link.member) {
            (Some(Admission::Invite(invite)), _) => Some(Holder::Invited(invite)),
            (_, Some(member)) if roster.has(&member) => Some(Holder::Member(member)),
            (_, Some(_)) => Some(Holder::Other),
            _ => None,
        };
        let Some(whose) = self.links.get(&new).and_then(holder) else { return };
        let of = self.links.iter().filter(|(_, link)| holder(link) == Some(whose)).map(|(id, _)| *id);
        let of: Vec<LinkId> = of.collect();
        let most = if matches!(whose, Holder::Member(_)) { LINKS_OF_MEMBER } else { LINKS_OF_OTHERS };
        let invited = self.links.iter().filter(|(_, link)| link.is_invited()).map(|(id, _)| *id);
        let invited: Vec<LinkId> = invited.collect();
        for id in of.iter().rev().skip(most).chain(invited.iter().rev().skip(LINKS_OF_INVITED)) {
            self.close(cx, *id);
        }
    }

    fn candidates(&self) -> Vec<Candidate> {
        // That of the head above all, whatever else was handed to us.
        let generations = self.newest().into_iter().chain(self.generations.values().rev());
        let generations = generations.map(|generation| Candidate {
            admission: Admission::Member(generation.rank()),
            key: generation.hello_key(),
        });
        let invites = self.invites.keys().map(|(id, key)| Candidate { admission: Admission::Invite(id), key });
        generations.take(crate::meet::GENERATIONS_MAX).chain(invites).collect()
    }

    /// Says something on a link, if it is still there.
    pub(crate) fn say(&mut self, cx: &mut Cx<'_>, id: LinkId, message: &Message) {
        if let Some(frame) = self.links.get_mut(&id).and_then(|link| link.talk.say(message)) {
            cx.frame(id, frame);
        }
    }

    fn on_message(&mut self, cx: &mut Cx<'_>, id: LinkId, message: Message) -> Result<Outcome, Error> {
        if !self.may_ask(cx, id, &message) {
            return Ok(self.refuse_more(cx, id));
        }
        let link = self.links.get(&id).ok_or(Error::Broken)?;
        let invited = link.is_invited();
        let greeted = link.member.is_some();
        let done = match message {
            Message::Greeting(greeting) if invited && greeting.member.is_none() => Ok(()),
            Message::JoinRequest(request) if invited => return self.on_join_request(cx, id, &request),
            Message::Greeting(greeting) if !invited && !greeted => return self.on_greeting(cx, id, &greeting),
            Message::Prove(proof) if greeted => self.on_proof(cx, id, proof),
            Message::Welcome(bundle) if greeted => return self.on_welcome(cx, id, *bundle),
            Message::Line(commits) if greeted => self.on_line(cx, id, commits),
            Message::After(epoch) if greeted => self.on_after(cx, id, &epoch),
            Message::Push(push) if greeted => return self.on_push(cx, id, push),
            Message::Have(ids) if greeted => self.note_held(cx, id, &ids),
            Message::Got(ids) if greeted => self.on_got(cx, id, &ids),
            Message::Reconcile(round) if link.full => return self.on_round(cx, id, &round),
            Message::Want(want) if link.full => self.on_want(cx, id, &want),
            Message::Addresses(reach) if link.full => {
                self.on_addresses(cx, id, &reach);
                Ok(())
            }
            Message::Compare if link.full => {
                self.on_compare(cx, id);
                Ok(())
            }
            Message::Head(head) if greeted => self.on_head(cx, id, head),
            Message::Controls(controls) if greeted => self.on_controls(cx, controls),
            Message::Enough if link.full => {
                self.on_enough(cx, id);
                Ok(())
            }
            Message::Missing(span) if link.full => self.on_missing(cx, id, span),
            Message::Absent(span) if link.full => self.on_absent(cx, span),
            Message::Cannot(ids) if link.full => self.on_cannot(cx, id, &ids),
            Message::Handed(handed) if link.full => self.on_handed(cx, id, handed),
            // A peer for whom the link is full may not know yet that it is not for us.
            Message::Reconcile(_)
            | Message::Want(_)
            | Message::Addresses(_)
            | Message::Compare
            | Message::Enough
            | Message::Missing(_)
            | Message::Absent(_)
            | Message::Cannot(_)
            | Message::Handed(_)
                if greeted =>
            {
                Ok(())
            }
            _ => {
                self.close(cx, id);
                return Ok(Outcome::Refused(Refusal::OutOfTurn));
            }
        };
        done.map(|()| Outcome::Applied(Reply::Done))
    }

    /// Everything may flow.
    pub(crate) fn become_full(&mut self, cx: &mut Cx<'_>, id: LinkId) -> Result<(), Error> {
        let told: BTreeSet<_> = self.links.values().filter(|link| link.told).filter_map(|link| link.member).collect();
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        if link.full {
            return Ok(());
        }
        link.full = true;
        link.catch_up = false;
        link.told = true;
        link.full_since = cx.now.wall;
        let opener = link.talk.is_opener();
        let member = link.member;
        cx.transmit(Transmit::Admit { link: id });
        self.say_addresses(cx, id)?;
        if opener {
            self.open_session(cx, id)?;
        } else {
            // Whoever opens a comparison sees its end, and says so then.
            self.say_blind_soon(cx);
        }
        // Who opened the link learns from the comparison what the other holds; its author learns from the answer.
        for (_, envelope) in
            self.outbox.iter().filter(|(_, entry)| !entry.is_held()).filter_map(|(_, entry)| entry.sealed())
        {
            self.spread.begin(envelope, cx.now.wall);
        }
        if let Some(member) = member.filter(|member| !told.contains(member)) {
            cx.tell(Event::Connected { group: self.id, member, up: true });
        }
        self.wanted = true;
        self.seal_intents(cx)
    }

    /// Gossip and sync on a link end; the face is told if its member is out.
    pub(crate) fn withhold(&mut self, cx: &mut Cx<'_>, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.withhold(cx.now.wall);
        let Some(member) = link.member else { return };
        if !self.roster().is_ok_and(|roster| roster.has(&member)) {
            if let Some(link) = self.links.get_mut(&id) {
                link.told = false;
            }
            cx.transmit(Transmit::Withhold { link: id });
            cx.tell(Event::Connected { group: self.id, member, up: false });
        }
    }

    /// Members at the other end of full links.
    pub(crate) fn linked(&self) -> BTreeSet<MemberId> {
        self.links.values().filter(|link| link.full).filter_map(|link| link.member).collect()
    }

    /// The full links.
    pub(crate) fn full_links(&self) -> BTreeSet<LinkId> {
        self.links.iter().filter(|(_, link)| link.full).map(|(id, _)| *id).collect()
    }

    /// The member at the other end of a link.
    pub(crate) fn member_at(&self, id: LinkId) -> Option<MemberId> {
        self.links.get(&id)?.member
    }

    /// The link to a member, if one is full.
    pub(crate) fn link_to(&self, member: &MemberId) -> Option<LinkId> {
        self.links.iter().find(|(_, link)| link.full && link.member == Some(*member)).map(|(id, _)| *id)
    }

    /// Says what is held, opens sessions that are due, closes what has had its time.
    pub(crate) fn tend_links(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            let now = cx.now.wall;
            let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
            let Some(link) = self.links.get(&id) else { continue };
            let (have, sync, close) = (due(link.have_due), link.full && due(link.sync_due), due(link.closes));
            let (caught_up, forget) = (due(link.catches_up), due(link.session_ends));
            if have {
                self.flush_haves(cx, id);
            }
            if forget && let Some(link) = self.links.get_mut(&id) {
                link.end_session();
                if std::mem::take(&mut link.comparing) {
                    // The peer did not hear of it: the link was not full there.
                    link.sync_due = link.sync_due.map(|due| due.min(now + sync::COMPARE_AFTER));
                }
            }
            if sync {
                self.open_session(cx, id)?;
            }
            if caught_up {
                self.give_up_on(cx, id)?;
            }
            if close {
                self.close(cx, id);
            }
        }
        self.close_spare(cx);
        Ok(())
    }

    /// When [`Self::tend_links`] has something to do.
    pub(crate) fn links_deadline(&self) -> Option<Time> {
        self.links.values().filter_map(Link::deadline).min()
    }

    /// Sends the commits that a peer behind us lacks. One who is out sees them up to its removal and no further.
    pub(crate) fn on_after(&mut self, cx: &mut Cx<'_>, id: LinkId, epoch: &EpochId) -> Result<(), Error> {
        if *epoch == self.facts.head {
            // It knows where we stand, and cannot come there by what it has.
            return self.say_line(cx, id);
        }
        let member = self.member_at(id);
        let out = |epoch: &super::Epoch| member.is_some_and(|member| !epoch.roster.has(&member));
        // Whoever is out is told so by the commit that did it, and follows no further.
        if self.epochs.get(epoch).is_some_and(out) {
            return Ok(());
        }
        let mut envelopes = sync::Bundle::default();
        let (steps, rival) = self.steps_after(epoch);
        // Of what was before our time we cannot tell who was out; whoever was cannot open more for it. It may be in again.
        for made in steps.iter().filter(|made| !self.epochs.get(&made.step.0).is_some_and(out)) {
            let Some(row) = Commits::row(cx, self.net, made)? else { break };
            if row.envelope.0.is_empty() || !envelopes.add(row.envelope.0) {
                break;
            }
        }
        if !envelopes.is_empty() {
            self.say(cx, id, &envelopes.into_push(false));
        }
        // Its branch may be the better one, though it be shorter.
        if rival {
            self.say_line(cx, id)?;
            self.ask_for_branch(cx, id);
        }
        Ok(())
    }

    /// The commits by which a peer comes from its state to our head: from where its line meets ours, as far as that is
    /// known here; from the first that can still have others after it, if it is on a branch that is not known here at all.
    fn steps_after(&self, epoch: &EpochId) -> (Vec<Made>, bool) {
        let mut steps = self.commits.back_from(self.facts.head);
        steps.reverse();
        let on_line = |at: &EpochId| steps.iter().position(|made| made.step.0 == *at);
        let met = self.epochs.back(*epoch).find_map(|at| on_line(&at));
        let rival = met.is_none() && self.epochs.get(epoch).is_none();
        let from = met.or_else(|| on_line(&self.root()).filter(|_| rival));
        (from.map_or(Vec::new(), |from| steps.split_off(from)), rival)
    }
}
