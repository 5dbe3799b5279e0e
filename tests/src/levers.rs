//! How often each trouble was made and each thing was done: a run in which nothing went wrong proves nothing.

use std::collections::BTreeMap;

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levers(BTreeMap<&'static str, u64>);

/// Sends that a person tried.
pub const ATTEMPTED: &str = "sends attempted";
/// Sends that were accepted.
pub const ACCEPTED: &str = "sends accepted";
/// Steps of all clients.
pub const STEPS: &str = "steps";
/// Different commits that were written to a disk.
pub const COMMITS: &str = "commits";
/// Parents with more than one commit.
pub const FORKS: &str = "forks";
/// Gossip that got lost.
pub const LOST: &str = "gossip lost";
/// Gossip that came twice.
pub const DOUBLED: &str = "gossip doubled";
/// Gossip that came long after what was published later.
pub const LATE: &str = "gossip late";
/// Gossip that a third node passed on.
pub const FORWARDED: &str = "gossip forwarded";
/// What waited at a node went on from there when it was opened.
pub const PASSED_ON_LATE: &str = "gossip forwarded late";
/// The network fell apart.
pub const PARTITIONS: &str = "partitions";
/// It came together again.
pub const HEALS: &str = "heals";
/// One link broke.
pub const LINKS_CUT: &str = "links cut";
/// Dials that reached nobody.
pub const DIALS_FAILED: &str = "dials failed";
/// Links that came up.
pub const LINKS_UP: &str = "links up";
/// A node stopped in order and came back.
pub const CLEAN: &str = "clean restarts";
/// A node stopped in the middle of something and came back.
pub const UNCLEAN: &str = "unclean restarts";
/// Batches that were lost with the power.
pub const BATCHES_LOST: &str = "batches lost";
/// Batches that were durable when the power went, but whose transmits were not made.
pub const TRANSMITS_LOST: &str = "transmits lost";
/// Joins that ended well.
pub const JOINS: &str = "joins";
/// Removals that were asked for and accepted.
pub const REMOVES: &str = "removes";
/// Leaves that were asked for and accepted.
pub const LEAVES: &str = "leaves";
/// Retentions that were set.
pub const RETENTIONS: &str = "retentions";
/// Members who were let change the group.
pub const APPOINTED: &str = "facilitators appointed";
/// Members who were let change the group no longer, or whom one more facilitator must agree about.
pub const DISMISSED: &str = "facilitators dismissed";
/// Changes that were told and turned out not to be so: the head went over to another branch.
pub const ROLLBACKS: &str = "rollbacks";
/// Devices that were let back in.
pub const SWAPS: &str = "swaps";
/// Newcomers who came in once more, by another branch.
pub const WELCOMED_AGAIN: &str = "welcomed again";
/// Lines that died before the eyes of a face.
pub const EXPIRED: &str = "lines expired";
/// Clocks that were set wrong.
pub const SKEWS: &str = "clocks skewed";
/// Commands that a device had to refuse, and did.
pub const MISTAKES: &str = "mistakes refused";
/// Invites that were taken back before they were used.
pub const REVOKED: &str = "invites revoked";
/// Joins by such invites that ended without a group.
pub const KEPT_OUT: &str = "guests kept out";
/// Groups and joins that a device was told to forget, and did.
pub const FORGOTTEN: &str = "groups forgotten";
/// Marks of compared safety codes that were set or taken away.
pub const VERIFIES: &str = "marks set";
/// Histories that were taken as read.
pub const READS: &str = "histories read";
/// Addresses that were tried by hand.
pub const CONNECTS: &str = "addresses tried";
/// Steps in which the store could not be read.
pub const READ_ERRORS: &str = "read errors";
/// Leaps of all clocks.
pub const LEAPS: &str = "leaps of time";
/// Commits on a state that the group had left, which were kept and moved nobody.
pub const PARKED_RIVAL: &str = "rivals parked";
/// What nobody there could open yet, and was kept.
pub const PARKED_UNKNOWN: &str = "unknown parked";
/// Messages that waited until earlier ones of their sender were asked for.
pub const PARKED_GAP: &str = "gaps asked for";
/// Messages that waited for their author's word.
pub const WAITED: &str = "messages waited";

/// How often each must happen in fifty seeds at the least.
const LEAST: [(&str, u64); 40] = [
    (ACCEPTED, 900),
    (APPOINTED, 20),
    (BATCHES_LOST, 10),
    (CLEAN, 20),
    (COMMITS, 100),
    (CONNECTS, 20),
    (DIALS_FAILED, 40),
    (DISMISSED, 4),
    (DOUBLED, 100),
    (EXPIRED, 100),
    (FORGOTTEN, 8),
    (FORKS, 6),
    (FORWARDED, 100),
    (HEALS, 20),
    (JOINS, 80),
    (KEPT_OUT, 2),
    (LATE, 40),
    (LEAPS, 20),
    (LEAVES, 8),
    (LINKS_CUT, 40),
    (LINKS_UP, 200),
    (LOST, 100),
    (MISTAKES, 40),
    (PARKED_GAP, 100),
    (PARKED_RIVAL, 20),
    (PARKED_UNKNOWN, 8),
    (PARTITIONS, 20),
    (PASSED_ON_LATE, 20),
    (READS, 40),
    (READ_ERRORS, 20),
    (REMOVES, 8),
    (RETENTIONS, 20),
    (REVOKED, 4),
    (ROLLBACKS, 12),
    (SKEWS, 20),
    (TRANSMITS_LOST, 10),
    (UNCLEAN, 20),
    (VERIFIES, 20),
    (WAITED, 20),
    (WELCOMED_AGAIN, 1),
];
/// Seeds for which [`LEAST`] is meant.
const LEAST_SEEDS: u64 = 50;
/// Of a hundred sends, how many must be accepted.
const ACCEPTED_PERCENT: u64 = 95;

impl Levers {
    /// Once more.
    pub fn pull(&mut self, name: &'static str) {
        self.add(name, 1);
    }

    /// So many times more.
    pub fn add(&mut self, name: &'static str, times: u64) {
        *self.0.entry(name).or_default() += times;
    }

    /// How often.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Adds what another run did.
    pub fn merge(&mut self, other: &Self) {
        for (name, times) in &other.0 {
            self.add(name, *times);
        }
    }

    /// What happened too seldom in so many seeds for the run to prove anything. A short run is held to nothing but the
    /// share of accepted sends: chance may leave out anything in a single seed.
    #[must_use]
    pub fn too_seldom(&self, seeds: u64) -> Vec<String> {
        let least = LEAST.iter().map(|(name, times)| (*name, times * (seeds / LEAST_SEEDS)));
        let seldom = least.filter(|(name, times)| self.count(name) < *times);
        let mut found: Vec<String> =
            seldom.map(|(name, times)| format!("{name}: {} of {times}", self.count(name))).collect();
        let (accepted, attempted) = (self.count(ACCEPTED), self.count(ATTEMPTED));
        if accepted * 100 < attempted * ACCEPTED_PERCENT {
            found.push(format!("sends accepted: {accepted} of {attempted}"));
        }
        found
    }

    /// All counts, one a line.
    #[must_use]
    pub fn table(&self) -> String {
        self.0.iter().map(|(name, times)| format!("  {name}: {times}\n")).collect()
    }
}

#[test]
fn a_run_in_which_too_little_happened_is_told_so() {
    let mut levers = Levers::default();
    assert!(levers.too_seldom(1).is_empty());
    assert_eq!(levers.too_seldom(50).len(), LEAST.len());
    levers.add(ATTEMPTED, 100);
    levers.add(ACCEPTED, 94);
    assert_eq!(levers.too_seldom(1).len(), 1);
    levers.pull(ACCEPTED);
    assert!(levers.too_seldom(1).is_empty());
}
