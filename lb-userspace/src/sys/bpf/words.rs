//! The elements of an array map as memory, for atomic operations on words that the data path changes too.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU64;

use lb_common::maps::MMAPABLE_FLAG;

use super::Map;

const TYPE_ARRAY: u32 = 2;

/// All elements of an array map of u64, or of several of them, that was made with `BPF_F_MMAPABLE`.
#[derive(Debug)]
pub struct Words {
    base: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: the memory belongs to the mapping, not to a thread, and is only accessed atomically.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// Maps the elements of `map` into memory.
    ///
    /// # Errors
    /// `InvalidInput` if it is not such an array, and what `mmap(2)` says.
    pub fn of(map: &Map) -> io::Result<Self> {
        let shape = map.info().shape;
        if shape.map_type != TYPE_ARRAY
            || !shape.value_size.is_multiple_of(8)
            || shape.flags & MMAPABLE_FLAG == 0
        {
            let message = "only an array of values of whole words made with BPF_F_MMAPABLE can be mapped";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let len = shape.max_entries as usize * (shape.value_size as usize / 8);
        let (protection, fd) = (libc::PROT_READ | libc::PROT_WRITE, map.as_fd().as_raw_fd());
        // SAFETY: a new shared mapping at an address the kernel chooses disturbs no other memory.
        let base = unsafe { libc::mmap(ptr::null_mut(), len * 8, protection, libc::MAP_SHARED, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(base.cast()).map(|base| Self { base, len }).ok_or_else(|| io::ErrorKind::Other.into())
    }

    /// The words of all elements, one after the other.
    #[must_use]
    pub fn as_slice(&self) -> &[AtomicU64] {
        // SAFETY: the mapping holds `len` aligned words, zeroed by the kernel at first, and lives as long as `self`.
        unsafe { slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `of` with this length, and no reference to it outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len * 8) };
    }
}
