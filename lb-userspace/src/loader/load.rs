//! Loads the object: maps from their pins where they fit, the program anew.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, RingBuf},
    programs::Xdp,
};
use aya_log::EbpfLogger;
use lb_common::maps;

use super::{
    LoaderError, PinDirectory,
    directory::remove_file,
    migrate::{self, FLOW_TABLES},
    shape::{Fate, Sizes, describe, fate},
};
use crate::sys::bpf::{Map, MapShape};

/// The object that was built together with this binary.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lb.o"));

/// Name of the program in the object.
const PROGRAM: &str = "lb";

/// How much the data path logs; all but `Off` cost time for each packet concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[expect(missing_docs, reason = "the usual levels")]
pub enum LogLevel {
    #[default]
    Off = 0,
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
    Trace = 5,
}

/// What to load, and where to.
#[derive(Clone, Debug)]
pub struct Options {
    /// An object to use instead of the embedded one.
    pub object: Option<PathBuf>,
    /// Where to pin.
    pub directory: PinDirectory,
    /// Sizes of the maps.
    pub sizes: Sizes,
    /// What the data path logs.
    pub log: LogLevel,
}

/// The loaded data path. Dropping it does not disturb what is pinned.
#[derive(Debug)]
pub struct Program {
    pub(super) ebpf: Ebpf,
    pub(super) directory: PinDirectory,
    /// Maps whose contents are moving.
    moving: Vec<String>,
    log: LogLevel,
    /// Indexes of interfaces that the tables have room for.
    pub(super) interfaces: u32,
}

/// Loads the object into the kernel. The directory exists and is locked. Nothing that forwards changes yet: that is up to
/// [`Program::attach`].
///
/// # Errors
/// [`LoaderError`]; nothing that forwards was changed.
pub fn load(options: &Options) -> Result<Program, LoaderError> {
    let bytes = match &options.object {
        Some(path) => {
            &aligned(&fs::read(path).map_err(|error| LoaderError::ReadObject { path: path.clone(), error })?)
        }
        None => OBJECT,
    };
    let moving = prepare_pins(&options.directory, &defined_shapes(bytes, &options.sizes)?)?;
    let level = options.log as u8;
    let mut loader = EbpfLoader::new();
    loader.override_global("AYA_LOG_LEVEL", &level, false);
    for (name, entries) in options.sizes.iter() {
        loader.map_max_entries(name, entries);
    }
    for name in maps::ALL {
        loader.map_pin_path(name, options.directory.map(name));
    }
    let mut ebpf = loader.load(bytes).map_err(|error| LoaderError::Load { reason: chain(&error) })?;
    xdp(&mut ebpf)?.load().map_err(|error| LoaderError::Load { reason: chain(&error) })?;

    let program = Program {
        ebpf,
        directory: options.directory.clone(),
        moving,
        log: options.log,
        interfaces: options.sizes.of(maps::INTERFACES).unwrap_or_default(),
    };
    program.copy(|_| true)?;
    Ok(program)
}

impl Program {
    /// To be called when every link runs this program: what moves between maps moves for the last time.
    ///
    /// # Errors
    /// [`LoaderError::Migrate`]; forwarding goes on, and the next start tries again.
    pub fn finish(&mut self) -> Result<(), LoaderError> {
        self.copy(|name| FLOW_TABLES.contains(&name))?;
        for name in self.moving.drain(..) {
            remove_file(&self.directory.replaced_map(&name))?;
        }
        Ok(())
    }

    /// Where everything is pinned.
    #[must_use]
    pub fn directory(&self) -> &PinDirectory {
        &self.directory
    }

    /// What the data path tells: records of `EVENTS`. To be taken once.
    ///
    /// # Errors
    /// [`LoaderError::BadObject`].
    pub fn events(&mut self) -> Result<RingBuf<MapData>, LoaderError> {
        let bad =
            || LoaderError::BadObject { reason: format!("it has no ring buffer named {}", maps::EVENTS) };
        self.ebpf.take_map(maps::EVENTS).and_then(|map| map.try_into().ok()).ok_or_else(bad)
    }

    /// The reader of what the data path logs, if it logs.
    pub fn logger(&mut self) -> Option<EbpfLogger<&'static dyn log::Log>> {
        if self.log == LogLevel::Off {
            return None;
        }
        EbpfLogger::init(&mut self.ebpf)
            .inspect_err(|error| tracing::warn!(%error, "the data path has no log"))
            .ok()
    }

    pub(super) fn xdp(&mut self) -> Result<&mut Xdp, LoaderError> {
        xdp(&mut self.ebpf)
    }

    fn copy(&self, which: fn(&str) -> bool) -> Result<(), LoaderError> {
        for name in self.moving.iter().filter(|name| which(name)) {
            let copied = migrate::copy(name, &self.directory.replaced_map(name), &self.directory.map(name))
                .map_err(|error| LoaderError::Migrate { name: name.clone(), error })?;
            tracing::info!(map = name, copied, "contents moved into a map of another size");
        }
        Ok(())
    }
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, LoaderError> {
    let program = ebpf.program_mut(PROGRAM).map(TryInto::try_into);
    match program {
        Some(Ok(xdp)) => Ok(xdp),
        _ => Err(LoaderError::BadObject { reason: format!("it has no XDP program named {PROGRAM}") }),
    }
}

/// The maps that the object defines, with the configured sizes.
fn defined_shapes(object: &[u8], sizes: &Sizes) -> Result<Vec<(&'static str, MapShape)>, LoaderError> {
    let parsed =
        aya_obj::Object::parse(object).map_err(|error| LoaderError::BadObject { reason: chain(&error) })?;
    maps::ALL
        .iter()
        .map(|name| {
            let map = parsed
                .maps
                .get(*name)
                .ok_or_else(|| LoaderError::BadObject { reason: format!("it has no map named {name}") })?;
            let shape = MapShape {
                map_type: map.map_type(),
                key_size: map.key_size(),
                value_size: map.value_size(),
                max_entries: sizes.of(name).unwrap_or_else(|| map.max_entries()),
                flags: map.map_flags(),
            };
            Ok((*name, shape))
        })
        .collect()
}

/// Takes pins out of the way that do not fit; the maps whose contents are to be moved. Refusals come before any change.
fn prepare_pins(directory: &PinDirectory, defined: &[(&str, MapShape)]) -> Result<Vec<String>, LoaderError> {
    let mut fates = Vec::new();
    for (name, shape) in defined {
        let path = directory.map(name);
        let Some(pinned) = pinned_shape(&path)? else { continue };
        let fate = fate(name, pinned, *shape);
        if fate == Fate::Refuse {
            let (found, expected) = (describe(&pinned), describe(shape));
            return Err(LoaderError::OtherLayout { path, found, expected });
        }
        fates.push((*name, fate));
    }
    for (name, fate) in fates {
        match fate {
            Fate::Reuse | Fate::Refuse => {}
            Fate::Remake => remove_file(&directory.map(name))?,
            Fate::Move => set_aside(directory, name)?,
        }
    }
    // Also what an earlier lbd did not finish.
    let moving = defined.iter().filter(|(name, _)| directory.replaced_map(name).exists());
    Ok(moving.map(|(name, _)| (*name).to_owned()).collect())
}

fn set_aside(directory: &PinDirectory, name: &str) -> Result<(), LoaderError> {
    let (path, aside) = (directory.map(name), directory.replaced_map(name));
    if aside.exists() {
        // An unfinished move: either may be the one in use.
        migrate::copy(name, &path, &aside)
            .map_err(|error| LoaderError::Migrate { name: name.to_owned(), error })?;
        return remove_file(&path);
    }
    fs::rename(&path, aside).map_err(LoaderError::path(path, "rename this pin"))
}

fn pinned_shape(path: &Path) -> Result<Option<MapShape>, LoaderError> {
    if !path.exists() {
        return Ok(None);
    }
    let map = Map::open(path).map_err(LoaderError::path(path, "open this pinned map"))?;
    Ok(Some(map.info().shape))
}

/// An error with its causes, each said once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The object parser wants its input aligned as a file mapped into memory would be.
fn aligned(bytes: &[u8]) -> AlignedBytes {
    let mut words = vec![0_u64; bytes.len().div_ceil(8)];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks(8)) {
        let mut padded = [0; 8];
        padded[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_ne_bytes(padded);
    }
    AlignedBytes { words, len: bytes.len() }
}

struct AlignedBytes {
    words: Vec<u64>,
    len: usize,
}

impl std::ops::Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &crate::sys::bpf::bytes_of_slice(&self.words)[..self.len]
    }
}
