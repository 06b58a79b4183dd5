//! Ten thousand backends, checked each second by the daemon itself, over real connections.

mod ground;
mod recorder;
mod spread;

use std::time::Duration;

use anyhow::Result;
use lb_tests::{large::Size, servers::HTTPS_PORT};

use self::ground::{Figures, Ground};
use crate::{
    finding::{Findings, Row, Target},
    part::Depth,
};

/// What the target names.
const MANY: Size = Size { services: 1000, backends: 10 };
/// What TLS is measured with: its handshakes are for the price of one, not for so many.
const SOME: Size = Size { services: 100, backends: 10 };
/// The most probes that may begin within 10 ms: twice the mean. Turns lie so that 103 do at most; the timer's millisecond puts a tenth on
/// top; the rest is for moments in which the processor does something else for up to 9 ms, and what was due meanwhile begins together.
const MOST: f64 = 200.0;

/// How backends are checked.
struct Way {
    name: &'static str,
    size: Size,
    health: String,
    slice: Duration,
}

pub(super) fn measure(depth: Depth, findings: &mut Findings) -> Result<()> {
    let ground = Ground::build()?;
    let seconds = Duration::from_secs;
    let ca = ground.authority.path("ca.pem");
    let tls = format!(
        "type = \"https\"\nport = {HTTPS_PORT}\ntls_ca_file = \"{}\"\ntls_server_name = \"{}\"",
        ca.display(),
        ground::NAME
    );
    let ways = [
        Way { name: "TCP", size: MANY, health: String::new(), slice: seconds(10) },
        Way {
            name: "HTTP",
            size: MANY,
            health: "type = \"http\"".to_owned(),
            slice: seconds(depth.pick(10, 3)),
        },
        Way { name: "HTTPS", size: SOME, health: tls, slice: seconds(depth.pick(10, 2)) },
    ];
    let floor = Ground::floor()?;
    let mut price_of_tcp = None;
    for way in &ways {
        let figures = ground.measure(way.size, &way.health, way.slice)?;
        if way.size == MANY {
            rows(way, &figures, floor, findings);
        }
        let price =
            Row::new(format!("time of a processor for a check by {}", way.name), "us", figures.price());
        findings.rows.push(match price_of_tcp {
            None => price.note("all that lbd does meanwhile, divided by the probes"),
            Some(tcp) => price.against(tcp).note("floor: a check by TCP in the same run"),
        });
        price_of_tcp.get_or_insert(figures.price());
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts that are small")]
fn rows(way: &Way, figures: &Figures, floor: f64, findings: &mut Findings) {
    let Figures { seconds, busy, spread, failures, descriptors, memory, time_wait } = figures;
    let total = way.size.total();
    let name = format!("10 000 backends checked each second by {}", way.name);
    let missed = usize::try_from(total).unwrap_or_default().saturating_sub(spread.targets);
    findings.rows.extend([
        Row::new(format!("{name}: share of a processor"), "%", busy / seconds * 100.0)
            .target(Target::AtMost(100.0))
            .note(
                "the whole daemon, all its threads on one processor (SCHED_FIFO, which the kernel gives 95 % at most), and the kernel's thread that receives its packets there; the backends \
                 (10 000 addresses of one nginx behind a veth) have the other",
            ),
        Row::new(format!("{name}: probes"), "1/s", spread.count as f64 / seconds)
            .target(Target::AtLeast(9_950.0))
            .note(format!(
                "SYNs seen to leave in {seconds:.0} s; {missed} backends were never probed, the others at least {} times",
                spread.fewest
            )),
        Row::new(format!("{name}: most within 10 ms"), "probes", spread.most as f64)
            .target(Target::AtMost(MOST))
            .note("100 are the mean; twice as many are what 9 ms without the processor make of them"),
        Row::new(format!("{name}: 99 % begin so much after their turn"), "ms", spread.late / 1e6)
            .note(format!("timers have milliseconds; a thread there that only sleeps is woken {floor:.2} ms late")),
        Row::new(format!("{name}: failed probes"), "probes", *failures as f64).target(Target::AtMost(0.0)).note(
            "refused, or timed out after 500 ms: with fall = 1 each makes a backend go down",
        ),
        Row::new(format!("{name}: most descriptors of lbd"), "files", *descriptors as f64)
            .note(format!("{time_wait} connections of the kernel in TIME-WAIT in the end (net.ipv4.tcp_max_tw_buckets bounds them)")),
        Row::new(format!("{name}: most memory of lbd"), "MiB", *memory).note("resident set"),
    ]);
}

impl Figures {
    /// Microseconds of a processor for a probe.
    #[expect(clippy::cast_precision_loss, reason = "counts that are small")]
    fn price(&self) -> f64 {
        self.busy * 1e6 / self.spread.count as f64
    }
}
