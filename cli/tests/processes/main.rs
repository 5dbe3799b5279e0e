//! Whole nodes as child processes: they meet over TCP on this machine, and are driven by verbs and over their sockets.

mod contract;
mod device;
mod expiry;
mod invites;
mod joins;
mod roles;
mod talk;
mod wait;
