//! Drains in simulated time.

use std::{collections::BTreeMap, time::Duration};

use lb_common::abi::{BackendFlags, BackendState};

use super::{
    life::{Life, SECOND},
    *,
};
use crate::{
    control::DrainView,
    model::{DrainEnd, Timestamp},
};

impl Life {
    /// Time passes, with scans and ticks.
    fn scan_for(&mut self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.sleep(SECOND);
            let flows = BTreeMap::from([(self.id(), self.flows)]);
            self.tell(Event::Census { began: self.now.instant, flows }).unwrap();
            self.tell(Event::Tick).unwrap();
        }
    }

    fn edit(&mut self, edit: Edit) {
        self.tell(Event::Request(Request { edit, persist: Persist::File })).unwrap();
    }

    fn drain(&mut self, deadline: Option<(Duration, DrainEnd)>) {
        self.edit(Edit::DrainBackend { service: name("web"), backend: "b1".parse().unwrap(), deadline });
    }

    fn set_state(&mut self, state: AdminState) {
        let change = BackendChange { state: Some(state), ..BackendChange::default() };
        self.edit(Edit::SetBackend { service: name("web"), backend: "b1".parse().unwrap(), change });
    }

    fn id(&self) -> u32 {
        self.control.snapshot().service("web").unwrap().backend("b1").unwrap().id
    }

    fn view(&self) -> Option<DrainView> {
        self.control.snapshot().drains.get(&self.id()).copied()
    }

    /// Its state in the maps, and whether its connections are reset.
    fn in_maps(&self) -> (u8, bool) {
        let backend = self.maps.image().backends[&self.id()];
        (backend.state, backend.flags & BackendFlags::RESET != 0)
    }
}

#[test]
fn a_drained_backend_takes_no_flow_at_once_and_drained_is_said_when_the_last_ends() {
    let mut life = Life::begin();
    life.flows = 3;
    life.drain(None);
    assert_eq!(life.in_maps(), (BackendState::Draining as u8, false));
    let id = life.id();
    assert!(!life.maps.image().slots[&1].contains(&id));
    assert_eq!(life.view().unwrap().flows, None, "not counted yet");
    life.scan_for(5 * SECOND);
    assert_eq!(life.view().map(|view| (view.flows, view.drained)), Some((Some(3), false)));
    life.flows = 0;
    life.scan_for(SECOND);
    assert_eq!(life.view().map(|view| (view.flows, view.drained)), Some((Some(0), true)));
    assert_eq!(life.store.config().services[0].backends[0].state, AdminState::Draining);
}

#[test]
fn a_scan_that_began_before_the_drain_does_not_count() {
    let mut life = Life::begin();
    let began = life.now.instant;
    life.sleep(SECOND);
    life.drain(None);
    life.tell(Event::Census { began, flows: BTreeMap::new() }).unwrap();
    assert_eq!(life.view().unwrap().flows, None);
    // Nor is a backend drained by one that began so early that an answer may still have been on its way.
    life.tell(Event::Census { began: life.now.instant + SECOND / 10, flows: BTreeMap::new() }).unwrap();
    assert_eq!(life.view().map(|view| (view.flows, view.drained)), Some((Some(0), false)));
}

#[test]
fn at_the_deadline_flows_go_on_or_are_reset() {
    for then in [DrainEnd::Keep, DrainEnd::Rst] {
        let mut life = Life::begin();
        life.flows = 2;
        life.drain(Some((10 * SECOND, then)));
        assert_eq!(life.control.snapshot().wake_at, Some(life.now.instant + 10 * SECOND));
        life.scan_for(9 * SECOND);
        assert_eq!((life.view().unwrap().expired, life.in_maps().1), (false, false), "{then}");
        life.scan_for(SECOND);
        assert_eq!((life.view().unwrap().expired, life.in_maps().1), (true, then == DrainEnd::Rst), "{then}");
        assert_eq!(life.control.snapshot().wake_at, None);
    }
}

#[test]
fn who_is_drained_before_the_deadline_is_left_in_peace() {
    let mut life = Life::begin();
    life.drain(Some((10 * SECOND, DrainEnd::Keep)));
    life.scan_for(20 * SECOND);
    assert_eq!(life.view().map(|view| (view.drained, view.expired)), Some((true, true)));
}

#[test]
fn a_drain_that_is_taken_back_leaves_no_trace() {
    let mut life = Life::begin();
    let (before, config) = (life.maps.image(), life.store.config());
    life.flows = 2;
    life.drain(Some((10 * SECOND, DrainEnd::Rst)));
    life.scan_for(15 * SECOND);
    assert!(life.in_maps().1);
    life.set_state(AdminState::Enabled);
    assert_eq!((life.maps.image(), life.store.config(), life.view()), (before, config, None));
    life.scan_for(60 * SECOND);
    assert_eq!(life.in_maps(), (BackendState::Active as u8, false));
}

#[test]
fn a_new_deadline_ends_the_reset_of_the_old_one() {
    let mut life = Life::begin();
    life.flows = 2;
    life.drain(Some((SECOND, DrainEnd::Rst)));
    life.scan_for(2 * SECOND);
    assert!(life.in_maps().1);
    life.drain(Some((60 * SECOND, DrainEnd::Rst)));
    assert_eq!(life.in_maps(), (BackendState::Draining as u8, false));
    life.scan_for(60 * SECOND);
    assert!(life.in_maps().1);
}

#[test]
fn a_deadline_survives_a_restart_whatever_the_wall_clock_does() {
    for jump in [None, Some(0), Some(1_795_389_000 + 3600), Some(4_000_000_000)] {
        let mut life = Life::begin();
        life.flows = 2;
        life.drain(Some((30 * SECOND, DrainEnd::Rst)));
        life.scan_for(10 * SECOND);
        if let Some(seconds) = jump {
            life.now.wall = Timestamp::since_epoch(Duration::from_secs(seconds));
        }
        life.restart(5 * SECOND);
        life.scan_for(14 * SECOND);
        assert_eq!((life.view().unwrap().expired, life.in_maps().1), (false, false), "{jump:?}");
        life.scan_for(SECOND);
        assert_eq!((life.view().unwrap().expired, life.in_maps().1), (true, true), "{jump:?}");
    }
}

#[test]
fn a_deadline_that_passes_while_nobody_runs_is_kept_at_the_next_start() {
    let mut life = Life::begin();
    life.flows = 2;
    life.drain(Some((30 * SECOND, DrainEnd::Rst)));
    life.scan_for(SECOND);
    life.restart(60 * SECOND);
    life.scan_for(SECOND);
    assert_eq!((life.view().unwrap().expired, life.in_maps().1), (true, true));
}

#[test]
fn while_the_daemon_runs_no_reload_moves_a_deadline() {
    let mut life = Life::begin();
    life.flows = 2;
    life.drain(Some((30 * SECOND, DrainEnd::Rst)));
    life.now.wall = Timestamp::since_epoch(Duration::from_secs(4_000_000_000));
    life.tell(Event::Reload).unwrap();
    life.scan_for(29 * SECOND);
    assert!(!life.in_maps().1);
    life.scan_for(SECOND);
    assert!(life.in_maps().1);
}

#[test]
fn a_deadline_that_was_written_by_hand_goes_by_the_wall_clock() {
    let mut life = Life::begin();
    life.flows = 2;
    let mut draft = life.store.config().draft();
    let backend = &mut draft.services[0].backends[0];
    backend.state = AdminState::Draining;
    backend.drain =
        Some(crate::model::Drain { until: life.now.wall.after(20 * SECOND), then: DrainEnd::Rst });
    life.store.write(Ok(draft.check().unwrap()));
    life.tell(Event::Reload).unwrap();
    life.scan_for(19 * SECOND);
    assert!(!life.in_maps().1);
    life.scan_for(SECOND);
    assert!(life.in_maps().1);
}

#[test]
fn what_is_no_deadline_is_refused() {
    let mut life = Life::begin();
    for time in [Duration::ZERO, Duration::from_millis(99), Duration::from_secs(8 * 24 * 3600)] {
        let deadline = Some((time, DrainEnd::Keep));
        let edit = Edit::DrainBackend { service: name("web"), backend: "b1".parse().unwrap(), deadline };
        let event = Event::Request(Request { edit, persist: Persist::File });
        let error = life.control.handle(event, life.now).unwrap_err();
        assert_eq!(
            (error.kind, error.path.as_str()),
            (ErrorKind::Invalid, "services[web].backends[b1].deadline")
        );
    }
    assert_eq!(life.view(), None);
}

#[test]
fn a_refused_change_does_not_end_a_reset() {
    let mut life = Life::begin();
    life.flows = 2;
    life.drain(Some((SECOND, DrainEnd::Rst)));
    life.scan_for(2 * SECOND);
    life.store.set_commit_fails(true);
    let change = BackendChange { state: Some(AdminState::Enabled), ..BackendChange::default() };
    let edit = Edit::SetBackend { service: name("web"), backend: "b1".parse().unwrap(), change };
    let event = Event::Request(Request { edit, persist: Persist::File });
    life.control.handle(event, life.now).unwrap_err();
    life.scan_for(SECOND);
    assert!(life.in_maps().1);
}
