//! What the BPF program and the host share: the ABI of the maps, wire headers, checksums, and the whole packet pipeline.
//!
//! The pipeline ([`pipeline::process`]) is generic over [`Packet`] (bytes) and [`Tables`] (maps), so that the same code runs
//! in the kernel behind `lb-ebpf`'s shell and on the host behind the model in [`host`].
#![cfg_attr(not(any(test, feature = "host")), no_std)]
#![forbid(unsafe_code)]

pub mod abi;
pub mod bucket;
pub mod checksum;
pub mod half_open;
pub mod hash;
#[cfg(any(test, feature = "host"))]
pub mod host;
pub mod maps;
pub mod packet;
pub mod pipeline;
pub mod siphash;
pub mod tables;
mod verdict;
pub mod wire;

pub use packet::Packet;
pub use pipeline::{Workspace, ether_type, long_way, process, shortcut_v4, shortcut_v6};
pub use tables::{AddressTables, Tables};
pub use verdict::{Action, Verdict};
