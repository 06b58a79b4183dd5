//! Keyed hashes.
