//! Who died where, counted; and each role's share of deaths.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kinfold_tests::death::{Chain, POINTS};
use kinfold_tests::dice::Dice;
use tempfile::TempDir;

use crate::judge::{copy_tree, open_copy};
use crate::node::Node;

/// Deaths at each named point, at least.
const AT_EACH_POINT: u64 = 5;
/// Deaths of each role at moments that nobody chose, at least.
const AT_RANDOM: u64 = 30;
/// Within this a store must open.
const OPENS_WITHIN: Duration = Duration::from_secs(2);
/// Openings of one store, until one is fast enough.
const OPEN_TRIES: usize = 5;
/// How often a death is tried: a burst may end before a point that only comes when there is much to do.
const DEATH_TRIES: usize = 5;

/// When to die in what is done now.
#[derive(Clone, Debug)]
pub(crate) enum Death {
    /// At the end of a chain of points.
    At(Chain),
    /// At a moment: so many thousandths of the time that it takes.
    Random(u32),
}

/// Counts all deaths.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    points: BTreeMap<&'static str, u64>,
    random: BTreeMap<&'static str, u64>,
    /// The store that took longest to open, as a death left it.
    slowest: Option<(Duration, TempDir)>,
    facts: BTreeMap<&'static str, u64>,
}

/// One role's part of a run.
pub(crate) struct Share<'a> {
    ledger: &'a Ledger,
    pub(crate) role: &'static str,
    times: u64,
    dice: Dice,
}

impl Ledger {
    /// The part of one role; the dice are of a seed and a number.
    pub(crate) fn share(&self, role: &'static str, times: u64, (seed, number): (u64, u64)) -> Share<'_> {
        Share { ledger: self, role, times, dice: Dice::new(seed, number) }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Counts) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was counted, in lines.
    pub(crate) fn table(&self) -> String {
        self.with(|counts| {
            let mut text = String::new();
            let lines = counts.points.iter().chain(&counts.random).chain(&counts.facts);
            for (what, count) in lines {
                writeln!(text, "{what}: {count}").expect("written");
            }
            text
        })
    }

    /// The store that was slowest to open, opened now that nothing else is going on: how long that takes.
    pub(crate) fn opening(&self) -> Duration {
        let slowest = self.with(|counts| counts.slowest.take());
        let (_, copy) = slowest.expect("stores were opened");
        let mut fastest = Duration::MAX;
        for _ in 0..OPEN_TRIES {
            fastest = fastest.min(open_copy(copy.path()).1);
            if fastest < OPENS_WITHIN {
                break;
            }
        }
        assert!(fastest < OPENS_WITHIN, "a store took {fastest:?} to open");
        fastest
    }

    /// Whether everybody died as often as they must have; a point where nobody died has shown nothing.
    pub(crate) fn check<const N: usize>(&self, roles: [&'static str; N], times: u64) {
        self.with(|counts| {
            let died = |of: &BTreeMap<_, u64>, what| of.get(what).copied().unwrap_or(0);
            for point in POINTS {
                let died = died(&counts.points, point);
                assert!(died >= AT_EACH_POINT * times, "only {died} deaths at {point}");
            }
            for role in roles {
                let died = died(&counts.random, role);
                assert!(died >= AT_RANDOM * times, "only {died} random deaths of the {role}");
            }
        });
    }
}

/// Tries each death until it came about; `dies` is told how many were tried before, and says whether it did.
pub(crate) fn each(deaths: &[Death], mut dies: impl FnMut(usize, &Death) -> bool) {
    let mut tried = 0;
    for death in deaths {
        for _ in 0..DEATH_TRIES {
            tried += 1;
            if dies(tried - 1, death) {
                break;
            }
        }
    }
}

impl Share<'_> {
    /// The deaths of this role: each chain once, the random ones in between.
    pub(crate) fn deaths(&mut self, chains: &[&str]) -> Vec<Death> {
        let mut deaths = Vec::new();
        for _ in 0..self.times {
            deaths.extend(chains.iter().map(|chain| Death::At(chain.parse().expect("a chain"))));
            for _ in 0..AT_RANDOM {
                deaths.push(Death::Random(u32::try_from(self.dice.below(1_000)).expect("a share")));
            }
        }
        deaths
    }

    /// Counts a death.
    pub(crate) fn died(&self, death: &Death) {
        self.ledger.with(|counts| match death {
            Death::At(chain) => *counts.points.entry(chain.point()).or_default() += 1,
            Death::Random(_) => *counts.random.entry(self.role).or_default() += 1,
        });
    }

    /// The store of a dead device was opened; the slowest of all is kept, to be timed when all is quiet.
    pub(crate) fn opened(&self, node: &Node, took: Duration) {
        self.ledger.with(|counts| {
            if counts.slowest.as_ref().is_none_or(|(slowest, _)| *slowest < took) {
                let copy = TempDir::new().expect("a folder");
                copy_tree(&node.dir, copy.path());
                counts.slowest = Some((took, copy));
            }
        });
    }

    /// Adds to the number of something that is told in the end.
    pub(crate) fn tell(&self, what: &'static str, number: usize) {
        let number = u64::try_from(number).expect("a number");
        self.ledger.with(|counts| *counts.facts.entry(what).or_default() += number);
    }
}
