//! Tickets and votes that this device keeps, long after the envelopes that brought them have ended, and tells in every
//! hello (PROTOCOL O5, M2, M6).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Group;
use super::cx::Cx;
use crate::error::Error;
use crate::id::{LinkId, MemberId, NetId};
use crate::journal;
use crate::limits::{CONTROL_KEPT, MEMBERS_MAX, PUSH_BYTES_MAX};
use crate::persist::{Key, Table};
use crate::policy::judge;
use crate::time::Time;
use crate::wire::control::{Control, Operation, Ticket, Vote};
use crate::wire::message::{CONTROLS_MAX, Message, Told};
use crate::wire::signed::{Body as _, Signed};

/// What one of them is about: a newer one takes the place of an older.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    /// By operation, target and issuer.
    Ticket(Operation, MemberId, MemberId),
    /// By voter.
    Vote(MemberId),
}

/// The highest sequence or counter, then the smallest hash, is the newest (PROTOCOL O4).
type Rank = (u64, Reverse<[u8; 32]>);

struct Kept {
    control: Control,
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
        let (about, rank) = place(&control).ok_or(Error::Broken)?;
        self.kept.insert(about, Kept { control, rank, until });
        Ok(())
    }

    /// Keeps a checked ticket or vote, unless one that is as new is here. Whether it was news.
    pub(crate) fn keep(&mut self, cx: &mut Cx<'_>, net: NetId, Told { control, until }: Told) -> bool {
        let Some((about, rank)) = place(&control) else { return false };
        let until = until.min(cx.now.sweep + CONTROL_KEPT);
        let room = self.kept.contains_key(&about) || self.kept.len() < CONTROLS_MAX;
        let before = self.kept.get(&about);
        let news = before.is_none_or(|before| before.rank < rank);
        // Whoever brings it first does not make it end sooner.
        let longer = before.is_some_and(|before| before.control == control && before.until < until);
        if !room || !(news || longer) || until <= cx.now.sweep {
            return false;
        }
        let row = Told { control, until };
        cx.tx.write(row_key(net, &about), &row, Some(until));
        self.kept.insert(about, Kept { control: row.control, rank, until });
        news
    }

    /// All of them, with their ends.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Control, Time)> {
        self.kept.values().map(|kept| (&kept.control, kept.until))
    }

    /// The tickets.
    pub(crate) fn tickets(&self) -> impl Iterator<Item = &Signed> {
        self.iter().filter_map(|(control, _)| if let Control::Ticket(signed) = control { Some(signed) } else { None })
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
        let parent = self.parent(&self.facts.head)?;
        let good = |(control, _): &(&Control, Time)| match control {
            Control::Ticket(signed) => judge::open_ticket(parent, signed).is_ok(),
            Control::Vote(_) | Control::Link(_) => true,
        };
        let (mut frames, mut size) = (vec![Vec::new()], 0_usize);
        for (control, until) in self.controls.iter().filter(good) {
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
        author.ok().filter(|author| self.roster().is_ok_and(|roster| roster.has(author)))
    }

    /// Takes what a member signed: a vote is kept for those who weigh it, a leave until it is executed. Other tickets
    /// are executed by whoever issues them.
    pub(crate) fn take_control(&mut self, cx: &mut Cx<'_>, told: Told) -> Result<(), Error> {
        match &told.control {
            Control::Ticket(signed) => {
                // One that is spent or not good here yet may still be good elsewhere: its envelope is carried.
                let ticket = judge::open_ticket(self.parent(&self.facts.head)?, signed);
                let leave = ticket.is_ok_and(|ticket| ticket.operation == Operation::Leave);
                if leave && self.controls.keep(cx, self.net, told) {
                    self.execute_pending(cx)?;
                }
            }
            Control::Vote(_) => {
                self.controls.keep(cx, self.net, told);
            }
            Control::Link(_) => {}
        }
        Ok(())
    }
}

/// What a ticket or vote is about, and how new it is.
fn place(control: &Control) -> Option<(About, Rank)> {
    let hash = |signed: &Signed| Reverse(*blake3::hash(&signed.body).as_bytes());
    match control {
        Control::Ticket(signed) => {
            let ticket: Ticket = crate::wire::decode(&signed.body, Ticket::BYTES_MAX).ok()?;
            let about = About::Ticket(ticket.operation, ticket.target, ticket.issuer.member());
            Some((about, (ticket.sequence, hash(signed))))
        }
        Control::Vote(signed) => {
            let vote: Vote = crate::wire::decode(&signed.body, Vote::BYTES_MAX).ok()?;
            Some((About::Vote(vote.voter.member()), (vote.counter, hash(signed))))
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
