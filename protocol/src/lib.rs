//! Kinfold's protocol, as pure state machines: no clock, no files, no network, no entropy but the seed handed in.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod client;
mod clock;
pub mod error;
#[cfg(feature = "sim")]
pub mod fuzz;
mod group;
pub mod id;
mod identity;
mod joining;
mod journal;

mod meet;
mod mls;
pub mod persist;
mod policy;
mod rooms;
mod seal;
pub mod step;
pub mod time;
pub mod view;
mod wire;

pub use client::Client;
pub use policy::{allowance, limits};
