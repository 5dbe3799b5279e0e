//! Kinfold examples.
