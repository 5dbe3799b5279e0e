//! What a member's device could be made to send, and what the others make of it.

mod bringers;
mod catch_up;
mod commits;
mod contact;
mod content;
mod control;
mod delivery;
mod disk;
mod extremes;
mod flood;
mod forks;
mod gaps;
mod handed;
mod hostile;
mod outbox;
mod reach;
mod replay;
mod rogue;
mod room;
mod spare;
mod strays;
mod told;
mod updates;
mod waiting;
