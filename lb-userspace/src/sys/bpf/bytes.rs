//! ABI types as bytes and back.

use std::slice;

use lb_common::abi::Abi;

/// The bytes of a value as the kernel sees them.
#[must_use]
pub fn bytes_of<T: Abi>(value: &T) -> &[u8] {
    bytes_of_slice(slice::from_ref(value))
}

/// The bytes of several values as the kernel sees them.
#[must_use]
pub fn bytes_of_slice<T: Abi>(values: &[T]) -> &[u8] {
    // SAFETY: `Abi` types have no padding, so every byte is initialised; the pointer and length are those of a live slice.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// The value that the bytes hold; `None` if their number is not the type's size.
#[must_use]
pub fn from_bytes<T: Abi>(bytes: &[u8]) -> Option<T> {
    // SAFETY: the length is the type's, every bit pattern is valid for an `Abi` type, and the read may be unaligned.
    (bytes.len() == size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::abi::Backend;

    #[test]
    fn a_value_survives_the_way_to_bytes_and_back() {
        let backend =
            Backend { addr: [1, 2, 3, 4], port: 5, state: 1, family: 6, weight: 7, ..Backend::default() };
        let bytes = bytes_of(&backend).to_vec();
        assert_eq!(bytes.len(), 32);
        assert_eq!(from_bytes::<Backend>(&bytes), Some(backend));
        assert_eq!(from_bytes::<Backend>(&bytes[1..]), None);
    }
}
