//! A Kinfold node: the protocol's output made true, on disk and on the network, and a local API to it.

pub mod control;
mod net;
pub mod paths;
pub mod store;
pub mod vault;

pub use control::NodeError;
