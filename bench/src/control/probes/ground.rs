//! A daemon that checks real backends: its own namespace, and one that has all their addresses.

use std::{fs, net::Ipv4Addr, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    large::{INTERFACE, Large, Size},
    napi::NapiThreads,
    netns::Netns,
    processor,
    servers::{Authority, HTTPS_PORT, Nginx},
    topology::{Host, links},
};

use super::{recorder::Recorder, spread::Spread};
use crate::{
    live::cpu,
    statistics::{now, quantile},
};

/// The processor of `lbd`, and of what receives its packets.
const OURS: usize = 0;
/// The processor of the backends, and of what receives their packets.
const THEIRS: usize = 1;
/// The backends' end of the cable.
const FAR: &str = "backends";
/// Name of the backends' certificate.
pub(super) const NAME: &str = "backend.test";
/// The priority of what comes before everything else on this machine, which is not to be measured.
const FIRST: u8 = 1;
/// How often each backend is checked.
const INTERVAL: Duration = Duration::from_secs(1);

/// The network.
#[derive(Debug)]
pub(super) struct Ground {
    balancer: Netns,
    /// Who signed the backends' certificate.
    pub(super) authority: Authority,
    near: NapiThreads,
    #[expect(dead_code, reason = "receives until it is dropped")]
    far: NapiThreads,
    #[expect(dead_code, reason = "serves until it is dropped")]
    nginx: Nginx,
}

/// What a measurement came to.
#[derive(Debug)]
pub(super) struct Figures {
    /// For how many seconds.
    pub(super) seconds: f64,
    /// Seconds that the processor was busy with `lbd` and with what it receives.
    pub(super) busy: f64,
    /// How the probes were spread.
    pub(super) spread: Spread,
    /// How often a backend went down, for which one failed probe is enough here, and came back.
    pub(super) failures: u64,
    /// Most descriptors that `lbd` had.
    pub(super) descriptors: usize,
    /// Most memory that it ever had, in MiB.
    pub(super) memory: f64,
    /// Connections in TIME-WAIT in the end.
    pub(super) time_wait: u64,
}

impl Ground {
    /// Builds it.
    pub(super) fn build() -> Result<Self> {
        let (balancer, netns) = (Netns::create("checks")?, Netns::create("checked")?);
        links::cable(&balancer, INTERFACE, &netns, FAR)?;
        balancer.ip(&format!("addr add 192.0.2.1/24 dev {INTERFACE}"))?;
        balancer.ip("route add default via 192.0.2.2")?;
        netns.ip(&format!("addr add 192.0.2.2/24 dev {FAR}"))?;
        netns.ip("route add local 10.0.0.0/8 dev lo")?;
        let authority = Authority::new("the authority of the backends")?;
        authority.server("backend", NAME, false)?;
        let v4 = Ipv4Addr::new(192, 0, 2, 2);
        let backends = Host { name: FAR.to_owned(), netns, v4, v6: v4.to_ipv6_mapped() };
        let nginx = Nginx::start_with(&backends, &https(&authority))?;
        cpu::pin(nginx.process_id(), THEIRS)?;
        let near = NapiThreads::start(&balancer, INTERFACE)?;
        let far = NapiThreads::start(&backends.netns, FAR)?;
        near.pin(OURS)?;
        far.pin(THEIRS)?;
        // As interrupts would be, before those that wait for them.
        near.prefer(FIRST + 1)?;
        far.prefer(FIRST + 1)?;
        cpu::prefer(nginx.process_id(), FIRST)?;
        Ok(Self { balancer, authority, near, far, nginx })
    }

    /// Has backends checked in this way for a time, and looks on.
    pub(super) fn measure(&self, size: Size, health: &str, slice: Duration) -> Result<Figures> {
        let check = format!(
            "[services.health]\ninterval = \"{}ms\"\nrise = 1\nfall = 1\nmax_flaps = 0\n{health}\n",
            INTERVAL.as_millis()
        );
        let mut large = Large::prepare_in(self.balancer.clone(), size, "", &check)?;
        let wrapper = format!("chrt --fifo {FIRST} taskset --cpu-list {OURS}");
        large.daemon.run_with(wrapper.split(' ').map(str::to_owned).collect());
        large.start()?;
        let process = large.daemon.process_id().context("lbd does not run")?;
        // Everything has had its first turn after an interval.
        thread::sleep(INTERVAL * 3 / 2);
        let changes =
            || Ok::<u64, anyhow::Error>(sum(&large.scrape()?.1, "lb_backend_health_transitions_total"));
        let busy = || Ok::<Duration, anyhow::Error>(processor::time_of(process)? + self.near.cpu_time()?);
        let changes_before = changes()?;
        let (recorder, start, before) = (Recorder::start(&self.balancer, INTERFACE, THEIRS)?, now(), busy()?);
        let mut descriptors = 0;
        while start.elapsed() < slice {
            thread::sleep(Duration::from_millis(100).min(slice.saturating_sub(start.elapsed())));
            descriptors = descriptors.max(fs::read_dir(format!("/proc/{process}/fd"))?.count());
        }
        let (busy, seconds, starts) = (busy()? - before, start.elapsed().as_secs_f64(), recorder.stop()?);
        ensure!(!starts.is_empty(), "no probe was seen");
        let interval = u64::try_from(INTERVAL.as_nanos())?;
        let failures = (changes()? - changes_before).div_ceil(2);
        Ok(Figures {
            seconds,
            busy: busy.as_secs_f64(),
            spread: Spread::of(&starts, interval),
            failures,
            descriptors,
            memory: large.memory()?.1,
            time_wait: self.time_wait()?,
        })
    }

    fn time_wait(&self) -> Result<u64> {
        let text = self.balancer.run(|| fs::read_to_string("/proc/thread-self/net/sockstat"))?;
        let mut words = text.split_whitespace().skip_while(|word| *word != "tw");
        words.nth(1).and_then(|number| number.parse().ok()).context("no number of TIME-WAIT connections")
    }

    /// How many milliseconds late a thread that only sleeps is woken on the processor of `lbd`, in 99 of 100 cases at most.
    pub(super) fn floor() -> Result<f64> {
        let _pinned = cpu::Pinned::here(OURS)?;
        let mut late = Vec::new();
        for _ in 0..300 {
            let start = now();
            thread::sleep(Duration::from_millis(1));
            late.push(start.elapsed().as_secs_f64() * 1e3 - 1.0);
        }
        Ok(quantile(&late, 0.99))
    }
}

/// The block of nginx' configuration that speaks TLS.
fn https(authority: &Authority) -> String {
    let root = authority.directory().display();
    format!(
        "server {{
        listen {HTTPS_PORT} ssl backlog=4096; server_name {NAME};
        ssl_certificate {root}/backend.pem; ssl_certificate_key {root}/backend.key;
        location / {{ return 200 \"{NAME}\\n\"; }}
    }}"
    )
}

/// The sum of a metric over all its labels.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts, which the text format has as floats"
)]
fn sum(page: &str, name: &str) -> u64 {
    let samples =
        page.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_others_of_its_prefix_are_not() {
        let page = "# TYPE lb_backend_up gauge\nlb_backend_up{backend=\"a b\"} 1\nlb_backend_up{backend=\"c\"} 2\nlb_backend_up_x{} 4\n";
        assert_eq!(sum(page, "lb_backend_up"), 3);
    }
}
