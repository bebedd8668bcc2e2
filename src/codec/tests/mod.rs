//! What the two directions owe each other.
