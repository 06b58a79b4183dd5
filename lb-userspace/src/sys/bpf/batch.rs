//! Many elements in one system call (Linux 5.6).

use std::ops::ControlFlow;
use std::{io, iter, thread};

use lb_common::abi::Abi;

use super::call::{self, BatchAttr, MAP_DELETE_BATCH, MAP_LOOKUP_BATCH, MAP_UPDATE_BATCH};
use super::{Map, bytes_of_slice, from_bytes};

/// Elements asked for in one call. A kernel that does not preempt itself runs nothing else on that CPU meanwhile, not even the thread that
/// receives packets: about 0.1 ms.
const CHUNK: usize = 256;
/// Most elements of one chunk: a hash bucket that is longer cannot be read.
const LARGEST_CHUNK: usize = 1 << 20;
/// Bytes of the kernel's position in a map; at least a key, and what hash maps use.
const POSITION_BYTES: usize = 64;
/// Keys by which a [`Cut`] is found again.
const KEYS_OF_CUT: usize = 16;
/// HASH and LRU_HASH.
const HASH_TYPES: [u32; 2] = [1, 9];

/// A place between two buckets of a hash map, so that several threads can scan a part each.
///
/// The kernel's position in a hash map is the number of a bucket, of which there are as many as entries, rounded up to a power of two.
/// A chunk that ends beyond the cut is cut where one of the keys stands that came first there.
#[derive(Clone, Debug)]
pub struct Cut {
    bucket: u32,
    keys: Vec<u8>,
}

/// The part of a hash map between two cuts; `None`: from the begin, to the end.
pub type Part<'a> = (Option<&'a Cut>, Option<&'a Cut>);

/// Works on all parts between these cuts at once, by a thread each; what they gave, in their order.
///
/// # Errors
/// The first part's that failed.
pub fn in_parts<T: Send>(
    cuts: &[Cut],
    work: impl Fn(Part<'_>) -> io::Result<T> + Sync,
) -> io::Result<Vec<T>> {
    let begins = iter::once(None).chain(cuts.iter().map(Some));
    let ends = cuts.iter().map(Some).chain([None]);
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = begins.zip(ends).map(|part| scope.spawn(move || work(part))).collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|part| part.unwrap_or_else(|_| Err(io::Error::other("a scanning thread failed"))))
            .collect()
    })
}

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

impl Cut {
    fn position(&self) -> [u8; POSITION_BYTES] {
        let mut position = [0; POSITION_BYTES];
        position[..4].copy_from_slice(&self.bucket.to_ne_bytes());
        position
    }

    /// Whether a scan that goes on at `next` has seen everything before the cut.
    fn is_reached(&self, next: &[u8; POSITION_BYTES]) -> bool {
        u32::from_ne_bytes([next[0], next[1], next[2], next[3]]) >= self.bucket
    }

    /// How many of the entries of these keys stand before the cut.
    fn entries_before<K: Abi>(&self, keys: &[u8]) -> usize {
        let mut keys = keys.chunks_exact(size_of::<K>());
        let all = keys.len();
        keys.position(|key| self.keys.chunks_exact(size_of::<K>()).any(|first| first == key)).unwrap_or(all)
    }
}

impl Map {
    /// Reads the whole map in chunks, until `visit` breaks. Elements that come and go meanwhile may be seen or not; those that
    /// stay are seen once.
    ///
    /// # Errors
    /// `InvalidInput` for types of other sizes than the map's, and what the kernel says.
    pub fn scan<K: Abi, V: Abi>(&self, visit: impl FnMut(&Chunk<'_>) -> ControlFlow<()>) -> io::Result<()> {
        self.scan_part::<K, V>((None, None), visit)
    }

    /// The places between so many parts of about the same size; none for other maps than hash maps.
    ///
    /// # Errors
    /// As [`Map::scan`].
    pub fn cuts<K: Abi, V: Abi>(&self, parts: u32) -> io::Result<Vec<Cut>> {
        let shape = self.info().shape;
        if !HASH_TYPES.contains(&shape.map_type) {
            return Ok(Vec::new());
        }
        let buckets = shape.max_entries.next_power_of_two();
        let cut = |part: u32| -> io::Result<Cut> {
            let mut cut = Cut { bucket: buckets / parts * part, keys: Vec::new() };
            self.scan_with::<K, V>((Some(&cut.clone()), None), KEYS_OF_CUT, |chunk| {
                cut.keys.extend_from_slice(chunk.keys);
                ControlFlow::Break(())
            })?;
            Ok(cut)
        };
        (1..parts).map(cut).collect()
    }

    /// As [`Map::scan`], from one cut to another; `None`: from the begin, to the end.
    ///
    /// # Errors
    /// As [`Map::scan`].
    pub fn scan_part<K: Abi, V: Abi>(
        &self,
        part: Part<'_>,
        visit: impl FnMut(&Chunk<'_>) -> ControlFlow<()>,
    ) -> io::Result<()> {
        self.scan_with::<K, V>(part, CHUNK, visit)
    }

    fn scan_with<K: Abi, V: Abi>(
        &self,
        (from, to): Part<'_>,
        room: usize,
        mut visit: impl FnMut(&Chunk<'_>) -> ControlFlow<()>,
    ) -> io::Result<()> {
        self.check::<K, V>()?;
        let mut room = room.min(self.info().shape.max_entries.max(1) as usize);
        let (mut keys, mut values) = (vec![0; room * size_of::<K>()], vec![0; room * self.value_bytes()]);
        let mut position = from.map(Cut::position);
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
            let mut count = (attr.count as usize).min(room);
            let mut last = last;
            if let Some(cut) = to.filter(|cut| last || cut.is_reached(&next)) {
                count = cut.entries_before::<K>(&keys[..count * size_of::<K>()]);
                last = true;
            }
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
