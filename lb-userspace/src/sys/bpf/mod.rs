//! BPF maps, and programs for measurements, by raw `bpf(2)`.
//!
//! aya trusts the sizes of a pinned map; here every access is checked against what the kernel says about the map. It also has
//! no batch operations, which make reading a large table seven times faster.

mod batch;
mod bytes;
mod call;
mod figures;
mod link;
mod map;
mod program;
#[cfg(test)]
pub(crate) mod tests;
mod words;

pub use batch::{Chunk, Cut, Part, in_parts};
pub use bytes::{bytes_of, bytes_of_slice, from_bytes};
pub use figures::{OpenProgram, ProgramFigures, RunTimeStats};
pub use link::{ProgramInfo, XdpLinkInfo, pin_again, pinned_program, pinned_xdp_link};
pub use map::{Map, MapInfo, MapShape, is_full, possible_cpus};
pub use program::{RawProgram, TestRun, run_frame, test_run};
pub use words::Words;
