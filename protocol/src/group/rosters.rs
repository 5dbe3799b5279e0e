//! Who is in a state that is not here, or no longer: by who came and who went on the way there, as others say (PROTOCOL H2, H5).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Group;
use crate::id::{EpochId, MemberId};
use crate::limits::MEMBERS_MAX;
use crate::wire::message::Moves;

/// States of which that is asked at a time, beside those that are here: the forks in a history that votes go both ways from,
/// first. More are a liar's.
const ASKED_MAX: usize = 64;

/// A way from a state whose roster is found to the next one: who is in there, and who is not.
struct Hop<'a> {
    from: EpochId,
    into: &'a [MemberId],
    out: &'a [MemberId],
}

impl<'a> Hop<'a> {
    fn on(from: EpochId, moves: &'a Moves) -> Self {
        Self { from, into: &moves.came, out: &moves.went }
    }

    fn back(from: EpochId, moves: &'a Moves) -> Self {
        Self { from, into: &moves.went, out: &moves.came }
    }
}

impl Group {
    /// Who is in these states, as far as that is known.
    pub(super) fn rosters(&self, of: impl Iterator<Item = EpochId>) -> BTreeMap<EpochId, BTreeSet<MemberId>> {
        let (here, afar): (Vec<_>, Vec<_>) = of.partition(|state| self.epochs.get(state).is_some());
        let hops = if afar.is_empty() { BTreeMap::new() } else { self.hops() };
        let asked = here.into_iter().chain(afar.into_iter().take(ASKED_MAX));
        asked.filter_map(|state| Some((state, self.roster_by(&hops, state)?))).collect()
    }

    /// From where each state is reached first, going out from those that are here.
    fn hops(&self) -> BTreeMap<EpochId, Hop<'_>> {
        let mut ways: BTreeMap<EpochId, Vec<(EpochId, Hop<'_>)>> = BTreeMap::new();
        for (made, moves) in self.commits.moves() {
            let (parent, child) = (made.step.0, made.child);
            ways.entry(parent).or_default().push((child, Hop::on(parent, moves)));
            ways.entry(child).or_default().push((parent, Hop::back(child, moves)));
        }
        let mut hops = BTreeMap::new();
        let mut next: VecDeque<EpochId> = self.epochs.iter().map(|(id, _)| *id).collect();
        while let Some(at) = next.pop_front() {
            for (to, hop) in ways.remove(&at).into_iter().flatten() {
                if self.epochs.get(&to).is_none() && !hops.contains_key(&to) {
                    hops.insert(to, hop);
                    next.push_back(to);
                }
            }
        }
        hops
    }

    /// Goes back to a state that is here, and then on by all that happened in between.
    fn roster_by(&self, hops: &BTreeMap<EpochId, Hop<'_>>, state: EpochId) -> Option<BTreeSet<MemberId>> {
        let way: Vec<&Hop<'_>> = std::iter::successors(hops.get(&state), |hop| hops.get(&hop.from)).collect();
        let here = way.last().map_or(state, |hop| hop.from);
        let seats = self.epochs.get(&here)?.roster.seats();
        let mut roster: BTreeSet<MemberId> = seats.iter().map(|seat| seat.member).collect();
        for hop in way.into_iter().rev() {
            roster.retain(|member| !hop.out.contains(member));
            roster.extend(hop.into);
            if roster.len() > MEMBERS_MAX {
                return None;
            }
        }
        Some(roster)
    }
}
