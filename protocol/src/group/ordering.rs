//! Which state of a group is its head: a function of the shape of its commits and of votes (PROTOCOL H1, H2). Plain data
//! goes in and a name comes out: no clock, no keys, no order of arrival (H3), so that equal knowledge gives equal heads.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::successors;

use crate::id::{CommitId, EpochId, GroupId, MemberId};
use crate::seal::digest;

/// What a device knows of the states of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    /// The states that something was built on.
    pub(crate) parents: BTreeMap<EpochId, Parent>,
    /// The latest vote of each member (PROTOCOL O4). One for a state that is unknown here counts for nothing yet.
    pub(crate) votes: BTreeMap<MemberId, EpochId>,
}

/// A state that something was built on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parent {
    /// Who is in it.
    pub(crate) members: BTreeSet<MemberId>,
    /// Whom tickets of its facilitators add.
    pub(crate) added: BTreeSet<MemberId>,
    /// Whom tickets of its facilitators remove.
    pub(crate) out: BTreeSet<MemberId>,
    /// Whether its forks are beyond what a state can judge: held for 72 hours (PROTOCOL H2).
    pub(crate) old: bool,
    /// What was built on it.
    pub(crate) children: Vec<Child>,
}

/// A state built on another.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    /// Its name.
    pub(crate) epoch: EpochId,
    /// The commit that leads to it.
    pub(crate) commit: CommitId,
    /// The [`turn`] of who made the commit.
    pub(crate) turn: [u8; 32],
    /// What this device knows of the commit.
    pub(crate) judged: Judged,
}

/// What a device knows of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// No way to go: refused, or not come yet though the state before it is here. Votes beyond it still count for what is
    /// before it, for those who cannot judge it count them too.
    Closed,
    /// Judged good here, by the state before it.
    Good {
        /// Whether it removes somebody by a facilitator's ticket.
        removes: bool,
    },
    /// Known by its link only (PROTOCOL O2): this device cannot go there by itself.
    Heard,
    /// On the way to a state that is here, though the state before it is not: this device joined later.
    Walked,
}

/// Where the walk ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The head, among the states that this device can go to.
    pub(crate) here: EpochId,
    /// The head of those who can go everywhere, if it is another: there a swap leads (PROTOCOL H5).
    pub(crate) beyond: Option<EpochId>,
}

/// Whose turn it is to commit on a state, smallest first: it orders equal children (PROTOCOL H1 (4)) and who waits how
/// long (C2). Another in each epoch, so that it favours nobody.
pub(crate) fn turn(group: &GroupId, number: u64, committer: &MemberId) -> [u8; 32] {
    digest("kinfold order", &[group.as_bytes(), &number.to_be_bytes(), committer.as_bytes()])
}

impl Shape {
    /// The head, walking from the oldest state that is known.
    pub(crate) fn head(&self, root: EpochId) -> Head {
        let tally = Tally::of(self, root);
        let here = self.walk(&tally, root, |judged| matches!(judged, Judged::Good { .. } | Judged::Walked));
        let all = self.walk(&tally, root, |judged| judged != Judged::Closed);
        Head { here, beyond: (all != here).then_some(all) }
    }

    /// Who has voted for a state or for one after it.
    pub(crate) fn voters_from(&self, root: EpochId) -> BTreeSet<MemberId> {
        Tally::of(self, root).0.get(&root).into_iter().flatten().map(|voter| **voter).collect()
    }

    /// The states on the way beyond, the last first, with how many others have voted for each or for one after it.
    pub(crate) fn way_beyond(&self, root: EpochId, head: Head, me: &MemberId) -> Vec<(EpochId, usize)> {
        let (tally, before) = (Tally::of(self, root), self.before(root));
        let back = |from: Option<EpochId>| successors(from, |state| before.get(state).copied());
        let here: BTreeSet<EpochId> = back(Some(head.here)).chain([root]).collect();
        let others = |state: &EpochId| tally.0.get(state).into_iter().flatten().filter(|voter| **voter != me).count();
        back(head.beyond).take_while(|state| !here.contains(state)).map(|state| (state, others(&state))).collect()
    }

    /// Opens ways for which more than half of those have voted who are in the state before.
    pub(crate) fn open(&mut self, root: EpochId, ways: &BTreeMap<(EpochId, EpochId), Judged>) {
        let tally = Tally::of(self, root);
        let standing = |((before, child), judged): (&(EpochId, EpochId), &Judged)| {
            let members = &self.parents.get(before)?.members;
            (tally.among(child, members) > members.len() / 2).then_some((*before, *child, *judged))
        };
        let open: Vec<_> = ways.iter().filter_map(standing).collect();
        for (before, child, judged) in open {
            let children = self.parents.get_mut(&before).into_iter().flat_map(|parent| &mut parent.children);
            children.filter(|known| known.epoch == child).for_each(|known| known.judged = judged);
        }
    }

    /// The old states from which several ways lead, first those for whose ways most different ones have votes.
    pub(crate) fn old_forks(&self, root: EpochId) -> Vec<EpochId> {
        let tally = Tally::of(self, root);
        let voted = |parent: &Parent| parent.children.iter().filter(|child| tally.count(child, |_| true) > 0).count();
        let forks = self.parents.iter().filter(|(_, parent)| parent.old && parent.children.len() > 1);
        let mut forks: Vec<_> = forks.map(|(state, parent)| (Reverse(voted(parent)), *state)).collect();
        forks.sort_unstable();
        forks.into_iter().map(|(_, state)| state).collect()
    }

    /// The states from the root on that are left by a way for which more than half of their members have voted.
    pub(crate) fn settled(&self, root: EpochId) -> BTreeSet<EpochId> {
        let tally = Tally::of(self, root);
        let mut settled = BTreeSet::new();
        let mut at = root;
        while let Some(parent) = self.parents.get(&at) {
            let standing = |child: &&Child| {
                tally.count(child, |member| parent.members.contains(member)) > parent.members.len() / 2
            };
            // Where there was nothing to choose nobody is counted.
            let only = || parent.children.first().filter(|_| parent.members.is_empty());
            let Some(next) = parent.children.iter().find(standing).or_else(only) else { break };
            if !settled.insert(at) {
                break;
            }
            at = next.epoch;
        }
        settled
    }

    /// Goes from each state to the best child that is open. Links are anybody's word, so no state is passed twice.
    fn walk(&self, tally: &Tally<'_>, root: EpochId, open: impl Fn(Judged) -> bool) -> EpochId {
        let mut passed = BTreeSet::from([root]);
        let mut at = root;
        while let Some(parent) = self.parents.get(&at) {
            let best = parent.best(tally, |child| open(child.judged) && !passed.contains(&child.epoch));
            let Some(next) = best else { break };
            passed.insert(next);
            at = next;
        }
        at
    }

    /// The state before each to which the root leads; one only, for a vote counts in one branch. It grows from the root, by
    /// ways that this device went before those it only heard of: a claim that leads from nowhere takes no state away.
    fn before(&self, root: EpochId) -> BTreeMap<EpochId, EpochId> {
        let (mut before, mut claims, mut at) = (BTreeMap::new(), BTreeSet::new(), root);
        loop {
            for child in self.parents.get(&at).into_iter().flat_map(|parent| &parent.children) {
                let heard = matches!(child.judged, Judged::Closed | Judged::Heard);
                claims.insert((heard, child.commit, at, child.epoch));
            }
            at = loop {
                let Some((.., parent, child)) = claims.pop_first() else { return before };
                if child != root && !before.contains_key(&child) {
                    before.insert(child, parent);
                    break child;
                }
            };
        }
    }
}

impl Parent {
    /// The best child of those that are open (PROTOCOL H1, H2). While the state is young and here, its own judgement finds
    /// the best that it can judge; against what it cannot judge only that counts which all can see.
    fn best(&self, tally: &Tally<'_>, open: impl Fn(&Child) -> bool) -> Option<EpochId> {
        let judged = |child: &&Child| !self.old && matches!(child.judged, Judged::Good { .. });
        let (rivals, mut rest): (Vec<_>, Vec<_>) = self.children.iter().filter(|child| open(child)).partition(judged);
        rest.extend(first(rivals, |child| self.young(tally, child)));
        first(rest, |child| self.seen_by_all(tally, child)).map(|child| child.epoch)
    }

    /// Where a child stands among those that are judged here (PROTOCOL H1): a standing majority, else a removal, votes,
    /// whose turn it was, the commit. Nobody's vote is dropped: a late sibling could overturn a settled branch by it (H3).
    fn young(&self, tally: &Tally<'_>, child: &Child) -> impl Ord + use<> {
        let votes = tally.count(child, |member| self.members.contains(member));
        let majority = votes > self.members.len() / 2;
        let removes = child.judged == Judged::Good { removes: true };
        (Reverse(majority), Reverse(removes), Reverse(votes), child.turn, child.commit, child.epoch)
    }

    /// Where a child stands for everybody, also for who cannot judge it (PROTOCOL H2): votes of members whom nobody wants
    /// removed, votes of all and of those who come, the commit. No threshold: sides would swap for ever.
    fn seen_by_all(&self, tally: &Tally<'_>, child: &Child) -> impl Ord + use<> {
        let staying = tally.count(child, |member| self.members.contains(member) && !self.out.contains(member));
        let all = tally.count(child, |member| self.members.contains(member) || self.added.contains(member));
        (Reverse(staying), Reverse(all), child.commit, child.epoch)
    }
}

/// The child that stands first. One alone is compared with nothing, as on most of the way.
fn first<'a, Rank: Ord>(children: Vec<&'a Child>, rank: impl Fn(&'a Child) -> Rank) -> Option<&'a Child> {
    match children.as_slice() {
        [only] => Some(only),
        _ => children.into_iter().min_by_key(|child| rank(child)),
    }
}

/// Who voted for each state or for one after it: a vote counts for its state and for all before it (PROTOCOL O4).
struct Tally<'a>(BTreeMap<EpochId, Vec<&'a MemberId>>);

impl<'a> Tally<'a> {
    /// Carries the votes up to the root, those for one state together.
    fn of(shape: &'a Shape, root: EpochId) -> Self {
        let before = shape.before(root);
        let mut cast: BTreeMap<EpochId, Vec<&MemberId>> = BTreeMap::new();
        for (member, epoch) in &shape.votes {
            cast.entry(*epoch).or_default().push(member);
        }
        let mut tally: BTreeMap<EpochId, Vec<&MemberId>> = BTreeMap::new();
        for (epoch, voters) in cast {
            // The root does not lead to what is unknown.
            let counts = epoch == root || before.contains_key(&epoch);
            for state in successors(Some(epoch).filter(|_| counts), |state| before.get(state).copied()) {
                tally.entry(state).or_default().extend(&voters);
            }
        }
        Self(tally)
    }

    /// How many of these voted for a state or for one after it.
    fn among(&self, state: &EpochId, members: &BTreeSet<MemberId>) -> usize {
        self.0.get(state).map_or(0, |voters| voters.iter().filter(|voter| members.contains(voter)).count())
    }

    /// How many of those that count voted for a child.
    fn count(&self, child: &Child, counts: impl Fn(&MemberId) -> bool) -> usize {
        self.0.get(&child.epoch).map_or(0, |voters| voters.iter().filter(|voter| counts(voter)).count())
    }
}

#[cfg(test)]
mod tests;
