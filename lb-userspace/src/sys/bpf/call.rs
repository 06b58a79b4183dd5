//! The system call and its argument blocks (`union bpf_attr` in `linux/bpf.h`).

use std::ffi::c_long;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

pub(super) const MAP_CREATE: c_long = 0;
pub(super) const MAP_LOOKUP: c_long = 1;
pub(super) const MAP_UPDATE: c_long = 2;
pub(super) const MAP_DELETE: c_long = 3;
pub(super) const PROG_LOAD: c_long = 5;
pub(super) const OBJ_PIN: c_long = 6;
pub(super) const OBJ_GET: c_long = 7;
pub(super) const PROG_TEST_RUN: c_long = 10;
pub(super) const OBJ_GET_INFO: c_long = 15;
pub(super) const BTF_LOAD: c_long = 18;
pub(super) const ENABLE_STATS: c_long = 32;
pub(super) const MAP_LOOKUP_BATCH: c_long = 24;
pub(super) const MAP_UPDATE_BATCH: c_long = 26;
pub(super) const MAP_DELETE_BATCH: c_long = 27;

/// Argument of `MAP_CREATE`.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct CreateAttr {
    pub(super) map_type: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) map_flags: u32,
    pub(super) inner_map_fd: u32,
    pub(super) numa_node: u32,
    pub(super) name: [u8; 16],
}

/// Argument of the operations on one element.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct ElementAttr {
    pub(super) map_fd: u32,
    pub(super) pad: u32,
    pub(super) key: u64,
    pub(super) value: u64,
    pub(super) flags: u64,
}

/// Argument of the batch operations.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct BatchAttr {
    pub(super) in_batch: u64,
    pub(super) out_batch: u64,
    pub(super) keys: u64,
    pub(super) values: u64,
    pub(super) count: u32,
    pub(super) map_fd: u32,
    pub(super) elem_flags: u64,
    pub(super) flags: u64,
}

/// The first fields of the argument of `PROG_LOAD`.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct LoadAttr {
    pub(super) kind: u32,
    pub(super) instruction_count: u32,
    pub(super) instructions: u64,
    pub(super) license: u64,
    pub(super) log_level: u32,
    pub(super) log_size: u32,
    pub(super) log: u64,
    pub(super) kernel_version: u32,
    pub(super) flags: u32,
    pub(super) name: [u8; 16],
    pub(super) ifindex: u32,
    pub(super) attach_type: u32,
    pub(super) btf_fd: u32,
    pub(super) function_size: u32,
    pub(super) functions: u64,
    pub(super) function_count: u32,
    pub(super) pad: u32,
}

/// Argument of `BTF_LOAD`.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct BtfAttr {
    pub(super) btf: u64,
    pub(super) log: u64,
    pub(super) size: u32,
    pub(super) log_size: u32,
    pub(super) log_level: u32,
    pub(super) pad: u32,
}

/// Argument of `PROG_TEST_RUN`; `action` and `nanos` are results.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct TestRunAttr {
    pub(super) program_fd: u32,
    pub(super) action: u32,
    pub(super) data_size_in: u32,
    pub(super) data_size_out: u32,
    pub(super) data_in: u64,
    pub(super) data_out: u64,
    pub(super) repeat: u32,
    pub(super) nanos: u32,
    pub(super) context_size_in: u32,
    pub(super) context_size_out: u32,
    pub(super) context_in: u64,
    pub(super) context_out: u64,
    pub(super) flags: u32,
    pub(super) cpu: u32,
    pub(super) batch_size: u32,
    pub(super) pad: u32,
}

/// Argument of `OBJ_GET`.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct ObjectAttr {
    pub(super) pathname: u64,
    pub(super) bpf_fd: u32,
    pub(super) file_flags: u32,
}

/// Argument of `ENABLE_STATS`.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct EnableStatsAttr {
    pub(super) kind: u32,
    pub(super) pad: u32,
}

/// Argument of `OBJ_GET_INFO_BY_FD`.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct InfoAttr {
    pub(super) bpf_fd: u32,
    pub(super) info_len: u32,
    pub(super) info: u64,
}

/// The first fields of `struct bpf_map_info`.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct RawInfo {
    pub(super) map_type: u32,
    pub(super) id: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) map_flags: u32,
    pub(super) name: [u8; 16],
}

/// One `bpf(2)` call; what it returned.
///
/// # Safety
/// `attr` must be the block that `command` takes, and every address in it must be that of memory which is large enough for
/// the map concerned and lives until the call returns.
pub(super) unsafe fn bpf<T>(command: c_long, attr: &mut T) -> io::Result<c_long> {
    loop {
        // SAFETY: the caller vouches for the block; its size is passed along, so the kernel reads and writes no further.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of::<T>()) };
        if result >= 0 {
            return Ok(result);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// A `bpf(2)` call that returns a file descriptor.
///
/// # Safety
/// As [`bpf`]; `command` must be one that returns a new descriptor.
pub(super) unsafe fn bpf_fd<T>(command: c_long, attr: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: passed on to the caller.
    let fd = unsafe { bpf(command, attr)? };
    // SAFETY: the kernel just made the descriptor for us; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}
