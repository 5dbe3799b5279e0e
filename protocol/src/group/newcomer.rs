//! A newcomer whose way in is on a branch that the others have left is let in once more, by the same key package (PROTOCOL
//! J1, J2).

use std::collections::BTreeMap;

use super::admit::welcome_key;
use super::cx::Cx;
use super::{Group, StandingRow};
use crate::error::{Error, Refusal};
use crate::id::{EpochId, GroupId, LinkId, MemberId};
use crate::joining::WELCOME_BYTES_MAX;
use crate::limits::MEMBERS_MAX;
use crate::meet::generation::Generation;
use crate::mls::{self, State, StateRows};
use crate::persist::Key;
use crate::policy::extension::Extension;
use crate::policy::roster::Roster;
use crate::step::{Outcome, Reply};
use crate::time::Time;
use crate::wire::message::{Bundle, Message};

/// Ways in which a device was let in and that are kept beside each other: each is a whole state.
const BEGINS_MAX: usize = 8;

impl Group {
    /// Whether the head is a state or has come from it.
    pub(super) fn is_on_line(&self, epoch: &EpochId) -> bool {
        self.epochs.back(self.facts.head).any(|id| id == *epoch)
    }

    /// Lets a peer in once more whom we have let in again after the branch on which it stands was left: once for each head.
    pub(super) fn offer_welcome(&mut self, cx: &mut Cx<'_>, id: LinkId) -> Result<(), Error> {
        let head = self.facts.head;
        let Some(link) = self.links.get(&id).filter(|link| link.welcomed != Some(head)) else { return Ok(()) };
        let (Some(member), Some(theirs)) = (link.member, link.head.map(|head| head.epoch)) else { return Ok(()) };
        if !self.welcomes.contains(&member) {
            return Ok(());
        }
        let Some(bundle) = cx.tx.read::<Bundle>(&welcome_key(self, &member))? else { return Ok(()) };
        if self.has_come_by(&bundle, &theirs) {
            return Ok(());
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.welcomed = Some(head);
        }
        self.say(cx, id, &Message::Welcome(Box::new(bundle)));
        Ok(())
    }

    /// Whether a state comes from that to which a Welcome leads.
    pub(super) fn has_come_by(&self, bundle: &Bundle, state: &EpochId) -> bool {
        let child = bundle.commits.iter().find(|commit| commit.commit == bundle.commit).map(|commit| commit.child);
        self.epochs.back(*state).any(|id| Some(id) == child)
    }

    /// A row of the private half of the own key package.
    pub(crate) fn keep_package(&mut self, key: Key) {
        self.package.insert(key);
    }

    /// This device is let in once more: where it stands is on a branch that the others have left.
    pub(super) fn on_welcome(&mut self, cx: &mut Cx<'_>, id: LinkId, bundle: Bundle) -> Result<Outcome, Error> {
        let may = |member: &MemberId| self.has_a_say(member) || self.roster().is_ok_and(|roster| roster.has(member));
        let fits = self.facts.standing == StandingRow::Active && bundle.welcome.len() <= WELCOME_BYTES_MAX;
        let Some(by) = self.member_at(id).filter(may).filter(|_| fits) else {
            return Ok(Outcome::Refused(Refusal::OutOfTurn));
        };
        let Some(state) = self.join_again(cx, &bundle.welcome)? else {
            return Ok(Outcome::Refused(Refusal::Malformed));
        };
        let newest = bundle.generations.iter().map(|wire| Generation::from_wire(wire).rank()).max();
        let Some(newest) = newest.filter(|rank| rank.0 <= state.number()) else {
            return Ok(Outcome::Refused(Refusal::Malformed));
        };
        self.make_room_for_begin(cx);
        let known = self.epochs.len();
        let begin = self.epochs.add(cx, self.net, state, None, newest)?;
        if self.epochs.len() == known {
            return Ok(Outcome::Duplicate);
        }
        // Anybody could make one: where it leads, others must stand by their votes.
        self.epochs.hand(cx, self.net, &begin, bundle.generations);
        self.keep_told(cx, bundle.commits, by)?;
        self.weigh_votes(cx)?;
        self.rescan(cx)?;
        Ok(Outcome::Applied(Reply::Done))
    }

    /// Of so many ways in that nobody votes for, the one that came first goes.
    fn make_room_for_begin(&mut self, cx: &mut Cx<'_>) {
        let begins = self.epochs.iter().filter(|(_, epoch)| epoch.parent.is_none() && epoch.keys.is_some());
        let begins: Vec<(Option<Time>, EpochId)> = begins.map(|(id, epoch)| (epoch.left, *id)).collect();
        if begins.len() < BEGINS_MAX {
            return;
        }
        let shape = self.shape();
        let idle = |id: &EpochId| !self.is_on_line(id) && shape.voters_from(*id).is_empty();
        if let Some((_, oldest)) = begins.into_iter().filter(|(_, id)| idle(id)).min() {
            self.epochs.give_up(cx, self.net, &oldest);
        }
    }

    /// The generations in which the ways in begin to which the head has not come.
    pub(super) fn begins(&self) -> impl Iterator<Item = Generation> {
        let begins = self.epochs.iter().map(|(_, epoch)| epoch).filter(|epoch| epoch.keys.is_some());
        begins.flat_map(|epoch| {
            let own = epoch.handed.iter().filter(|wire| wire.number == epoch.generation.0).map(Generation::from_wire);
            own.filter(|generation| generation.rank() == epoch.generation)
        })
    }

    /// The generations that came with the Welcome by which the head is where it is.
    pub(super) fn take_generations(&mut self, cx: &mut Cx<'_>, head: EpochId) {
        let begin = self.epochs.back(head).last();
        let Some(begin) = begin.filter(|begin| self.epochs.get(begin).is_some_and(|epoch| !epoch.handed.is_empty()))
        else {
            return;
        };
        // Once: what has had its time does not come back.
        for generation in self.epochs.take_handed(cx, self.net, &begin).iter().map(Generation::from_wire) {
            if !self.generations.contains_key(&generation.rank()) {
                self.add_generation(cx, generation);
            }
        }
    }

    /// The state that a Welcome brings to a key package of this device, if it is this group's: the one by which it came in,
    /// or the one that it asked to be let in anew by.
    fn join_again(&self, cx: &Cx<'_>, welcome: &[u8]) -> Result<Option<State>, Error> {
        let mut packages: BTreeMap<Option<u8>, StateRows> = BTreeMap::new();
        for key in &self.package {
            let (Some(name), Some(value)) = (key.name.get(9..), cx.tx.get(key)?) else { continue };
            packages.entry(key.name.get(8).copied()).or_default().insert(name.to_vec(), value);
        }
        let ours = |state: &State| {
            let roster = Roster::read(&state.leaves()).unwrap_or_default();
            let fits = roster.len() <= MEMBERS_MAX && Extension::parse(&state.extension()).is_ok();
            fits && GroupId::from_slice(state.group_id()) == Some(self.id) && roster.has(&self.me.member())
        };
        Ok(packages.values().find_map(|rows| mls::join(cx.mls, rows, welcome).ok()).filter(ours))
    }
}
