//! A control with a file in memory and maps in memory, for tests here and in the API.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Control, Error, ErrorKind, Handle, Notes, Now, Replacement, Snapshot, Staged, Store, spawn};
use crate::{
    config::Document,
    maps::{FakeMaps, LbMaps, MapError, Operation, Part},
    model::{
        AdminState, Backend, Config, Draft, HealthCheck, InterfaceName, Service, ServiceAddress, ServiceName,
    },
    plan::MapImage,
};

/// A file in memory that can be made to refuse.
#[derive(Clone, Debug)]
pub(crate) struct MemoryStore(Arc<Mutex<Contents>>);

#[derive(Debug)]
struct Contents {
    config: Result<Config, Error>,
    read_only: bool,
    commit_fails: bool,
    /// Staged changes that are neither committed nor dropped.
    staged: usize,
    notes: Notes,
    /// What an apply replaced.
    previous: Option<Config>,
}

impl MemoryStore {
    pub(crate) fn new(config: Config) -> Self {
        let contents = Contents {
            config: Ok(config),
            read_only: false,
            commit_fails: false,
            staged: 0,
            notes: Notes::default(),
            previous: None,
        };
        Self(Arc::new(Mutex::new(contents)))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Contents) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the file holds.
    pub(crate) fn config(&self) -> Config {
        self.with(|contents| contents.config.clone()).unwrap()
    }

    /// The operator edits the file.
    pub(crate) fn write(&self, config: Result<Config, Error>) {
        self.with(|contents| contents.config = config);
    }

    /// Makes preparations fail.
    pub(crate) fn set_read_only(&self, read_only: bool) {
        self.with(|contents| contents.read_only = read_only);
    }

    /// Makes the last step fail.
    pub(crate) fn set_commit_fails(&self, fails: bool) {
        self.with(|contents| contents.commit_fails = fails);
    }

    /// Whether something prepared was left behind.
    pub(crate) fn has_remains(&self) -> bool {
        self.with(|contents| contents.staged) > 0
    }
}

impl Store for MemoryStore {
    fn load(&self) -> Result<Config, Error> {
        self.with(|contents| contents.config.clone())
    }

    fn stage(&self, from: &Config, to: &Config) -> Result<Box<dyn Staged>, Error> {
        self.with(|contents| {
            if contents.read_only {
                return Err(Error::new(ErrorKind::File, "", "read-only file system"));
            }
            if contents.config.as_ref() != Ok(from) {
                return Err(Error::conflict("", "the file was changed"));
            }
            contents.staged += 1;
            Ok(())
        })?;
        Ok(Box::new(MemoryStaged { store: self.clone(), to: to.clone(), previous: None }))
    }

    fn stage_text(&self, from: &Config, text: &str) -> Result<Replacement, Error> {
        let config = Document::new("new", text).config()?;
        self.stage(from, &config)?;
        self.with(|contents| contents.staged += 1);
        let previous = Some(Some(from.clone()));
        let staged = Box::new(MemoryStaged { store: self.clone(), to: config.clone(), previous });
        Ok(Replacement { config, digest: 0, staged })
    }

    fn stage_previous(&self) -> Result<Replacement, Error> {
        let config = self.with(|contents| contents.previous.clone());
        let config = config.ok_or_else(|| Error::conflict("", "there is nothing to bring back"))?;
        self.with(|contents| contents.staged += 1);
        let staged = MemoryStaged { store: self.clone(), to: config.clone(), previous: Some(None) };
        Ok(Replacement { config, digest: 0, staged: Box::new(staged) })
    }

    fn notes(&self) -> Result<Notes, Error> {
        Ok(self.with(|contents| contents.notes.clone()))
    }

    fn note(&self, notes: &Notes) -> Result<(), Error> {
        self.with(|contents| contents.notes = notes.clone());
        Ok(())
    }
}

struct MemoryStaged {
    store: MemoryStore,
    to: Config,
    /// What is kept as the previous configuration from then on, if that changes.
    previous: Option<Option<Config>>,
}

impl Staged for MemoryStaged {
    fn commit(self: Box<Self>) -> Result<(), Error> {
        self.store.with(|contents| {
            if contents.commit_fails {
                return Err(Error::new(ErrorKind::File, "", "no space left on device"));
            }
            contents.config = Ok(self.to.clone());
            if let Some(previous) = &self.previous {
                contents.previous.clone_from(previous);
            }
            Ok(())
        })
    }
}

impl Drop for MemoryStaged {
    fn drop(&mut self) {
        self.store.with(|contents| contents.staged -= 1);
    }
}

impl MemoryStore {
    /// Writes down when a slow start began, by the clock of this boot.
    pub(crate) fn set_ramp(&self, service: &str, backend: &str, begun: Duration) {
        let key = (service.parse().unwrap(), backend.parse().unwrap());
        self.with(|contents| contents.notes.ramps = [(key, begun)].into());
    }
}

/// Maps in memory that the test sees, too, and can make fail.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedMaps(Arc<Mutex<Switched>>);

#[derive(Debug, Default)]
struct Switched {
    maps: FakeMaps,
    /// Operations until each fails; `None`: none does.
    budget: Option<usize>,
}

impl SharedMaps {
    fn with<T>(&self, f: impl FnOnce(&mut Switched) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What they hold, the generation of routes aside.
    pub(crate) fn image(&self) -> MapImage {
        let mut image = self.with(|switched| switched.maps.image.clone());
        image.settings.fib_generation = 0;
        image
    }

    pub(crate) fn fib_generation(&self) -> u32 {
        self.with(|switched| switched.maps.image.settings.fib_generation)
    }

    /// Somebody else changes them.
    pub(crate) fn tamper(&self, change: impl FnOnce(&mut MapImage)) {
        self.with(|switched| change(&mut switched.maps.image));
    }

    /// Number of operations done so far.
    pub(crate) fn operations(&self) -> usize {
        self.with(|switched| switched.maps.log.len())
    }

    /// After so many further operations each fails; `None`: none does.
    pub(crate) fn set_budget(&self, operations: Option<usize>) {
        self.with(|switched| switched.budget = operations);
    }

    /// What the next process finds.
    pub(crate) fn restarted(&self) -> Self {
        let maps = self.with(|switched| switched.maps.restarted());
        Self(Arc::new(Mutex::new(Switched { maps, budget: None })))
    }
}

impl LbMaps for SharedMaps {
    fn apply(&mut self, operation: &Operation) -> Result<(), MapError> {
        self.with(|switched| {
            match &mut switched.budget {
                Some(0) => return Err(MapError::Injected(operation.to_string())),
                Some(left) => *left -= 1,
                None => {}
            }
            switched.maps.apply(operation)
        })
    }

    fn read(&mut self, part: Part, image: &mut MapImage) -> Result<(), MapError> {
        self.with(|switched| switched.maps.read(part, image))
    }
}

/// A moment to begin with.
pub(crate) fn moment() -> Instant {
    crate::runtime::Clock.instant()
}

/// Control of a file and maps.
pub(crate) fn control(store: &MemoryStore, maps: &SharedMaps) -> Control {
    let interfaces = BTreeMap::new();
    Control::start(Box::new(store.clone()), Box::new(maps.clone()), interfaces, 7, moment()).unwrap()
}

/// A running control of a file and maps of its own.
pub(crate) fn handle(store: &MemoryStore) -> Handle {
    clocked(store).0
}

/// As [`handle`], with its clock: milliseconds that have passed. They stand still unless somebody moves them.
pub(crate) fn clocked(store: &MemoryStore) -> (Handle, Arc<AtomicU64>) {
    observed(store, |_, _| ())
}

/// As [`clocked`], with somebody who sees every state and the one before it.
pub(crate) fn observed(
    store: &MemoryStore,
    observe: impl Fn(&Snapshot, &Snapshot) + Send + 'static,
) -> (Handle, Arc<AtomicU64>) {
    let (begin, clock) = (Now::from(moment()), Arc::new(AtomicU64::new(0)));
    let passed = Arc::clone(&clock);
    let now = move || {
        let time = Duration::from_millis(passed.load(Ordering::Relaxed));
        Now {
            instant: begin.instant + time,
            wall: begin.wall.after(time),
            boot: begin.boot + time,
            monotonic: begin.monotonic + time,
        }
    };
    (spawn(control(store, &SharedMaps::default()), now, observe).unwrap().0, clock)
}

/// Control on a thread, with its desired state elsewhere than in memory; its clock stands still.
pub(crate) fn over(store: impl Store + 'static) -> Handle {
    let maps = Box::new(SharedMaps::default());
    let control = Control::start(Box::new(store), maps, [].into(), 7, moment()).unwrap();
    spawn(control, || Now::from(moment()), |_, _| {}).unwrap().0
}

/// Service `web` (checked) with `b1` and `b2`, service `dns` (not checked) with `d1`.
pub(crate) fn example() -> Config {
    let web = ServiceAddress {
        address: "203.0.113.10".parse().unwrap(),
        protocol: "tcp".parse().unwrap(),
        port: 80,
    };
    let dns = ServiceAddress { protocol: "udp".parse().unwrap(), port: 53, ..web };
    let mut web = Service::new(name("web"), web);
    web.slots = Some(101);
    web.health = Some(HealthCheck::default());
    web.backends = vec![backend("b1", "10.0.0.11", 8080), backend("b2", "10.0.0.12", 8080)];
    let mut dns = Service::new(name("dns"), dns);
    dns.slots = Some(101);
    dns.backends = vec![backend("d1", "10.0.0.53", 53)];
    let draft = Draft {
        interfaces: vec![InterfaceName::new("eth0").unwrap()],
        services: vec![web.into(), dns.into()],
        ..Draft::default()
    };
    draft.check().unwrap()
}

pub(crate) fn name(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

pub(crate) fn backend(name: &str, address: &str, port: u16) -> Backend {
    Backend {
        name: name.parse().unwrap(),
        address: address.parse().unwrap(),
        port,
        weight: 100,
        state: AdminState::Enabled,
        drain: None,
        backup: false,
        max_connections: 0,
    }
}
