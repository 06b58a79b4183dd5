//! System calls: all `unsafe` of this crate.

pub mod bpf;
pub mod clock;
pub mod datagrams;
pub mod kernel;
pub mod packet;
pub mod peer;
pub mod process;
pub mod readable;
