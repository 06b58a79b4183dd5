//! Looks at what virtual routers track, apart from links: those the thread of VRRP sees itself. None of it runs on that thread.

mod data_path;
mod files;
mod scripts;
mod services;

use std::{collections::HashMap, sync::Arc};

use tokio::{sync::mpsc, task::JoinSet};

use super::super::{Clock, attached::AttachedList};
use crate::{
    control::Handle,
    health::{Preparer, Rights},
    loader::Trial,
    model::{TrackedScript, VirtualRouter},
    vrrp::Reading,
};

/// Readings for the thread of VRRP.
pub(super) type Inbox = mpsc::UnboundedReceiver<(String, Reading)>;

/// The way there.
pub(super) type Outbox = mpsc::UnboundedSender<(String, Reading)>;

/// What tells them: what is not new is not said again.
#[derive(Debug)]
struct Teller {
    readings: Outbox,
    told: HashMap<String, Reading>,
}

impl Teller {
    fn tell(&mut self, name: &str, reading: Reading) {
        if self.told.get(name) == Some(&reading) {
            return;
        }
        self.told.insert(name.to_owned(), reading.clone());
        // Without a receiver, VRRP has ended, and so will this.
        let _ = self.readings.send((name.to_owned(), reading));
    }
}

/// What the trackers look at.
#[derive(Debug)]
pub(in crate::runtime) struct Sources {
    pub(in crate::runtime) control: Handle,
    pub(in crate::runtime) attached: AttachedList,
    pub(in crate::runtime) trial: Arc<Trial>,
    pub(in crate::runtime) clock: Clock,
}

/// Looks at all that the virtual routers of the desired state track.
#[derive(Debug)]
pub(in crate::runtime) struct Trackers {
    readings: Outbox,
    /// Each with its task, which ends with it.
    scripts: Vec<(TrackedScript, JoinSet<()>)>,
    others: JoinSet<()>,
}

impl Trackers {
    /// They look at nothing yet.
    pub(super) fn new(readings: Outbox) -> Self {
        Self { readings, scripts: Vec::new(), others: JoinSet::new() }
    }

    /// Looks until control ends.
    pub(in crate::runtime) async fn run(mut self, sources: Sources) {
        let mut snapshots = sources.control.watch();
        let mut followed = None;
        loop {
            let routers = snapshots.borrow_and_update().config.vrrp.clone();
            if followed.as_ref() != Some(&routers) {
                self.follow(&routers, &sources);
                followed = Some(routers);
            }
            if snapshots.changed().await.is_err() {
                return;
            }
        }
    }

    /// Looks at what these track. Scripts that were run already go on.
    fn follow(&mut self, routers: &[VirtualRouter], sources: &Sources) {
        let Sources { control, attached, trial, clock } = sources;
        self.others = JoinSet::new();
        let services: Vec<_> =
            routers.iter().flat_map(|router| router.track.services.iter().cloned()).collect();
        if !services.is_empty() {
            self.others.spawn(services::follow(services, control.clone(), self.teller()));
        }
        let mut files: Vec<_> =
            routers.iter().flat_map(|router| router.track.files.iter().cloned()).collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files.dedup_by(|one, other| one.path == other.path);
        if !files.is_empty() {
            self.others.spawn(files::follow(files, *clock, self.teller()));
        }
        if routers.iter().any(|router| router.track.data_path) {
            let (attached, trial) = (attached.clone(), Arc::clone(trial));
            self.others.spawn(data_path::follow(control.clone(), attached, trial, *clock, self.teller()));
        }
        let wanted: Vec<_> = routers.iter().flat_map(|router| &router.track.scripts).collect();
        self.scripts.retain(|(known, _)| wanted.iter().any(|wanted| wanted.runs_as(known)));
        for tracked in wanted {
            if !self.scripts.iter().any(|(known, _)| known.name == tracked.name) {
                self.run_script(tracked, *clock);
            }
        }
    }

    fn run_script(&mut self, tracked: &TrackedScript, clock: Clock) {
        let mut task = JoinSet::new();
        match Preparer::new(Rights::Needed).program(&tracked.program) {
            Ok(program) => {
                task.spawn(scripts::follow(tracked.clone(), program, clock, self.teller()));
            }
            // It was checked with the configuration.
            Err(error) => tracing::error!(script = %tracked.name, %error, "VRRP cannot track a script"),
        }
        self.scripts.push((tracked.clone(), task));
    }

    fn teller(&self) -> Teller {
        Teller { readings: self.readings.clone(), told: HashMap::new() }
    }
}
