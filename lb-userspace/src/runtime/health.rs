//! Runs the health checks.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use super::Clock;
use crate::{
    control::{Event, Handle, Snapshot},
    health::{Checker, Command, Outcome, Policy, ProbeId, Prober, Probes, Subject, Target, close},
    model::{AdminState, BackendName, Health, ServiceName},
};

/// What is checked: a backend of a service, and its id.
type Key = (ServiceName, BackendName, u32);
type Done = (ProbeId, Outcome, Option<TcpStream>);

/// Checks the backends of `control`'s services until control ends.
pub(super) async fn run(control: Handle, clock: Clock) {
    let mut snapshots = control.watch();
    let mut shown = Arc::clone(&snapshots.borrow_and_update());
    let mut checks = Checks::new(clock);
    checks.follow(&shown);
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
                Some(snapshot) => {
                    if !snapshot.has_checks_of(&shown) {
                        checks.follow(&snapshot);
                    }
                    shown = snapshot;
                }
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

struct Checks {
    clock: Clock,
    checker: Checker<Key>,
    prober: Prober,
    prepared: Probes,
    probes: JoinSet<Done>,
    in_flight: HashMap<ProbeId, AbortHandle>,
    /// Counts the probes.
    started: u64,
}

impl Checks {
    fn new(clock: Clock) -> Self {
        // Two machines were not started in the same nanosecond: they do not probe a backend at the same moment.
        let checker = Checker::new(clock.now().as_nanos() as u64);
        Self {
            clock,
            checker,
            prober: Prober::default(),
            prepared: Probes::default(),
            probes: JoinSet::new(),
            in_flight: HashMap::new(),
            started: 0,
        }
    }

    /// Checks what a snapshot shows.
    fn follow(&mut self, snapshot: &Snapshot) {
        self.prepared = snapshot.probes.clone();
        self.checker.set_targets(self.clock.now(), targets(snapshot));
    }

    fn start(&mut self, id: ProbeId, (service, backend, _): &Key, address: SocketAddr, limit: Duration) {
        self.started += 1;
        let (prober, number) = (self.prober.clone(), self.started);
        let prepared = self.prepared.of(service).cloned();
        let subject = Subject { service: service.to_string(), backend: backend.to_string(), address };
        let task = self.probes.spawn(async move {
            let (outcome, stream) = match prepared {
                Some(prepared) => prober.probe(&prepared, &subject, limit, number).await,
                None => (Outcome::NotTried("its service is not checked any more".into()), None),
            };
            (id, outcome, stream)
        });
        self.in_flight.insert(id, task);
    }

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
                Command::Start { probe, key, target } => {
                    self.start(probe, &key, target.address, target.policy.timeout);
                }
                Command::Cancel { probe } => {
                    if let Some(task) = self.in_flight.remove(&probe) {
                        task.abort();
                    }
                }
                Command::Change { key: (service, backend, id), health, reason, held_until } => {
                    let held = held_until.map(|until| until.saturating_sub(self.clock.now()));
                    tell(
                        &format!("{service}/{backend}"),
                        health,
                        reason.as_deref().unwrap_or_default(),
                        held,
                    );
                    let up = health == Health::Up;
                    events.push(Event::Health { service, backend, id, up, reason, held });
                }
            }
        }
        events
    }
}

/// How long a backend may take to end a probe's connection.
const LINGER: Duration = Duration::from_secs(1);

fn tell(backend: &str, health: Health, reason: &str, held: Option<Duration>) {
    match (health, held.map(|held| held.as_secs())) {
        (Health::Down, Some(seconds)) => {
            tracing::warn!(backend, reason, seconds, "backend is down; held down, as it went down too often");
        }
        (Health::Down, None) => tracing::warn!(backend, reason, "backend is down"),
        _ => tracing::info!(backend, "backend is up"),
    }
}

fn targets(snapshot: &Snapshot) -> Vec<(Key, Target)> {
    let checked = snapshot.backends().filter_map(|(service, backend)| {
        let check = service.desired.health.as_ref()?;
        let desired = &backend.desired;
        let port = service.desired.health_port(check, desired)?;
        if desired.state == AdminState::Disabled || backend.id == 0 {
            return None;
        }
        let policy = Policy {
            interval: check.interval,
            timeout: check.timeout,
            rise: check.rise,
            fall: check.fall,
            fast_interval: check.fast_interval.unwrap_or(check.interval),
            jitter: check.jitter,
            damping: check.damping,
        };
        let key = (service.desired.name.clone(), desired.name.clone(), backend.id);
        let address = SocketAddr::new(desired.address, port);
        Some((key, Target { address, probe: check.probe.clone(), policy }))
    });
    checked.collect()
}
