//! Plays: three people in one room, their clients carried by hand, so that anything can be held back, changed, turned
//! round or told twice. Each shows one promise of the protocol by its exact facts.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

#[path = "plays/invites.rs"]
mod invites;
#[path = "plays/marks.rs"]
mod marks;
#[path = "plays/order.rs"]
mod order;
#[path = "plays/replay.rs"]
mod replay;
#[path = "plays/rivals.rs"]
mod rivals;
#[path = "plays/stage.rs"]
mod stage;
#[path = "plays/states.rs"]
mod states;
#[path = "plays/vectors.rs"]
mod vectors;
