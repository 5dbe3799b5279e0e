//! Comparing two envelope logs by range-based set reconciliation: what the other lacks, and what we lack.

use std::collections::BTreeMap;

use negentropy::{Id, Negentropy, NegentropyStorageVector};

use crate::id::EnvelopeId;
use crate::limits::PUSH_BYTES_MAX;
use crate::seal;
use crate::wire::Malformed;
use crate::wire::message::{Round, SessionId};

/// Bytes of one round: within a frame beside the rest of its message.
const ROUND_BYTES_MAX: u64 = PUSH_BYTES_MAX as u64 - 4_096;
/// Rounds after which a session that has not ended is given up: 100,000 items with 100 differences take 4.
const ROUNDS_MAX: u32 = 64;
/// Rounds after which its opener goes on with what it knows by then, and compares the rest another time: a round names
/// some 1,800 envelopes.
const ROUNDS_ENOUGH: u32 = 48;

/// An envelope of the log, as a comparison sees it.
#[derive(Clone, Copy)]
pub(crate) struct Listed {
    pub(crate) hour: u32,
    pub(crate) id: EnvelopeId,
    /// Whether the peer is told of it. It would ask in vain, each time, for what it may not have; what it has of that all
    /// the same is not wanted here.
    pub(crate) told: bool,
}

/// One comparison under way: a snapshot of our log under the session's names.
pub(crate) struct Session {
    nonce: [u8; 16],
    since: u32,
    engine: Negentropy<'static, NegentropyStorageVector>,
    names: BTreeMap<SessionId, EnvelopeId>,
    rounds: u32,
    opener: bool,
    lacks: Vec<EnvelopeId>,
    wants: Vec<SessionId>,
}

/// What a round led to.
pub(crate) enum Step {
    /// Send this and wait.
    Next(Round),
    /// The opener knows all: what the peer lacks, and what we lack.
    Done(Difference),
}

/// What two logs differ in.
pub(crate) struct Difference {
    /// Ours that the peer lacks.
    pub(crate) lacks: Vec<EnvelopeId>,
    /// Theirs that we lack, under the session's names.
    pub(crate) wants: Vec<SessionId>,
    /// Whether that is all.
    pub(crate) all: bool,
}

impl Session {
    /// Opens a session, with its first round.
    pub(crate) fn open(
        nonce: [u8; 16],
        since: u32,
        log: impl Iterator<Item = Listed>,
    ) -> Result<(Self, Round), Malformed> {
        let mut session = Self::new(nonce, since, log, true)?;
        let bytes = session.engine.initiate().map_err(|_| Malformed)?;
        let round = session.round(bytes);
        Ok((session, round))
    }

    /// Joins the session of a peer.
    pub(crate) fn join(round: &Round, log: impl Iterator<Item = Listed>) -> Result<Self, Malformed> {
        Self::new(round.nonce, round.since, log, false)
    }

    fn new(nonce: [u8; 16], since: u32, log: impl Iterator<Item = Listed>, opener: bool) -> Result<Self, Malformed> {
        let mut items = NegentropyStorageVector::new();
        let mut names = BTreeMap::new();
        for Listed { hour, id, told } in log.filter(|listed| listed.hour >= since) {
            let name = session_id(&nonce, &id);
            if told {
                items.insert(u64::from(hour), Id::from_byte_array(name.0)).map_err(|_| Malformed)?;
            }
            names.insert(name, id);
        }
        items.seal().map_err(|_| Malformed)?;
        let engine = Negentropy::owned(items, ROUND_BYTES_MAX).map_err(|_| Malformed)?;
        Ok(Self { nonce, since, engine, names, rounds: 0, opener, lacks: Vec::new(), wants: Vec::new() })
    }

    /// Whether a round belongs to this session.
    pub(crate) fn is(&self, nonce: &[u8; 16]) -> bool {
        self.nonce == *nonce
    }

    /// The envelope under one of the session's names.
    pub(crate) fn envelope(&self, name: &SessionId) -> Option<EnvelopeId> {
        self.names.get(name).copied()
    }

    /// The session's name of an envelope.
    #[cfg(test)]
    pub(crate) fn name(&self, id: &EnvelopeId) -> SessionId {
        session_id(&self.nonce, id)
    }

    /// Takes the peer's round.
    pub(crate) fn receive(&mut self, round: &Round) -> Result<Step, Malformed> {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds > ROUNDS_MAX || round.opener == self.opener || round.since != self.since {
            return Err(Malformed);
        }
        if !self.opener {
            let bytes = self.engine.reconcile(&round.bytes).map_err(|_| Malformed)?;
            return Ok(Step::Next(self.round(bytes)));
        }
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let next = self.engine.reconcile_with_ids(&round.bytes, &mut have, &mut need).map_err(|_| Malformed)?;
        let names = &self.names;
        self.lacks.extend(have.iter().filter_map(|id| names.get(&SessionId(*id.as_bytes()))));
        self.wants.extend(need.iter().map(|id| SessionId(*id.as_bytes())).filter(|name| !names.contains_key(name)));
        let all = next.is_none();
        if let Some(bytes) = next.filter(|_| self.rounds < ROUNDS_ENOUGH) {
            return Ok(Step::Next(self.round(bytes)));
        }
        // The engine's answers come in no order; ours must be the same in every run.
        self.lacks.sort_unstable();
        self.wants.sort_unstable();
        let lacks = std::mem::take(&mut self.lacks);
        Ok(Step::Done(Difference { lacks, wants: std::mem::take(&mut self.wants), all }))
    }

    const fn round(&self, bytes: Vec<u8>) -> Round {
        Round { nonce: self.nonce, since: self.since, opener: self.opener, bytes }
    }
}

fn session_id(nonce: &[u8; 16], id: &EnvelopeId) -> SessionId {
    SessionId(seal::digest("kinfold session id", &[nonce, id.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn named(n: impl Into<u32>) -> EnvelopeId {
        EnvelopeId::from_bytes(*blake3::hash(&n.into().to_be_bytes()).as_bytes())
    }

    fn hour(n: u16) -> u32 {
        u32::from(n % 7)
    }

    fn listed(log: &BTreeSet<u16>, untold: &BTreeSet<u16>) -> impl Iterator<Item = Listed> {
        log.iter().map(|n| Listed { hour: hour(*n), id: named(*n), told: !untold.contains(n) })
    }

    fn compare(
        ours: impl Iterator<Item = Listed>,
        theirs: impl Iterator<Item = Listed>,
        since: u32,
    ) -> (Difference, Session) {
        let (mut ana, mut to_ben) = Session::open([1; 16], since, ours).unwrap();
        let mut ben = Session::join(&to_ben, theirs).unwrap();
        loop {
            let Step::Next(to_ana) = ben.receive(&to_ben).unwrap() else { panic!("the joiner never ends") };
            match ana.receive(&to_ana).unwrap() {
                Step::Next(round) => to_ben = round,
                Step::Done(difference) => return (difference, ben),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_difference_is_the_set_difference(
            ours in proptest::collection::btree_set(0_u16..3_000, 0..600),
            theirs in proptest::collection::btree_set(0_u16..3_000, 0..600),
            ours_untold in proptest::collection::btree_set(0_u16..3_000, 0..600),
            theirs_untold in proptest::collection::btree_set(0_u16..3_000, 0..600),
            since in 0_u32..7,
        ) {
            let (difference, ben) = compare(listed(&ours, &ours_untold), listed(&theirs, &theirs_untold), since);
            let seen = |set: BTreeSet<u16>| -> BTreeSet<EnvelopeId> {
                set.into_iter().filter(|n| hour(*n) >= since).map(named).collect()
            };
            // What is not told is not pushed, and what is here is not wanted, told or not.
            let (our_told, their_told) = (&ours - &ours_untold, &theirs - &theirs_untold);
            prop_assert_eq!(difference.lacks.into_iter().collect::<BTreeSet<_>>(), seen(&our_told - &their_told));
            let wanted: BTreeSet<_> = difference.wants.iter().map(|name| ben.envelope(name).unwrap()).collect();
            prop_assert_eq!(wanted, seen(&their_told - &ours));
        }
    }

    /// Whoever lacks so much that one comparison cannot name it goes on with a part, and has the rest in the next ones.
    #[test]
    fn what_no_comparison_can_name_is_named_in_several() {
        let many = |n: u32| Listed { hour: n / 10_000, id: named(n), told: true };
        let theirs: Vec<_> = (0..125_000).map(many).collect();
        let (mut ours, mut comparisons) = (BTreeSet::new(), 0);
        while ours.len() < theirs.len() {
            let known = theirs.iter().filter(|listed| ours.contains(&listed.id)).copied();
            let (difference, ben) = compare(known, theirs.iter().copied(), 0);
            ours.extend(difference.wants.iter().map(|name| ben.envelope(name).unwrap()));
            assert!(difference.lacks.is_empty());
            assert_eq!(difference.all, ours.len() == theirs.len());
            comparisons += 1;
        }
        assert!(comparisons > 1);
    }

    #[test]
    fn garbage_ends_the_session() {
        let (mut ana, first) = Session::open([1; 16], 0, std::iter::empty()).unwrap();
        for bytes in [vec![], vec![0xff; 40], vec![0x61]] {
            let round = Round { bytes, opener: false, ..first.clone() };
            assert!(ana.receive(&round).is_err() || round.bytes == [0x61]);
        }
        assert!(ana.receive(&first).is_err(), "an opener takes no opener's round");
    }
}
