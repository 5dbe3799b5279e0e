//! The commits that this device keeps, by the state they were made on: what each makes of the group, and its bytes for
//! those who were away (PROTOCOL O2).

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
}

impl CommitRow {
    /// Who came and who went by it, as far as is known.
    pub(crate) fn moves(&self) -> Option<Moves> {
        let judged = self.change.as_ref().map(|change| Moves { at: Some(change.at), ..change.verdict.moves() });
        judged.or_else(|| self.told.clone())
    }
}

/// What is kept of a commit beside its bytes.
pub(crate) enum Kept {
    /// It was judged here.
    Judged(Change),
    /// Others say so.
    Told(Option<Moves>),
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

/// What memory knows of a commit.
pub(crate) struct Known {
    pub(crate) child: EpochId,
    /// Who made it, and whether a facilitator's ticket in it takes somebody out; if it was judged here.
    pub(crate) judged: Option<(MemberId, bool)>,
    /// Whether it lets this device in anew, by a Welcome.
    pub(crate) swapped: bool,
    /// Who came and who went by it, if only others say so.
    pub(crate) told: Option<Moves>,
    until: Time,
}

impl Known {
    fn of(row: &CommitRow) -> Self {
        let judged = row.change.as_ref().map(|Change { verdict, .. }| (verdict.committer, !verdict.removed.is_empty()));
        let swapped = row.change.as_ref().is_some_and(|change| change.swapped);
        Self { child: row.child, judged, swapped, told: row.told.clone(), until: row.until }
    }
}

/// One commit: the state it was made on, and its name.
pub(crate) type Step = (EpochId, CommitId);

/// The commits of one group.
#[derive(Default)]
pub(crate) struct Commits {
    known: BTreeMap<Step, Known>,
}

impl Commits {
    /// Takes a row met while opening.
    pub(crate) fn restore(&mut self, key: &Key, bytes: &[u8]) -> Result<(), Error> {
        let row: CommitRow = journal::parse(bytes)?;
        let parent = key.name.get(8..40).and_then(EpochId::from_slice).ok_or(Error::Broken)?;
        let id = key.name.get(40..).and_then(CommitId::from_slice).ok_or(Error::Broken)?;
        self.known.insert((parent, id), Known::of(&row));
        Ok(())
    }

    /// Keeps a commit: one that was judged, with what it does, or one that is kept for others.
    pub(crate) fn keep(
        &mut self,
        cx: &mut Cx<'_>,
        net: NetId,
        step: Step,
        (child, kept): (EpochId, Kept),
        envelope: &[u8],
    ) {
        let until = cx.now.sweep + CONTROL_KEPT;
        let (change, told) = match kept {
            Kept::Judged(change) => (Some(change), None),
            Kept::Told(moves) => (None, moves),
        };
        let row = CommitRow { envelope: Bytes(envelope.to_vec()), child, until, change, told };
        cx.tx.write(commit_key(net, &step), &row, Some(until));
        self.known.insert(step, Known::of(&row));
    }

    /// How many are known on others' word.
    pub(crate) fn told(&self) -> usize {
        self.known.values().filter(|known| known.judged.is_none()).count()
    }

    /// Whether a state is one of those that they lead from or to.
    pub(crate) fn have(&self, state: &EpochId) -> bool {
        self.known.iter().any(|((parent, _), known)| parent == state || known.child == *state)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Step, &Known)> {
        self.known.iter()
    }

    /// Whether there is more than one way on from a state.
    pub(crate) fn are_forked(&self) -> bool {
        self.known.keys().zip(self.known.keys().skip(1)).any(|((one, _), (other, _))| one == other)
    }

    /// Learns where a commit leads that takes this person out.
    pub(crate) fn lead_out(&mut self, cx: &mut Cx<'_>, net: NetId, step: &Step, child: EpochId) -> Result<(), Error> {
        let Some(known) = self.known.get_mut(step) else { return Ok(()) };
        let nowhere = EpochId::from_bytes(*step.1.as_bytes());
        if known.child == nowhere && known.judged.is_some() {
            let Some(mut row) = Self::row(cx, net, step)? else { return Ok(()) };
            (row.child, known.child) = (child, child);
            cx.tx.write(commit_key(net, step), &row, Some(row.until));
        }
        Ok(())
    }

    /// What is known of a commit.
    pub(crate) fn known(&self, step: &Step) -> Option<&Known> {
        self.known.get(step)
    }

    /// The commits on a state.
    pub(crate) fn on(&self, parent: &EpochId) -> impl Iterator<Item = (&CommitId, &Known)> {
        let first = (*parent, CommitId::from_bytes([0; 32]));
        let of_it = self.known.range(first..).take_while(move |((on, _), _)| *on == first.0);
        of_it.map(|((_, id), known)| (id, known))
    }

    /// How a state came about, step by step back to the first that is known, the latest first.
    pub(crate) fn back_from(&self, epoch: EpochId) -> Vec<(Step, EpochId)> {
        let made = |judged: bool| {
            let of_it = self.known.iter().filter(move |(_, known)| known.judged.is_some() == judged);
            of_it.map(|(step, known)| (known.child, *step))
        };
        // What was judged here counts, whatever others say.
        let mut made: BTreeMap<EpochId, Step> = made(false).chain(made(true)).collect();
        let (mut steps, mut at) = (Vec::new(), epoch);
        // Taken out, so that a ring of lies ends.
        while let Some(step) = made.remove(&at) {
            steps.push((step, at));
            at = step.0;
        }
        steps
    }

    /// A commit's row.
    pub(crate) fn row(cx: &Cx<'_>, net: NetId, step: &Step) -> Result<Option<CommitRow>, Error> {
        cx.tx.read(&commit_key(net, step))
    }

    /// Forgets what is too old.
    pub(crate) fn sweep(&mut self, cx: &mut Cx<'_>, net: NetId) {
        self.known.retain(|step, known| {
            let keep = known.until > cx.now.sweep;
            if !keep {
                cx.tx.delete(commit_key(net, step));
            }
            keep
        });
    }

    /// When [`Self::sweep`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.known.values().map(|known| known.until).min()
    }
}

fn commit_key(net: NetId, (parent, id): &Step) -> Key {
    Key::new(Table::Commit, net, &[parent.as_bytes(), id.as_bytes()])
}
