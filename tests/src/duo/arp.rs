//! Who answers for the VIP.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket, sockopt,
    },
    time::TimeVal,
};

use crate::{
    clock, inject,
    inject::Injector,
    topology::{Family, addresses, pair::Pair},
};

/// Who asks. Nobody has this address, so that only what is asked here is answered.
const ASKING: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 200);
/// How long answers are waited for.
const PATIENCE: Duration = Duration::from_millis(8);

/// Asks by ARP from the stranger's place, so that the client does not hear the answers.
#[derive(Debug)]
pub struct Arp {
    injector: Injector,
    ear: OwnedFd,
    macs: [[u8; 6]; 2],
}

impl Arp {
    /// Opens sockets at the stranger's place.
    ///
    /// # Errors
    ///
    /// If the system has none.
    pub fn open(pair: &Pair) -> Result<Self> {
        let injector = Injector::open(&pair.stranger, "eth0")?;
        let ear = pair.stranger.run(|| -> Result<OwnedFd> {
            let protocol = SockProtocol::EthAll;
            let ear = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
            bind(ear.as_raw_fd(), &inject::link_address("eth0")?)?;
            setsockopt(&ear, sockopt::ReceiveTimeout, &TimeVal::new(0, 1000))?;
            Ok(ear)
        });
        let macs = [inject::mac(&pair.nodes[0], "eth0")?, inject::mac(&pair.nodes[1], "eth0")?];
        Ok(Self { injector, ear: ear.context("no ear for ARP")?, macs })
    }

    /// The nodes that answer for the VIP.
    ///
    /// # Errors
    ///
    /// If the question cannot be sent.
    pub fn owners(&self) -> Result<Vec<usize>> {
        let IpAddr::V4(vip) = addresses::vip(Family::V4, 0) else { return Ok(Vec::new()) };
        let mut frame = [0; 256];
        while recv(self.ear.as_raw_fd(), &mut frame, MsgFlags::MSG_DONTWAIT).is_ok() {}
        self.injector.send(&question(self.injector.mac(), vip))?;
        let (asked, mut owners) = (clock::now(), Vec::new());
        while asked.elapsed() < PATIENCE {
            if let Ok(length) = recv(self.ear.as_raw_fd(), &mut frame, MsgFlags::empty()) {
                owners.extend(sender(&frame[..length], vip).and_then(|mac| self.node(mac)));
            }
        }
        owners.sort_unstable();
        owners.dedup();
        Ok(owners)
    }

    /// Asks again and again until a moment; each time with when it was asked.
    ///
    /// # Errors
    ///
    /// As [`Self::owners`].
    pub fn watch(&self, until: Instant) -> Result<Vec<(Instant, Vec<usize>)>> {
        let mut seen = Vec::new();
        while clock::now() < until {
            seen.push((clock::now(), self.owners()?));
        }
        Ok(seen)
    }

    fn node(&self, mac: [u8; 6]) -> Option<usize> {
        self.macs.iter().position(|known| *known == mac)
    }
}

/// RFC 826: who has the VIP?
fn question(mac: [u8; 6], vip: Ipv4Addr) -> Vec<u8> {
    const FIXED: [u8; 10] = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1];
    [&[0xff; 6][..], &mac, &FIXED, &mac, &ASKING.octets(), &[0; 6], &vip.octets()].concat()
}

/// The sender of an answer about the VIP.
fn sender(frame: &[u8], vip: Ipv4Addr) -> Option<[u8; 6]> {
    const ANSWER: [u8; 10] = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2];
    let is_answer = frame.get(12..22)? == ANSWER && frame.get(28..32)? == vip.octets();
    frame.get(22..28).filter(|_| is_answer)?.first_chunk().copied()
}
