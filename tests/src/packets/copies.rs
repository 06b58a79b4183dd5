//! The program that captures, which has to do what the other one does, and to tell of it.

use std::os::fd::AsFd as _;

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{Map as AyaMap, MapData, RingBuf},
    programs::Xdp,
};
use lb_common::{
    Action,
    abi::{CaptureFilter, MAX_SNAP},
    maps as names,
};
use lb_userspace::{capture::Packet, explain::Fate, sys::bpf::Map};

use super::case::{Outcome, difference};

/// Its name in the object.
const PROGRAM: &str = "lb_capture";
/// Bytes of the ring buffer: some frames with both copies.
pub(super) const RING_BYTES: u32 = 1 << 17;

/// The copies of packets.
pub(super) struct Copies {
    ring: RingBuf<MapData>,
}

impl Copies {
    /// Loads the program, and has it copy every packet whole.
    pub(super) fn load(ebpf: &mut Ebpf) -> Result<Self> {
        program(ebpf)?.load().context("the kernel refuses the program that captures")?;
        let ring =
            ebpf.take_map(names::CAPTURE_RING).context("the object has no ring buffer for captures")?;
        let Some(AyaMap::Array(filters)) = ebpf.map(names::CAPTURES) else {
            anyhow::bail!("the object has no {}", names::CAPTURES)
        };
        let filters = Map::from_fd(filters.fd().as_fd().try_clone_to_owned()?)?;
        let all = CaptureFilter { until: u64::MAX, snap: MAX_SNAP, ..CaptureFilter::EVERYTHING };
        filters.update(&0_u32, &all)?;
        Ok(Self { ring: RingBuf::try_from(ring)? })
    }

    /// Takes what was told since the last time.
    pub(super) fn take(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        while let Some(record) = self.ring.next() {
            packets.extend(Packet::read(&record));
        }
        packets
    }
}

pub(super) fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    Ok(ebpf.program_mut(PROGRAM).context("the object has no program that captures")?.try_into()?)
}

/// Whether what was told of a packet is what it was and what became of it.
pub(super) fn told_alike(
    packets: &[Packet],
    arrived: &[u8],
    ingress: u32,
    outcome: &Outcome,
) -> Result<(), String> {
    let [packet] = packets else { return Err(format!("{} packets were told instead of one", packets.len())) };
    let all = MAX_SNAP as usize;
    if packet.arrived(all) != (arrived.len() as u32, arrived) {
        return Err(difference(("told as arrived", packet.arrived(all).1), ("arrived", arrived)));
    }
    let (fate, egress) = match outcome.verdict.action() {
        Action::Pass => (Fate::Pass, None),
        Action::Drop => (Fate::Drop, None),
        Action::Transmit => (Fate::Transmit, Some(ingress)),
        Action::Redirect => (Fate::Redirect, Some(outcome.verdict.argument())),
    };
    let reason = outcome.drops.first().copied();
    if (packet.verdict(), packet.egress(), packet.reason()) != (fate, egress, reason) {
        let told = (packet.verdict(), packet.egress(), packet.reason());
        return Err(format!("told as {told:?}, model {:?} {reason:?}", outcome.verdict));
    }
    match packet.leaves(all) {
        Some((length, bytes)) if (length as usize, bytes) != (outcome.frame.len(), &*outcome.frame) => {
            Err(difference(("told as it left", bytes), ("left", &outcome.frame)))
        }
        None if egress.is_some() => Err("it is not told that it left".to_owned()),
        _ => Ok(()),
    }
}
