//! Rules that are pure functions of plain data.

pub mod allowance;
pub(crate) mod extension;
pub(crate) mod judge;
pub mod limits;
pub(crate) mod pending;
pub(crate) mod roster;
