//! Frames that one core forwards between namespaces.
//!
//! The smallest frames of an established flow are made by the kernel (`BPF_F_TEST_XDP_LIVE_FRAMES`) at one end and dropped by XDP
//! at the other. What is measured is the processor time of the thread that receives in the balancer, see [`crate::live::napi`].

mod flow;
mod track;

use std::time::Duration;

use anyhow::Result;
use lb_tests::{config::Protocol, topology::Family};

use crate::{
    finding::{Findings, Row, Target},
    live::{
        rounds::paired_ratio,
        way::{Ground, Way},
    },
    part::Run,
    statistics::median,
};
use flow::{Direction, Flow};
use track::Lane;
pub(crate) use track::Track;

/// Floors and ours, in the order in which each round measures them.
const WAYS: [Way; 5] = [Way::Bare, Way::Plain, Way::Nftables, Way::Nat, Way::FullNat];

/// Measures the part.
///
/// # Errors
///
/// If the measurement itself fails.
pub fn run(run: &mut Run<'_>) -> Result<Findings> {
    let mut findings = Findings { notes: NOTES.map(str::to_owned).to_vec(), ..Findings::default() };
    run.step("networks", 0, CASES.len() + 1);
    let grounds = Ground::build_all(&WAYS, 1)?;
    let tracks = grounds.into_iter().map(Track::new).collect::<Result<Vec<_>>>()?;
    let cases = run.depth.pick(&CASES[..], &CASES[..3]);
    let (rounds, slice) = run.depth.pick((11, 150), (9, 20));
    let mut races = cases.iter().map(|case| Race::prepare(*case, &tracks)).collect::<Result<Vec<_>>>()?;
    for round in 0..rounds {
        run.step("frames", round + 1, rounds + 1);
        for race in &mut races {
            race.round(Duration::from_millis(slice))?;
        }
    }
    findings.rows.extend(races.iter().flat_map(Race::rows));
    Ok(findings)
}

const NOTES: [&str; 4] = [
    "Frames pass veth pairs, not a network card: there is no DMA, and a frame that goes to the kernel's stack gets a socket buffer by \
     copying nothing. A card adds the same to all ways.",
    "Core time is the processor time of the balancer's NAPI thread, alone on its core, with more frames in front of it than it can take. It \
     ends with the frame in the queue of the next veth, and includes waking the thread there: XDP does that once for a batch. The sender \
     and the sink run on the other core and are not counted.",
    "conntrack neither verifies checksums nor checks sequence numbers here: a network card would do the first, and the frames all have \
     the same number.",
    "Bare XDP redirect is the bound for any XDP program that forwards: what veth and redirect cost with a program of 4 instructions.",
];

/// What frames there are.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    family: Family,
    protocol: Protocol,
}

pub(crate) const CASES: [Case; 4] = [
    Case { family: Family::V4, protocol: Protocol::Tcp },
    Case { family: Family::V4, protocol: Protocol::Udp },
    Case { family: Family::V6, protocol: Protocol::Tcp },
    Case { family: Family::V6, protocol: Protocol::Udp },
];

/// Nanoseconds of each round, by way.
type Figures = Vec<Vec<f64>>;

/// All ways with a flow of one case. The rounds of all cases are interleaved, so that what disturbs the machine for a second does not
/// spoil one of them.
pub(crate) struct Race<'a> {
    case: Case,
    runners: Vec<(&'a Track, Flow, Vec<Lane>)>,
    /// From the client, and to it.
    figures: [Figures; 2],
    /// The largest share of a slice's frames that did not arrive.
    lost: f64,
}

impl<'a> Race<'a> {
    /// Establishes the flows.
    pub(crate) fn prepare(case: Case, tracks: &'a [Track]) -> Result<Self> {
        let mut runners = Vec::new();
        for track in tracks {
            let flow = Flow::establish(&track.ground, case.family, case.protocol)?;
            let lanes = Direction::BOTH
                .into_iter()
                .map(|direction| track.lane(&flow, direction))
                .collect::<Result<Vec<Lane>>>()?;
            runners.push((track, flow, lanes));
        }
        Ok(Self { case, runners, figures: [(); 2].map(|()| vec![Vec::new(); tracks.len()]), lost: 0.0 })
    }

    /// One round of frames in both directions.
    pub(crate) fn round(&mut self, slice: Duration) -> Result<()> {
        for (way, (track, _flow, lanes)) in self.runners.iter_mut().enumerate() {
            for (lane, figures) in lanes.iter_mut().zip(&mut self.figures) {
                let measured = track.slice(lane, slice)?;
                self.lost = self.lost.max(1.0 - measured.arrived);
                figures[way].push(measured.nanos);
            }
        }
        Ok(())
    }

    /// The directions with the figures of each way, round by round.
    pub(crate) fn directions(&self) -> impl Iterator<Item = (&'static str, &[Vec<f64>])> {
        ["to the server", "to the client"].into_iter().zip(self.figures.iter().map(Vec::as_slice))
    }

    fn rows(&self) -> Vec<Row> {
        self.directions().flat_map(|(word, figures)| self.case.rows(word, figures, self.lost)).collect()
    }
}

impl Case {
    fn name(&self) -> String {
        let protocol = if self.protocol == Protocol::Tcp { "TCP ACK" } else { "UDP" };
        format!("{} {protocol}", self.family.name())
    }

    fn rows(&self, direction: &str, figures: &[Vec<f64>], lost: f64) -> Vec<Row> {
        let [bare, plain, nftables, nat, full_nat] = figures else { return Vec::new() };
        let mut rows = Vec::new();
        for (way, ours) in [(Way::Nat, nat), (Way::FullNat, full_nat)] {
            let what = format!("{} {}, {direction}", way.name(), self.name());
            let row = |what: String, floor: &Vec<f64>| {
                Row::new(what, "ns", median(ours)).paired(median(floor), paired_ratio(ours, floor))
            };
            rows.push(
                row(format!("{what}: core time of a frame, floor nftables"), nftables)
                    .target(Target::RatioAtMost(0.25))
                    .note(format!(
                        "veth, 2 cores; at most {:.1} % of a slice's frames were lost",
                        lost * 100.0
                    )),
            );
            rows.push(row(format!("{what}: core time of a frame, floor plain forwarding"), plain));
            rows.push(row(format!("{what}: core time of a frame, floor bare XDP redirect"), bare));
        }
        rows
    }
}
