//! What is needed to explain packets.

use std::path::PathBuf;

use crate::{
    api::{Explained, PacketAt},
    explain::{Live, Trial, explain},
    flows::FlowMaps,
    loader::{Object, PinDirectory, attached_tag},
    maps::{PinnedMaps, WrittenSlots},
};

use super::attached::{AttachedList, Attacher};

/// Has a second instance of the program run on a copy of the tables.
#[derive(Debug)]
pub(super) struct Explainer {
    directory: PinDirectory,
    object: Option<PathBuf>,
    slots: WrittenSlots,
    pub(super) attached: AttachedList,
}

impl Explainer {
    /// One for what is pinned in `directory`, of `object` or the embedded one.
    pub(super) fn new(
        directory: PinDirectory,
        object: Option<PathBuf>,
        maps: &PinnedMaps,
        attacher: &Attacher,
    ) -> Self {
        Self { directory, object, slots: maps.slot_tables(), attached: attacher.list() }
    }

    /// What would become of a packet at tick `now`; the error is a sentence.
    pub(super) fn explain(&self, flows: &FlowMaps, packet: &PacketAt, now: u32) -> Result<Explained, String> {
        let failed = |error: &dyn std::fmt::Display| format!("cannot explain the packet: {error}");
        let object = Object::read(self.object.as_deref()).map_err(|error| failed(&error))?;
        let live = Live::open(&self.directory.versioned()).map_err(|error| failed(&error))?;
        let mut frame = packet.frame.clone();
        if packet.described
            && let Some(mac) = flows.mac_of(packet.ifindex).map_err(|error| failed(&error))?
        {
            frame[..6].copy_from_slice(&mac);
        }
        let mut tag = None;
        let load = |extent| {
            let mut trial = Trial::load(&object, &live, extent)?;
            tag = Some(trial.tag()?);
            Ok(trial)
        };
        let slots = |service| self.slots.of(service);
        let trace =
            explain(&live, &slots, (packet.ifindex, &frame), now, load).map_err(|error| failed(&error))?;
        let attached = self.attached.snapshot();
        let name = attached.iter().find(|attached| attached.ifindex == packet.ifindex);
        let expected = name.and_then(|attached| attached_tag(&self.directory, &attached.name));
        // Who captures has attached what is made of the same code.
        let same_code = tag == expected || self.attached.is_captured();
        Ok(Explained { trace, same_code })
    }
}
