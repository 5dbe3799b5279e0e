//! Rules that are pure functions of plain data.

pub mod limits;
