//! A Kinfold node: the protocol's output made true, on disk and on the network, and a local API to it.
//!
//! One task owns the protocol's `Client` and the store (`node`); one task owns each group's swarm (`net`); the
//! control socket has tasks of its own ([`control`]). They talk over bounded channels and share nothing else.

mod answer;
mod clock;
pub mod control;
mod execute;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod limited;
mod net;
mod node;
pub mod paths;
mod setup;
pub mod store;
mod tell;
pub mod vault;

pub use control::NodeError;
pub use node::{Options, run};
pub use setup::{check_can_set_up, check_files, check_set_up, init};
