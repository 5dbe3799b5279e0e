//! Kinfold's protocol, as pure state machines: no clock, no files, no network, no entropy but the seed handed in.

mod client;
pub mod error;
pub mod id;
pub mod persist;
mod policy;
pub mod step;
pub mod time;
pub mod view;

pub use client::Client;
pub use policy::limits;
