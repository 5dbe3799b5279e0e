//! `kinfold`: private group talk without a server, in a terminal.
fn main() {}
