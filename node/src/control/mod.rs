//! The local API: what faces on this device may ask, how it is answered, and in which words it is refused.
//!
//! It owns the types that cross the socket, and the socket. It never touches a group: every request becomes a
//! [`Call`] that the core answers.

pub mod api;
pub mod errors;
mod frame;
pub mod lines;
pub mod resolve;
pub mod rows;
pub mod show;
pub mod socket;
mod words;

pub use api::{API_VERSION, Call, Request};
pub use errors::{ApiError, ErrorKind, NodeError};
