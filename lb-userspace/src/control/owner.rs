//! The state machine.

mod apply;
mod blocks;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use lb_common::abi::Interface;

use super::{
    Edit, Error, Event, Notes, Now, Persist, Request, Snapshot, Staged, Store, blocks as blocked,
    drain::Drains, invalid, pools, ramps::RampNotes, target::Target, view, view::Configs,
};
use crate::{
    acl::ListFiles,
    health::{Files, Pools, Probes, Rights, unusable_programs},
    maps::LbMaps,
    model::{Backend, Config, Finding, HealthView, Service, Timestamp},
};

/// The owner of the model, the maps and the file.
pub struct Control {
    store: Box<dyn Store>,
    target: Target,
    /// What the file held when `lbd` was started.
    started: Config,
    /// What the file holds.
    saved: Config,
    /// What the maps are to hold; not `saved` if changes were not to be written.
    current: Config,
    health: HealthView,
    /// What that makes of the services' backends.
    pools: Pools,
    drains: Drains,
    ramps: RampNotes,
    /// What is written down beside the file.
    notes: Notes,
    /// When what was applied is taken back unless it is confirmed.
    confirm_at: Option<Instant>,
    /// When the next block of a source is over.
    blocks_due: Option<Instant>,
    probes: Probes,
    /// Something was noted that is not planned yet.
    dirty: bool,
    /// Why the maps do not hold what they should.
    problem: Option<String>,
    snapshot: Arc<Snapshot>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

impl Control {
    /// Reads the file and brings the maps to it; what they hold already keeps its ids. `interfaces` are those the program is
    /// attached to, by ifindex; `random` becomes the key of the flow hash if neither the file nor the maps have one.
    ///
    /// # Errors
    /// The file is invalid, or the maps cannot be read or written. What was forwarded before still is.
    pub fn start(
        store: Box<dyn Store>,
        maps: Box<dyn LbMaps>,
        interfaces: BTreeMap<u32, Interface>,
        random: u64,
        now: impl Into<Now>,
    ) -> Result<Self, Error> {
        let now = now.into();
        let config = store.load()?;
        let notes = store.notes().unwrap_or_else(|error| {
            tracing::warn!(%error, "deadlines go by the wall clock");
            Notes::default()
        });
        let probes = prepared(&config, None)?;
        let health = HealthView::default();
        let ramps = RampNotes::of(&notes.ramps, &now);
        let mut target = Target::adopt(maps, interfaces, random, config.limits)?;
        target.set_files(lists(&config, None)?);
        target.block(blocked::ticks(&notes.blocks, &now));
        let blocks_due = blocked::next(&notes.blocks, &now);
        let pools =
            pools::next(&Pools::resuming(ramps.known().clone()), &config, &health, &target, now.instant);
        target.apply(&config, &health, &pools, now.instant)?;
        let mut drains = Drains::default();
        drains.follow(&config, |service, backend| target.backend(service, backend).0, &notes.drains, &now);
        let unconfirmed = notes.unconfirmed.map(|unconfirmed| unconfirmed.deadline);
        let confirm_at = unconfirmed.map(|deadline| now.instant + deadline.remaining(&now));
        let waiting = confirm_at.zip(unconfirmed);
        let blocks = (&notes.blocks, blocks_due);
        let configs = Configs { started: &config, saved: &config, current: &config, blocks };
        let both = (&health, &pools, &probes);
        let snapshot = Arc::new(view::snapshot(None, &configs, both, None, &target, &drains, waiting));
        let (started, saved) = (config.clone(), config.clone());
        Ok(Self {
            store,
            target,
            started,
            saved,
            current: config,
            health,
            pools,
            drains,
            ramps,
            notes,
            confirm_at,
            blocks_due,
            probes,
            dirty: false,
            problem: None,
            snapshot,
        })
    }

    /// The current state.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Takes an event in. All but requests and reloads are only noted: [`Control::settle`] brings the maps to them, once for all
    /// that came together.
    ///
    /// # Errors
    /// It was refused, and nothing changed.
    pub fn handle(&mut self, event: Event, now: impl Into<Now>) -> Result<(), Error> {
        let now = &now.into();
        match event {
            Event::Request(request) => return self.request(&request, now),
            Event::Reload => return self.reload(now),
            Event::Apply { text, confirm } => return self.apply(&text, confirm, now),
            Event::Block(wanted) => return self.block(&wanted, now),
            Event::Unblock(prefixes) => return self.unblock(&prefixes, now),
            Event::Confirm => return self.confirm(),
            Event::RollBack => return self.roll_back(now),
            Event::Repair => return self.repair(now.instant),
            Event::Health { service, backend, id, health, reason, held } => {
                let view =
                    self.snapshot.service(service.as_str()).and_then(|view| view.backend(backend.as_str()));
                if view.is_some_and(|view| view.id == id) {
                    let known = self.health.finding(&service, &backend).cloned().unwrap_or_default();
                    let changed = known.health != health;
                    let finding = Finding {
                        health,
                        since: if changed { Some(now.instant) } else { known.since },
                        reason,
                        held_until: held.map(|held| now.instant + held),
                        transitions: known.transitions + u64::from(changed),
                    };
                    self.dirty |= self.health.record(&service, &backend, finding);
                }
            }
            Event::Interfaces(interfaces) => self.dirty |= self.target.set_interfaces(interfaces),
            Event::RoutesChanged => self.target.forget_next_hops(),
            Event::BackendReleased { id } => self.dirty |= self.target.release(id),
            Event::Census { began, flows } => self.drains.count(began, &flows),
            Event::Tick => {}
        }
        Ok(())
    }

    /// Brings the maps to what was noted, and tries again what failed before. To be called when no event waits.
    pub fn settle(&mut self, now: impl Into<Now>) {
        let at = now.into();
        self.roll_back_if_due(&at);
        self.expire_blocks(&at);
        let now = at.instant;
        self.drains.settle(now);
        self.reset_flows();
        let planned = if self.dirty || self.pools.poll_timeout().is_some_and(|due| due <= now) {
            let pools = pools::next(&self.pools, &self.current, &self.health, &self.target, now);
            self.target.plan(&self.current, &self.health, &pools).map(|()| self.pools = pools)
        } else {
            Ok(())
        };
        self.dirty = planned.is_err();
        let done = planned.and_then(|()| self.target.run(now));
        self.follow_ramps(&at);
        self.settled(&done);
    }

    fn request(&mut self, request: &Request, now: &Now) -> Result<(), Error> {
        if request.persist == Persist::File {
            self.nothing_waits()?;
        }
        let (current, saved) = self.next(request, now.wall)?;
        let staged = match request.persist {
            Persist::File => Some(self.store.stage(&self.saved, &saved)?),
            Persist::Runtime => None,
        };
        let commit = |_: &dyn Store| staged.map_or(Ok(()), Staged::commit);
        self.adopt(current, saved, Files::Kept, commit, now)?;
        let lasting = request.persist == Persist::File;
        tracing::info!(lasting, "done: {}", request.edit);
        tracing::debug!(edit = ?request.edit);
        Ok(())
    }

    fn repair(&mut self, now: Instant) -> Result<(), Error> {
        let done = self.target.check(now);
        self.settled(&done);
        done
    }

    fn reload(&mut self, now: &Now) -> Result<(), Error> {
        self.nothing_waits()?;
        let config = self.store.load()?;
        // Certificates and keys are read again, the same paths or not.
        self.adopt(config.clone(), config, Files::Read, |_| Ok(()), now)?;
        tracing::info!(services = self.current.services.len(), "configuration loaded");
        Ok(())
    }

    /// The desired state and the file's after a request.
    fn next(&self, request: &Request, wall: Timestamp) -> Result<(Config, Config), Error> {
        let current = edited(&self.current, &request.edit, wall)?;
        if request.persist == Persist::Runtime {
            return Ok((current, self.saved.clone()));
        }
        if self.saved == self.current {
            return Ok((current.clone(), current));
        }
        let saved = edited(&self.saved, &request.edit, wall).map_err(|error| {
            let message = format!(
                "the file differs from the running state, and there: {}; add --runtime, or undo the earlier changes that were \
                 made with --runtime (`lbctl config reload` undoes all)",
                error.message
            );
            Error::conflict(error.path, message)
        })?;
        Ok((current, saved))
    }

    /// Makes a state the current one: maps first, then `commit`, then the model. If one fails, all are as before.
    fn adopt(
        &mut self,
        current: Config,
        saved: Config,
        files: Files,
        commit: impl FnOnce(&dyn Store) -> Result<(), Error>,
        now: &Now,
    ) -> Result<(), Error> {
        let probes = prepared(&current, Some((&self.probes, files)))?;
        let known = Some(&self.target.sources().files).filter(|_| files == Files::Kept);
        let read = lists(&current, known)?;
        let former = self.target.set_files(read);
        let health = view::health_that_holds(&self.health, &self.current, &current);
        let pools = pools::next(&self.pools, &current, &health, &self.target, now.instant);
        let applied = self.target.apply(&current, &health, &pools, now.instant);
        let done = applied.and_then(|()| commit(self.store.as_ref()));
        if done.is_err() {
            self.drains.say_resets_again();
            self.target.set_files(former);
            let back = self.target.apply(&self.current, &self.health, &self.pools, now.instant);
            self.settled(&back);
            return done;
        }
        self.current = current;
        self.saved = saved;
        self.health = health;
        self.pools = pools;
        self.probes = probes;
        self.dirty = false;
        self.follow_drains(now);
        self.reset_flows();
        self.settled(&done);
        Ok(())
    }

    /// Ends the flows of backends whose deadline is over, and lets those of others be.
    fn reset_flows(&mut self) {
        for (service, backend, reset) in self.drains.resets() {
            let service = self.current.service(&service);
            if let Some((service, backend)) =
                service.and_then(|service| Some((service, service.backend(&backend)?)))
            {
                self.dirty |= self.target.reset_flows(service, backend, reset);
            }
        }
    }

    /// Follows what the model says of drains, and writes their deadlines down.
    fn follow_drains(&mut self, now: &Now) {
        let target = &self.target;
        let id = |service: &Service, backend: &Backend| target.backend(service, backend).0;
        self.drains.follow(&self.current, id, &self.notes.drains, now);
        let notes = Notes { drains: self.drains.notes(), ..self.notes.clone() };
        if notes != self.notes {
            if let Err(error) = self.store.note(&notes) {
                tracing::warn!(%error, "deadlines of drains go by the wall clock if lbd is started again");
            }
            self.notes = notes;
        }
    }

    /// Writes down when slow starts began.
    fn follow_ramps(&mut self, now: &Now) {
        let Some(ramps) = self.ramps.update(&self.pools, now) else { return };
        self.notes.ramps = ramps;
        if let Err(error) = self.store.note(&self.notes) {
            tracing::warn!(%error, "slow starts end if lbd is started again");
        }
    }

    /// Notes how the maps are after an attempt to bring them to `current` and `health`.
    fn settled(&mut self, outcome: &Result<(), Error>) {
        match outcome {
            // Without an error, and yet not there: it is not yet time to try again.
            Ok(()) if !self.target.is_converged() => {}
            Ok(()) => {
                if self.problem.take().is_some() {
                    tracing::info!("the maps hold the desired state again");
                }
            }
            Err(error) => {
                tracing::error!(%error, "the maps do not hold the desired state");
                self.problem = Some(error.to_string());
            }
        }
        self.publish();
    }

    fn publish(&mut self) {
        let problem = self.problem.clone();
        let blocks = (&self.notes.blocks, self.blocks_due);
        let configs = Configs { started: &self.started, saved: &self.saved, current: &self.current, blocks };
        let waiting = self.confirm_at.zip(self.notes.unconfirmed.map(|unconfirmed| unconfirmed.deadline));
        let next = view::snapshot(
            Some(&self.snapshot),
            &configs,
            (&self.health, &self.pools, &self.probes),
            problem,
            &self.target,
            &self.drains,
            waiting,
        );
        if !next.is_like(&self.snapshot) {
            self.snapshot = Arc::new(next);
        } else if !next.has_figures_of(&self.snapshot) {
            let generation = self.snapshot.generation;
            self.snapshot = Arc::new(Snapshot { generation, ..next });
        }
    }
}

/// The files with lists of sources that a configuration names; those that are not new are taken from `before`.
fn lists(config: &Config, before: Option<&ListFiles>) -> Result<ListFiles, Error> {
    ListFiles::read(config, before).map_err(|found| Error::invalid(found.path.to_string(), found.to_string()))
}

/// The probes of a configuration; those that are not new are taken from `before`.
fn prepared(config: &Config, before: Option<(&Probes, Files)>) -> Result<Probes, Error> {
    if before.is_none_or(|(_, files)| files == Files::Read)
        && let Some(found) = unusable_programs(&config.vrrp, Rights::Needed).first()
    {
        return Err(Error::invalid(found.path.to_string(), found.what.to_string().trim_start()));
    }
    Probes::prepare(&config.services, before, Rights::Needed).map_err(|found| invalid::unusable(&found))
}

/// A configuration after an edit at the time `wall`.
fn edited(config: &Config, edit: &Edit, wall: Timestamp) -> Result<Config, Error> {
    let mut draft = config.draft();
    edit.apply(&mut draft, wall)?;
    draft.clone().check_changes(config).map_err(|found| invalid::error(&found, &draft))
}
