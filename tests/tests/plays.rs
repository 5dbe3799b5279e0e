//! Plays: three people in one room, their clients carried by hand, so that anything can be held back, changed, turned
//! round or told twice. Each shows one promise of the protocol by its exact facts.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

#[path = "plays/absences.rs"]
mod absences;
#[path = "plays/branches.rs"]
mod branches;
#[path = "plays/clocks.rs"]
mod clocks;
#[path = "plays/comebacks.rs"]
mod comebacks;
#[path = "plays/deaths.rs"]
mod deaths;
#[path = "plays/doors.rs"]
mod doors;
#[path = "plays/floods.rs"]
mod floods;
#[path = "plays/handed.rs"]
mod handed;
#[path = "plays/invites.rs"]
mod invites;
#[path = "plays/losses.rs"]
mod losses;
#[path = "plays/marks.rs"]
mod marks;
#[path = "plays/order.rs"]
mod order;
#[path = "plays/partitions.rs"]
mod partitions;
#[path = "plays/pauses.rs"]
mod pauses;
#[path = "plays/read_errors.rs"]
mod read_errors;
#[path = "plays/replay.rs"]
mod replay;
#[path = "plays/returns.rs"]
mod returns;
#[path = "plays/rivals.rs"]
mod rivals;
#[path = "plays/states.rs"]
mod states;
#[path = "plays/system_clock.rs"]
mod system_clock;
#[path = "plays/ticks.rs"]
mod ticks;
#[path = "plays/vectors.rs"]
mod vectors;
#[path = "shared/wrong_clock.rs"]
mod wrong_clock;

use kinfold_tests::stage;
