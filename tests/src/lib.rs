//! The simulator: many [`kinfold_protocol::Client`]s in one thread and in virtual time, on disks that forget and over
//! networks that lose, with an oracle that looks at all of them after every round.
//!
//! Everything that happens in a run follows from its seed, so that a failing run is repeated by its seed alone.

pub mod clock;
pub mod death;
pub mod dice;
pub mod disk;
pub mod facts;
pub mod fuzzing;
pub mod judge;
pub mod levers;
pub mod network;
pub mod oracle;
pub mod run;
pub mod script;
pub mod stage;
pub mod trace;
pub mod watch;
pub mod world;
