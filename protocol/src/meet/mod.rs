//! Meeting a peer: proving what both hold, the sealed channel after it, and comparing two logs (PROTOCOL M). Plain
//! state machines; the group's side of the talk is in `group/`.

pub(crate) mod channel;
pub(crate) mod generation;
pub(crate) mod hello;
pub(crate) mod reconcile;
pub(crate) mod talk;

/// Generations of the net secret that are kept and shown in a hello: its tags must leave room for as many invites.
pub(crate) const GENERATIONS_MAX: usize = 64;
