//! The program that a former run loaded from the same object, gone on with as it is.
//!
//! To verify a program takes the kernel longer than all else at a start. So beside its pin, a program is pinned under the digest of the
//! object that it was made of. It is gone on with only while it still works on the maps that are pinned here; the pins of a BPF
//! file system end with the kernel that verified it.

use std::{
    fs,
    hash::{DefaultHasher, Hasher as _},
    io,
    path::Path,
};

use aya::programs::Xdp;
use aya_obj::programs::XdpAttachType;
use lb_common::maps;

use super::{LoaderError, PinDirectory, versions::pin_also};
use crate::sys::bpf::{Map, pinned_program};

/// What the names of pins begin with that say of which object a program is; the object's digest follows.
pub(super) const OBJECT_PREFIX: &str = "object-";

/// The name of such a pin for the program of this object.
pub(super) fn pin_name(object: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(object);
    format!("{OBJECT_PREFIX}{:016x}", hasher.finish())
}

/// Pins the program that is pinned at `program` under the digest of its object as well.
///
/// # Errors
/// [`LoaderError::Path`].
pub(super) fn keep(directory: &PinDirectory, object: &[u8], program: &Path) -> Result<(), LoaderError> {
    let path = directory.versioned().join(pin_name(object));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LoaderError::path(path, "remove this pin")(error))
        }
        _ => pin_also(program, path),
    }
}

/// The program of `object` that is pinned, with its id; `None` where there is none that works on the pinned maps.
pub(super) fn find(directory: &PinDirectory, object: &[u8]) -> Option<(Xdp, u32)> {
    let path = directory.versioned().join(pin_name(object));
    let program = pinned_program(&path).ok()?;
    let works_on =
        |name: &&str| Map::open(&directory.map(name)).is_ok_and(|map| program.maps.contains(&map.info().id));
    if !maps::ALL.iter().all(works_on) {
        return None;
    }
    let xdp = Xdp::from_pin(&path, XdpAttachType::Interface).ok()?;
    Some((xdp, program.id))
}

/// Whether the pin at `path` is of the program with this id.
pub(super) fn is_of(path: &Path, id: u32) -> bool {
    pinned_program(path).is_ok_and(|program| program.id == id)
}
