//! Histograms of the latencies that the data path measures.

use lb_common::abi::{Histogram, Latencies};
use prometheus::Result;

use super::page::{Page, Samples};
use super::{BackendSample, ServiceSample};
use crate::model::LatencyMetrics;

const HANDSHAKE: &str =
    "Time from the first SYN sent to the backend to its SYN-ACK, of TCP connections that were timed.";
const RTT: &str = "Time from the backend's SYN-ACK to the client's ACK: the round trip to the clients, with what was lost on it.";

/// Writes them, only of those who have some.
pub(super) fn write(page: &mut Page, services: &[ServiceSample], whose: LatencyMetrics) -> Result<()> {
    match whose {
        LatencyMetrics::Backend => {
            let all = services.iter().flat_map(|service| {
                let labels = |backend| [("backend", backend), ("service", &*service.name)];
                let samples = service.backends.iter();
                samples.map(move |backend: &BackendSample| (&backend.latencies, labels(&*backend.name)))
            });
            families(page, all)
        }
        LatencyMetrics::Service => {
            let sums: Vec<(Latencies, &str)> =
                services.iter().map(|service| (sum(&service.backends), &*service.name)).collect();
            families(page, sums.iter().map(|(latencies, name)| (latencies, [("service", *name)])))
        }
        LatencyMetrics::Off => Ok(()),
    }
}

/// The two families of these owners.
fn families<'a, const LABELS: usize>(
    page: &mut Page,
    owners: impl IntoIterator<Item = (&'a Latencies, [(&'static str, &'a str); LABELS])>,
) -> Result<()> {
    let used = |(latencies, _): &(&Latencies, _)| **latencies != Latencies::default();
    let samples = Samples::new(owners.into_iter().filter(used));
    samples.write_histograms(page, "lb_backend_handshake_seconds", HANDSHAKE, |of| &of.handshake)?;
    samples.write_histograms(page, "lb_backend_rtt_seconds", RTT, |of| &of.rtt)
}

fn sum(backends: &[BackendSample]) -> Latencies {
    backends.iter().fold(Latencies::default(), |mut sum, backend| {
        let Latencies { handshake, rtt } = &backend.latencies;
        add(&mut sum.handshake, handshake);
        add(&mut sum.rtt, rtt);
        sum
    })
}

fn add(sum: &mut Histogram, more: &Histogram) {
    sum.counts.iter_mut().zip(&more.counts).for_each(|(count, more)| *count += more);
    sum.nanos += more.nanos;
}
