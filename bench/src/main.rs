//! Measures of the project that need no network: the time to fill slot tables.
//!
//! `cargo run --release -p lb-bench`. Each figure is the median of several fills; the largest is what an operator waits for when a backend
//! of a large service changes.

use std::time::Duration;

use lb_userspace::{
    balance::{Candidate, registry},
    model::Algorithm,
};

/// Slots of a service by default.
const SLOTS: u32 = 65537;
/// Fills that are timed for each figure.
const ROUNDS: usize = 9;

fn main() {
    println!("{:<20} {:>9} {:>12}", "algorithm", "backends", "fill");
    for algorithm in [Algorithm::Maglev, Algorithm::RoundRobin, Algorithm::Random] {
        for backends in [10, 100, 1000] {
            let fill = median((0..ROUNDS).map(|_| time_fill(algorithm, backends)).collect());
            println!("{:<20} {backends:>9} {:>9.2} ms", format!("{algorithm:?}"), fill.as_secs_f64() * 1e3);
        }
    }
}

fn time_fill(algorithm: Algorithm, backends: u32) -> Duration {
    let candidates: Vec<Candidate> = (0..backends)
        .map(|number| Candidate { identity: format!("backend-{number}"), weight: 100 })
        .collect();
    let (balancer, _) = registry(algorithm);
    let start = now();
    let table = balancer.fill(&candidates, SLOTS, 1);
    let time = start.elapsed();
    assert!(!table.is_empty(), "{algorithm:?} filled nothing");
    time
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
