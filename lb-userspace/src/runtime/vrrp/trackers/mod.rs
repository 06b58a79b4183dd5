//! Looks at what virtual routers track, apart from links: those the thread of VRRP sees itself. None of it runs on that thread.

mod data_path;
mod files;
mod scripts;
mod services;
mod traffic;

use std::{collections::HashMap, sync::Arc};

use tokio::{sync::mpsc, task::JoinSet};

use super::{
    super::{Clock, attached::AttachedList},
    StatusBoard,
};
use crate::{
    control::Handle,
    health::{Preparer, Rights},
    loader::Trial,
    maps::Counters,
    model::{RouterName, TrackedScript, VirtualRouter},
    vrrp::Reading,
};

/// What the thread of VRRP is told.
#[derive(Clone, Debug)]
pub(super) enum Finding {
    /// Of something that is tracked, by its name.
    Reading(String, Reading),
    /// Packets for all VIPs of a router arrive, since it began to announce them for this time.
    Traffic { router: RouterName, begun: u64 },
}

/// Where it is told.
pub(super) type Inbox = mpsc::UnboundedReceiver<Finding>;

/// The way there.
pub(super) type Outbox = mpsc::UnboundedSender<Finding>;

/// What tells them: what is not new is not said again.
#[derive(Debug)]
struct Teller {
    findings: Outbox,
    told: HashMap<String, Reading>,
}

impl Teller {
    fn tell(&mut self, name: &str, reading: Reading) {
        if self.told.get(name) == Some(&reading) {
            return;
        }
        self.told.insert(name.to_owned(), reading.clone());
        // Without a receiver, VRRP has ended, and so will this.
        let _ = self.findings.send(Finding::Reading(name.to_owned(), reading));
    }
}

/// What the trackers look at.
#[derive(Debug)]
pub(in crate::runtime) struct Sources {
    pub(in crate::runtime) control: Handle,
    pub(in crate::runtime) attached: AttachedList,
    pub(in crate::runtime) trial: Arc<Trial>,
    pub(in crate::runtime) clock: Clock,
    /// Of the services' packets.
    pub(in crate::runtime) counters: Counters,
}

/// Looks at all that the virtual routers of the desired state track.
#[derive(Debug)]
pub(in crate::runtime) struct Trackers {
    findings: Outbox,
    board: StatusBoard,
    /// Each with its task, which ends with it.
    scripts: Vec<(TrackedScript, JoinSet<()>)>,
    others: JoinSet<()>,
}

impl Trackers {
    /// They look at nothing yet.
    pub(super) fn new(findings: Outbox, board: StatusBoard) -> Self {
        Self { findings, board, scripts: Vec::new(), others: JoinSet::new() }
    }

    /// Looks until control ends.
    pub(in crate::runtime) async fn run(mut self, sources: Sources) {
        let Sources { control, attached, trial, clock, counters } = sources;
        let (board, findings) = (self.board.clone(), self.findings.clone());
        let mut traffic = JoinSet::new();
        traffic.spawn(traffic::follow(counters, board, control.clone(), clock, findings));
        let sources = (control, attached, trial, clock);
        let mut snapshots = sources.0.watch();
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
    fn follow(
        &mut self,
        routers: &[VirtualRouter],
        (control, attached, trial, clock): &(Handle, AttachedList, Arc<Trial>, Clock),
    ) {
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
        Teller { findings: self.findings.clone(), told: HashMap::new() }
    }
}
