//! The folder's promises, told with people.

mod bytes;
mod messages;
mod rogue;
mod rows;
#[cfg(feature = "sim")]
mod seeded;
mod siblings;
mod story;
mod support;
