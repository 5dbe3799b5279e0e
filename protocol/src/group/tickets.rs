//! What people want of the group: signed tickets, executed at once where this device may, and else when its turn comes
//! (PROTOCOL O3, C1, C2).

use std::collections::BTreeMap;
use std::time::Duration;

use super::cx::Cx;
use super::link::Link;
use super::ordering::turn;
use super::{Group, StandingRow};
use crate::clock::Now;
use crate::error::Error;
use crate::id::MemberId;
use crate::limits::{CONTROL_KEPT, READER_KEPT};
use crate::policy::judge;
use crate::policy::pending::{self, Opened};
use crate::step::Reply;
use crate::time::Time;
use crate::view::ProposalView;
use crate::wire::control::{Control, Operation, Policy, Ticket};
use crate::wire::message::Told;
use crate::wire::signed::Signed;

/// How long each of those waits who may execute what somebody else wants, after the one before (PROTOCOL C2).
const TURN: Duration = Duration::from_secs(2);

/// How often a member's device is let in anew: each time is a change for everybody.
const RETURN_EVERY: Duration = Duration::from_secs(600);
/// How old, or ahead, a wish to be let in anew may be: what it names dies a day later where it is kept.
const SWAP_KEPT: Duration = Duration::from_secs(48 * 3_600);

impl Group {
    /// A ticket of this person about somebody.
    pub(super) fn ticket(&self, operation: Operation, target: MemberId) -> Result<Ticket, Error> {
        let head = self.head()?;
        // What waits already must not take the place of what is wanted now.
        let spent = head.extension.spent(operation, &target);
        let spent = spent.max(self.controls.highest(operation, &target, spent));
        Ok(Ticket {
            group: self.id,
            operation,
            target,
            sequence: spent.saturating_add(1),
            epoch: self.facts.head,
            number: head.number,
            issuer: self.me.key(),
            key_package: None,
            policy: None,
        })
    }

    /// Whether this person may change the group.
    pub(super) fn require_facilitator(&self) -> Result<(), Error> {
        let may = self.extension()?.is_facilitator(&self.me.member());
        if may { Ok(()) } else { Err(Error::NotFacilitator) }
    }

    fn require_change(&self, member: &MemberId) -> Result<(), Error> {
        self.require_active()?;
        self.require_facilitator()?;
        if self.roster()?.has(member) { Ok(()) } else { Err(Error::UnknownMember) }
    }

    /// Takes a member out, or asks for it where one more facilitator must agree.
    pub(crate) fn remove(&mut self, cx: &mut Cx<'_>, member: MemberId) -> Result<Reply, Error> {
        if member == self.me.member() {
            self.require_active()?;
            self.require_facilitator()?;
            return Err(Error::RemoveSelf);
        }
        self.require_change(&member)?;
        self.wish(cx, &self.ticket(Operation::Remove, member)?)
    }

    /// Lets a member change the group, or no longer; or asks for it where one more facilitator must agree.
    pub(crate) fn set_facilitator(&mut self, cx: &mut Cx<'_>, member: MemberId, may: bool) -> Result<Reply, Error> {
        self.require_change(&member)?;
        if self.extension()?.is_facilitator(&member) == may {
            return Ok(Reply::Done);
        }
        if !may && !self.extension()?.has_several() {
            return Err(Error::LastFacilitator);
        }
        let operation = if may { Operation::Appoint } else { Operation::Dismiss };
        self.wish(cx, &self.ticket(operation, member)?)
    }

    /// Sets how long messages live.
    pub(crate) fn set_retention(&mut self, cx: &mut Cx<'_>, retention: Duration) -> Result<Reply, Error> {
        self.require_active()?;
        self.require_facilitator()?;
        let mut ticket = self.ticket(Operation::Policy, self.me.member())?;
        let policy = Policy { retention: retention.as_secs(), ..self.extension()?.policy.clone() };
        policy.check().map_err(|_| Error::BadLifetime)?;
        if policy == self.extension()?.policy {
            return Ok(Reply::Done);
        }
        ticket.policy = Some(policy);
        self.wish(cx, &ticket)
    }

    /// Leaves, or forgets what cannot be left any more. `true` when the group is gone from this device.
    pub(crate) fn leave(&mut self, cx: &mut Cx<'_>) -> Result<bool, Error> {
        let alone = self.roster().is_ok_and(|roster| roster.len() == 1);
        if self.facts.standing != StandingRow::Active || alone {
            self.wipe(cx)?;
            return Ok(true);
        }
        if self.require_facilitator().is_ok() && !self.extension()?.has_several() {
            return Err(Error::LastFacilitator);
        }
        let ticket = self.ticket(Operation::Leave, self.me.member())?;
        let control = Control::Ticket(self.me.sign(self.id, &ticket));
        self.send_control(cx, &control)?;
        let until = cx.now.later() + CONTROL_KEPT;
        self.controls.keep(cx, self.net, Told { control, until });
        self.set_standing(cx, StandingRow::Leaving);
        Ok(false)
    }

    /// Carries out what this person wants. What takes one more facilitator is told to all, and waits for that one.
    fn wish(&mut self, cx: &mut Cx<'_>, ticket: &Ticket) -> Result<Reply, Error> {
        let signed = self.me.sign(self.id, ticket);
        let takes_two = self.extension()?.takes_two(ticket);
        self.execute_with(cx, ticket, signed.clone())?;
        if !takes_two && !self.is_met(ticket)? && self.roster()?.has(&ticket.target) {
            // Something else that waited about this person came first.
            self.execute_all(cx, vec![signed.clone()])?;
        }
        if self.is_met(ticket)? {
            return Ok(Reply::Done);
        }
        if !takes_two {
            return Err(if self.roster()?.has(&ticket.target) { Error::Broken } else { Error::UnknownMember });
        }
        self.send_control(cx, &Control::Ticket(signed))?;
        Ok(Reply::Proposed)
    }

    /// Whether a ticket was carried out, or whom it takes out is out.
    fn is_met(&self, ticket: &Ticket) -> Result<bool, Error> {
        let out = ticket.operation.removes() && !self.roster()?.has(&ticket.target);
        Ok(out || self.extension()?.spent(ticket.operation, &ticket.target) >= ticket.sequence)
    }

    /// Executes an own ticket with all that waits. Others may make a commit as well, and theirs may stand before this one: the
    /// ticket is kept until it is effective.
    pub(super) fn execute_with(&mut self, cx: &mut Cx<'_>, ticket: &Ticket, signed: Signed) -> Result<(), Error> {
        let kept = if ticket.operation == Operation::Add { READER_KEPT } else { CONTROL_KEPT };
        let (until, own) = (cx.now.later() + kept, signed.clone());
        self.controls.keep(cx, self.net, Told { control: Control::Ticket(signed), until });
        let mut waiting: Vec<Signed> = self.executable(cx.now)?.into_iter().map(|(_, signed)| signed).collect();
        if waiting.is_empty() && !self.extension()?.takes_two(ticket) {
            // There was no room to keep it.
            waiting.push(own);
        }
        if waiting.is_empty() { Ok(()) } else { self.execute_all(cx, waiting) }
    }

    /// The tickets that could be executed now, together. Only those who hold a newcomer's request let it in.
    fn executable(&self, now: Now) -> Result<Vec<Opened>, Error> {
        let (parent, me) = (self.parent(&self.facts.head)?, self.me.key());
        let good = pending::good(parent, self.controls.tickets());
        let can = |(ticket, _): &Opened| match ticket.operation {
            // Who has gone on a branch that was left does not come back by what let it in there.
            Operation::Add => ticket.issuer == me && !self.controls.has_gone(&ticket.target, ticket.sequence),
            // Only where that leads to where it wants to be.
            Operation::Swap => ticket.issuer != me && self.may_return(ticket, now),
            _ => true,
        };
        let may = |(ticket, _): &Opened| judge::may_commit(parent, &me.member(), ticket);
        Ok(pending::executable(parent, good.filter(may).filter(can)))
    }

    /// Whether somebody could be taken out now.
    pub(super) fn is_somebody_to_go(&self, now: Now) -> Result<bool, Error> {
        Ok(self.executable(now)?.iter().any(|(ticket, _)| ticket.operation.removes()))
    }

    /// Whether a device is let in anew that asks for it: not one that is here, nor one that was just now, nor one that asked
    /// long ago.
    fn may_return(&self, ticket: &Ticket, now: Now) -> bool {
        let member = ticket.target;
        let asked = Time::ZERO + Duration::from_millis(ticket.sequence);
        let timely = asked.since(now.stamp).max(now.stamp.since(asked)) <= SWAP_KEPT;
        if !timely {
            return false;
        }
        let here = |link: &Link| {
            link.member == Some(member) && link.head.is_some_and(|theirs| theirs.epoch == self.facts.head)
        };
        let soon = self.returned.get(&member).is_some_and(|at| *at + RETURN_EVERY > now.wall);
        self.is_on_line(&ticket.epoch) && !soon && !self.links.values().any(here)
    }

    /// Together if that can be; otherwise what is about one person must not hold up what is about others.
    fn execute_all(&mut self, cx: &mut Cx<'_>, tickets: Vec<Signed>) -> Result<(), Error> {
        if self.execute(cx, tickets.clone())? {
            return Ok(());
        }
        let mut about: BTreeMap<MemberId, Vec<Signed>> = BTreeMap::new();
        for signed in tickets {
            let ticket: Ticket = signed.open(self.id).map_err(|_| Error::Broken)?;
            about.entry(ticket.target).or_default().push(signed);
        }
        for tickets in about.into_values() {
            // Somebody may be out by now, or this person.
            let parent = self.parent(&self.facts.head)?;
            let left = pending::executable(parent, pending::good(parent, tickets.iter()));
            if self.require_active().is_ok() && !left.is_empty() {
                self.execute(cx, left.into_iter().map(|(_, signed)| signed).collect())?;
            }
        }
        Ok(())
    }

    /// Executes what waits, if this device may: at once what its own person wants, and else when
    /// its turn has come.
    pub(crate) fn tend_tickets(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let due = self.commit_due.take();
        self.renew_tickets(cx)?;
        if self.require_active().is_err() {
            return Ok(());
        }
        let tickets = self.executable(cx.now)?;
        if tickets.is_empty() && !self.has_removal_ahead()? && !self.is_update_due(cx.now) {
            return Ok(());
        }
        let own = tickets.iter().any(|(ticket, _)| ticket.issuer == self.me.key());
        let turn = due.is_some_and(|due| due <= cx.now.wall);
        if own || turn {
            let head = self.facts.head;
            self.execute_all(cx, tickets.into_iter().map(|(_, signed)| signed).collect())?;
            if self.facts.head != head {
                return Ok(());
            }
            self.update_alone(cx)?;
            return if self.facts.head == head { self.seal_intents(cx) } else { Ok(()) };
        }
        // Alone it would only make a branch (PROTOCOL C1); whoever wants to come back is there.
        let back = tickets.iter().any(|(ticket, _)| ticket.operation == Operation::Swap);
        if back || !self.linked().is_empty() {
            let turn = if self.has_said_much() { cx.now.wall } else { self.own_turn(cx.now.wall, &tickets)? };
            self.commit_due = due.or(Some(turn));
        }
        Ok(())
    }

    /// Whether somebody is to go by a ticket of a longer branch, which was left: what brings the number there is worth a
    /// commit (PROTOCOL V5). Whoever says that a state has a number must be right.
    fn has_removal_ahead(&self) -> Result<bool, Error> {
        let head = self.head()?;
        let removals = self.controls.tickets().filter_map(|signed| signed.open::<Ticket>(self.id).ok());
        let mut ahead = removals.filter(|ticket| ticket.operation.removes() && ticket.number > head.number);
        Ok(ahead.any(|ticket| {
            let (issuer, target) = (ticket.issuer.member(), ticket.target);
            let may = issuer == target || head.extension.is_facilitator(&issuer);
            let spent = head.extension.spent(ticket.operation, &target) >= ticket.sequence;
            let known = self.epochs.get(&ticket.epoch).is_some_and(|epoch| epoch.number == ticket.number);
            may && known && !spent && head.roster.has(&target) && target != self.me.member()
        }))
    }

    /// Signs anew what this person wants and signed on a longer branch, which was left: no ticket is good before its time
    /// (PROTOCOL V5).
    fn renew_tickets(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let (me, number) = (self.me.key(), self.head()?.number);
        let own = self.controls.tickets().filter_map(|signed| signed.open::<Ticket>(self.id).ok());
        let ahead = own.filter(|ticket| ticket.issuer == me && ticket.number > number);
        let ahead: Vec<Ticket> = ahead.filter(|ticket| ticket.operation != Operation::Swap).collect();
        for old in ahead {
            let extension = self.extension()?;
            if old.sequence <= extension.spent(old.operation, &old.target) {
                continue;
            }
            let told = old.operation == Operation::Leave || extension.takes_two(&old);
            let kept = if old.operation == Operation::Add { READER_KEPT } else { CONTROL_KEPT };
            // It is the same wish: who was taken out since does not come back by it.
            let ticket = Ticket { epoch: self.facts.head, number, ..old };
            let control = Control::Ticket(self.me.sign(self.id, &ticket));
            if told {
                self.send_control(cx, &control)?;
            }
            self.controls.keep(cx, self.net, Told { control, until: cx.now.later() + kept });
        }
        Ok(())
    }

    /// When it is this device's turn among those who are there. Whoever wants to go, or is to, carries nothing out.
    fn own_turn(&self, now: Time, tickets: &[Opened]) -> Result<Time, Error> {
        let (head, me) = (self.head()?, self.me.member());
        let turn = |member: &MemberId| turn(&self.id, head.number, member);
        let goes = |member: &MemberId| tickets.iter().any(|(t, _)| t.target == *member && t.operation.removes());
        let there = self.linked().into_iter().filter(|member| head.roster.has(member) && !goes(member));
        let before = there.filter(|member| turn(member) < turn(&me)).count();
        Ok(now + TURN.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)))
    }

    /// What facilitators want and one more must agree to.
    pub(super) fn proposals(&self) -> Vec<ProposalView> {
        let Ok(parent) = self.parent(&self.facts.head) else { return Vec::new() };
        let good = pending::good(parent, self.controls.tickets());
        let wanted = good.filter(|(ticket, _)| parent.roster.has(&ticket.target) && parent.extension.takes_two(ticket));
        let view = |(ticket, _): Opened| ProposalView {
            by: ticket.issuer.member(),
            member: ticket.target,
            removal: ticket.operation == Operation::Remove,
        };
        wanted.map(view).collect()
    }
}
