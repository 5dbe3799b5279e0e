//! A Kinfold node.
