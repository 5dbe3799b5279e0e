//! Which of the tickets that wait can be executed on a state, and together (PROTOCOL C1).

use std::collections::BTreeMap;

use super::judge::{Parent, open_ticket};
use crate::id::MemberId;
use crate::wire::control::{Operation, Ticket};
use crate::wire::signed::Signed;

/// A ticket that was opened, and as it was signed.
pub(crate) type Opened = (Ticket, Signed);

/// The tickets that are good on a state.
pub(crate) fn good<'a>(parent: Parent<'a>, waiting: impl Iterator<Item = &'a Signed>) -> impl Iterator<Item = Opened> {
    waiting.filter_map(move |signed| open_ticket(parent, signed).ok().map(|ticket| (ticket, signed.clone())))
}

/// Those of the good ones that one commit can carry out: for each person the one that goes furthest, with as many who ask
/// for it as that takes, and the latest rules.
pub(crate) fn executable(parent: Parent<'_>, good: impl Iterator<Item = Opened>) -> Vec<Opened> {
    let mut people: BTreeMap<MemberId, Vec<Opened>> = BTreeMap::new();
    let mut rules: Vec<Opened> = Vec::new();
    for opened in good {
        match opened.0.operation {
            Operation::Policy => rules.push(opened),
            _ => people.entry(opened.0.target).or_default().push(opened),
        }
    }
    // Of two equally new ones all must take the same, whoever executes it.
    rules.sort_by(|(a, one), (b, other)| (b.sequence, &one.body).cmp(&(a.sequence, &other.body)));
    rules.truncate(1);
    let about = people.into_iter().flat_map(|(member, tickets)| about_one(parent, &member, tickets));
    about.chain(rules).collect()
}

/// What to do about one person.
fn about_one(parent: Parent<'_>, member: &MemberId, tickets: Vec<Opened>) -> Vec<Opened> {
    let is_in = parent.roster.has(member);
    let leads = parent.extension.is_facilitator(member);
    let fits = |operation| match operation {
        Operation::Add => !is_in,
        Operation::Appoint => is_in && !leads,
        Operation::Dismiss => is_in && leads,
        Operation::Leave | Operation::Remove | Operation::Swap => is_in,
        Operation::Policy => false,
    };
    // Whoever goes needs no other leaf, nor another role.
    [Operation::Leave, Operation::Remove, Operation::Swap, Operation::Dismiss, Operation::Appoint, Operation::Add]
        .into_iter()
        .filter(|operation| fits(*operation))
        .find_map(|operation| agreed(parent, tickets.iter().filter(|(ticket, _)| ticket.operation == operation)))
        .unwrap_or_default()
}

/// As many of these as it takes, each of another person, if there are so many (PROTOCOL V7).
fn agreed<'a>(parent: Parent<'_>, tickets: impl Iterator<Item = &'a Opened>) -> Option<Vec<Opened>> {
    let by_issuer: BTreeMap<MemberId, &Opened> = tickets.map(|opened| (opened.0.issuer.member(), opened)).collect();
    // Whoever goes by its own wish needs nobody else.
    let own = by_issuer.values().find(|(ticket, _)| !parent.extension.takes_two(ticket));
    if let Some(own) = own {
        return Some(vec![(*own).clone()]);
    }
    let two: Vec<Opened> = by_issuer.into_values().take(2).cloned().collect();
    (two.len() == 2).then_some(two)
}
