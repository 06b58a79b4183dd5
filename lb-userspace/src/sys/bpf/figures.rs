//! What a program costs, as the kernel counts it.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use super::call::{self, ENABLE_STATS, EnableStatsAttr, InfoAttr, OBJ_GET_INFO};
use super::link::open;

/// `BPF_STATS_RUN_TIME`.
const RUN_TIME: u32 = 0;

/// What a program costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramFigures {
    /// Instructions that the verifier followed.
    pub verified_instructions: u32,
    /// Bytes of BPF code.
    pub translated_bytes: u32,
    /// Bytes of machine code; 0 without a JIT.
    pub jited_bytes: u32,
    /// How often it ran while that was counted.
    pub runs: u64,
    /// How long it ran then, all CPUs together.
    pub run_time: Duration,
}

/// `struct bpf_prog_info` up to the number of verified instructions.
#[repr(C)]
#[derive(Debug, Default)]
struct RawFigures {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_len: u32,
    translated_len: u32,
    code: [u64; 2],
    load_time: u64,
    user: u32,
    map_count: u32,
    maps: u64,
    name: [u8; 16],
    ifindex: u32,
    flags: u32,
    netns: [u64; 2],
    symbols: [u32; 2],
    symbol_lists: [u64; 2],
    btf: [u32; 2],
    functions: u64,
    line_counts: [u32; 2],
    lines: [u64; 2],
    rest_of_lines: [u32; 4],
    tags: u64,
    run_nanos: u64,
    runs: u64,
    recursion_misses: u64,
    verified_instructions: u32,
    pad: u32,
}

/// A program that is open.
#[derive(Debug)]
pub struct OpenProgram(OwnedFd);

impl OpenProgram {
    /// Opens the program that is pinned at `path`.
    ///
    /// # Errors
    /// `NotFound` if nothing is pinned there, and whatever else `bpf(2)` says.
    pub fn pinned(path: &Path) -> io::Result<Self> {
        open(path).map(Self)
    }

    /// What it costs.
    ///
    /// # Errors
    /// What `bpf(2)` says.
    pub fn figures(&self) -> io::Result<ProgramFigures> {
        let mut raw = RawFigures::default();
        let mut attr = InfoAttr {
            bpf_fd: self.0.as_raw_fd() as u32,
            info_len: size_of::<RawFigures>() as u32,
            info: (&raw mut raw).addr() as u64,
        };
        // SAFETY: `raw` has `info_len` bytes, all of which may be overwritten; all lengths and addresses in it are 0.
        unsafe { call::bpf(OBJ_GET_INFO, &mut attr)? };
        Ok(ProgramFigures {
            verified_instructions: raw.verified_instructions,
            translated_bytes: raw.translated_len,
            jited_bytes: raw.jited_len,
            runs: raw.runs,
            run_time: Duration::from_nanos(raw.run_nanos),
        })
    }
}

/// The kernel counts how often and how long BPF programs run, as long as this lives.
#[derive(Debug)]
pub struct RunTimeStats(#[expect(dead_code, reason = "the kernel counts while it is open")] OwnedFd);

impl RunTimeStats {
    /// Has it count. Linux 5.8 and CAP_SYS_ADMIN.
    ///
    /// # Errors
    /// What `bpf(2)` says.
    pub fn start() -> io::Result<Self> {
        let mut attr = EnableStatsAttr { kind: RUN_TIME, pad: 0 };
        // SAFETY: the block has no address in it.
        unsafe { call::bpf_fd(ENABLE_STATS, &mut attr) }.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::sys::bpf::tests::{HASH, map};
    use crate::sys::bpf::{RawProgram, test_run};

    #[test]
    fn runs_are_counted_while_somebody_wants_it() {
        let Some(_) = map(&HASH) else { return };
        let program = RawProgram::load(&[0x0000_0002_0000_00b7, 0x95], &[0]).unwrap();
        let open = OpenProgram(program.as_fd().try_clone_to_owned().unwrap());
        let stats = RunTimeStats::start().unwrap();
        test_run(program.as_fd(), 1, &[0; 64], 1000).unwrap();
        drop(stats);
        let figures = open.figures().unwrap();
        assert_eq!((figures.verified_instructions, figures.translated_bytes), (2, 16));
        assert!(figures.runs >= 1000 && figures.run_time > Duration::ZERO, "{figures:?}");
    }
}
