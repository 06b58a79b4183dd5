//! The host model: a packet in a Vec and tables in HashMaps.
