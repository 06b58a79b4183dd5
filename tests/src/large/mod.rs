//! An `lbd` with many services, and questions to it.

pub mod flows;

use std::{fmt::Write as _, fs, net::Ipv4Addr, path::PathBuf, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use lb_common::{
    abi::{ABI_VERSION, Backend},
    maps,
};
use lb_userspace::{api::Client, sys::bpf::Map};
use serde_json::{Value, json};

use crate::{clock::now, config::Config, daemon::Daemon, http, netns::Netns};

/// The interface of the balancer.
pub const INTERFACE: &str = "uplink";
/// Where the metrics are.
const METRICS: ([u8; 4], u16) = ([127, 0, 0, 1], 9464);
/// How long a change may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How many services and backends there are, all of them TCP over IPv4 in mode `nat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Services.
    pub services: u32,
    /// Backends of each.
    pub backends: u32,
}

impl Size {
    /// Backends of all services together.
    #[must_use]
    pub fn total(self) -> u32 {
        self.services * self.backends
    }

    /// Keys of `[limits]` that leave room for them.
    #[must_use]
    pub fn limits(self) -> String {
        let (services, backends) = (self.services.max(1024) + 24, self.total().max(8192) + 1024);
        format!("services = {services}\nbackends = {backends}")
    }

    /// The configuration file's text: `s0`, `s1`, ... with `b0`, `b1`, ...
    #[must_use]
    pub fn text(self) -> String {
        self.text_checked("")
    }

    /// As [`Self::text`], with these lines in each service after its own keys, such as `[services.health]` and its keys.
    #[must_use]
    pub fn text_checked(self, health: &str) -> String {
        let Self { services, backends } = self;
        let mut text = String::new();
        // Writing to a string cannot fail.
        for service in 0..services {
            let vip = Ipv4Addr::from(0xcb00_0001 + service);
            let _ = writeln!(text, "[[services]]\nname = \"s{service}\"\naddress = \"{vip}\"");
            let _ = writeln!(text, "protocol = \"tcp\"\nport = 80\n{health}");
            for backend in 0..backends {
                let address = Ipv4Addr::from(0x0a00_0002 + service * backends + backend);
                let _ =
                    writeln!(text, "[[services.backends]]\nname = \"b{backend}\"\naddress = \"{address}\"");
                let _ = writeln!(text, "port = 8080\n");
            }
        }
        text
    }
}

/// A daemon in a namespace of its own; its backends are behind a gateway that is not there.
#[derive(Debug)]
pub struct Large {
    /// The daemon.
    pub daemon: Daemon,
    netns: Netns,
}

impl Large {
    /// Makes the namespace and the files, but starts nothing. `tables` are lines of further tables.
    ///
    /// # Errors
    ///
    /// If the namespace cannot be made.
    pub fn prepare(size: Size, limits: &str) -> Result<Self> {
        let netns = Netns::create("large")?;
        netns.ip(&format!("link add {INTERFACE} type veth peer name away"))?;
        netns.ip(&format!("link set {INTERFACE} up"))?;
        netns.ip("link set away up")?;
        netns.ip(&format!("addr add 192.0.2.1/24 dev {INTERFACE}"))?;
        netns.ip("route add default via 192.0.2.2")?;
        Self::prepare_in(netns, size, limits, "")
    }

    /// As [`Self::prepare`], in a namespace that has [`INTERFACE`] and a way to `10.0.0.0/8`, where the backends are, and with these
    /// lines in each service after its own keys.
    ///
    /// # Errors
    ///
    /// If the files cannot be written.
    pub fn prepare_in(netns: Netns, size: Size, limits: &str, health: &str) -> Result<Self> {
        let config = Config::new(&[INTERFACE], []).tables(&format!(
            "[limits]\n{}\n{limits}\n{}",
            size.limits(),
            size.text_checked(health)
        ));
        let daemon = Daemon::prepare(&netns, &config)?;
        Ok(Self { daemon, netns })
    }

    /// Starts the daemon; how long it took until all its services were in the maps and it answered.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(&mut self) -> Result<Duration> {
        let start = now();
        self.daemon.start_again()?;
        Ok(start.elapsed())
    }

    /// Memory of the daemon in MiB: now, and the most it ever had.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn memory(&self) -> Result<(f64, f64)> {
        let process = self.daemon.process_id().context("lbd does not run")?;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kibibytes = line.and_then(|rest| rest.trim_end_matches("kB").trim().parse::<f64>().ok());
            kibibytes.with_context(|| format!("no {name} in {status}")).map(|value| value / 1024.0)
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Where its maps are pinned.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.daemon.pin_directory().join(format!("v{ABI_VERSION}"))
    }

    /// Changes the state of a backend by the API. How long it took until the map had it, and until the answer came.
    ///
    /// # Errors
    ///
    /// If the change is refused, or does not come.
    pub fn change(
        &self,
        service: u32,
        backend: u32,
        state: &str,
        lasting: bool,
    ) -> Result<(Duration, Duration)> {
        let query = if lasting { "" } else { "?runtime=true" };
        let path = format!("/v1/services/s{service}/backends/b{backend}{query}");
        let body = json!({ "state": state });
        let client = Client::new(self.daemon.socket());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shown: Value = runtime.block_on(client.get(&format!("/v1/services/s{service}")))?;
        let id = shown["backends"][backend as usize]["id"].as_u64().context("the backend has no id")?;
        let id = u32::try_from(id)?;
        let pinned = self.pins().join(maps::BACKENDS);
        let backends = Map::open(&pinned).with_context(|| pinned.display().to_string())?;
        let before = backends.lookup::<u32, Backend>(&id)?;
        let start = now();
        let seen = thread::scope(|scope| -> Result<_> {
            let watcher = scope.spawn(|| -> Result<Duration> {
                while backends.lookup::<u32, Backend>(&id)? == before {
                    ensure!(start.elapsed() < LIMIT, "the map never had the change");
                    thread::sleep(Duration::from_micros(200));
                }
                Ok(start.elapsed())
            });
            runtime.block_on(client.send::<Value>("PATCH".parse()?, &path, &body))?;
            let answered = start.elapsed();
            let seen = watcher.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))??;
            Ok((seen, answered))
        })?;
        Ok(seen)
    }

    /// Scrapes the metrics; how long it took, and the answer with its head.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub fn scrape(&self) -> Result<(Duration, String)> {
        self.netns.run(|| {
            let start = now();
            let answer = http::exchange(METRICS.into(), "/metrics")?;
            let took = start.elapsed();
            ensure!(answer.split(' ').nth(1) == Some("200"), "{answer}");
            Ok((took, answer))
        })
    }
}
