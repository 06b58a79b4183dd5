//! Runs the health checks, and looks at what the data path says of those that are checked.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use super::{Clock, reports::Reports, suspects::KnownSuspects};
use crate::{
    control::{Event, Handle, Snapshot},
    events::{Attribute, Bus, Kind, Notice},
    health::{
        Checker, Command, Detector, Outcome, Policy, ProbeId, Prober, Probes, READ_EVERY, Subject, Target,
        close,
    },
    maps::Signals,
    model::{AdminState, BackendName, Health, Passive, ServiceName},
};

/// What is checked: a backend of a service, and its id.
type Key = (ServiceName, BackendName, u32);
type Done = (ProbeId, Outcome, Option<TcpStream>);

/// Checks the backends of `control`'s services until control ends.
pub(super) async fn run(
    control: Handle,
    events: Bus,
    signals: Arc<Signals>,
    suspects: KnownSuspects,
    clock: Clock,
) {
    let mut snapshots = control.watch();
    let mut shown = Arc::clone(&snapshots.borrow_and_update());
    let mut checks = Checks::new(clock, events, signals, suspects);
    checks.follow(&shown);
    let reports = Reports::new();
    let mut telling = pin!(reports.tell(&control));
    loop {
        let due = [checks.checker.poll_timeout(), checks.next_look].into_iter().flatten().min();
        tokio::select! {
            biased;
            () = &mut telling => return,
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
            () = clock.sleep_until(due) => {
                checks.look();
                checks.checker.handle_timeout(clock.now());
            }
        }
        checks.obey(&reports);
    }
}

async fn update(snapshots: &mut watch::Receiver<Arc<Snapshot>>) -> Option<Arc<Snapshot>> {
    snapshots.changed().await.ok()?;
    Some(Arc::clone(&snapshots.borrow_and_update()))
}

struct Checks {
    clock: Clock,
    events: Bus,
    checker: Checker<Key>,
    detector: Detector<Key>,
    signals: Arc<Signals>,
    suspects: KnownSuspects,
    /// When the signals are to be looked at; `None`: nobody's count.
    next_look: Option<Duration>,
    prober: Prober,
    prepared: Probes,
    probes: JoinSet<Done>,
    in_flight: HashMap<ProbeId, AbortHandle>,
    /// Counts the probes.
    started: u64,
}

impl Checks {
    fn new(clock: Clock, events: Bus, signals: Arc<Signals>, suspects: KnownSuspects) -> Self {
        // Two machines were not started in the same nanosecond: they do not probe a backend at the same moment.
        let checker = Checker::new(clock.now().as_nanos() as u64);
        Self {
            clock,
            events,
            checker,
            detector: Detector::default(),
            signals,
            suspects,
            next_look: None,
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
        let (now, targets) = (self.clock.now(), targets(snapshot));
        let ids: HashSet<u32> = targets.iter().map(|((_, _, id), ..)| *id).collect();
        self.suspects.change(|suspects| suspects.retain(|id| ids.contains(&id)));
        let watched = targets.iter().filter(|(.., passive)| passive.enabled);
        self.detector.set_targets(watched.map(|(key, _, passive)| (key.clone(), key.2, *passive)));
        self.next_look = (!self.detector.is_idle()).then_some(self.next_look.unwrap_or(now));
        self.checker.set_targets(now, targets.into_iter().map(|(key, target, _)| (key, target)));
    }

    /// Looks at the signals, if it is time to. Who is suspect is checked at once.
    fn look(&mut self) {
        let now = self.clock.now();
        if self.next_look.is_none_or(|at| now < at) {
            return;
        }
        self.next_look = Some(now + READ_EVERY);
        for suspicion in self.detector.observe(now, |id| self.signals.of(id)) {
            let (service, backend, _) = &suspicion.key;
            let (backend, reason) = (format!("{service}/{backend}"), &suspicion.reason);
            if !self.checker.suspect(now, &suspicion.key, reason) {
                continue;
            }
            if suspicion.again {
                tracing::debug!(backend, %reason, "backend is suspect again, and checked at once");
            } else {
                tracing::info!(backend, %reason, "backend is suspect, and checked at once");
            }
        }
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

    fn publish(&self, notice: Notice) {
        self.events.publish(self.clock.moment().wall, [notice]);
    }

    /// Does what the checker wants.
    fn obey(&mut self, reports: &Reports<Key>) {
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
                Command::Suspect { key, reason } => {
                    let (now, why) = (self.clock.instant(), reason.to_string());
                    self.suspects.change(|suspects| suspects.raise(key.2, reason, now));
                    self.publish(notice(Kind::HealthSuspect, &key).with(Attribute::Reason, why));
                }
                Command::Clear { key } => {
                    self.suspects.change(|suspects| suspects.clear(key.2));
                    self.publish(notice(Kind::HealthCleared, &key));
                }
                Command::Change { key, health, reason, held_until } => {
                    let (service, backend, id) = key.clone();
                    let held = held_until.map(|until| until.saturating_sub(self.clock.now()));
                    tell(
                        &format!("{service}/{backend}"),
                        health,
                        reason.as_deref().unwrap_or_default(),
                        held,
                    );
                    if health == Health::Down {
                        self.suspects.change(|suspects| suspects.clear(id));
                    }
                    reports.add(key, Event::Health { service, backend, id, health, reason, held });
                }
            }
        }
    }
}

/// Between two probes of a suspect whose service has no `fast_interval`.
const CONFIRM: Duration = Duration::from_millis(250);
/// How long a backend may take to end a probe's connection.
const LINGER: Duration = Duration::from_secs(1);

fn notice(kind: Kind, (service, backend, _): &Key) -> Notice {
    let notice = Notice::new(kind).with(Attribute::Service, service.to_string());
    notice.with(Attribute::Backend, backend.to_string())
}

fn tell(backend: &str, health: Health, reason: &str, held: Option<Duration>) {
    match (health, held.map(|held| held.as_secs())) {
        (Health::Down, Some(seconds)) => {
            tracing::warn!(backend, reason, seconds, "backend is down; held down, as it went down too often");
        }
        (Health::Down, None) => tracing::warn!(backend, reason, "backend is down"),
        (Health::Up | Health::Unknown, _) if !reason.is_empty() => {
            tracing::warn!(backend, %health, reason, "backend is not checked");
        }
        (Health::Unknown, _) => tracing::info!(backend, "backend is checked again"),
        _ => tracing::info!(backend, "backend is up"),
    }
}

fn targets(snapshot: &Snapshot) -> Vec<(Key, Target, Passive)> {
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
            confirm_interval: check.fast_interval.unwrap_or(CONFIRM).min(check.interval),
            jitter: check.jitter,
            damping: check.damping,
        };
        let key = (service.desired.name.clone(), desired.name.clone(), backend.id);
        let address = SocketAddr::new(desired.address, port);
        Some((key, Target { address, probe: check.probe.clone(), policy }, check.passive))
    });
    checked.collect()
}
