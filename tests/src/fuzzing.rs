//! What is fuzzed: each target takes any bytes, panics where a promise is broken, and says how far the bytes came.
//! `fuzz/run` searches led by coverage; the test `fuzzing` repeats what is kept, and varies it for a while.

mod live;

use kinfold_node::fuzz::{local_api, stored_row};
use kinfold_protocol::fuzz::{Reach, envelope, hello, invite, sync, ticket};

/// A target.
pub type Target = fn(&[u8], Reach<'_>);

/// Every target, by the name of its folder in `tests/corpus`.
pub const TARGETS: [(&str, Target); 8] = [
    ("envelope", envelope),
    ("hello", hello),
    ("invite", invite),
    ("live", live::inputs),
    ("local_api", local_api),
    ("stored_row", stored_row),
    ("sync", sync),
    ("ticket", ticket),
];

/// The target with this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
