//! The clients of the tour, and what they saw.

use std::{array, thread, time::Duration};

use anyhow::Result;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};

use super::{keep::Interrupt, say, show, sources_of, target_of};
use crate::{
    client::{self, Http, Load, Report, Running, Udp},
    clock,
    netns::Netns,
};

/// Names of the services that get requests.
pub(super) const SERVICES: [&str; 3] = ["web-v4", "web-v6", "udp"];

/// One load for each service.
pub(super) struct Traffic {
    loads: [Running; 3],
}

/// The counts of each service at a moment.
pub(super) type Reports = [Report; 3];

impl Traffic {
    /// Starts them all.
    pub(super) fn start(netns: &Netns) -> Self {
        let loads = SERVICES.map(|service| {
            let (load, target) = (Load::steady(sources_of(service)), target_of(service));
            match service {
                "udp" => client::start(netns, &Udp { target, size: 64 }, &load),
                _ => client::start(netns, &Http { target }, &load),
            }
        });
        Self { loads }
    }

    /// The counts so far.
    pub(super) fn report(&self) -> Reports {
        array::from_fn(|index| self.loads[index].report())
    }

    /// Waits until what was under way is done.
    pub(super) fn settle(&self) -> Result<()> {
        // More than there are at a time, so that all that were under way are among them.
        self.loads.iter().try_for_each(|load| load.wait_more(100))
    }

    /// Prints a line each second: requests per second of each service, and which servers answered.
    pub(super) fn watch(&self, interrupt: &Interrupt, time: Duration) -> Result<()> {
        let end = clock::now() + time;
        let mut before = self.report();
        while clock::now() < end {
            let second = clock::now() + Duration::from_secs(1);
            while clock::now() < second {
                interrupt.check()?;
                // Only the pace of the display.
                thread::sleep(Duration::from_millis(50));
            }
            let now = self.report();
            let recent: Reports = array::from_fn(|index| now[index].since(&before[index]));
            say(&line(&recent));
            before = now;
        }
        Ok(())
    }

    /// Prints the final table, and whether it is as expected: failures only between the death of the server and its removal,
    /// and then shares like the weights.
    pub(super) fn summary(&self, death: &Reports, removal: &Reports, fourth: &Reports) -> bool {
        let end = self.report();
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        table.set_header([
            "service",
            "requests",
            "failed",
            "... on dead server",
            "share (weight)",
            "as expected",
        ]);
        let mut all_good = true;
        for (index, service) in SERVICES.iter().enumerate() {
            let total = &end[index];
            let allowed = removal[index].since(&death[index]).failed();
            let last = total.since(&fourth[index]);
            let good = total.failed() == allowed && total.succeeded > 0 && fits_weights(&last);
            all_good &= good;
            table.add_row([
                (*service).to_owned(),
                total.total().to_string(),
                (total.failed() - allowed).to_string(),
                allowed.to_string(),
                shares_and_weights(&last),
                if good { "yes" } else { "NO" }.to_owned(),
            ]);
        }
        println!("{table}");
        for (service, report) in SERVICES.iter().zip(&end) {
            for (reason, count) in &report.failures {
                say(&format!("{service}: {count} x {reason}"));
            }
        }
        all_good
    }
}

fn line(recent: &Reports) -> String {
    let rates = SERVICES.iter().zip(recent).map(|(service, report)| {
        let failed = match report.failed() {
            0 => String::new(),
            failed => format!(" ({failed} failed)"),
        };
        format!("{service} {:4}/s{failed}", report.succeeded)
    });
    let mut servers = recent[0].servers.clone();
    for (server, count) in recent[1..].iter().flat_map(|report| &report.servers) {
        *servers.entry(server.clone()).or_default() += count;
    }
    format!("{}  |  {}", rates.collect::<Vec<_>>().join("  "), show::shares(&servers))
}

/// The servers that should have answered since the fourth was added.
const FINAL_SERVERS: [&str; 3] = ["server-1", "server-3", "server-4"];

/// Whether the servers' shares are within 6 percent points of their weights', and nobody else answered.
fn fits_weights(report: &Report) -> bool {
    let fits = |server: &str| (report.share(server) - expected(server)).abs() < 0.06;
    report.servers.len() == FINAL_SERVERS.len() && FINAL_SERVERS.into_iter().all(fits)
}

fn expected(server: &str) -> f64 {
    let total: u32 = FINAL_SERVERS.into_iter().map(|server| u32::from(show::weight(server))).sum();
    f64::from(show::weight(server)) / f64::from(total)
}

fn shares_and_weights(report: &Report) -> String {
    let parts = report.servers.keys().map(|server| {
        format!("{server} {:.1} % ({:.0} %)", report.share(server) * 100.0, expected(server) * 100.0)
    });
    parts.collect::<Vec<_>>().join("\n")
}
