//! Waiting for a state, with a deadline and never for luck.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// How often a state is looked at.
const LOOK: Duration = Duration::from_millis(25);

/// Looks until there is something to see.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    seen_within(PATIENCE, look).unwrap_or_else(|| panic!("never came: {what}"))
}

/// Looks for so long at most.
pub(crate) fn seen_within<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + time;
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if Instant::now() >= end {
            return None;
        }
        pause(LOOK);
    }
}

/// Lets so much time pass: for what happens at a moment of the clock, such as a kill in the middle of something.
pub(crate) fn pause(time: Duration) {
    let (_nobody, never) = mpsc::sync_channel::<()>(1);
    assert_eq!(never.recv_timeout(time), Err(RecvTimeoutError::Timeout));
}
