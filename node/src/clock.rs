//! The wall clock, read once for each turn of the loop.

use std::time::{SystemTime, UNIX_EPOCH};

use kinfold_protocol::time::Time;

/// What the wall clock says. A clock before 1970 says 1970.
pub(crate) fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
