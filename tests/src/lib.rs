//! Kinfold tests.
