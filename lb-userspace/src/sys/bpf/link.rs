//! What the kernel knows of pinned XDP links and programs. aya hides the interface that a link is attached to, and asks for a program's
//! maps in a way that takes CAP_SYS_ADMIN.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::call::{self, InfoAttr, OBJ_GET, OBJ_GET_INFO, OBJ_PIN, ObjectAttr};

const LINK_TYPE_XDP: u32 = 6;

/// An XDP link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpLinkInfo {
    /// Id of the program it runs.
    pub program: u32,
    /// The interface it is attached to; 0: that interface is gone.
    pub ifindex: u32,
}

/// The first fields of `struct bpf_link_info`, of whose union the XDP link's interface is the first.
#[repr(C)]
#[derive(Debug, Default)]
struct RawLinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    pad: u32,
    ifindex: u32,
    rest: [u32; 3],
}

/// Describes the XDP link that is pinned at `path`.
///
/// # Errors
/// `NotFound` if nothing is pinned there, `InvalidData` if it is no XDP link, and whatever else `bpf(2)` says.
pub fn pinned_xdp_link(path: &Path) -> io::Result<XdpLinkInfo> {
    let link = open(path)?;
    let mut raw = RawLinkInfo::default();
    let mut attr = InfoAttr {
        bpf_fd: link.as_raw_fd() as u32,
        info_len: size_of::<RawLinkInfo>() as u32,
        info: (&raw mut raw).addr() as u64,
    };
    // SAFETY: `raw` has `info_len` bytes, all of which may be overwritten with anything.
    unsafe { call::bpf(OBJ_GET_INFO, &mut attr)? };
    if raw.kind == LINK_TYPE_XDP {
        Ok(XdpLinkInfo { program: raw.program, ifindex: raw.ifindex })
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "what is pinned there is not an XDP link"))
    }
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Its id, unique among the living programs.
    pub id: u32,
    /// Tag of its instructions: the same for the same code.
    pub tag: u64,
    /// Ids of the maps that it works on.
    pub maps: Vec<u32>,
}

/// Most maps that a program has, as the kernel sees it (`MAX_USED_MAPS`).
const MOST_MAPS: usize = 64;

/// The first fields of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Debug, Default)]
struct RawProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_len: u32,
    translated_len: u32,
    jited: u64,
    translated: u64,
    load_time: u64,
    user: u32,
    map_count: u32,
    maps: u64,
}

/// Describes the program that is pinned at `path`.
///
/// # Errors
/// `NotFound` if nothing is pinned there, `InvalidData` if it is no program, and whatever else `bpf(2)` says.
pub fn pinned_program(path: &Path) -> io::Result<ProgramInfo> {
    let program = open(path)?;
    // The kernel tells its kind only here.
    let kind = std::fs::read_link(format!("/proc/self/fd/{}", program.as_raw_fd()))?;
    if kind.as_os_str() != "anon_inode:bpf-prog" {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "what is pinned there is not a program"));
    }
    let mut maps = [0_u32; MOST_MAPS];
    let mut raw = RawProgramInfo {
        map_count: MOST_MAPS as u32,
        maps: maps.as_mut_ptr().addr() as u64,
        ..RawProgramInfo::default()
    };
    let mut attr = InfoAttr {
        bpf_fd: program.as_raw_fd() as u32,
        info_len: size_of::<RawProgramInfo>() as u32,
        info: (&raw mut raw).addr() as u64,
    };
    // SAFETY: `raw` has `info_len` bytes, all of which may be overwritten, and says that `maps` has room for `MOST_MAPS` numbers,
    // which it has; lengths and addresses of all else are 0.
    unsafe { call::bpf(OBJ_GET_INFO, &mut attr)? };
    let count = MOST_MAPS.min(raw.map_count as usize);
    Ok(ProgramInfo { id: raw.id, tag: u64::from_be_bytes(raw.tag), maps: maps[..count].to_vec() })
}

/// Pins what is pinned at `from` at `to` as well, which may be on another BPF file system.
///
/// # Errors
/// `NotFound` if nothing is pinned at `from`, `AlreadyExists` if something is at `to`, and whatever else `bpf(2)` says.
pub fn pin_again(from: &Path, to: &Path) -> io::Result<()> {
    let object = open(from)?;
    let name = CString::new(to.as_os_str().as_bytes())?;
    let pathname = name.as_ptr().addr() as u64;
    let mut attr = ObjectAttr { pathname, bpf_fd: object.as_raw_fd() as u32, ..ObjectAttr::default() };
    // SAFETY: `name` is a terminated string that outlives the call.
    unsafe { call::bpf(OBJ_PIN, &mut attr) }.map(drop)
}

/// Opens what is pinned at `path`.
pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = ObjectAttr { pathname: name.as_ptr().addr() as u64, ..ObjectAttr::default() };
    // SAFETY: `name` is a terminated string that outlives the call.
    unsafe { call::bpf_fd(OBJ_GET, &mut attr) }
}
