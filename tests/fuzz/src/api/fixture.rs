//! The API of a daemon whose file and maps are in memory, and which has no data path.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::Router;
use lb_common::abi::DropReason;
use lb_userspace::{
    api::{
        Api, Counters, DataError, DataSource, Ended, Explained, FlowCount, FlowFilter, FlowList, FlowTally,
        GroupBy, Interface, PacketAt, Switch, VirtualRouter, router,
    },
    config::Document,
    control::{Control, Error, ErrorKind, Handle, Notes, Now, Replacement, Staged, Store, spawn},
    events::Bus,
    health::Suspects,
    maps::FakeMaps,
    model::{Config, Timestamp},
    plan::FlowGroup,
    runtime::Clock,
};

const CONFIG: &str = r#"
interfaces = ["eth0"]
[[services]]
name = "web"
address = "203.0.113.10"
protocol = "tcp"
port = 80
slots = 101
backends = [{ name = "b1", address = "10.0.0.11", port = 8080 }, { name = "b2", address = "10.0.0.12", port = 8080 }]
[services.health]
[[services]]
name = "dns"
address = "203.0.113.10"
protocol = "udp"
port = 53
slots = 101
backends = [{ name = "d1", address = "10.0.0.53" }]
"#;

/// See above.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) store: Memory,
    control: Handle,
}

impl Daemon {
    pub(super) fn start() -> Self {
        let config = Document::new("lb.toml", CONFIG).config().expect("it is valid");
        let store = Memory(Arc::new(Mutex::new((config, None))));
        let now = || Now {
            instant: Clock.instant(),
            wall: Timestamp::default(),
            boot: Duration::ZERO,
            monotonic: Duration::ZERO,
        };
        let maps = Box::new(FakeMaps::default());
        let control =
            Control::start(Box::new(store.clone()), maps, [].into(), 7, now()).expect("nothing can fail");
        let (control, _) = spawn(control, now, |_, _| {}).expect("there is a thread");
        Self { store, control }
    }

    pub(super) fn router(&self) -> Router {
        router(Api {
            control: self.control.clone(),
            data: Arc::new(NoData),
            events: Bus::new(Timestamp::default()),
            config_file: "lb.toml".to_owned(),
        })
    }
}

/// The file, and what an apply replaced.
#[derive(Clone, Debug)]
pub(super) struct Memory(Arc<Mutex<(Config, Option<Config>)>>);

impl Memory {
    fn with<T>(&self, f: impl FnOnce(&mut (Config, Option<Config>)) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn config(&self) -> Config {
        self.with(|(config, _)| config.clone())
    }
}

impl Store for Memory {
    fn load(&self) -> Result<Config, Error> {
        Ok(self.config())
    }

    fn stage(&self, from: &Config, to: &Config) -> Result<Box<dyn Staged>, Error> {
        if self.config() != *from {
            return Err(Error::conflict("", "the file was changed"));
        }
        Ok(Box::new(Prepared { file: self.clone(), to: to.clone(), previous: None }))
    }

    fn stage_text(&self, from: &Config, text: &str) -> Result<Replacement, Error> {
        let config = Document::new("new", text).config()?;
        self.stage(from, &config)?;
        let staged = Prepared { file: self.clone(), to: config.clone(), previous: Some(Some(from.clone())) };
        Ok(Replacement { config, digest: 0, staged: Box::new(staged) })
    }

    fn stage_previous(&self) -> Result<Replacement, Error> {
        let config = self.with(|(_, previous)| previous.clone());
        let config = config.ok_or_else(|| Error::conflict("", "there is nothing to bring back"))?;
        let staged = Prepared { file: self.clone(), to: config.clone(), previous: Some(None) };
        Ok(Replacement { config, digest: 0, staged: Box::new(staged) })
    }

    fn notes(&self) -> Result<Notes, Error> {
        Ok(Notes::default())
    }

    fn note(&self, _: &Notes) -> Result<(), Error> {
        Ok(())
    }
}

struct Prepared {
    file: Memory,
    to: Config,
    previous: Option<Option<Config>>,
}

impl Staged for Prepared {
    fn commit(self: Box<Self>) -> Result<(), Error> {
        self.file.clone().with(|(config, previous)| {
            *config = self.to;
            if let Some(replaced) = self.previous {
                *previous = replaced;
            }
        });
        Ok(())
    }
}

/// There is nothing to be told.
struct NoData;

impl DataSource for NoData {
    fn now(&self) -> Instant {
        Clock.instant()
    }

    fn suspects(&self) -> Arc<Suspects> {
        Arc::default()
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }

    fn interfaces(&self) -> Result<Vec<Interface>, DataError> {
        Ok(vec![Interface { name: "eth0".to_owned(), ifindex: 2, mode: "native".to_owned() }])
    }

    fn flows(&self, _: &FlowFilter) -> Result<FlowList, DataError> {
        Ok(FlowList { flows: Vec::new(), truncated: false })
    }

    fn flow_top(&self, _: GroupBy, _: &FlowFilter) -> Result<FlowTally, DataError> {
        Ok(FlowTally { established: 0, embryonic: 0, groups: 0, largest: Vec::new() })
    }

    fn kill_flows(&self, _: &FlowFilter, _: bool) -> Result<Ended, DataError> {
        Ok(Ended { reset: 0, forgotten: 0 })
    }

    fn explain(&self, _: &PacketAt) -> Result<Explained, DataError> {
        Err(DataError("there is no data path".to_owned()))
    }

    fn flow_counts(&self) -> Result<Vec<FlowCount>, DataError> {
        Ok(Vec::new())
    }

    fn flow_groups(&self, _: &BTreeSet<u16>) -> Result<Vec<FlowGroup>, DataError> {
        Ok(Vec::new())
    }

    fn stats(&self) -> Result<Counters, DataError> {
        Ok(Counters {
            services: Vec::new(),
            backends: Vec::new(),
            signals: Vec::new(),
            interfaces: Vec::new(),
        })
    }

    fn drops(&self) -> Result<Vec<(DropReason, u64)>, DataError> {
        Ok(Vec::new())
    }

    fn switch_over(&self, _: Option<String>, _: Switch) -> Result<Vec<VirtualRouter>, Error> {
        Err(Error::new(ErrorKind::NotFound, "vrrp", "there is no virtual router"))
    }
}
