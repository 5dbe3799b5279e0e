//! The binary as people and scripts meet it: against no node, and against a core that answers by rote.

mod alone;
mod asked;
mod fake;
mod live;
mod terminal;
