//! Whole nodes as child processes: they meet over TCP on this machine, and are driven by verbs and over their sockets.
#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "an answer without the field asked for, or an id of another length, is a failed test"
)]

mod away;
mod clock;
mod contract;
mod daily;
mod device;
mod expiry;
mod follow;
mod frozen;
mod hidden;
mod invites;
mod joins;
mod lost;
mod roles;
mod talk;
mod together;
mod told;
#[path = "../../../tests/tests/shared/traces.rs"]
mod traces;
mod wait;
#[path = "../../../tests/tests/shared/wrong_clock.rs"]
mod wrong_clock;
