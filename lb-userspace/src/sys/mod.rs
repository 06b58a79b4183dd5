//! System calls: all `unsafe` of this crate.

pub mod bpf;
