//! Virtual time, and what each node takes it for.

use std::time::Duration;

use kinfold_protocol::limits::CLOCK_OFF;
use kinfold_protocol::time::Time;

/// When every run begins: a day like any other in 2026.
const BEGIN_MS: u64 = 1_790_000_000_000;

/// Clocks are told to ten seconds, and arrive later than they were told.
const ROUNDED: Duration = Duration::from_secs(15);

/// True time, and how far each node's clock is off.
#[derive(Debug)]
pub struct Clock {
    now_ms: u64,
    skews_ms: Vec<i64>,
    marks: Vec<Time>,
    /// When each clock last showed anything but the passing of time.
    moved_ms: Vec<u64>,
    /// The widest step by which any clock was ever set.
    step: Duration,
    apart: bool,
}

impl Clock {
    /// Clocks of so many nodes, all right.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self {
            now_ms: BEGIN_MS,
            skews_ms: vec![0; nodes],
            marks: vec![Time::ZERO; nodes],
            moved_ms: vec![BEGIN_MS; nodes],
            step: CLOCK_OFF,
            apart: false,
        }
    }

    /// True time, which no node knows.
    #[must_use]
    pub const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Milliseconds since the beginning of the run.
    #[must_use]
    pub const fn elapsed_ms(&self) -> u64 {
        self.now_ms.saturating_sub(BEGIN_MS)
    }

    /// Moves true time forward; never back.
    pub fn advance_to(&mut self, ms: u64) {
        self.now_ms = self.now_ms.max(ms);
    }

    /// Everything sleeps for a while, and wakes up to find that time has passed.
    pub fn leap(&mut self, ms: u64) {
        self.now_ms = self.now_ms.saturating_add(ms);
        self.moved_ms.fill(self.now_ms);
    }

    /// Sets how far a node's clock is ahead.
    pub fn set_skew(&mut self, node: usize, ahead_ms: i64) {
        let step = Duration::from_millis(ahead_ms.abs_diff(self.skew(node)));
        self.step = self.step.max(step);
        if let Some(skew) = self.skews_ms.get_mut(node) {
            *skew = ahead_ms;
        }
        if let Some(moved) = self.moved_ms.get_mut(node) {
            *moved = self.now_ms;
        }
        let (least, most) = (self.skews_ms.iter().min(), self.skews_ms.iter().max());
        let span = least.zip(most).map_or(0, |(least, most)| most.abs_diff(*least));
        self.apart |= Duration::from_millis(span) + ROUNDED >= CLOCK_OFF;
    }

    /// What a node's clock shows.
    pub fn local(&mut self, node: usize) -> Time {
        let now = Time::from_ms(self.now_ms).shifted(self.skew(node));
        if let Some(mark) = self.marks.get_mut(node) {
            *mark = now.max(*mark);
        }
        now
    }

    /// Since which true time a node's clock has shown nothing but the passing of time.
    #[must_use]
    pub fn steady_since(&self, node: usize) -> u64 {
        self.moved_ms.get(node).copied().unwrap_or_default()
    }

    /// The latest that a node's clock has ever shown.
    #[must_use]
    pub fn mark(&self, node: usize) -> Time {
        self.marks.get(node).copied().unwrap_or_default()
    }

    /// From when on a node may hold something for dead: the latest that its clock has ever shown, or any node's would, once
    /// clocks have been so far apart that nodes correct their own by those of their peers (PROTOCOL D4). A clock
    /// that is wrong, corrected, and then set to another wrong time, misleads its node and its peers by that step
    /// until they hear of each other again.
    #[must_use]
    pub fn dead_before(&self, node: usize) -> Time {
        // Also of those that have not looked at their clocks since everything slept.
        let shown = self.skews_ms.iter().map(|skew| Time::from_ms(self.now_ms).shifted(*skew));
        let all = shown.chain(self.marks.iter().copied()).max().unwrap_or_default();
        if self.apart { all + self.step } else { self.mark(node) }
    }

    /// From when on a node must hold something for dead: what its clock shows, or the clock furthest behind, less what
    /// a clock that was set can mislead by.
    #[must_use]
    pub fn alive_after(&self, node: usize) -> Time {
        let behind = if self.apart { self.skews_ms.iter().copied().min().unwrap_or(0) } else { self.skew(node) };
        let must = Time::from_ms(self.now_ms).shifted(behind.min(self.skew(node)));
        if self.apart { must - self.step } else { must }
    }

    /// The true time at which a node's clock will show `local`.
    #[must_use]
    pub fn true_ms(&self, node: usize, local: Time) -> u64 {
        local.shifted(self.skew(node).saturating_neg()).ms()
    }

    fn skew(&self, node: usize) -> i64 {
        self.skews_ms.get(node).copied().unwrap_or(0)
    }
}

#[test]
fn a_skewed_clock_is_off_by_its_skew_and_its_mark_never_goes_back() {
    let mut clock = Clock::new(2);
    clock.set_skew(1, 5_000);
    let (right, ahead) = (clock.local(0), clock.local(1));
    assert_eq!(ahead, right.shifted(5_000));
    assert_eq!(clock.true_ms(1, ahead), clock.now_ms());
    clock.set_skew(1, -5_000);
    assert!(clock.local(1) < right);
    assert_eq!(clock.mark(1), ahead);
}
