//! Programs made of plain instructions, and test runs: what measurements need. The balancer's own program is loaded by aya.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    time::Duration,
};

use super::call::{self, BTF_LOAD, BtfAttr, LoadAttr, MAP_UPDATE, PROG_LOAD, PROG_TEST_RUN, TestRunAttr};
use super::{Map, bytes_of};

/// `BPF_PROG_TYPE_XDP`.
const XDP: u32 = 6;
/// `BPF_XDP`: as aya sets it. Programs that call each other by a map must agree on it, and on the flag.
const ATTACH_TYPE: u32 = 37;
/// `BPF_F_XDP_HAS_FRAGS`.
const XDP_HAS_FRAGS: u32 = 1 << 5;
const LICENSE: &[u8] = b"GPL\0";
const LOG_BYTES: usize = 1 << 16;

/// An XDP program made of instructions, loaded but not attached.
#[derive(Debug)]
pub struct RawProgram {
    fd: OwnedFd,
}

/// What a test run gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// The XDP action of the last repetition.
    pub action: u32,
    /// Mean time of one repetition by the kernel's clock.
    pub time: Duration,
}

impl RawProgram {
    /// Loads an XDP program (frags allowed) of instructions as `linux/bpf.h` encodes them, one per word. `functions` are the numbers
    /// of the instructions that begin a function, the first of which is 0.
    ///
    /// # Errors
    /// What `BPF_PROG_LOAD` says, with the verifier's log.
    pub fn load(instructions: &[u64], functions: &[u32]) -> io::Result<Self> {
        let mut log = vec![0_u8; LOG_BYTES];
        let btf = load_btf()?;
        let functions: Vec<[u32; 2]> = functions.iter().map(|first| [*first, FUNCTION_TYPE]).collect();
        let mut attr = LoadAttr {
            kind: XDP,
            instruction_count: instructions.len() as u32,
            instructions: instructions.as_ptr().addr() as u64,
            license: LICENSE.as_ptr().addr() as u64,
            log_level: 1,
            log_size: LOG_BYTES as u32,
            log: log.as_mut_ptr().addr() as u64,
            flags: XDP_HAS_FRAGS,
            attach_type: ATTACH_TYPE,
            btf_fd: btf.as_raw_fd() as u32,
            function_size: size_of::<[u32; 2]>() as u32,
            functions: functions.as_ptr().addr() as u64,
            function_count: functions.len() as u32,
            ..LoadAttr::default()
        };
        // SAFETY: the block has the addresses and sizes of live slices and of a terminated string.
        match unsafe { call::bpf_fd(PROG_LOAD, &mut attr) } {
            Ok(fd) => Ok(Self { fd }),
            Err(error) => {
                let text = String::from_utf8_lossy(&log);
                Err(io::Error::new(error.kind(), format!("{error}: {}", text.trim_end_matches('\0'))))
            }
        }
    }
}

/// The type of every function, in [`BTF_TYPES`].
const FUNCTION_TYPE: u32 = 3;
/// `int`, `int (int)`, and a static function `f` of that type (Documentation/bpf/btf.rst).
const BTF_TYPES: [u32; 12] =
    [1, 1 << 24, 4, 32, /* proto */ 0, 13 << 24 | 1, 1, 1, 1, /* f */ 5, 12 << 24, 2];
const BTF_STRINGS: &[u8] = b"\0int\0f\0";

/// Type information: the kernel refuses tail calls from functions without.
fn load_btf() -> io::Result<OwnedFd> {
    const HEADER: u32 = 24;
    let types = size_of_val(&BTF_TYPES) as u32;
    // Magic, version 1, no flags; then offsets and lengths behind the header.
    let header = [0x0001_eb9f, HEADER, 0, types, types, BTF_STRINGS.len() as u32];
    let mut btf: Vec<u8> = header.iter().chain(&BTF_TYPES).flat_map(|word| word.to_ne_bytes()).collect();
    btf.extend(BTF_STRINGS);
    let mut attr = BtfAttr { btf: btf.as_ptr().addr() as u64, size: btf.len() as u32, ..BtfAttr::default() };
    // SAFETY: the only address is that of `btf`, with its size; there is no log.
    unsafe { call::bpf_fd(BTF_LOAD, &mut attr) }
}

impl AsFd for RawProgram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Room for what a program may put in front of a frame.
const GROWTH: usize = 256;

/// Runs an XDP program on a frame that seems to have arrived at `ingress`, `repeat` times in one call. The kernel does not restore
/// the frame between the repetitions.
///
/// # Errors
/// What `BPF_PROG_TEST_RUN` says; `ENOSPC` if the frame grew by more than 256 bytes.
pub fn test_run(program: BorrowedFd<'_>, ingress: u32, frame: &[u8], repeat: u32) -> io::Result<TestRun> {
    run(program, ingress, frame, repeat).map(|(run, _)| run)
}

/// As [`test_run`], once; the XDP action, and the frame afterwards.
///
/// # Errors
/// As [`test_run`]; `EINVAL` for frames of less than 14 bytes.
pub fn run_frame(program: BorrowedFd<'_>, ingress: u32, frame: &[u8]) -> io::Result<(u32, Vec<u8>)> {
    run(program, ingress, frame, 1).map(|(run, frame)| (run.action, frame))
}

fn run(program: BorrowedFd<'_>, ingress: u32, frame: &[u8], repeat: u32) -> io::Result<(TestRun, Vec<u8>)> {
    let mut out = vec![0_u8; frame.len() + GROWTH];
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context: [u32; 6] = [0, frame.len() as u32, 0, ingress, 0, 0];
    let mut attr = TestRunAttr {
        program_fd: program.as_raw_fd() as u32,
        data_size_in: frame.len() as u32,
        data_size_out: out.len() as u32,
        data_in: frame.as_ptr().addr() as u64,
        data_out: out.as_mut_ptr().addr() as u64,
        repeat,
        context_size_in: size_of_val(&context) as u32,
        context_in: context.as_ptr().addr() as u64,
        ..TestRunAttr::default()
    };
    // SAFETY: every address is that of a live buffer of the size beside it.
    unsafe { call::bpf(PROG_TEST_RUN, &mut attr)? };
    out.truncate(attr.data_size_out as usize);
    Ok((TestRun { action: attr.action, time: Duration::from_nanos(attr.nanos.into()) }, out))
}

impl Map {
    /// Stores a program in a `PROG_ARRAY`.
    ///
    /// # Errors
    /// As [`Map::update`]; `EINVAL` for a program that differs in kind or frags from those already there.
    pub fn update_program(&self, index: u32, program: BorrowedFd<'_>) -> io::Result<()> {
        self.check::<u32, u32>()?;
        let fd = program.as_raw_fd() as u32;
        let mut attr = self.element(bytes_of(&index), (&raw const fd).addr(), 0);
        // SAFETY: key and value have the map's sizes (checked); the kernel only reads them.
        unsafe { call::bpf(MAP_UPDATE, &mut attr) }.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::bpf::tests::{HASH, map};

    /// `r0 = 2 (XDP_PASS)` and `exit`.
    const PASS: [u64; 2] = [0x0000_0002_0000_00b7, 0x95];

    #[test]
    fn instructions_run() {
        let Some(_) = map(&HASH) else { return };
        let program = RawProgram::load(&PASS, &[0]).expect("loads");
        let run = test_run(program.as_fd(), 1, &[0; 64], 100).expect("runs");
        assert_eq!(run.action, 2);
    }

    #[test]
    fn a_refusal_has_the_verifiers_log() {
        let Some(_) = map(&HASH) else { return };
        let error = RawProgram::load(&PASS[..1], &[0]).expect_err("does not end in exit");
        assert!(error.to_string().contains("last insn is not an exit"), "{error}");
    }
}
