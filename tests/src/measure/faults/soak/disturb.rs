//! What is done to `lbd` and to backends during a soak.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use lb_userspace::events::KEPT;

use super::{
    NAMES, SERVERS,
    load::{Death, Loads},
    resources::Sample,
};
use crate::{clock, servers::Servers, site::Site};

/// Pause after a reload.
const PAUSE: Duration = Duration::from_secs(1);
/// What `lbd` gets to end the threads that it needed at its start: they wait for more to do for 10 s.
const REST: Duration = Duration::from_secs(12);
/// How long a backend may take to be in a state.
const LIMIT: Duration = Duration::from_secs(20);
/// Part of one life in which lbd warms up.
const WARM_UP: u32 = 5;

/// How often each thing was done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) reloads: u64,
    pub(super) deaths: u64,
    /// Of them, those of backends that died while `lbd` was dead.
    pub(super) deaths_unseen: u64,
    pub(super) drains: u64,
    pub(super) kills: u64,
    pub(super) upgrades: u64,
}

/// Does it.
pub(super) struct Disturber<'a> {
    site: &'a mut Site,
    loads: &'a Loads,
    counts: Counts,
}

impl<'a> Disturber<'a> {
    pub(super) fn new(site: &'a mut Site, loads: &'a Loads) -> Self {
        Self { site, loads, counts: Counts::default() }
    }

    /// Lets `lbd` tell as many events as it keeps, which then take no more memory: reloads with other weights of all backends.
    pub(super) fn warm_up(&mut self) -> Result<()> {
        let told = || self.site.daemon.lbctl("events --past")?["last"].as_u64().context("no number");
        let begun = told()?;
        let file = self.site.daemon.config_file();
        for round in 0.. {
            let text = fs::read_to_string(&file)?;
            let weight = format!("weight = {}", 60 + round % 2);
            let line = |line: &str| {
                let line = if line.starts_with("weight = ") { &*weight } else { line };
                format!("{line}\n")
            };
            fs::write(&file, text.lines().map(line).collect::<String>())?;
            self.site.daemon.lbctl("config reload")?;
            if round % 50 == 49 && told()? - begun > KEPT as u64 {
                break;
            }
        }
        Ok(())
    }

    /// Reloads each second, a backend that dies, a drain, until then; what `lbd` used after it had warmed up.
    pub(super) fn one_life(&mut self, until: Instant) -> Result<Vec<Sample>> {
        let begun = clock::now();
        let warm = begun + until.saturating_duration_since(begun) / WARM_UP;
        let mut samples = Vec::new();
        while clock::now() < until {
            self.reloads(5)?;
            self.death()?;
            self.reloads(5)?;
            self.drain()?;
            let sample = self.look()?;
            if clock::now() > warm {
                samples.push(sample);
            }
        }
        Ok(samples)
    }

    /// `lbd` is killed and replaced, until then; what it used at the end of each life.
    pub(super) fn many_lives(&mut self, until: Instant) -> Result<Vec<Sample>> {
        let mut samples = Vec::new();
        while clock::now() < until {
            self.kill()?;
            self.reloads(2)?;
            thread::sleep(REST);
            samples.push(self.look()?);
            self.upgrade()?;
            self.reloads(2)?;
            self.death_unseen()?;
            self.reloads(2)?;
            self.kill_while_draining()?;
        }
        Ok(samples)
    }

    /// All backends are there again; what was done.
    pub(super) fn end(self) -> Result<Counts> {
        for service in NAMES {
            for host in &self.site.topology.servers {
                self.site.daemon.wait_backend(service, &host.name, "active")?;
            }
        }
        Ok(self.counts)
    }

    fn look(&self) -> Result<Sample> {
        let sample = Sample::take(&self.site.daemon)?;
        eprintln!("soak: {sample} {:?}", self.counts);
        Ok(sample)
    }

    /// Reloads with another weight each time, so that the slot tables are others, too.
    fn reloads(&mut self, count: u64) -> Result<()> {
        for _ in 0..count {
            let file = self.site.daemon.config_file();
            let text = fs::read_to_string(&file)?;
            let (before, rest) = text.split_once("weight = ").context("the file has no weight")?;
            let (_, after) = rest.split_once('\n').context("the file ends with a weight")?;
            let weight = 50 + self.counts.reloads % 50;
            fs::write(&file, format!("{before}weight = {weight}\n{after}"))?;
            self.site.daemon.lbctl("config reload")?;
            self.counts.reloads += 1;
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// A backend dies, is out, and comes back.
    fn death(&mut self) -> Result<()> {
        let (index, begun) = self.strike();
        self.revive(index, begun)
    }

    /// The same, while `lbd` is dead, which finds out when it is there again.
    fn death_unseen(&mut self) -> Result<()> {
        self.site.daemon.kill()?;
        let (index, begun) = self.strike();
        thread::sleep(PAUSE / 2);
        self.site.daemon.start_again()?;
        self.revive(index, begun)?;
        self.counts.deaths_unseen += 1;
        self.counts.kills += 1;
        Ok(())
    }

    /// Ends the servers of a host: of the last two in turn.
    fn strike(&mut self) -> (usize, Instant) {
        let index = SERVERS - 1 - (self.counts.deaths % 2) as usize;
        self.counts.deaths += 1;
        let begun = clock::now();
        drop(self.site.servers.remove(index));
        (index, begun)
    }

    /// Starts them again once every service knows that they are gone.
    fn revive(&mut self, index: usize, begun: Instant) -> Result<()> {
        let host = &self.site.topology.servers[index];
        self.wait_all(&host.name, "down")?;
        self.loads.died(Death { victim: host.name.clone(), begun, known: clock::now() });
        self.site.servers.insert(index, Servers::start(host)?);
        self.wait_all(&host.name, "active")
    }

    fn wait_all(&self, backend: &str, state: &str) -> Result<()> {
        clock::wait_until(&format!("{backend} to be {state} everywhere"), LIMIT, || {
            NAMES.iter().all(|service| {
                self.site.daemon.lbctl(&format!("backend list {service}")).is_ok_and(|list| {
                    let mut list = list.as_array().into_iter().flatten();
                    list.any(|entry| entry["name"] == backend && entry["effective"] == state)
                })
            })
        })
    }

    /// A backend of all services is drained for some seconds: its flows go on.
    fn drain(&mut self) -> Result<()> {
        self.set_draining(true)?;
        thread::sleep(2 * PAUSE);
        self.set_draining(false)
    }

    fn kill_while_draining(&mut self) -> Result<()> {
        self.set_draining(true)?;
        self.kill()?;
        self.set_draining(false)
    }

    fn set_draining(&mut self, begins: bool) -> Result<()> {
        let verb = if begins { "drain" } else { "undrain" };
        let name = &self.site.topology.servers[1].name;
        for service in NAMES {
            self.site.daemon.lbctl(&format!("backend {verb} {service} {name}"))?;
        }
        self.counts.drains += u64::from(begins);
        Ok(())
    }

    /// `kill -9`, and a start when it has been away for a while.
    fn kill(&mut self) -> Result<()> {
        self.site.daemon.kill()?;
        thread::sleep(PAUSE);
        self.site.daemon.start_again()?;
        self.counts.kills += 1;
        Ok(())
    }

    /// A program that logs is another one than that which does not: both upgrades replace what is on the interfaces.
    fn upgrade(&mut self) -> Result<()> {
        for log in ["error", "off"] {
            self.site.daemon.terminate()?;
            self.site.daemon.start_with(&["--data-path-log", log])?;
            self.counts.upgrades += 1;
        }
        Ok(())
    }
}
