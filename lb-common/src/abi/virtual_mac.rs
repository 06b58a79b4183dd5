//! MAC addresses of virtual routers (RFC 9568 section 7.3).

use super::Mac;

/// The first four octets of all of them: 00-00-5E-00.
const START: u32 = u32::from_le_bytes([0, 0, 0x5e, 0]);
/// Words of 64 bits for 256 numbers of virtual routers.
const WORDS_OF_FAMILY: usize = 4;

/// Element of `VIRTUAL_MACS`, indexed by ifindex: a bit for the address of each virtual router whose frames are taken there.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtualMacs([u64; 2 * WORDS_OF_FAMILY]);

impl Mac {
    /// That of the virtual router with this number: 00-00-5E-00-01-{VRID} for IPv4, 00-00-5E-00-02-{VRID} for IPv6.
    #[must_use]
    pub const fn of_virtual_router(is_v4: bool, vrid: u8) -> Self {
        Self::new([0, 0, 0x5e, 0, if is_v4 { 1 } else { 2 }, vrid])
    }

    /// Its bit in [`VirtualMacs`], if it is the address of a virtual router: word and bit.
    #[inline(always)]
    fn virtual_bit(self) -> Option<(usize, u32)> {
        let (start, end) = self.parts();
        let end = u32::from(u16::from_le(end));
        let (family, vrid) = ((end & 0xff).wrapping_sub(1), end >> 8);
        if u32::from_le(start) != START || family > 1 {
            return None;
        }
        Some((family as usize * WORDS_OF_FAMILY + (vrid >> 6) as usize, vrid & 63))
    }
}

impl VirtualMacs {
    /// Whether frames to an address are taken.
    #[inline(always)]
    #[must_use]
    pub fn has(&self, mac: Mac) -> bool {
        // The mask changes nothing, and shows that there is such a word.
        mac.virtual_bit().is_some_and(|(word, bit)| self.0[word & 7] >> bit & 1 != 0)
    }

    /// Has frames to an address taken, or not; nothing if it is not the address of a virtual router.
    pub fn set(&mut self, mac: Mac, taken: bool) {
        if let Some((word, bit)) = mac.virtual_bit() {
            self.0[word] = self.0[word] & !(1 << bit) | u64::from(taken) << bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_those_of_the_rfc() {
        assert_eq!(Mac::of_virtual_router(true, 51).octets(), [0, 0, 0x5e, 0, 1, 51]);
        assert_eq!(Mac::of_virtual_router(false, 255).octets(), [0, 0, 0x5e, 0, 2, 255]);
    }

    #[test]
    fn each_address_has_a_bit_of_its_own_and_no_other_address_has_one() {
        let all = || [true, false].into_iter().flat_map(|is_v4| (0..=255).map(move |vrid| (is_v4, vrid)));
        for (is_v4, vrid) in all() {
            let mut macs = VirtualMacs::default();
            macs.set(Mac::of_virtual_router(is_v4, vrid), true);
            let taken = all().filter(|(is_v4, vrid)| macs.has(Mac::of_virtual_router(*is_v4, *vrid)));
            assert!(taken.eq([(is_v4, vrid)]));
            for octet in 0..5 {
                for bit in 0..8 {
                    let mut other = Mac::of_virtual_router(is_v4, vrid).octets();
                    other[octet] ^= 1 << bit;
                    assert!(!macs.has(Mac::new(other)), "{other:x?}");
                }
            }
            macs.set(Mac::of_virtual_router(is_v4, vrid), false);
            assert_eq!(macs, VirtualMacs::default());
        }
    }

    #[test]
    fn what_is_no_address_of_a_virtual_router_changes_nothing() {
        let mut macs = VirtualMacs::default();
        for mac in [[0; 6], [0xff; 6], [0, 0, 0x5e, 0, 0, 1], [0, 0, 0x5e, 0, 3, 1], [2, 0, 0, 0, 0, 1]] {
            macs.set(Mac::new(mac), true);
            assert!(!macs.has(Mac::new(mac)), "{mac:x?}");
        }
        assert_eq!(macs, VirtualMacs::default());
    }
}
