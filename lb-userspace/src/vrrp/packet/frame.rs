//! An advert as a whole frame: what a raw socket would send, but from another MAC address than the interface's.

use lb_common::checksum;

use super::{Ends, HOP_LIMIT, Mac, PROTOCOL};

/// CS6, network control: what keepalived marks its adverts with.
pub const TRAFFIC_CLASS: u8 = 0xc0;

/// The Ethernet frame of a message to the group of all VRRP routers; `None` if it goes to a single one, whose MAC address is not known here.
#[must_use]
pub fn group_frame(ends: &Ends, mac: Mac, message: &[u8]) -> Option<Vec<u8>> {
    if !ends.is_to_group() {
        return None;
    }
    // Messages have at most 4096 bytes.
    let length = message.len() as u16;
    Some(match ends {
        Ends::V4(source, group) => {
            let [_, b, c, d] = group.octets();
            // RFC 1112 section 6.4: the lower 23 bits.
            let dmac = [1, 0, 0x5e, b & 0x7f, c, d];
            let [high, low] = (20 + length).to_be_bytes();
            // Whole: do not fragment, and no identification (RFC 6864 section 4.1).
            let mut header =
                [0x45, TRAFFIC_CLASS, high, low, 0, 0, 0x40, 0, HOP_LIMIT, PROTOCOL, 0, 0].to_vec();
            header.extend([source.octets(), group.octets()].concat());
            let sum = !checksum::fold(checksum::sum(&header));
            header[10..12].copy_from_slice(&sum.to_ne_bytes());
            [&dmac[..], &mac, &[0x08, 0x00], &header, message].concat()
        }
        Ends::V6(source, group) => {
            let [.., a, b, c, d] = group.octets();
            // RFC 2464 section 7.
            let dmac = [0x33, 0x33, a, b, c, d];
            let [high, low] = length.to_be_bytes();
            let class = [0x60 | TRAFFIC_CLASS >> 4, TRAFFIC_CLASS << 4, 0, 0];
            let header = [&class[..], &[high, low, PROTOCOL, HOP_LIMIT]].concat();
            let addresses = [source.octets(), group.octets()].concat();
            [&dmac[..], &mac, &[0x86, 0xdd], &header, &addresses, message].concat()
        }
    })
}
