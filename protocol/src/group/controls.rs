//! Tickets and votes that this device keeps, long after the envelopes that brought them have ended, and tells in every
//! hello (PROTOCOL O5, M2, M6).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Group;
use super::cx::Cx;
use crate::error::Error;
use crate::id::{EpochId, LinkId, MemberId, NetId};
use crate::journal;
use crate::limits::{CONTROL_KEPT, MEMBERS_MAX, PUSH_BYTES_MAX};
use crate::persist::{Key, Table};
use crate::policy::judge::{self, SEQUENCE_STEP_MAX};
use crate::time::Time;
use crate::wire::control::{Control, Operation, Ticket, Vote};
use crate::wire::message::{CONTROLS_MAX, Message, Told};
use crate::wire::signed::{Body as _, Signed};

/// Tickets of one member that are kept.
const TICKETS_OF_ISSUER: usize = 64;

/// What one of them is about: a newer one takes the place of an older.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    /// By operation, target and issuer.
    Ticket(Operation, MemberId, MemberId),
    /// By voter.
    Vote(MemberId),
}

/// The highest sequence or counter is the newest; of one sequence the ticket that is good from the lowest number on, then
/// the smallest hash (PROTOCOL O4).
type Rank = (u64, Reverse<(u64, [u8; 32])>);

struct Kept {
    control: Control,
    /// The state that a vote is for.
    voted: Option<EpochId>,
    rank: Rank,
    until: Time,
}

/// The tickets and votes of one group.
#[derive(Default)]
pub(crate) struct Controls {
    kept: BTreeMap<About, Kept>,
}

impl Controls {
    /// Takes a row met while opening.
    pub(crate) fn restore(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Told { control, until } = journal::parse(bytes)?;
        let (about, rank, voted) = place(&control).ok_or(Error::Broken)?;
        self.kept.insert(about, Kept { control, voted, rank, until });
        Ok(())
    }

    /// Keeps a checked ticket or vote, unless one that is as new is here. Whether it was news.
    pub(crate) fn keep(&mut self, cx: &mut Cx<'_>, net: NetId, Told { control, until }: Told) -> bool {
        let Some((about, rank, voted)) = place(&control) else { return false };
        let until = until.min(cx.now.sweep + CONTROL_KEPT);
        // Only members vote, so that votes have room whatever else is here.
        let votes = matches!(about, About::Vote(_));
        let room = votes || self.kept.contains_key(&about) || self.kept.len() < CONTROLS_MAX;
        let before = self.kept.get(&about);
        let news = before.is_none_or(|before| before.rank < rank);
        // Whoever brings it first does not make it end sooner.
        let longer = before.is_some_and(|before| before.control == control && before.until < until);
        if !room || !(news || longer) || until <= cx.now.sweep {
            return false;
        }
        let row = Told { control, until };
        cx.tx.write(row_key(net, &about), &row, Some(until));
        self.kept.insert(about, Kept { control: row.control, voted, rank, until });
        news
    }

    /// Whether a ticket is kept beside those of its issuer that still want something: nobody fills the room of the others.
    fn has_room_for(&self, ticket: &Ticket, wanted: impl Fn(&Signed) -> bool) -> bool {
        let issuer = ticket.issuer.member();
        if self.kept.contains_key(&About::Ticket(ticket.operation, ticket.target, issuer)) {
            return true;
        }
        let of_it = self.kept.iter().filter(|(about, kept)| match (about, &kept.control) {
            (About::Ticket(_, _, by), Control::Ticket(signed)) => *by == issuer && wanted(signed),
            _ => false,
        });
        of_it.count() < TICKETS_OF_ISSUER
    }

    /// The highest sequence of those that an operation on somebody must come after.
    pub(crate) fn highest(&self, operation: Operation, target: &MemberId, spent: u64) -> u64 {
        let of_it = self.kept.iter().filter(|(about, _)| match about {
            About::Ticket(other, about, _) => {
                operation.follows(*other) && (about == target || operation == Operation::Policy)
            }
            About::Vote(_) => false,
        });
        let number = |kept: &Kept| kept.rank.0.min(spent.saturating_add(SEQUENCE_STEP_MAX / 2));
        of_it.map(|(_, kept)| number(kept)).max().unwrap_or(spent)
    }

    /// Whether somebody wanted a member to go who came by a ticket of a sequence.
    pub(crate) fn has_gone(&self, member: &MemberId, sequence: u64) -> bool {
        self.kept.iter().any(|(about, kept)| {
            let goes = |operation: Operation| operation.removes() && kept.rank.0 >= sequence;
            matches!(about, About::Ticket(operation, target, _) if target == member && goes(*operation))
        })
    }

    /// All of them, with their ends.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Control, Time)> {
        self.kept.values().map(|kept| (&kept.control, kept.until))
    }

    /// The tickets.
    pub(crate) fn tickets(&self) -> impl Iterator<Item = &Signed> {
        self.iter().filter_map(|(control, _)| if let Control::Ticket(signed) = control { Some(signed) } else { None })
    }

    /// Each member's latest vote: who, for which state, and its counter.
    pub(crate) fn votes(&self) -> impl Iterator<Item = (MemberId, EpochId, u64)> {
        self.kept.iter().filter_map(|(about, kept)| match (about, kept.voted) {
            (About::Vote(voter), Some(epoch)) => Some((*voter, epoch, kept.rank.0)),
            _ => None,
        })
    }

    /// A member's latest vote, and its counter.
    pub(crate) fn vote_of(&self, member: &MemberId) -> Option<(EpochId, u64)> {
        let kept = self.kept.get(&About::Vote(*member))?;
        Some((kept.voted?, kept.rank.0))
    }

    /// Forgets what is too old.
    pub(crate) fn sweep(&mut self, cx: &mut Cx<'_>, net: NetId) {
        self.kept.retain(|about, kept| {
            let keep = kept.until > cx.now.sweep;
            if !keep {
                cx.tx.delete(row_key(net, about));
            }
            keep
        });
    }

    /// When [`Self::sweep`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.kept.values().map(|kept| kept.until).min()
    }
}

impl Group {
    /// Tells a member the tickets that could be executed here, and the latest votes.
    pub(crate) fn say_controls(&mut self, cx: &mut Cx<'_>, id: LinkId) -> Result<(), Error> {
        let (parent, peer) = (self.parent(&self.facts.head)?, self.member_at(id));
        let theirs = self.links.get(&id).and_then(|link| link.head);
        let elsewhere = theirs.is_some_and(|theirs| !self.is_on_line(&theirs.epoch));
        let circle = self.circle(id)?;
        let good = |(control, _): &(&Control, Time)| match control {
            // Whoever lets somebody in does so itself. Whoever is out is shown why; and who goes here may have to go where the
            // peer stands, though nobody may be left here to say so later.
            Control::Ticket(signed) => {
                let goes = |ticket: &Ticket| ticket.operation.removes() && (elsewhere || Some(ticket.target) == peer);
                judge::open_in_time(parent, signed).is_ok_and(|ticket| ticket.operation != Operation::Add)
                    || signed.open::<Ticket>(self.id).is_ok_and(|ticket| goes(&ticket))
            }
            Control::Vote(_) | Control::Link(_) => true,
        };
        let (mut frames, mut size) = (vec![Vec::new()], 0_usize);
        let fit =
            |(control, _): &(&Control, Time)| circle.as_ref().is_none_or(|circle| self.is_for(control, circle, peer));
        for (control, until) in self.controls.iter().filter(good).filter(fit) {
            size = size.saturating_add(Control::BYTES_MAX);
            if size > PUSH_BYTES_MAX {
                size = 0;
                frames.push(Vec::new());
            }
            frames.last_mut().into_iter().for_each(|frame| frame.push(Told { control: control.clone(), until }));
        }
        for frame in frames.into_iter().filter(|frame| !frame.is_empty()) {
            self.say(cx, id, &Message::Controls(frame));
        }
        Ok(())
    }

    /// What a commit carries out stays wanted, should another stand before it. Whoever lets somebody in does so itself.
    pub(super) fn keep_tickets(&mut self, cx: &mut Cx<'_>, tickets: &[Signed]) {
        let until = cx.now.later() + CONTROL_KEPT;
        for signed in tickets {
            let ticket = signed.open::<Ticket>(self.id);
            if ticket.is_ok_and(|ticket| ticket.operation != Operation::Add) {
                self.controls.keep(cx, self.net, Told { control: Control::Ticket(signed.clone()), until });
            }
        }
    }

    /// A peer tells what it keeps.
    pub(crate) fn on_controls(&mut self, cx: &mut Cx<'_>, controls: Vec<Told>) -> Result<(), Error> {
        for told in controls {
            if self.signer(&told.control).is_some() {
                self.take_control(cx, told)?;
            }
        }
        Ok(())
    }

    /// The member who signed it, if one did.
    pub(crate) fn signer(&self, control: &Control) -> Option<MemberId> {
        let author = match control {
            Control::Ticket(signed) => signed.open::<Ticket>(self.id).map(|ticket| ticket.issuer.member()),
            Control::Vote(signed) => signed.open::<Vote>(self.id).map(|vote| vote.voter.member()),
            Control::Link(signed) => {
                signed.open::<crate::wire::control::Link>(self.id).map(|link| link.committer.member())
            }
        };
        let is_vote = matches!(control, Control::Vote(_));
        let known = |author: &MemberId| self.roster().is_ok_and(|roster| roster.has(author));
        author.ok().filter(|author| known(author) || (is_vote && self.has_a_say(author)))
    }

    /// Takes what a member signed: a vote is kept for those who weigh it, a ticket until it is executed.
    pub(crate) fn take_control(&mut self, cx: &mut Cx<'_>, told: Told) -> Result<(), Error> {
        match &told.control {
            Control::Ticket(signed) => {
                // One that is spent may still be good elsewhere: its envelope is carried.
                let (roster, parent) = (self.roster()?, self.parent(&self.facts.head)?);
                let in_time = |signed: &Signed| judge::open_in_time(parent, signed).ok();
                let of_use = |ticket: &Ticket| {
                    ticket.operation != Operation::Add
                        && (ticket.operation == Operation::Policy || roster.has(&ticket.target))
                        && self.is_ones_own(cx, ticket)
                        && self.controls.has_room_for(ticket, |signed| in_time(signed).is_some())
                };
                let kept = in_time(signed).as_ref().is_some_and(of_use);
                if kept && self.controls.keep(cx, self.net, told.clone()) {
                    self.tell_behind(cx, &told);
                    self.tend_tickets(cx)?;
                }
            }
            Control::Vote(_) => {
                if self.controls.keep(cx, self.net, told.clone()) {
                    self.tell_behind(cx, &told);
                    self.weigh_votes(cx)?;
                }
            }
            Control::Link(_) => {}
        }
        Ok(())
    }

    /// Whether a key package in a ticket, if there is one, is of the member whom the ticket is about, by the same name.
    fn is_ones_own(&self, cx: &Cx<'_>, ticket: &Ticket) -> bool {
        ticket.key_package.as_ref().is_none_or(|package| {
            let seat = self.roster().ok().and_then(|roster| roster.seat(&ticket.target));
            let credential = super::admit::requester(cx, package);
            credential.zip(seat).is_some_and(|(credential, seat)| {
                credential.member() == ticket.target && credential.name == seat.credential.name
            })
        })
    }

    /// With whom a peer was, if it is not in here now: of who came since it is told nothing.
    fn circle(&self, id: LinkId) -> Result<Option<BTreeSet<MemberId>>, Error> {
        let roster = self.roster()?;
        let Some(peer) = self.member_at(id).filter(|peer| !roster.has(peer)) else { return Ok(None) };
        let with_it = self.epochs.iter().filter(|(_, epoch)| epoch.roster.has(&peer));
        let seats = with_it.flat_map(|(_, epoch)| epoch.roster.seats());
        Ok(Some(seats.map(|seat| seat.member).collect()))
    }

    /// Whether somebody who is not in here may see a control: votes of those with whom it was, and whom of them they want out.
    fn is_for(&self, control: &Control, circle: &BTreeSet<MemberId>, peer: Option<MemberId>) -> bool {
        match control {
            Control::Ticket(signed) => signed.open::<Ticket>(self.id).is_ok_and(|ticket| {
                let theirs = [ticket.target, ticket.issuer.member()].iter().all(|who| circle.contains(who));
                (ticket.operation.removes() && theirs) || Some(ticket.target) == peer
            }),
            Control::Vote(signed) => {
                signed.open::<Vote>(self.id).is_ok_and(|vote| circle.contains(&vote.voter.member()))
            }
            Control::Link(_) => false,
        }
    }

    /// Tells what is news to those who are not where we are: nothing else brings it there.
    pub(super) fn tell_behind(&mut self, cx: &mut Cx<'_>, told: &Told) {
        let behind = self.links.iter().filter(|(_, link)| !link.full && link.has_controls);
        let behind: Vec<LinkId> = behind.map(|(id, _)| *id).collect();
        for id in behind {
            let peer = self.member_at(id);
            let circle = self.circle(id).ok().flatten();
            if circle.is_none_or(|circle| self.is_for(&told.control, &circle, peer)) {
                self.say(cx, id, &Message::Controls(vec![told.clone()]));
            }
        }
    }
}

/// What a ticket or vote is about, how new it is, and the state that a vote is for.
fn place(control: &Control) -> Option<(About, Rank, Option<EpochId>)> {
    let rank = |sequence: u64, number: u64, signed: &Signed| {
        (sequence, Reverse((number, *blake3::hash(&signed.body).as_bytes())))
    };
    match control {
        Control::Ticket(signed) => {
            let ticket: Ticket = crate::wire::decode(&signed.body, Ticket::BYTES_MAX).ok()?;
            let about = About::Ticket(ticket.operation, ticket.target, ticket.issuer.member());
            Some((about, rank(ticket.sequence, ticket.number, signed), None))
        }
        Control::Vote(signed) => {
            let vote: Vote = crate::wire::decode(&signed.body, Vote::BYTES_MAX).ok()?;
            Some((About::Vote(vote.voter.member()), rank(vote.counter, 0, signed), Some(vote.epoch)))
        }
        Control::Link(_) => None,
    }
}

fn row_key(net: NetId, about: &About) -> Key {
    match about {
        About::Ticket(operation, target, issuer) => {
            let operation = [*operation as u8];
            Key::new(Table::Control, net, &[b"ticket", &operation, target.as_bytes(), issuer.as_bytes()])
        }
        About::Vote(voter) => Key::new(Table::Control, net, &[b"vote", voter.as_bytes()]),
    }
}

const _: () = assert!(CONTROLS_MAX > 2 * MEMBERS_MAX);
