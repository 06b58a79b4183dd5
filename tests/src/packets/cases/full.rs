//! The table of established flows has no room: what becomes of flows that are answered, and of those that would begin.

use lb_common::{
    abi::{DropReason, SettingsFlags},
    host::HostTables,
    tables::Tier,
    wire::{ACK, SYN},
};

use crate::packets::{
    Case, Expect, Fact,
    scene::Scene,
    world::{CLIENTS, at},
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    Scene::all()
        .iter()
        .flat_map(|scene| [refused(scene), not_refused(scene), no_room(scene, 0b01), no_room(scene, 0b10)])
        .collect()
}

/// Marks the tables of established flows as full, as of now.
fn fill(tables: &HostTables) {
    tables.v4.full_at.set(tables.now.get());
    tables.v6.full_at.set(tables.now.get());
}

fn refuse(tables: &HostTables) {
    let mut settings = tables.settings.get();
    settings.flags |= SettingsFlags::REFUSE_WHEN_FULL;
    tables.settings.set(settings);
}

/// No flow begins, but those that there are go on, and a moment later one may begin again.
fn refused(scene: &Scene) -> Case {
    let other = scene.request(SYN).with_source(at(scene.client().ip(), 41_001));
    scene
        .case("table full, reject: no flow begins")
        .change(refuse)
        .then(vec![scene.forwards(&scene.request(SYN))])
        .change(fill)
        .frame(CLIENTS, &other, Expect::Drop(DropReason::FlowTableFull))
        .then(vec![scene.returns(&scene.answer(SYN | ACK))])
        .change(|tables| tables.now.set(tables.now.get() + 1))
        .frame(CLIENTS, &other, Expect::Drop(DropReason::FlowTableFull))
        .change(|tables| {
            tables.now.set(tables.now.get() + 1);
            assert!(tables.v4.full_at.get() != 0);
        })
        .then(vec![scene.forwards(&scene.request(SYN))])
}

/// Where that is not wanted, flows begin as ever.
fn not_refused(scene: &Scene) -> Case {
    scene
        .case("table full: a flow begins all the same")
        .change(fill)
        .then(vec![scene.forwards(&scene.request(SYN)), scene.returns(&scene.answer(SYN | ACK))])
}

/// One of the two entries is refused: the flow goes on from where it is, and moves with a later packet.
fn no_room(scene: &Scene, refusals: u32) -> Case {
    let completes = || vec![scene.forwards(&scene.request(ACK))];
    scene
        .case(&format!("table full: an answered flow stays where it is, refusals {refusals:b}"))
        .host_only("the kernel's table is not full")
        .then(vec![scene.forwards(&scene.request(SYN)), scene.returns(&scene.answer(SYN | ACK))])
        .change(move |tables| tables.refusals.set(refusals))
        .then(completes())
        .fact(Fact::Count(2, 0))
        .change(|tables| {
            assert!(tables.v4.full_at.get().max(tables.v6.full_at.get()) == tables.now.get());
            tables.now.set(tables.now.get() + 1);
        })
        .then(completes())
        .fact(Fact::Count(0, 2))
        .fact(Fact::NoFlow(Tier::Embryonic, scene.forward()))
}
