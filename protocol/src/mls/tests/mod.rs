//! The folder's promises, told with people.

mod bytes;
pub(crate) mod foreign;
mod messages;
mod rogue;
mod rows;
#[cfg(feature = "sim")]
mod seeded;
mod siblings;
mod story;
mod support;
