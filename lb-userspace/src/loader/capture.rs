//! The program that captures: loaded beside the one that forwards, with its maps, for as long as somebody wants it.
//!
//! Its own maps (`maps::OF_CAPTURES`) are pinned nowhere. The program itself is, like the other one, so that an `lbd` which finds it on a link knows it
//! as one of this layout; the next `lbd` puts its own program in its place.

use std::{os::fd::AsFd as _, path::PathBuf};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map as AyaMap, MapData, RingBuf},
    programs::Xdp,
};
use lb_common::maps;

use super::{
    LoaderError, PinDirectory, Program, Sizes,
    directory::remove_file,
    load::{chain, defined_shapes, load_program},
    shape::{describe, pinned_shape},
};
use crate::{model::InterfaceName, sys::bpf::Map};

/// Its name in the object.
const PROGRAM: &str = "lb_capture";
/// Bytes of the ring buffer: a second of the default rate and length.
const RING_BYTES: u32 = 1 << 22;

/// The loaded program. Dropped, it is gone once no link runs it any more.
#[derive(Debug)]
pub struct CaptureProgram {
    ebpf: Ebpf,
    pin: PathBuf,
}

impl CaptureProgram {
    /// Loads it from an object, to work on the maps that are pinned. The verifier takes the better part of a second.
    ///
    /// # Errors
    /// [`LoaderError`]; nothing that forwards was changed.
    pub fn load(directory: &PinDirectory, object: &[u8], sizes: &Sizes) -> Result<Self, LoaderError> {
        for (name, shape) in defined_shapes(object, sizes)? {
            let path = directory.map(name);
            let found = pinned_shape(&path)?;
            let fits = found.is_some_and(|found| {
                (found.map_type, found.key_size, found.value_size)
                    == (shape.map_type, shape.key_size, shape.value_size)
            });
            if !fits {
                let found = found.map_or_else(|| "nothing".to_owned(), |found| describe(&found));
                return Err(LoaderError::OtherLayout { path, found, expected: describe(&shape) });
            }
        }
        let level = 0_u8;
        let mut loader = EbpfLoader::new();
        loader.override_global("AYA_LOG_LEVEL", &level, false);
        loader.map_max_entries(maps::CAPTURE_RING, RING_BYTES);
        for name in maps::ALL {
            loader.map_pin_path(name, directory.map(name));
        }
        let mut ebpf = loader.load(object).map_err(|error| LoaderError::Load { reason: chain(&error) })?;
        let (_, pin) = load_program(program(&mut ebpf)?, directory)?;
        Ok(Self { ebpf, pin })
    }

    /// The copies. To be taken once.
    ///
    /// # Errors
    /// [`LoaderError::BadObject`].
    pub fn ring(&mut self) -> Result<RingBuf<MapData>, LoaderError> {
        let ring = self.ebpf.take_map(maps::CAPTURE_RING);
        ring.and_then(|map| map.try_into().ok()).ok_or_else(|| lacks(maps::CAPTURE_RING))
    }

    /// One of its own maps, an array.
    ///
    /// # Errors
    /// [`LoaderError::BadObject`].
    pub fn map(&self, name: &str) -> Result<Map, LoaderError> {
        let data = match self.ebpf.map(name) {
            Some(AyaMap::Array(data) | AyaMap::PerCpuArray(data)) => data,
            _ => return Err(lacks(name)),
        };
        let descriptor = data.fd().as_fd().try_clone_to_owned();
        descriptor.and_then(Map::from_fd).map_err(|error| LoaderError::BadObject {
            reason: format!("its map {name} cannot be opened: {error}"),
        })
    }

    pub(super) fn xdp(&mut self) -> Result<&mut Xdp, LoaderError> {
        program(&mut self.ebpf)
    }
}

impl Drop for CaptureProgram {
    fn drop(&mut self) {
        if let Err(error) = remove_file(&self.pin) {
            tracing::warn!(%error, "a program that nobody uses stays pinned until lbd starts again");
        }
    }
}

impl Program {
    /// Makes the links of these interfaces run the program that captures, or, with `None`, the usual one again. A packet finds one of them
    /// at any moment.
    ///
    /// # Errors
    /// [`LoaderError::Adopt`]: a link could not be switched; then all run the usual one.
    pub fn capture_with(
        &mut self,
        capture: Option<CaptureProgram>,
        interfaces: &[InterfaceName],
    ) -> Result<(), LoaderError> {
        let former = std::mem::replace(&mut self.capture, capture);
        let linked = self.directory.linked_interfaces()?;
        let linked =
            interfaces.iter().map(InterfaceName::as_str).filter(|name| linked.iter().any(|one| one == name));
        let linked: Vec<&str> = linked.collect();
        let switched = linked.iter().try_for_each(|interface| self.adopt(interface));
        drop(former);
        if switched.is_err() && self.capture.take().is_some() {
            for interface in linked {
                self.adopt(interface)?;
            }
        }
        switched
    }

    /// Whether the links run the program that captures.
    #[must_use]
    pub fn captures(&self) -> bool {
        self.capture.is_some()
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, LoaderError> {
    match ebpf.program_mut(PROGRAM).map(TryInto::try_into) {
        Some(Ok(xdp)) => Ok(xdp),
        _ => Err(lacks(PROGRAM)),
    }
}

fn lacks(name: &str) -> LoaderError {
    LoaderError::BadObject { reason: format!("it has no {name}") }
}
