//! What a person and a script are told when something cannot be done, word for word, and that nothing came of it. Each
//! case runs the program itself, in both forms.
//!
//! `FAULTS=all` lets the disk fail at every change in turn, and not only at some of them.
#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "an answer without the field asked for, or an id of another length, is a failed test"
)]

mod broken_disk;
mod clock;
#[path = "../processes/device.rs"]
#[allow(dead_code, reason = "the devices of other tests do more")]
mod device;
mod faults;
mod full;
mod groups;
mod keys;
mod places;
mod small_disk;
mod told;
#[path = "../processes/wait.rs"]
#[allow(dead_code, reason = "other tests wait for more")]
mod wait;
#[path = "../../../tests/tests/shared/wrong_clock.rs"]
#[allow(dead_code, reason = "other tests turn the clock under way")]
mod wrong_clock;
