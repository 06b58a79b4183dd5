//! Loads the object: maps from their pins where they fit, the program anew.

use std::{
    fs, io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapData, RingBuf},
    programs::Xdp,
};
use aya_log::EbpfLogger;
use lb_common::maps;

use super::{
    CaptureProgram, LoaderError, PinDirectory, Trial,
    directory::{file_names, remove_file},
    kept::{self, OBJECT_PREFIX},
    migrate::{Target, Transfer},
    shape::{Fate, Sizes, describe, fate, keeps_established, pinned_shape},
    versions::{PROGRAM_PREFIX, Takeover},
};
use crate::sys::bpf::{Map as RawMap, MapShape, OpenProgram, pinned_program, pinned_xdp_link};

/// The object that was built together with this binary.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lb.o"));

/// A BPF object: the embedded one, or a file's.
#[derive(Debug)]
pub struct Object(Option<AlignedBytes>);

impl Object {
    /// Reads a file; the embedded one if there is none.
    ///
    /// # Errors
    /// [`LoaderError::ReadObject`].
    pub fn read(path: Option<&Path>) -> Result<Self, LoaderError> {
        let Some(path) = path else { return Ok(Self(None)) };
        let failed = |error| LoaderError::ReadObject { path: path.to_owned(), error };
        Ok(Self(Some(aligned(&fs::read(path).map_err(failed)?))))
    }
}

impl std::ops::Deref for Object {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or(OBJECT)
    }
}

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
    /// Whether to go on without the flows where they cannot be read, instead of refusing.
    pub discard_flows: bool,
}

/// The loaded data path. Dropping it does not disturb what is pinned.
#[derive(Debug)]
pub struct Program {
    loaded: Loaded,
    /// What the links run in its place while somebody captures.
    pub(super) capture: Option<CaptureProgram>,
    pub(super) directory: PinDirectory,
    /// Maps whose contents are moving.
    transfers: Vec<Transfer>,
    /// What other versions have pinned.
    takeover: Takeover,
    /// Id of the program.
    id: u32,
    log: LogLevel,
    /// Indexes of interfaces that the tables have room for.
    pub(super) interfaces: u32,
}

/// Where the program comes from.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
enum Loaded {
    /// It was loaded just now, with its maps.
    Anew(Ebpf),
    /// A former run loaded it.
    Before(Xdp),
}

/// Loads the object into the kernel, unless the program of a former run is of the same object and still fits. The directory exists and is locked. Nothing that forwards changes yet: that is up to
/// [`Program::attach`], after [`Program::share_links`] and [`Program::catch_up`] and before [`Program::finish`].
///
/// # Errors
/// [`LoaderError`]; nothing that forwards was changed.
pub fn load(options: &Options) -> Result<Program, LoaderError> {
    let bytes: &[u8] = &Object::read(options.object.as_deref())?;
    let directory = &options.directory;
    let mut defined = defined_shapes(bytes, &options.sizes)?;
    let takeover = Takeover::plan(directory, &defined, options.discard_flows)?;
    let mut transfers = takeover.share_maps(directory)?;
    options.sizes.adopt(directory, &mut defined)?;
    transfers.extend(prepare_pins(directory, &defined, options.discard_flows)?);
    make_established(directory, &defined)?;
    // Another level of the log is another program.
    let same = options.log == LogLevel::Off && transfers.is_empty() && takeover.target() == Target::InUse;
    let (loaded, id) = match same.then(|| kept::find(directory, bytes)).flatten() {
        Some((xdp, id)) => (Loaded::Before(xdp), id),
        None => load_anew(bytes, options)?,
    };
    let program = Program {
        loaded,
        capture: None,
        directory: directory.clone(),
        transfers,
        takeover,
        id,
        log: options.log,
        interfaces: options.sizes.of(maps::INTERFACES).unwrap_or_default(),
    };
    program.copy(program.takeover.target(), |_| true)?;
    Ok(program)
}

/// Loads the object into the kernel, with the maps that are pinned or new ones; the id of its program.
fn load_anew(bytes: &[u8], options: &Options) -> Result<(Loaded, u32), LoaderError> {
    let directory = &options.directory;
    let level = options.log as u8;
    let mut loader = EbpfLoader::new();
    loader.override_global("AYA_LOG_LEVEL", &level, false);
    for (name, entries) in options.sizes.iter() {
        loader.map_max_entries(name, entries);
    }
    for name in maps::ALL {
        loader.map_pin_path(name, directory.map(name));
    }
    let mut ebpf = loader.load(bytes).map_err(|error| LoaderError::Load { reason: chain(&error) })?;
    let (id, pin) = load_program(xdp(&mut ebpf)?, directory)?;
    if options.log == LogLevel::Off {
        kept::keep(directory, bytes, &pin)?;
    }
    // They are for another program, which has its own.
    for name in maps::OF_CAPTURES {
        drop(ebpf.take_map(name));
    }
    Ok((Loaded::Anew(ebpf), id))
}

impl Program {
    /// Opens it, for those who ask the kernel what it costs.
    ///
    /// # Errors
    /// [`LoaderError::Path`].
    pub fn open(&self) -> Result<OpenProgram, LoaderError> {
        let path = self.directory.versioned().join(format!("{PROGRAM_PREFIX}{}", self.id));
        OpenProgram::pinned(&path).map_err(LoaderError::path(path, "open this pinned program"))
    }

    /// Pins links of other versions here, too.
    ///
    /// # Errors
    /// [`LoaderError::Path`].
    pub fn share_links(&self) -> Result<(), LoaderError> {
        self.takeover.share_links(&self.directory)
    }

    /// To be called right before links are switched: what moves between maps, and changed since the program was loaded, moves
    /// again.
    ///
    /// # Errors
    /// [`LoaderError::Migrate`]; forwarding goes on as before.
    pub fn catch_up(&mut self) -> Result<(), LoaderError> {
        self.copy(self.takeover.target(), Transfer::is_flow_table)?;
        self.takeover.hold_back(&self.directory)
    }

    /// To be called when every link runs this program: what moves between maps moves for the last time, and what other
    /// versions and programs have pinned goes.
    ///
    /// # Errors
    /// [`LoaderError::Migrate`]; forwarding goes on, and the next start tries again.
    pub fn finish(&mut self) -> Result<(), LoaderError> {
        self.takeover.release(&self.directory)?;
        self.copy(Target::InUse, Transfer::is_flow_table)?;
        self.transfers.clear();
        for name in maps::ALL {
            remove_file(&self.directory.replaced_map(name))?;
        }
        self.takeover.finish()?;
        let own = format!("{PROGRAM_PREFIX}{}", self.id);
        for name in file_names(&self.directory.versioned())? {
            let path = self.directory.versioned().join(&name);
            let other = name.starts_with(PROGRAM_PREFIX) && name != own
                || name.starts_with(OBJECT_PREFIX) && !kept::is_of(&path, self.id);
            if other {
                remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Where everything is pinned.
    #[must_use]
    pub fn directory(&self) -> &PinDirectory {
        &self.directory
    }

    /// A handle on the program for trying it out.
    ///
    /// # Errors
    /// [`LoaderError::BadObject`], [`LoaderError::Load`].
    pub fn trial(&mut self) -> Result<Trial, LoaderError> {
        let id = self.id;
        let refused = |error: &dyn std::error::Error| LoaderError::Load { reason: chain(error) };
        let descriptor = self.xdp()?.fd().map_err(|error| refused(&error))?;
        let program = descriptor.as_fd().try_clone_to_owned().map_err(|error| refused(&error))?;
        Ok(Trial::new(program, id))
    }

    /// What the data path tells: records of `EVENTS`. To be taken once.
    ///
    /// # Errors
    /// [`LoaderError::BadObject`].
    pub fn events(&mut self) -> Result<RingBuf<MapData>, LoaderError> {
        self.ring_buffer(maps::EVENTS)
    }

    /// What becomes of flows: records of `FLOW_EVENTS`. To be taken once.
    ///
    /// # Errors
    /// [`LoaderError::BadObject`].
    pub fn flow_events(&mut self) -> Result<RingBuf<MapData>, LoaderError> {
        self.ring_buffer(maps::FLOW_EVENTS)
    }

    fn ring_buffer(&mut self, name: &str) -> Result<RingBuf<MapData>, LoaderError> {
        let bad = || LoaderError::BadObject { reason: format!("it has no ring buffer named {name}") };
        let map = match &mut self.loaded {
            Loaded::Anew(ebpf) => ebpf.take_map(name),
            Loaded::Before(_) => MapData::from_pin(self.directory.map(name)).ok().map(Map::RingBuf),
        };
        map.and_then(|map| map.try_into().ok()).ok_or_else(bad)
    }

    /// The reader of what the data path logs, if it logs.
    pub fn logger(&mut self) -> Option<EbpfLogger<&'static dyn log::Log>> {
        let Loaded::Anew(ebpf) = &mut self.loaded else { return None };
        if self.log == LogLevel::Off {
            return None;
        }
        EbpfLogger::init(ebpf).inspect_err(|error| tracing::warn!(%error, "the data path has no log")).ok()
    }

    /// What the links are to run.
    pub(super) fn attached(&mut self) -> Result<&mut Xdp, LoaderError> {
        match &mut self.capture {
            Some(capture) => capture.xdp(),
            None => match &mut self.loaded {
                Loaded::Anew(ebpf) => xdp(ebpf),
                Loaded::Before(xdp) => Ok(xdp),
            },
        }
    }

    pub(super) fn xdp(&mut self) -> Result<&mut Xdp, LoaderError> {
        match &mut self.loaded {
            Loaded::Anew(ebpf) => xdp(ebpf),
            Loaded::Before(xdp) => Ok(xdp),
        }
    }

    fn copy(&self, target: Target, which: fn(&Transfer) -> bool) -> Result<(), LoaderError> {
        for transfer in self.transfers.iter().filter(|transfer| which(transfer)) {
            let name = transfer.name;
            let copied = transfer
                .run(&self.directory.map(name), target)
                .map_err(|error| LoaderError::Migrate { name, error })?;
            tracing::info!(map = name, copied, "contents moved into a new map");
        }
        Ok(())
    }
}

/// Tag of the code that is attached to an interface; the same code has the same.
#[must_use]
pub fn attached_tag(directory: &PinDirectory, interface: &str) -> Option<u64> {
    let link = pinned_xdp_link(&directory.link(interface)).ok()?;
    let path = directory.versioned().join(format!("{PROGRAM_PREFIX}{}", link.program));
    pinned_program(&path).ok().map(|program| program.tag)
}

/// Loads the program and pins it, so that the next `lbd` knows whether a link runs it; its id, and where it is pinned.
pub(super) fn load_program(xdp: &mut Xdp, directory: &PinDirectory) -> Result<(u32, PathBuf), LoaderError> {
    let refused = |error: &dyn std::error::Error| LoaderError::Load { reason: chain(error) };
    xdp.load().map_err(|error| refused(&error))?;
    let id = xdp.info().map_err(|error| refused(&error))?.id();
    let path = directory.versioned().join(format!("{PROGRAM_PREFIX}{id}"));
    let pinned = xdp.pin(&path);
    pinned
        .map_err(|error| LoaderError::path(&path, "pin the program here")(io::Error::other(chain(&error))))?;
    Ok((id, path))
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, LoaderError> {
    let program = ebpf.program_mut(PROGRAM).map(TryInto::try_into);
    match program {
        Some(Ok(xdp)) => Ok(xdp),
        _ => Err(LoaderError::BadObject { reason: format!("it has no XDP program named {PROGRAM}") }),
    }
}

/// The maps that the object defines, with the configured sizes.
pub(super) fn defined_shapes(
    object: &[u8],
    sizes: &Sizes,
) -> Result<Vec<(&'static str, MapShape)>, LoaderError> {
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
                map_type: sizes.map_type(name, map.map_type()),
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
fn prepare_pins(
    directory: &PinDirectory,
    defined: &[(&'static str, MapShape)],
    discard: bool,
) -> Result<Vec<Transfer>, LoaderError> {
    let mut fates = Vec::new();
    for (name, shape) in defined {
        let path = directory.map(name);
        let Some(pinned) = pinned_shape(&path)? else { continue };
        let fate = match fate(name, pinned, *shape) {
            Fate::Refuse if discard => Fate::Remake,
            Fate::Refuse => {
                let (found, expected) = (describe(&pinned), describe(shape));
                return Err(LoaderError::OtherLayout { path, found, expected });
            }
            fate => fate,
        };
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
    let moving = defined.iter().map(|(name, _)| (*name, directory.replaced_map(name)));
    let moving = moving.filter(|(_, aside)| aside.exists());
    Ok(moving.map(|(name, aside)| Transfer::resized(name, aside)).collect())
}

/// Makes and pins the tables of established flows that are of another type than the object says, which the loader then finds.
fn make_established(
    directory: &PinDirectory,
    defined: &[(&'static str, MapShape)],
) -> Result<(), LoaderError> {
    for (name, shape) in defined.iter().filter(|(name, shape)| keeps_established(name, shape)) {
        let path = directory.map(name);
        if !path.exists() {
            let made = RawMap::create(shape, name).and_then(|map| map.pin(&path));
            made.map_err(LoaderError::path(path, "make this map"))?;
        }
    }
    Ok(())
}

fn set_aside(directory: &PinDirectory, name: &'static str) -> Result<(), LoaderError> {
    let (path, aside) = (directory.map(name), directory.replaced_map(name));
    if aside.exists() {
        // An unfinished move: either may be the one in use.
        Transfer::resized(name, path.clone())
            .run(&aside, Target::InUse)
            .map_err(|error| LoaderError::Migrate { name, error })?;
        return remove_file(&path);
    }
    fs::rename(&path, aside).map_err(LoaderError::path(path, "rename this pin"))
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

#[derive(Debug)]
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
