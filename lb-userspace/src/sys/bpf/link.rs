//! What the kernel knows of a pinned XDP link. aya hides the interface that a link is attached to.

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::call::{self, InfoAttr, OBJ_GET, OBJ_GET_INFO, ObjectAttr};

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
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = ObjectAttr { pathname: name.as_ptr().addr() as u64, ..ObjectAttr::default() };
    // SAFETY: `name` is a terminated string that outlives the call.
    let link = unsafe { call::bpf_fd(OBJ_GET, &mut attr)? };

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
