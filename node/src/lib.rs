//! A Kinfold node.

pub mod paths;
pub mod store;
pub mod vault;
mod net;
