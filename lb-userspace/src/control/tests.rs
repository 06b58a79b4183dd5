//! Edits, failures, health and restarts, on a file and maps in memory.

mod apply;
mod blocks;
mod drains;
mod kills;
mod life;
mod pools;

use std::time::Duration;

use lb_common::abi::{BackendState, Interface};

use super::{
    BackendChange, Control, Edit, Error, ErrorKind, Event, HealthChange, Persist, Request, ServiceChange,
    fixture::{MemoryStore, SharedMaps, backend, control, example, handle, moment, name},
};
use crate::{
    maps::LbMaps as _,
    model::{AdminState, Algorithm, Config, Health, Mode, Service},
    plan::MapImage,
};

struct Bench {
    control: Control,
    store: MemoryStore,
    maps: SharedMaps,
}

impl Bench {
    fn new() -> Self {
        let (store, maps) = (MemoryStore::new(example()), SharedMaps::default());
        Self { control: control(&store, &maps), store, maps }
    }

    fn handle(&mut self, event: Event) -> Result<(), Error> {
        let outcome = self.control.handle(event, moment());
        self.control.settle(moment());
        outcome
    }

    fn edit(&mut self, edit: Edit, persist: Persist) -> Result<(), Error> {
        self.handle(Event::Request(Request { edit, persist }))
    }

    fn health(&mut self, backend: &str, id: u32, up: bool) {
        let backend = backend.parse().unwrap();
        let health = if up { Health::Up } else { Health::Down };
        self.handle(Event::Health { service: name("web"), backend, id, health, reason: None, held: None })
            .unwrap();
    }

    fn state(&self, backend: &str) -> BackendState {
        self.control.snapshot().service("web").unwrap().backend(backend).unwrap().state
    }

    fn id(&self, backend: &str) -> u32 {
        self.control.snapshot().service("web").unwrap().backend(backend).unwrap().id
    }

    /// All that a failing edit must leave alone.
    fn everything(&self) -> (Config, Config, MapImage, bool) {
        let snapshot = self.control.snapshot();
        (self.store.config(), snapshot.config.clone(), self.maps.image(), snapshot.unsaved)
    }
}

fn add_b3() -> Edit {
    Edit::AddBackend { service: name("web"), backend: backend("b3", "10.0.0.13", 8080) }
}

fn set_weight(backend: &str, weight: u16) -> Edit {
    let change = BackendChange { weight: Some(weight), ..BackendChange::default() };
    Edit::SetBackend { service: name("web"), backend: backend.parse().unwrap(), change }
}

fn remove_b1() -> Edit {
    Edit::RemoveBackend { service: name("web"), backend: "b1".parse().unwrap() }
}

#[test]
fn an_edit_is_in_the_model_the_maps_and_the_file() {
    let mut bench = Bench::new();
    bench.edit(add_b3(), Persist::File).unwrap();
    let snapshot = bench.control.snapshot();
    let b3 = snapshot.service("web").unwrap().backend("b3").unwrap();
    assert_eq!(b3.state, BackendState::Active);
    assert!(bench.maps.image().backends.contains_key(&b3.id));
    assert_eq!(bench.store.config(), snapshot.config);
    assert!(!snapshot.unsaved && !bench.store.has_remains());
}

#[test]
fn what_the_file_holds_survives_a_restart_with_the_same_ids() {
    let mut bench = Bench::new();
    bench.edit(add_b3(), Persist::File).unwrap();
    bench.edit(set_weight("b1", 1), Persist::Runtime).unwrap();
    let before = bench.control.snapshot();
    let maps = bench.maps.restarted();
    let after = control(&bench.store, &maps).snapshot();
    assert_eq!(after.config, bench.store.config());
    let ids = |snapshot: &super::Snapshot| -> Vec<u32> {
        snapshot.backends().map(|(_, backend)| backend.id).collect()
    };
    assert_eq!(ids(&after), ids(&before));
    assert_eq!(after.config.services[0].backends.len(), 3);
    assert_eq!(after.config.services[0].backends[0].weight, 100, "a runtime change ends with the process");
}

#[test]
fn an_edit_that_the_maps_refuse_changes_nothing() {
    // Whichever operation fails first.
    for budget in 0..3 {
        let mut bench = Bench::new();
        let before = bench.everything();
        bench.maps.set_budget(Some(budget));
        let error = bench
            .control
            .handle(Event::Request(Request { edit: add_b3(), persist: Persist::File }), moment());
        assert_eq!(error.unwrap_err().kind, ErrorKind::Maps, "{budget}");
        bench.maps.set_budget(None);
        bench.control.settle(moment() + Duration::from_secs(60));
        // The id stays reserved until a scan: flows may have come to it.
        let releasing = bench.control.snapshot().releasing.clone();
        for id in releasing {
            bench.handle(Event::BackendReleased { id }).unwrap();
        }
        assert_eq!(bench.everything(), before, "{budget}");
        assert!(!bench.store.has_remains());
    }
}

#[test]
fn while_the_maps_refuse_the_problem_is_told_and_tried_again() {
    let mut bench = Bench::new();
    bench.maps.set_budget(Some(0));
    bench.health("b1", 1, false);
    let problem = bench.control.snapshot().problem.clone().unwrap();
    assert!(problem.contains("made to fail"), "{problem}");
    bench.control.settle(moment());
    assert!(bench.control.snapshot().problem.is_some(), "not yet time to try again");
    bench.maps.set_budget(None);
    bench.control.settle(moment() + Duration::from_secs(60));
    assert_eq!(bench.control.snapshot().problem, None);
    let image = bench.maps.image();
    assert_eq!(image.backends[&bench.id("b1")].state, BackendState::Down as u8);
}

#[test]
fn an_edit_that_cannot_be_written_changes_nothing() {
    let mut bench = Bench::new();
    let before = bench.everything();
    bench.store.set_read_only(true);
    assert_eq!(bench.edit(set_weight("b1", 5), Persist::File).unwrap_err().kind, ErrorKind::File);
    assert_eq!(bench.everything(), before);
    bench.store.set_read_only(false);
    bench.store.set_commit_fails(true);
    assert_eq!(bench.edit(set_weight("b1", 5), Persist::File).unwrap_err().kind, ErrorKind::File);
    assert_eq!(bench.everything(), before, "the maps are brought back");
    assert!(!bench.store.has_remains());
    bench.edit(set_weight("b1", 5), Persist::Runtime).unwrap();
    assert!(bench.control.snapshot().unsaved);
}

#[test]
fn an_invalid_edit_changes_nothing_and_names_the_value() {
    let mut bench = Bench::new();
    let before = bench.everything();
    let change = ServiceChange { mode: Some(Mode::FullNat), ..ServiceChange::default() };
    let edits = [
        (
            Edit::SetService { service: name("web"), change: Box::new(change) },
            ErrorKind::Invalid,
            "services[web].snat_addresses",
        ),
        (
            Edit::AddBackend { service: name("web"), backend: backend("b3", "203.0.113.10", 1) },
            ErrorKind::Invalid,
            "services[web].backends[b3].address",
        ),
        (Edit::RemoveService { service: name("mail") }, ErrorKind::NotFound, "services[mail]"),
        (
            Edit::AddBackend { service: name("web"), backend: backend("b1", "10.0.0.13", 1) },
            ErrorKind::Conflict,
            "services[web].backends[b1]",
        ),
    ];
    for (edit, kind, path) in edits {
        let error = bench.edit(edit.clone(), Persist::File).unwrap_err();
        assert_eq!((error.kind, error.path.as_str()), (kind, path), "{edit:?}: {error}");
        assert_eq!(bench.everything(), before);
    }
}

#[test]
fn a_file_that_was_edited_meanwhile_is_not_overwritten() {
    let mut bench = Bench::new();
    let mut theirs = example().draft();
    theirs.services.pop();
    let theirs = theirs.check().unwrap();
    bench.store.write(Ok(theirs.clone()));
    let error = bench.edit(set_weight("b1", 5), Persist::File).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert_eq!(bench.store.config(), theirs);
    bench.handle(Event::Reload).unwrap();
    bench.edit(set_weight("b1", 5), Persist::File).unwrap();
    assert_eq!(bench.store.config().services.len(), 1);
}

#[test]
fn only_the_lasting_part_of_the_changes_is_written() {
    let mut bench = Bench::new();
    bench.edit(add_b3(), Persist::Runtime).unwrap();
    bench.edit(set_weight("b1", 5), Persist::File).unwrap();
    let saved = bench.store.config();
    assert_eq!(saved.services[0].backends.len(), 2);
    assert_eq!(saved.services[0].backends[0].weight, 5);
    assert!(bench.control.snapshot().unsaved);

    let error = bench.edit(set_weight("b3", 5), Persist::File).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("--runtime"), "{error}");
    bench
        .edit(Edit::RemoveBackend { service: name("web"), backend: "b3".parse().unwrap() }, Persist::Runtime)
        .unwrap();
    assert!(!bench.control.snapshot().unsaved, "the same as the file again");
}

#[test]
fn a_bad_file_is_refused_and_the_running_state_stays() {
    let mut bench = Bench::new();
    let before = bench.control.snapshot();
    bench.store.write(Err(Error::invalid("services[0].port", "70000 is not a port")));
    let error = bench.handle(Event::Reload).unwrap_err();
    assert_eq!(error.path, "services[0].port");
    assert_eq!(bench.control.snapshot().config, before.config);
}

#[test]
fn sizes_of_maps_wait_for_a_restart() {
    let mut bench = Bench::new();
    let mut larger = example().draft();
    larger.limits.services = 5000;
    larger.metrics_listen = None;
    bench.store.write(Ok(larger.clone().check().unwrap()));
    bench.handle(Event::Reload).unwrap();
    let snapshot = bench.control.snapshot();
    assert_eq!(snapshot.restart_needed, ["metrics.listen", "limits"]);
    assert!(!snapshot.unsaved);

    // More than the maps that exist can hold.
    let slim = Service {
        slots: Some(1),
        algorithm: Algorithm::Random,
        health: None,
        backends: Vec::new(),
        ..Service::clone(&larger.services[0])
    };
    larger.services = (1..=1025)
        .map(|port| Service { name: name(&format!("s{port}")), port, ..slim.clone() }.into())
        .collect();
    bench.store.write(Ok(larger.check().unwrap()));
    let before = bench.maps.image();
    let error = bench.handle(Event::Reload).unwrap_err();
    assert_eq!((error.kind, error.path.as_str()), (ErrorKind::Conflict, "limits"));
    assert!(error.message.contains("when lbd is started again"), "{error}");
    assert_eq!(bench.maps.image(), before);
}

#[test]
fn health_takes_a_backend_out_and_back_in() {
    let mut bench = Bench::new();
    let id = bench.id("b1");
    bench.health("b1", id, false);
    assert_eq!(bench.state("b1"), BackendState::Down);
    let slots = bench.maps.image().slots[&1].clone();
    assert!(!slots.contains(&id), "no slot names a backend that is down");
    bench.health("b1", id, true);
    assert_eq!(bench.state("b1"), BackendState::Active);
}

#[test]
fn a_result_of_another_backend_of_that_name_is_ignored() {
    let mut bench = Bench::new();
    bench.health("b1", bench.id("b1") + 100, false);
    assert_eq!(bench.state("b1"), BackendState::Active);
}

#[test]
fn what_was_known_of_a_backend_is_forgotten_with_it() {
    let mut bench = Bench::new();
    bench.health("b1", bench.id("b1"), false);
    bench.edit(remove_b1(), Persist::File).unwrap();
    let again = Edit::AddBackend { service: name("web"), backend: backend("b1", "10.0.0.99", 8080) };
    bench.edit(again, Persist::File).unwrap();
    let snapshot = bench.control.snapshot();
    assert_eq!(snapshot.service("web").unwrap().backend("b1").unwrap().health, Health::Unknown);
    assert_eq!(bench.state("b1"), BackendState::Active);
}

#[test]
fn without_a_check_a_backend_is_not_down() {
    let mut bench = Bench::new();
    bench.health("b1", bench.id("b1"), false);
    let change = ServiceChange { health: Some(HealthChange::Remove), ..ServiceChange::default() };
    bench.edit(Edit::SetService { service: name("web"), change: Box::new(change) }, Persist::File).unwrap();
    assert_eq!(bench.state("b1"), BackendState::Active);
}

#[test]
fn the_operator_overrules_health() {
    let mut bench = Bench::new();
    bench.health("b1", bench.id("b1"), true);
    let change = BackendChange { state: Some(AdminState::Disabled), ..BackendChange::default() };
    let edit = Edit::SetBackend { service: name("web"), backend: "b1".parse().unwrap(), change };
    bench.edit(edit, Persist::File).unwrap();
    assert_eq!(bench.state("b1"), BackendState::Disabled);
}

#[test]
fn the_id_of_a_removed_backend_waits_for_its_release() {
    let mut bench = Bench::new();
    let id = bench.id("b1");
    bench.edit(remove_b1(), Persist::File).unwrap();
    assert_eq!(bench.control.snapshot().releasing, [id]);
    assert_eq!(bench.maps.image().backends[&id].state, BackendState::Unused as u8);
    bench.edit(add_b3(), Persist::File).unwrap();
    assert_ne!(bench.id("b3"), id);
    bench.handle(Event::BackendReleased { id }).unwrap();
    assert_eq!(bench.control.snapshot().releasing, [0; 0]);
    assert!(!bench.maps.image().backends.contains_key(&id));
}

#[test]
fn interfaces_and_routes_reach_the_maps() {
    let mut bench = Bench::new();
    let interface = Interface { mtu: 1500, ..Interface::default() };
    bench.handle(Event::Interfaces([(2, interface)].into())).unwrap();
    assert_eq!(bench.maps.image().interfaces[&2].mtu, 1500);
    let (generation, snapshot) = (bench.maps.fib_generation(), bench.control.snapshot().generation);
    bench.handle(Event::RoutesChanged).unwrap();
    assert_ne!(bench.maps.fib_generation(), generation);
    assert_eq!(bench.control.snapshot().generation, snapshot, "nobody else is woken for that");
}

#[test]
fn what_somebody_else_did_to_the_maps_is_put_right_by_ticks_or_at_once() {
    for asked in [true, false] {
        let mut bench = Bench::new();
        let good = bench.maps.image();
        bench.maps.tamper(|image| {
            image.backends.remove(&1);
            image.origins.clear();
        });
        let generation = bench.control.snapshot().generation;
        if asked {
            bench.handle(Event::Repair).unwrap();
        } else {
            for second in 0..60 {
                bench.control.settle(moment() + Duration::from_secs(second));
            }
        }
        assert_eq!(bench.maps.image(), good);
        let snapshot = bench.control.snapshot();
        assert_eq!(snapshot.reconciled.drift.total(), 4, "a backend and three origins");
        assert_eq!(snapshot.generation, generation, "nobody else is woken for that");
    }
}

#[test]
fn nothing_new_writes_nothing_and_announces_nothing() {
    let mut bench = Bench::new();
    bench.edit(set_weight("b1", 5), Persist::File).unwrap();
    let (operations, generation) = (bench.maps.operations(), bench.control.snapshot().generation);
    bench.edit(set_weight("b1", 5), Persist::File).unwrap();
    bench.handle(Event::Tick).unwrap();
    bench.handle(Event::Interfaces([].into())).unwrap();
    assert_eq!((bench.maps.operations(), bench.control.snapshot().generation), (operations, generation));
}

#[test]
fn control_does_not_start_on_a_bad_file_or_on_maps_that_fail() {
    let store = MemoryStore::new(example());
    let start = |store: &MemoryStore, maps: &SharedMaps| {
        Control::start(Box::new(store.clone()), Box::new(maps.clone()), [].into(), 7, moment()).map(|_| ())
    };
    let broken = SharedMaps::default();
    broken.set_budget(Some(1));
    assert_eq!(start(&store, &broken).unwrap_err().kind, ErrorKind::Maps);
    store.write(Err(Error::invalid("interfaces", "is needed")));
    let mut maps = SharedMaps::default();
    assert_eq!(start(&store, &maps).unwrap_err().path, "interfaces");
    assert_eq!(maps.dump().unwrap(), MapImage::default());
}

#[tokio::test]
async fn edits_from_many_tasks_are_made_one_after_the_other() {
    let store = MemoryStore::new(example());
    let handle = handle(&store);
    let add = |number: u32| {
        let handle = handle.clone();
        let backend = backend(&format!("c{number}"), &format!("10.0.1.{number}"), 80);
        let edit = Edit::AddBackend { service: name("web"), backend };
        tokio::spawn(async move { handle.request(Request { edit, persist: Persist::File }).await })
    };
    let tasks: Vec<_> = (1..=50).map(add).collect();
    for (task, number) in tasks.into_iter().zip(1..) {
        let snapshot = task.await.unwrap().unwrap();
        assert!(snapshot.service("web").unwrap().backend(&format!("c{number}")).is_some());
    }
    assert_eq!(store.config().services[0].backends.len(), 52);
    assert_eq!(handle.snapshot().config, store.config());
}

#[tokio::test]
async fn watchers_see_the_last_state() {
    let store = MemoryStore::new(example());
    let handle = handle(&store);
    let mut watch = handle.watch();
    watch.mark_unchanged();
    let edit = set_weight("b1", 9);
    handle.request(Request { edit, persist: Persist::Runtime }).await.unwrap();
    watch.changed().await.unwrap();
    assert!(watch.borrow_and_update().unsaved);
}
