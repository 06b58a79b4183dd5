//! How long handshakes with a backend take.

use super::{
    objects::backends,
    table::{Style, table, text},
};
use crate::api::{Backend, Latencies, Latency};

/// `lbctl backend show`: the row of the list, and the latencies.
pub(in crate::cli) fn backend(service: &str, backend: &Backend, style: Style) -> String {
    let latencies = backend.latency.unwrap_or_default();
    format!(
        "{}\n{}",
        backends(service, std::slice::from_ref(backend), style),
        latency_table(&latencies, style)
    )
}

fn latency_table(latencies: &Latencies, style: Style) -> String {
    let rows = [("SYN to SYN-ACK", latencies.handshake), ("SYN-ACK to ACK", latencies.rtt)];
    let rows = rows.into_iter().filter_map(|(name, latency)| {
        let Latency { count, mean_microseconds, p50_microseconds, p90_microseconds, p99_microseconds } =
            latency?;
        let times = [p50_microseconds, p90_microseconds, p99_microseconds, mean_microseconds].map(time);
        Some([text(name), text(count)].into_iter().chain(times.map(text)).collect())
    });
    table(style, &["LATENCY", "COUNT", "P50", "P90", "P99", "MEAN"], rows, "no handshake was timed yet")
}

/// Three digits and a unit: `95 us`, `1.25 ms`, `3.0 s`.
pub(super) fn time(microseconds: u64) -> String {
    match microseconds {
        0..1000 => format!("{microseconds} us"),
        1000..1_000_000 => {
            format!("{:.3}", microseconds as f64 / 1e3).chars().take(4).collect::<String>() + " ms"
        }
        _ => format!("{:.1} s", microseconds as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_suits_them() {
        let shown = [0, 95, 1250, 12_500, 999_999, 3_000_000].map(time);
        assert_eq!(shown, ["0 us", "95 us", "1.25 ms", "12.5 ms", "999. ms", "3.0 s"]);
    }
}
