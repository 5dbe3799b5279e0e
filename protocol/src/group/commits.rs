//! The commits that this device keeps, by the state they were made on: what each makes of the group that was judged here,
//! with its bytes for those who were away; and what others say of those that could not be (PROTOCOL O2).

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::cx::Cx;
use crate::error::Error;
use crate::id::{CommitId, EpochId, MemberId, NetId};
use crate::journal;
use crate::limits::CONTROL_KEPT;
use crate::persist::{Key, Table};
use crate::policy::judge::Verdict;
use crate::time::Time;
use crate::wire::message::{Bytes, Moves};

/// A commit with all that is kept of it.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct CommitRow {
    /// How it came or went.
    #[n(0)]
    pub(crate) envelope: Bytes,
    /// The state that it makes; of one that takes this person out nobody here knows that, and its own name stands there.
    #[n(1)]
    pub(crate) child: EpochId,
    #[n(2)]
    until: Time,
    /// What it does, if it was judged here.
    #[n(3)]
    pub(crate) change: Option<Change>,
    /// What others say of it otherwise.
    #[n(4)]
    told: Option<Moves>,
    /// Who said so.
    #[n(5)]
    by: Option<MemberId>,
}

impl CommitRow {
    /// Who came and who went by it, as far as is known.
    pub(crate) fn moves(&self) -> Option<Moves> {
        let judged = self.change.as_ref().map(|change| Moves { at: Some(change.at), ..change.verdict.moves() });
        judged.or_else(|| self.told.clone())
    }
}

/// What a commit does that was judged here and found good.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Change {
    /// When it was made, on the committer's clock.
    #[n(0)]
    pub(crate) at: Time,
    #[n(1)]
    pub(crate) verdict: Verdict,
    /// Whether it takes this device out: there is no child for it.
    #[n(2)]
    pub(crate) out: bool,
    /// Whether it lets it in anew, by a Welcome.
    #[n(3)]
    #[cbor(default)]
    pub(crate) swapped: bool,
}

/// What memory knows of a commit that was judged here.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) child: EpochId,
    pub(crate) committer: MemberId,
    /// Whether a facilitator's ticket in it takes somebody out.
    pub(crate) removes: bool,
    /// Whether it takes this device out.
    pub(crate) out: bool,
    /// Whether it lets it in anew, by a Welcome.
    pub(crate) swapped: bool,
    /// Who came and who went by it.
    moves: Moves,
    until: Time,
}

impl Known {
    /// Since when it is here.
    pub(crate) fn since(&self) -> Time {
        self.until - CONTROL_KEPT
    }

    fn of(change: &Change, child: EpochId, until: Time) -> Self {
        let Change { verdict, out, swapped, .. } = change;
        let removes = !verdict.removed.is_empty();
        let (committer, moves) = (verdict.committer, verdict.moves());
        Self { child, committer, removes, out: *out, swapped: *swapped, moves, until }
    }
}

/// What somebody says of a commit that leads somewhere.
pub(crate) struct Told {
    /// Who came and who went by it.
    pub(crate) moves: Option<Moves>,
    by: Option<MemberId>,
    until: Time,
}

impl Told {
    /// How much room it takes: as much as it names.
    fn size(&self) -> usize {
        let named = self.moves.as_ref().map_or(0, Moves::len);
        named.saturating_add(1)
    }
}

/// One commit: the state it was made on, and its name.
pub(crate) type Step = (EpochId, CommitId);

/// How a state came about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Made {
    /// Whether only others say so: what was judged here comes first.
    told: bool,
    pub(crate) step: Step,
    pub(crate) child: EpochId,
}

impl Made {
    /// Whether the commit was judged here.
    pub(crate) const fn is_judged(&self) -> bool {
        !self.told
    }
}

/// What is said of one commit: two may say that it leads to two states.
type Claim = (Step, EpochId);

/// The commits of one group.
#[derive(Default)]
pub(crate) struct Commits {
    judged: BTreeMap<Step, Known>,
    told: BTreeMap<Claim, Told>,
}

impl Commits {
    /// Takes a row met while opening.
    pub(crate) fn restore(&mut self, key: &Key, bytes: &[u8]) -> Result<(), Error> {
        let row: CommitRow = journal::parse(bytes)?;
        let parent = key.name.get(8..40).and_then(EpochId::from_slice).ok_or(Error::Broken)?;
        let id = key.name.get(40..72).and_then(CommitId::from_slice).ok_or(Error::Broken)?;
        let step = (parent, id);
        match row.change {
            Some(change) => drop(self.judged.insert(step, Known::of(&change, row.child, row.until))),
            None => {
                let told = Told { moves: row.told, by: row.by, until: row.until };
                self.told.insert((step, row.child), told);
            }
        }
        Ok(())
    }

    /// Keeps a commit that was judged. Where it leads is known then, unless it takes this person out.
    pub(crate) fn keep(
        &mut self,
        cx: &mut Cx<'_>,
        net: NetId,
        step: Step,
        (child, change): (EpochId, Change),
        envelope: &[u8],
    ) {
        let until = cx.now.sweep + CONTROL_KEPT;
        let known = Known::of(&change, child, until);
        let envelope = Bytes(envelope.to_vec());
        let row = CommitRow { envelope, child, until, change: Some(change), told: None, by: None };
        cx.tx.write(commit_key(net, &step, None), &row, Some(until));
        if !known.out {
            let said: Vec<EpochId> = self.claims(&step).map(|(child, _)| child).collect();
            for child in said {
                self.told.remove(&(step, child));
                cx.tx.delete(commit_key(net, &step, Some(&child)));
            }
        }
        self.judged.insert(step, known);
    }

    /// Keeps what somebody says of a commit, which nobody here can judge, unless that is known. Who came and who went by it
    /// is heard later of one who was there, if the first was not.
    pub(crate) fn keep_told(
        &mut self,
        cx: &mut Cx<'_>,
        net: NetId,
        (step, child): Claim,
        (moves, mut envelope): (Option<Moves>, Bytes),
        by: MemberId,
    ) -> Result<(), Error> {
        let judged = self.judged.get(&step).is_some_and(|known| !known.out);
        let told = self.told.get(&(step, child));
        if judged || told.is_some_and(|told| told.moves.is_some() || moves.is_none()) {
            return Ok(());
        }
        if told.is_some() && envelope.0.is_empty() {
            let row: Option<CommitRow> = cx.tx.read(&commit_key(net, &step, Some(&child)))?;
            envelope = row.map_or(envelope, |row| row.envelope);
        }
        let until = cx.now.sweep + CONTROL_KEPT;
        let row = CommitRow { envelope, child, until, change: None, told: moves.clone(), by: Some(by) };
        cx.tx.write(commit_key(net, &step, Some(&child)), &row, Some(until));
        self.told.insert((step, child), Told { moves, by: Some(by), until });
        Ok(())
    }

    /// How much room what somebody has said takes.
    pub(crate) fn size_of(&self, by: &MemberId) -> usize {
        self.told.values().filter(|told| told.by.as_ref() == Some(by)).map(Told::size).sum()
    }

    /// Whether there is one way on from each state and no other, so far as it is known here.
    pub(crate) fn are_one_way(&self) -> bool {
        let mut parents: Vec<EpochId> = self.edges().map(|made| made.step.0).collect();
        let all = parents.len();
        parents.sort_unstable();
        parents.dedup();
        parents.len() == all && !self.judged.values().any(|known| known.swapped)
    }

    /// What is known of a commit that was judged here.
    pub(crate) fn judged(&self, step: &Step) -> Option<&Known> {
        self.judged.get(step)
    }

    /// Whether anything is known of a commit.
    pub(crate) fn is_known(&self, step: &Step) -> bool {
        self.judged.contains_key(step) || self.claims(step).next().is_some()
    }

    fn claims(&self, step: &Step) -> impl Iterator<Item = (EpochId, &Told)> {
        let (first, step) = ((*step, EpochId::from_bytes([0; 32])), *step);
        let of_it = self.told.range(first..).take_while(move |((of, _), _)| *of == step);
        of_it.map(|((_, child), told)| (*child, told))
    }

    /// The commits on a state that were judged.
    pub(crate) fn on(&self, parent: &EpochId) -> impl Iterator<Item = (&CommitId, &Known)> {
        let first = (*parent, CommitId::from_bytes([0; 32]));
        let of_it = self.judged.range(first..).take_while(move |((on, _), _)| *on == first.0);
        of_it.map(|((_, id), known)| (id, known))
    }

    /// All that were judged.
    pub(crate) fn all_judged(&self) -> impl Iterator<Item = &Known> {
        self.judged.values()
    }

    /// Each way from a state to another. Where one that takes this person out leads, others say.
    pub(crate) fn edges(&self) -> impl Iterator<Item = Made> {
        let judged = self.judged.iter().map(|(step, known)| Made { told: false, step: *step, child: known.child });
        let told = self.told.keys().filter_map(|(step, child)| match self.judged.get(step) {
            Some(known) => known.out.then_some(Made { told: false, step: *step, child: *child }),
            None => Some(Made { told: true, step: *step, child: *child }),
        });
        judged.chain(told)
    }

    /// Who came and who went by each of which that is known.
    pub(crate) fn moves(&self) -> impl Iterator<Item = (Made, &Moves)> {
        let made = |(step, child): &Claim| Made { told: true, step: *step, child: *child };
        let told = self.told.iter().filter_map(move |(claim, told)| Some((made(claim), told.moves.as_ref()?)));
        let made = |step: &Step, known: &Known| Made { told: false, step: *step, child: known.child };
        let judged = self.judged.iter().filter(|(_, known)| !known.out);
        judged.map(move |(step, known)| (made(step, known), &known.moves)).chain(told)
    }

    /// Who came and who went by one of them.
    pub(crate) fn told_of(&self, made: &Made) -> Option<&Moves> {
        self.told.get(&(made.step, made.child))?.moves.as_ref()
    }

    /// Whose word one of them is.
    pub(crate) fn teller(&self, made: &Made) -> Option<MemberId> {
        self.told.get(&(made.step, made.child))?.by
    }

    /// How each state came about; what was judged here counts, whatever others say.
    pub(crate) fn before(&self) -> BTreeMap<EpochId, Made> {
        let mut before: BTreeMap<EpochId, Made> = BTreeMap::new();
        for made in self.edges() {
            let best = before.entry(made.child).or_insert(made);
            *best = made.min(*best);
        }
        before
    }

    /// How a state came about, step by step back to the first that is known, the latest first.
    pub(crate) fn back_from(&self, epoch: EpochId) -> Vec<Made> {
        let mut before = self.before();
        let (mut steps, mut at) = (Vec::new(), epoch);
        // Taken out, so that a ring of lies ends.
        while let Some(made) = before.remove(&at) {
            steps.push(made);
            at = made.step.0;
        }
        steps
    }

    /// A commit's row.
    pub(crate) fn row(cx: &Cx<'_>, net: NetId, made: &Made) -> Result<Option<CommitRow>, Error> {
        let told = made.told.then_some(&made.child);
        cx.tx.read(&commit_key(net, &made.step, told))
    }

    /// Forgets what is too old.
    pub(crate) fn sweep(&mut self, cx: &mut Cx<'_>, net: NetId) {
        let now = cx.now.sweep;
        for (step, _) in self.judged.extract_if(.., |_, known| known.until <= now) {
            cx.tx.delete(commit_key(net, &step, None));
        }
        for ((step, child), _) in self.told.extract_if(.., |_, told| told.until <= now) {
            cx.tx.delete(commit_key(net, &step, Some(&child)));
        }
    }

    /// When [`Self::sweep`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let judged = self.judged.values().map(|known| known.until);
        judged.chain(self.told.values().map(|told| told.until)).min()
    }
}

/// Of one that was judged; or of what is said of one.
fn commit_key(net: NetId, (parent, id): &Step, told: Option<&EpochId>) -> Key {
    let child = told.map_or(&[][..], |child| child.as_bytes());
    Key::new(Table::Commit, net, &[parent.as_bytes(), id.as_bytes(), child])
}
