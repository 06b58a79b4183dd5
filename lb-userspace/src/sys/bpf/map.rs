//! A map: opening, making, and its single elements.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use lb_common::abi::Abi;

use super::call::{
    self, CreateAttr, ElementAttr, InfoAttr, MAP_CREATE, MAP_DELETE, MAP_LOOKUP, MAP_UPDATE, OBJ_GET,
    OBJ_GET_INFO, OBJ_PIN, ObjectAttr, RawInfo,
};
use super::{bytes_of, from_bytes};

/// `BPF_ANY` and `BPF_NOEXIST`.
const ANY: u64 = 0;
const NO_EXIST: u64 = 1;
/// `BPF_EXIST`.
const EXIST: u64 = 2;

/// Types whose values exist once per CPU: PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH, PERCPU_CGROUP_STORAGE.
const PER_CPU_TYPES: [u32; 4] = [5, 6, 10, 21];

/// What a map is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// `enum bpf_map_type`.
    pub map_type: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most elements.
    pub max_entries: u32,
    /// `BPF_F_*` flags.
    pub flags: u32,
}

/// What the kernel says about a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapInfo {
    /// Its id, unique among the living maps.
    pub id: u32,
    /// What it is made of.
    pub shape: MapShape,
}

/// An open map. Sizes of keys and values are checked at every access.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    info: MapInfo,
    cpus: usize,
}

impl Map {
    /// Opens a pinned map.
    ///
    /// # Errors
    /// `NotFound` if nothing is pinned there, and whatever else `BPF_OBJ_GET` says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let name = CString::new(path.as_os_str().as_bytes())?;
        let mut attr = ObjectAttr { pathname: name.as_ptr().addr() as u64, ..ObjectAttr::default() };
        // SAFETY: `name` is a terminated string that outlives the call.
        Self::from_fd(unsafe { call::bpf_fd(OBJ_GET, &mut attr)? })
    }

    /// Makes a map that is not pinned; `name` is cut to 15 bytes.
    ///
    /// # Errors
    /// What `BPF_MAP_CREATE` says.
    pub fn create(shape: &MapShape, name: &str) -> io::Result<Self> {
        Self::make(shape, 0, name)
    }

    /// Makes a map of maps that are like `template`; see [`Map::create`].
    ///
    /// # Errors
    /// What `BPF_MAP_CREATE` says.
    pub fn create_outer(shape: &MapShape, template: &Self, name: &str) -> io::Result<Self> {
        Self::make(shape, template.raw_fd(), name)
    }

    fn make(shape: &MapShape, inner_map_fd: u32, name: &str) -> io::Result<Self> {
        let mut attr = CreateAttr {
            map_type: shape.map_type,
            key_size: shape.key_size,
            value_size: shape.value_size,
            max_entries: shape.max_entries,
            map_flags: shape.flags,
            inner_map_fd,
            ..CreateAttr::default()
        };
        for (to, from) in attr.name[..15].iter_mut().zip(name.bytes()) {
            *to = from;
        }
        // SAFETY: the block holds no addresses.
        Self::from_fd(unsafe { call::bpf_fd(MAP_CREATE, &mut attr)? })
    }

    /// Pins it.
    ///
    /// # Errors
    /// `AlreadyExists` if something is pinned at `path`, and whatever else `BPF_OBJ_PIN` says.
    pub fn pin(&self, path: &Path) -> io::Result<()> {
        let name = CString::new(path.as_os_str().as_bytes())?;
        let pathname = name.as_ptr().addr() as u64;
        let mut attr = ObjectAttr { pathname, bpf_fd: self.raw_fd(), ..ObjectAttr::default() };
        // SAFETY: `name` is a terminated string that outlives the call.
        unsafe { call::bpf(OBJ_PIN, &mut attr) }.map(drop)
    }

    /// Takes a descriptor of a map over.
    ///
    /// # Errors
    /// If it is not a map's.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let mut raw = RawInfo::default();
        let mut attr = InfoAttr {
            bpf_fd: fd.as_raw_fd() as u32,
            info_len: size_of::<RawInfo>() as u32,
            info: (&raw mut raw).addr() as u64,
        };
        // SAFETY: `raw` has `info_len` bytes, all of which may be overwritten with anything.
        unsafe { call::bpf(OBJ_GET_INFO, &mut attr)? };
        let shape = MapShape {
            map_type: raw.map_type,
            key_size: raw.key_size,
            value_size: raw.value_size,
            max_entries: raw.max_entries,
            flags: raw.map_flags,
        };
        let cpus = if PER_CPU_TYPES.contains(&shape.map_type) { possible_cpus()? } else { 1 };
        Ok(Self { fd, info: MapInfo { id: raw.id, shape }, cpus })
    }

    /// What the kernel said about it when it was opened.
    #[must_use]
    pub fn info(&self) -> MapInfo {
        self.info
    }

    /// The value of a key; of a per-CPU map the first CPU's.
    ///
    /// # Errors
    /// `InvalidInput` for types of other sizes than the map's.
    pub fn lookup<K: Abi, V: Abi>(&self, key: &K) -> io::Result<Option<V>> {
        Ok(self.lookup_per_cpu(key)?.and_then(|values| values.first().copied()))
    }

    /// The values of a key, one per possible CPU; one only if the map is not per-CPU.
    ///
    /// # Errors
    /// As [`Map::lookup`].
    pub fn lookup_per_cpu<K: Abi, V: Abi>(&self, key: &K) -> io::Result<Option<Vec<V>>> {
        self.check::<K, V>()?;
        let mut bytes = vec![0; self.value_bytes()];
        let mut attr = self.element(bytes_of(key), bytes.as_mut_ptr().addr(), 0);
        // SAFETY: the key has the map's size (checked), `bytes` has room for the values of every possible CPU.
        match unsafe { call::bpf(MAP_LOOKUP, &mut attr) } {
            Ok(_) => Ok(Some(self.values(&bytes))),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores a value; of a per-CPU map for every CPU.
    ///
    /// # Errors
    /// As [`Map::lookup`]; `E2BIG` when the map is full or the index too high.
    pub fn update<K: Abi, V: Abi>(&self, key: &K, value: &V) -> io::Result<()> {
        self.check::<K, V>()?;
        let mut bytes = vec![0; self.value_bytes()];
        for chunk in bytes.chunks_exact_mut(self.value_bytes() / self.cpus) {
            chunk[..size_of::<V>()].copy_from_slice(bytes_of(value));
        }
        self.update_bytes(bytes_of(key), &bytes, ANY)
    }

    /// Stores a value unless there is one already; false if there is.
    ///
    /// # Errors
    /// As [`Map::update`]; `InvalidInput` for a per-CPU map.
    pub fn insert<K: Abi, V: Abi>(&self, key: &K, value: &V) -> io::Result<bool> {
        self.check::<K, V>()?;
        size("value on all CPUs", size_of::<V>(), self.value_bytes() as u32)?;
        match self.update_bytes(bytes_of(key), bytes_of(value), NO_EXIST) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stores a value in place of the one that is there; false if there is none.
    ///
    /// # Errors
    /// As [`Map::insert`].
    pub fn replace<K: Abi, V: Abi>(&self, key: &K, value: &V) -> io::Result<bool> {
        self.check::<K, V>()?;
        size("value on all CPUs", size_of::<V>(), self.value_bytes() as u32)?;
        match self.update_bytes(bytes_of(key), bytes_of(value), EXIST) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stores an inner map in a map of maps. Takes as long as a grace period of the kernel's RCU, some 10 ms.
    ///
    /// # Errors
    /// `EINVAL` for an inner map that is not like the outer map's template.
    pub fn update_inner(&self, index: u32, inner: &Self) -> io::Result<()> {
        self.update(&index, &(inner.fd.as_raw_fd() as u32))
    }

    /// Removes an element; false if there was none.
    ///
    /// # Errors
    /// As [`Map::lookup`]; `EINVAL` for arrays, whose elements stay.
    pub fn delete<K: Abi>(&self, key: &K) -> io::Result<bool> {
        self.check_key::<K>()?;
        let mut attr = self.element(bytes_of(key), 0, 0);
        // SAFETY: the key has the map's size; no value is touched.
        match unsafe { call::bpf(MAP_DELETE, &mut attr) } {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn update_bytes(&self, key: &[u8], value: &[u8], flags: u64) -> io::Result<()> {
        let mut attr = self.element(key, value.as_ptr().addr(), flags);
        // SAFETY: both callers' sizes were checked; the kernel only reads them.
        unsafe { call::bpf(MAP_UPDATE, &mut attr) }.map(drop)
    }

    pub(super) fn element(&self, key: &[u8], value: usize, flags: u64) -> ElementAttr {
        let map_fd = self.raw_fd();
        ElementAttr { map_fd, pad: 0, key: key.as_ptr().addr() as u64, value: value as u64, flags }
    }

    pub(super) fn raw_fd(&self) -> u32 {
        self.fd.as_raw_fd() as u32
    }

    /// Values of one element per possible CPU; 1 for other maps.
    #[must_use]
    pub fn values_per_element(&self) -> usize {
        self.cpus
    }

    /// Bytes that the kernel reads or writes for the value of one element.
    pub(super) fn value_bytes(&self) -> usize {
        let size = self.info.shape.value_size as usize;
        if PER_CPU_TYPES.contains(&self.info.shape.map_type) {
            size.next_multiple_of(8) * self.cpus
        } else {
            size
        }
    }

    /// The values in what the kernel wrote for one element.
    pub(super) fn values<V: Abi>(&self, bytes: &[u8]) -> Vec<V> {
        bytes
            .chunks_exact(self.value_bytes() / self.cpus)
            .filter_map(|chunk| from_bytes(&chunk[..size_of::<V>()]))
            .collect()
    }

    pub(super) fn check_key<K: Abi>(&self) -> io::Result<()> {
        size("key", size_of::<K>(), self.info.shape.key_size)
    }

    pub(super) fn check<K: Abi, V: Abi>(&self) -> io::Result<()> {
        self.check_key::<K>()?;
        size("value", size_of::<V>(), self.info.shape.value_size)
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn size(what: &str, expected: usize, found: u32) -> io::Result<()> {
    if expected == found as usize {
        return Ok(());
    }
    let message = format!("the map's {what} has {found} bytes, expected {expected}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// Whether a map refused an element because it is full.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::E2BIG)
}

/// The number of CPUs that the kernel keeps per-CPU values for.
///
/// # Errors
/// If `/sys/devices/system/cpu/possible` cannot be read or understood.
pub fn possible_cpus() -> io::Result<usize> {
    const PATH: &str = "/sys/devices/system/cpu/possible";
    let text = fs::read_to_string(PATH)?;
    let parse = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<usize>().ok()? + 1 - first.parse::<usize>().ok()?)
    };
    let counts: Option<Vec<usize>> = text.trim().split(',').map(parse).collect();
    counts.map(|counts| counts.iter().sum()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{PATH} holds {text:?}, expected such as 0-3"))
    })
}
