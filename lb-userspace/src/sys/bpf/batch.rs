//! Many elements in one system call (Linux 5.6).

use std::io;
use std::ops::ControlFlow;

use lb_common::abi::Abi;

use super::call::{self, BatchAttr, MAP_DELETE_BATCH, MAP_LOOKUP_BATCH, MAP_UPDATE_BATCH};
use super::{Map, bytes_of_slice, from_bytes};

/// Elements asked for in one call.
const CHUNK: usize = 4096;
/// Most elements of one chunk: a hash bucket that is longer cannot be read.
const LARGEST_CHUNK: usize = 1 << 20;
/// Bytes of the kernel's position in a map; at least a key, and what hash maps use.
const POSITION_BYTES: usize = 64;

/// What one call of [`Map::scan`] read.
#[derive(Debug)]
pub struct Chunk<'a> {
    map: &'a Map,
    keys: &'a [u8],
    values: &'a [u8],
}

impl Chunk<'_> {
    /// The elements of a map that is not per-CPU.
    pub fn iter<K: Abi, V: Abi>(&self) -> impl Iterator<Item = (K, V)> {
        let keys = self.keys.chunks_exact(size_of::<K>()).filter_map(from_bytes);
        keys.zip(self.values.chunks_exact(self.map.value_bytes()).filter_map(from_bytes))
    }

    /// Every value with its key: of a per-CPU map as often as there are possible CPUs. Allocates nothing.
    pub fn each_value<K: Abi, V: Abi>(&self, mut visit: impl FnMut(K, V)) {
        let stride = self.map.value_bytes() / self.map.values_per_element();
        let elements = self.values.chunks_exact(self.map.value_bytes());
        for (key, values) in self.keys.chunks_exact(size_of::<K>()).zip(elements) {
            for value in values.chunks_exact(stride) {
                if let (Some(key), Some(value)) = (from_bytes(key), from_bytes(&value[..size_of::<V>()])) {
                    visit(key, value);
                }
            }
        }
    }

    /// The elements with their values on every possible CPU.
    pub fn per_cpu<K: Abi, V: Abi>(&self) -> impl Iterator<Item = (K, Vec<V>)> {
        let keys = self.keys.chunks_exact(size_of::<K>()).filter_map(from_bytes);
        keys.zip(self.values.chunks_exact(self.map.value_bytes()).map(|bytes| self.map.values(bytes)))
    }
}

impl Map {
    /// Reads the whole map in chunks, until `visit` breaks. Elements that come and go meanwhile may be seen or not; those that
    /// stay are seen once.
    ///
    /// # Errors
    /// `InvalidInput` for types of other sizes than the map's, and what the kernel says.
    pub fn scan<K: Abi, V: Abi>(
        &self,
        mut visit: impl FnMut(&Chunk<'_>) -> ControlFlow<()>,
    ) -> io::Result<()> {
        self.check::<K, V>()?;
        let mut room = CHUNK.min(self.info().shape.max_entries.max(1) as usize);
        let (mut keys, mut values) = (vec![0; room * size_of::<K>()], vec![0; room * self.value_bytes()]);
        let mut position: Option<[u8; POSITION_BYTES]> = None;
        loop {
            let mut next = [0; POSITION_BYTES];
            let mut attr = BatchAttr {
                in_batch: position.as_ref().map_or(0, |bytes| bytes.as_ptr().addr() as u64),
                out_batch: next.as_mut_ptr().addr() as u64,
                keys: keys.as_mut_ptr().addr() as u64,
                values: values.as_mut_ptr().addr() as u64,
                count: room as u32,
                map_fd: self.raw_fd(),
                ..BatchAttr::default()
            };
            // SAFETY: `keys` and `values` have room for `count` elements of the map's sizes (checked above, per-CPU values
            // included), the positions are at least as large as a key.
            let result = unsafe { call::bpf(MAP_LOOKUP_BATCH, &mut attr) };
            let last = match result {
                Ok(_) => false,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && room < LARGEST_CHUNK => {
                    room *= 2;
                    keys.resize(room * size_of::<K>(), 0);
                    values.resize(room * self.value_bytes(), 0);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let count = (attr.count as usize).min(room);
            let chunk = Chunk {
                map: self,
                keys: &keys[..count * size_of::<K>()],
                values: &values[..count * self.value_bytes()],
            };
            if visit(&chunk).is_break() || last {
                return Ok(());
            }
            position = Some(next);
        }
    }

    /// Every element of a map that is not per-CPU, see [`Map::scan`].
    ///
    /// # Errors
    /// As [`Map::scan`].
    pub fn entries<K: Abi, V: Abi>(&self) -> io::Result<Vec<(K, V)>> {
        let mut all = Vec::new();
        self.scan::<K, V>(|chunk| {
            all.extend(chunk.iter::<K, V>());
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }

    /// Stores elements of a map that is not per-CPU. Not atomic: others may see a part of them.
    ///
    /// # Errors
    /// `InvalidInput` for types of other sizes than the map's or lists of different lengths, and what the kernel says.
    pub fn update_batch<K: Abi, V: Abi>(&self, keys: &[K], values: &[V]) -> io::Result<()> {
        self.check::<K, V>()?;
        if self.value_bytes() != size_of::<V>() || keys.len() != values.len() {
            let message = "a batch needs one value for each key, and a map that is not per-CPU";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        for (keys, values) in keys.chunks(LARGEST_CHUNK).zip(values.chunks(LARGEST_CHUNK)) {
            let mut attr = BatchAttr {
                keys: bytes_of_slice(keys).as_ptr().addr() as u64,
                values: bytes_of_slice(values).as_ptr().addr() as u64,
                count: keys.len() as u32,
                map_fd: self.raw_fd(),
                ..BatchAttr::default()
            };
            // SAFETY: both lists hold `count` elements of the map's sizes; the kernel only reads them.
            unsafe { call::bpf(MAP_UPDATE_BATCH, &mut attr)? };
        }
        Ok(())
    }

    /// Stores inner maps in a map of maps, with one wait for the kernel's RCU (Linux 6.8) instead of one each.
    ///
    /// # Errors
    /// As [`Map::update_inner`].
    pub fn update_inner_batch(&self, inner: &[(u32, &Self)]) -> io::Result<()> {
        let indexes: Vec<u32> = inner.iter().map(|(index, _)| *index).collect();
        let fds: Vec<u32> = inner.iter().map(|(_, map)| map.raw_fd()).collect();
        self.update_batch(&indexes, &fds)
    }

    /// Removes elements of a hash map; those that are not there do no harm.
    ///
    /// # Errors
    /// `InvalidInput` for keys of another size than the map's, and what the kernel says.
    pub fn delete_batch<K: Abi>(&self, mut keys: &[K]) -> io::Result<()> {
        self.check_key::<K>()?;
        while !keys.is_empty() {
            let mut attr = BatchAttr {
                keys: bytes_of_slice(keys).as_ptr().addr() as u64,
                count: keys.len().min(LARGEST_CHUNK) as u32,
                map_fd: self.raw_fd(),
                ..BatchAttr::default()
            };
            // SAFETY: `keys` holds at least `count` keys of the map's size; the kernel only reads them.
            let result = unsafe { call::bpf(MAP_DELETE_BATCH, &mut attr) };
            let done = (attr.count as usize).min(keys.len());
            keys = match result {
                Ok(_) => &keys[done..],
                // The key after the deleted ones is not there.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                    &keys[(done + 1).min(keys.len())..]
                }
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }
}
