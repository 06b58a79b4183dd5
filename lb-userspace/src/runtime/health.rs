//! Runs the health checks.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use tokio::{
    net::TcpStream,
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use super::Clock;
use crate::{
    control::{Event, Handle, Snapshot},
    health::{Checker, Command, Outcome, Policy, ProbeId, Target, close, probe},
    model::{AdminState, BackendName, Health, ServiceName},
};

/// What is checked: a backend of a service, and its id.
type Key = (ServiceName, BackendName, u32);
type Done = (ProbeId, Outcome, Option<TcpStream>);

/// Checks the backends of `control`'s services until control ends.
pub(super) async fn run(control: Handle, clock: Clock) {
    let mut snapshots = control.watch();
    let mut checks = Checks { clock, ..Checks::default() };
    checks.checker.set_targets(clock.now(), targets(&snapshots.borrow_and_update()));
    loop {
        let due = checks.checker.poll_timeout();
        tokio::select! {
            biased;
            Some(done) = checks.probes.join_next(), if !checks.probes.is_empty() => {
                if let Ok(done) = done {
                    checks.finish(done);
                }
            }
            changed = update(&mut snapshots) => match changed {
                Some(snapshot) => checks.checker.set_targets(clock.now(), targets(&snapshot)),
                None => return,
            },
            () = clock.sleep_until(due) => checks.checker.handle_timeout(clock.now()),
        }
        for event in checks.obey() {
            if control.report(event).await.is_err() {
                return;
            }
        }
    }
}

async fn update(snapshots: &mut watch::Receiver<Arc<Snapshot>>) -> Option<Arc<Snapshot>> {
    snapshots.changed().await.ok()?;
    Some(Arc::clone(&snapshots.borrow_and_update()))
}

#[derive(Default)]
struct Checks {
    clock: Clock,
    checker: Checker<Key>,
    probes: JoinSet<Done>,
    in_flight: HashMap<ProbeId, AbortHandle>,
}

impl Checks {
    fn finish(&mut self, (probe, outcome, stream): Done) {
        self.in_flight.remove(&probe);
        if let Some(stream) = stream {
            tokio::spawn(close(stream, LINGER));
        }
        self.checker.handle_result(self.clock.now(), probe, outcome);
    }

    /// Does what the checker wants; what control is to be told.
    fn obey(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(command) = self.checker.poll_command() {
            match command {
                Command::Start { probe: id, target: Target { address, probe: what, policy } } => {
                    let task = self.probes.spawn(async move {
                        let (outcome, stream) = probe(&what, address, policy.timeout).await;
                        (id, outcome, stream)
                    });
                    self.in_flight.insert(id, task);
                }
                Command::Cancel { probe } => {
                    if let Some(task) = self.in_flight.remove(&probe) {
                        task.abort();
                    }
                }
                Command::Change { key: (service, backend, id), health, reason } => {
                    let (name, reason) = (format!("{service}/{backend}"), reason.unwrap_or_default());
                    match health {
                        Health::Down => tracing::warn!(backend = name, %reason, "backend is down"),
                        _ => tracing::info!(backend = name, "backend is up"),
                    }
                    events.push(Event::Health { service, backend, id, up: health == Health::Up });
                }
            }
        }
        events
    }
}

/// How long a backend may take to end a probe's connection.
const LINGER: std::time::Duration = std::time::Duration::from_secs(1);

fn targets(snapshot: &Snapshot) -> Vec<(Key, Target)> {
    let checked = snapshot.backends().filter_map(|(service, backend)| {
        let check = service.desired.health.as_ref()?;
        let desired = &backend.desired;
        let port = check.port.unwrap_or(desired.port);
        if desired.state == AdminState::Disabled || port == 0 || backend.id == 0 {
            return None;
        }
        let policy =
            Policy { interval: check.interval, timeout: check.timeout, rise: check.rise, fall: check.fall };
        let key = (service.desired.name.clone(), desired.name.clone(), backend.id);
        let address = SocketAddr::new(desired.address, port);
        Some((key, Target { address, probe: check.probe.clone(), policy }))
    });
    checked.collect()
}
