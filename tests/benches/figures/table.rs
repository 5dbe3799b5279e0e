//! Tables in Markdown, and the numbers in them.

use std::fmt;
use std::time::Duration;

/// Rows under a head.
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self(vec![head.iter().map(ToString::to_string).collect(), vec!["---".to_owned(); head.len()]])
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        self.0.push(cells.to_vec());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}

/// Microseconds.
pub(crate) fn micros(span: Duration) -> String {
    format!("{} us", span.as_micros())
}

/// Milliseconds.
pub(crate) fn millis(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1e3)
}

/// One span as a multiple of another.
pub(crate) fn ratio(ours: Duration, floor: Duration) -> String {
    format!("{:.1}x", ours.as_secs_f64() / floor.as_secs_f64())
}

/// The span that a share of all do not exceed.
pub(crate) fn percentile(spans: &[Duration], percent: usize) -> Duration {
    let mut sorted = spans.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}
