//! How a group stands inside, for whoever looks for the reason why two devices do not agree. Names and numbers, no content.

use super::Group;
use crate::clock::Now;
use crate::error::Error;
use crate::id::EpochId;
use crate::policy::pending;
use crate::view::{DoctorView, PeerView, StateView, TicketView, Wish};
use crate::wire::control::Operation;

impl Group {
    /// The states, what waits, where the others are.
    pub(crate) fn examine(&self, now: Now) -> Result<DoctorView, Error> {
        let (head, shape) = (self.head()?, self.shape());
        let line = |epoch: &EpochId| self.is_on_line(epoch);
        let mut states: Vec<StateView> = self
            .epochs
            .iter()
            .map(|(id, epoch)| StateView {
                state: *id,
                number: epoch.number,
                parent: epoch.parent,
                people: epoch.roster.len(),
                on_line: line(id),
                open: epoch.is_young(),
                readable: epoch.keys.is_some(),
                ways: self.commits.on(id).count(),
                votes: shape.voters_from(*id).len(),
            })
            .collect();
        states.sort_by_key(|state| (state.number, state.state));
        let peers = self.links.values().filter_map(|link| {
            let head = link.head?;
            Some(PeerView { member: link.member?, state: head.epoch, number: head.number, full: link.full })
        });
        let tickets = pending::good(self.parent(&self.facts.head)?, self.controls.tickets());
        let tickets = tickets.map(|(ticket, _)| TicketView {
            wish: wish(ticket.operation),
            by: ticket.issuer.member(),
            member: ticket.target,
            takes_two: head.extension.takes_two(&ticket),
        });
        Ok(DoctorView {
            head: self.facts.head,
            number: head.number,
            voted: self.controls.vote_of(&self.me.member()).map(|(epoch, _)| epoch),
            votes: self.votes().into_iter().collect(),
            beyond: self.stray.map(|stray| stray.beyond),
            states,
            peers: peers.collect(),
            tickets: tickets.collect(),
            waiting: self.log.waiting.len(),
            gaps: self.gaps.len(),
            next: self.deadline(now),
        })
    }
}

const fn wish(operation: Operation) -> Wish {
    match operation {
        Operation::Add => Wish::Add,
        Operation::Appoint => Wish::Appoint,
        Operation::Dismiss => Wish::Dismiss,
        Operation::Leave => Wish::Leave,
        Operation::Policy => Wish::Rules,
        Operation::Remove => Wish::Remove,
        Operation::Swap => Wish::Return,
    }
}
