//! What can go wrong while loading, pinning and attaching.

use std::{fmt, io, path::PathBuf};

use lb_common::abi::ABI_VERSION;

/// Why the data path could not be brought in or taken out. Every message says what to do.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the variants mean; fields are what they show")]
pub enum LoaderError {
    #[error(
        "pin_directory {directory} is not on a BPF file system; mount one first: mount -t bpf bpf {mount_point}"
    )]
    NotBpfFs { directory: PathBuf, mount_point: PathBuf },
    #[error(
        "cannot mount a BPF file system at {path}: {error}; run lbd as root, or mount it: mount -t bpf bpf {path}"
    )]
    Mount { path: PathBuf, error: io::Error },
    #[error("another lbd{holder} uses {directory}: stop it first, or give this one another pin_directory")]
    Locked { directory: PathBuf, holder: Holder },
    #[error(
        "pin_directory {directory} is on a read-only file system; make it writable: mount -o remount,rw <mount point>"
    )]
    ReadOnly { directory: PathBuf },
    #[error("{path}: cannot {action}: {error}")]
    Path { path: PathBuf, action: &'static str, error: io::Error },
    #[error("{path}: cannot read the BPF object: {error}")]
    ReadObject { path: PathBuf, error: io::Error },
    #[error("the BPF object is not usable: {reason}; build lbd anew, or give a good one with --object")]
    BadObject { reason: String },
    #[error(
        "map {path} is pinned with other keys or values ({found}) than this lbd uses ({expected}): it belongs to another \
         version; run `lbd --detach` of that version first, or this one with --discard-flows (both end its flows)"
    )]
    OtherLayout { path: PathBuf, found: String, expected: String },
    #[error(transparent)]
    OtherVersion(OtherVersion),
    #[error("cannot go back to layout version {version}: {reason}")]
    NoDowngrade { version: u32, reason: String },
    #[error("{directory}: cannot bring the maps into this layout: {error}; forwarding goes on, try again")]
    Downgrade { directory: PathBuf, error: io::Error },
    #[error("cannot load the BPF object into the kernel: {reason}")]
    Load { reason: String },
    #[error("map {name}: cannot copy its contents into a new one: {error}")]
    Migrate { name: &'static str, error: io::Error },
    #[error("interface {interface} does not exist; create it, or correct `interfaces` in the configuration")]
    NoInterface { interface: String },
    #[error(
        "interface {interface} has an XDP program of somebody else; take it out: `ip link set dev {interface} xdp off`, \
         or, where that is refused, find its link with `bpftool net` and `bpftool link` and detach it"
    )]
    Busy { interface: String },
    #[error(
        "interface {interface}: its index {ifindex} is beyond the table of {room} interfaces; start lbd again, which makes a \
         larger one (65536 at most)"
    )]
    NoRoom { interface: String, ifindex: u32, room: u32 },
    #[error(
        "interface {interface}: cannot switch its link to the new program: {reason}; `lbd --detach` takes the old one out \
         (this ends its flows), then start lbd again"
    )]
    Adopt { interface: String, reason: String },
    #[error("interface {interface}: cannot attach in {mode} mode: {reason}")]
    Attach { interface: String, mode: &'static str, reason: String },
}

impl LoaderError {
    pub(super) fn path(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Path { path, action, error }
    }
}

/// The process that holds the lock, where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(pub Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |process| write!(f, " (process {process})"))
    }
}

/// What is pinned by another version cannot be taken over.
#[derive(Debug)]
pub struct OtherVersion {
    /// Its directory.
    pub place: PathBuf,
    /// Its layout's version.
    pub version: u32,
    /// The map that does not look as it should in that layout, and what it looks like.
    pub misfit: Option<(PathBuf, String)>,
}

impl std::error::Error for OtherVersion {}

impl fmt::Display for OtherVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, version, misfit } = self;
        write!(f, "{} is in use by an lbd of layout version {version}, ", place.display())?;
        match misfit {
            _ if *version > ABI_VERSION => write!(
                f,
                "which is newer than this one's ({ABI_VERSION}); to keep its flows, run `lbd --prepare-downgrade \
                 {ABI_VERSION}` of the newer version before this one starts"
            )?,
            Some((path, found)) => {
                write!(f, "but {} does not look like that ({found})", path.display())?;
            }
            None => write!(
                f,
                "which this one ({ABI_VERSION}) cannot read; to keep its flows, upgrade by way of a version in between"
            )?,
        }
        f.write_str(
            "; `lbd --discard-flows` takes its interfaces over without a gap, but ends its flows; `lbd --detach` takes all \
             out. Nothing was changed",
        )
    }
}
