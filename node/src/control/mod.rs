//! The local API: what faces on this device may ask, how it is answered, and in which words it is refused.
//!
//! It owns the types that cross the socket, and the socket. It never touches a group: every request becomes a
//! [`Call`] that the core answers.

/// Gives types a `Debug` that shows nothing: what people call themselves and each other never reaches a log.
macro_rules! redacted {
    ($($name:ident),* $(,)?) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

pub mod api;
pub mod errors;
pub(crate) mod frame;
pub mod inside;
pub mod lines;
pub mod names;
pub mod resolve;
pub mod rows;
pub mod show;
pub mod socket;
mod words;

pub use api::{API_VERSION, Call, Request};
pub use errors::{ApiError, ErrorKind, NodeError};
