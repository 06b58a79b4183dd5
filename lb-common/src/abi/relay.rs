//! Packets for addresses that moved here a moment ago, and are of flows that the machine knows which had the addresses until then.

use super::Mac;

/// Element of `RELAYS`: an address that moved.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relay {
    /// `CLOCK_MONOTONIC` in nanoseconds until which packets are passed on.
    pub until: u64,
    /// MAC address of the machine that had the address.
    pub mac: Mac,
    /// Interface that the address is on.
    pub ifindex: u32,
    /// 0.
    pub reserved: u32,
}

impl Relay {
    /// Whether a packet that came from `smac` by an interface is passed on, at a time in nanoseconds. What the other machine itself has sent is not:
    /// it does not know the flow, either.
    #[inline(always)]
    #[must_use]
    pub fn takes(self, nanos: u64, ifindex: u32, smac: Mac) -> bool {
        nanos < self.until && ifindex == self.ifindex && smac != self.mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_passed_on_for_a_while_and_never_back() {
        let [other, backend] = [2, 3].map(|last| Mac::new([2, 0, 0, 0, 0, last]));
        let relay = Relay { until: 100, mac: other, ifindex: 7, reserved: 0 };
        assert!(relay.takes(99, 7, backend));
        assert!(!relay.takes(100, 7, backend), "for a while only");
        assert!(!relay.takes(99, 7, other), "it came from there");
        assert!(!relay.takes(99, 8, backend), "it came another way");
        assert!(!Relay::default().takes(0, 0, backend));
    }
}
