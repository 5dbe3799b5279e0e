//! A Kinfold node.

#[cfg_attr(not(test), expect(dead_code, reason = "nothing drives a network until the core loop does"))]
mod net;
