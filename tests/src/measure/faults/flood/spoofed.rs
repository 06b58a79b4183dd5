//! A flood: frames with forged sources, each another one, as fast as is wanted or as one processor can.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};
use lb_common::{
    checksum,
    host::{FrameSpec, Transport},
    wire::SYN,
};
use nix::errno::Errno;

use super::apart;
use crate::{
    clock,
    config::Protocol,
    inject::{self, Injector},
    pattern::Pattern,
    topology::{Family, Topology, addresses},
    xdp::Program,
};

/// Time between two bursts.
const PAUSE: Duration = Duration::from_micros(100);
/// Most frames of a burst. A veth has room for 256 frames, so that it is not the burst that fills it.
const BURST: u64 = 64;
/// What was missed by more frames is not made up for.
const MISSED: u64 = 1 << 12;
/// Of the sequence of forged sources.
const SEED: u64 = 1;
/// What the forged sources have in common: benchmarking (RFC 2544) and documentation (RFC 9637).
pub(super) const SOURCE_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
pub(super) const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0);
/// Where the first half of such an address is, as a destination.
const MARK_V4: (i16, u16) = (30, 0xc612);
const MARK_V6: (i16, u16) = (38, 0x3fff);
/// Version, header length and traffic class, which nothing else here has: by it the frames are known behind the balancer.
const CLASS_V4: (i16, u16) = (14, 0x45b8);
const CLASS_V6: (i16, u16) = (14, 0x6b80);
/// Maximum segment size 1460, selective acknowledgements.
const OPTIONS: [u8; 8] = [2, 4, 0x05, 0xb4, 1, 1, 4, 2];

/// A flood under way. It ends on drop.
#[derive(Debug)]
pub(super) struct Flood {
    enough: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// Routes what is for forged sources to the client, as a provider would, and drops it there. Unless it is to be answered, the flood itself is
/// dropped behind the balancer.
pub(super) fn prepare(topology: &mut Topology, family: Family, answered: bool) -> Result<()> {
    let (route, mark, class) = match family {
        Family::V4 => {
            (format!("-4 route add {SOURCE_V4}/16 via {}", addresses::CLIENT_V4), MARK_V4, CLASS_V4)
        }
        Family::V6 => {
            (format!("-6 route add {SOURCE_V6}/32 via {}", addresses::CLIENT_V6), MARK_V6, CLASS_V6)
        }
    };
    topology.balancer.ip(&route)?;
    let marks = if answered { vec![mark] } else { vec![mark, class] };
    topology.receive_with(&Program::drop_marked(&marks))
}

impl Flood {
    /// Begins to send SYNs or datagrams to the target, `rate` a second.
    pub(super) fn start(
        topology: &Topology,
        protocol: Protocol,
        target: SocketAddr,
        rate: u64,
    ) -> Result<Self> {
        Self::of(topology, frame(protocol, target), varied(protocol, target.ip()), rate)
    }

    /// Begins to send frames of any kind, `rate` a second: as in `spec`, with these fields varied.
    pub(super) fn of(topology: &Topology, mut spec: FrameSpec, varied: Varied, rate: u64) -> Result<Self> {
        spec.dmac = inject::mac(&topology.balancer, "eth0")?;
        spec.smac = inject::mac(&topology.client, "eth0")?;
        let frame = classed(&spec);
        let enough = Arc::<AtomicBool>::default();
        let told = Arc::clone(&enough);
        let link = Injector::open(&topology.client, "eth0")?;
        let thread = thread::spawn(move || {
            apart::stay_behind()?;
            send(&link, frame, varied, rate, &told)
        });
        Ok(Self { enough, thread: Some(thread) })
    }

    /// Ends it.
    pub(super) fn stop(mut self) -> Result<()> {
        self.enough.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the flood is over")?;
        thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn send(link: &Injector, mut frame: Vec<u8>, varied: Varied, rate: u64, enough: &AtomicBool) -> Result<()> {
    let (begin, mut sent, mut number) = (clock::now(), 0, 0);
    while !enough.load(Ordering::Relaxed) {
        let due = begin.elapsed().as_micros() as u64 * rate / 1_000_000;
        sent = due.saturating_sub(MISSED).max(sent);
        let until = due.min(sent + BURST);
        while sent < until {
            varied.write(&mut frame, Pattern::new(SEED).word(number));
            match link.send(&frame) {
                // The veth is full.
                Err(error) if error.downcast_ref() == Some(&Errno::ENOBUFS) => {}
                sent => sent?,
            }
            (sent, number) = (sent + 1, number + 1);
        }
        if sent == due {
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// Fields of a frame that get two numbers of 16 bits. Each of the numbers is also written inverted, once for each checksum that
/// covers it, so that checksums stay as they are (RFC 1071). A frame is made with the numbers 0, and 0xffff where they are inverted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Varied {
    /// Offsets of the first number.
    pub first: &'static [usize],
    /// Offsets of the first number inverted.
    pub first_inverted: &'static [usize],
    /// Offsets of the second number.
    pub second: &'static [usize],
    /// Offsets of the second number inverted.
    pub second_inverted: &'static [usize],
}

impl Varied {
    /// Writes the lower 16 bits of a word as the first number, and the next as the second.
    pub(super) fn write(self, frame: &mut [u8], word: u64) {
        let (first, second) = (word as u16, (word >> 16) as u16);
        for (offsets, number) in [
            (self.first, first),
            (self.first_inverted, !first),
            (self.second, second),
            (self.second_inverted, !second),
        ] {
            for offset in offsets {
                frame[*offset..offset + 2].copy_from_slice(&number.to_ne_bytes());
            }
        }
    }
}

/// A frame whose varied fields are 0, and 0xffff where they are inverted.
fn frame(protocol: Protocol, target: SocketAddr) -> FrameSpec {
    let source: IpAddr = if target.is_ipv4() { SOURCE_V4.into() } else { SOURCE_V6.into() };
    let source = SocketAddr::new(source, 0);
    let mut spec = match protocol {
        Protocol::Tcp => FrameSpec::tcp(source, target, SYN),
        Protocol::Udp => FrameSpec::udp(source, target),
    };
    spec.id = 0xffff;
    match &mut spec.transport {
        Transport::Tcp { options, numbers, .. } => {
            *options = OPTIONS.to_vec();
            *numbers = (u32::MAX, 0, 0xfaf0);
        }
        _ => spec.payload = [vec![0xff; 4], vec![0; 16]].concat(),
    }
    spec
}

/// The frame with its traffic class.
fn classed(spec: &FrameSpec) -> Vec<u8> {
    let mut frame = spec.build();
    let (at, class) = if spec.dst.is_ipv4() { CLASS_V4 } else { CLASS_V6 };
    let at = at.unsigned_abs() as usize;
    frame[at..at + 2].copy_from_slice(&class.to_be_bytes());
    if spec.dst.is_ipv4() {
        frame[at + 10..at + 12].fill(0);
        let sum = !checksum::fold(checksum::sum(&frame[at..at + 20]));
        frame[at + 10..at + 12].copy_from_slice(&sum.to_ne_bytes());
    }
    frame
}

/// The last half of the source's address, and its port. The checksums of the network header and of the transport header cover the address.
fn varied(protocol: Protocol, target: IpAddr) -> Varied {
    match (target, protocol) {
        (IpAddr::V4(_), Protocol::Tcp) => {
            Varied { first: &[28], first_inverted: &[18, 40], second: &[34], second_inverted: &[38] }
        }
        (IpAddr::V4(_), Protocol::Udp) => {
            Varied { first: &[28], first_inverted: &[18, 42], second: &[34], second_inverted: &[44] }
        }
        (IpAddr::V6(_), Protocol::Tcp) => {
            Varied { first: &[36], first_inverted: &[60], second: &[54], second_inverted: &[58] }
        }
        (IpAddr::V6(_), Protocol::Udp) => {
            Varied { first: &[36], first_inverted: &[62], second: &[54], second_inverted: &[64] }
        }
    }
}

#[cfg(test)]
mod tests {
    use lb_common::host::checksums;

    use super::*;

    #[test]
    fn checksums_stay_good_whatever_the_source_is() {
        for target in ["203.0.113.100:80", "[2001:db8:f::100]:80"] {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let target: SocketAddr = target.parse().unwrap();
                let mut bytes = classed(&frame(protocol, target));
                varied(protocol, target.ip()).write(&mut bytes, 0xabcd_1234);
                checksums(&bytes).unwrap();
            }
        }
    }
}
