//! Floods of fragments and of ICMP from forged sources, beside connections and exchanges in fragments that matter.

use std::{
    net::{IpAddr, SocketAddr},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use lb_common::{
    abi::{ABI_VERSION, FragmentKey, FragmentPorts},
    host::{FrameSpec, Piece},
    maps,
    wire::ACK,
};
use lb_userspace::sys::bpf::Map;

use super::{
    super::super::{Depth, Required, Row, number},
    Case, DEFAULT, Kind, LIMIT, SINK_PORT, Seen,
    apart::{self, Apart},
    spoofed::{self, Flood, SOURCE_V4, SOURCE_V6, Varied},
    tell_drops,
};
use crate::{
    client::{Load, Running, Udp},
    clock,
    config::Mode,
    servers::ECHO_PORT,
    site::{Site, target},
    topology::{Family, addresses},
};

/// Fragments a second.
const FRAGMENTS: u64 = 50_000;
/// ICMP packets a second.
const MESSAGES: u64 = 200_000;
/// Bytes of a datagram that takes three fragments.
const LARGE: usize = 3000;
/// Packets whose fragments are remembered, for each family.
const REMEMBERED: f64 = 4096.0;
/// Echo replies a second and processor, by default, and the tenth that may be sent at once.
const REPLIES: f64 = 11_000.0;
/// Frames a second by which the load itself may differ from one time to the other.
const BLUR: f64 = 400.0;
/// Types and codes of ICMP (RFC 792).
const ECHO_REQUEST: u8 = 8;
const UNREACHABLE: u8 = 3;
const FRAGMENTATION_NEEDED: u8 = 4;

/// What the flood consists of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// First fragments, each of another packet.
    First,
    /// Fragments that follow, each of a packet whose first one never comes.
    Later,
    /// Echo requests to the VIP.
    Echo,
    /// "Fragmentation needed" about connections that there are not.
    Error,
}

/// Floods of fragments.
pub(in super::super) fn fragments(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (what, mode, family) in [
        (What::First, Mode::Nat, Family::V4),
        (What::First, Mode::FullNat, Family::V4),
        (What::Later, Mode::FullNat, Family::V4),
        (What::First, Mode::FullNat, Family::V6),
        (What::Later, Mode::Nat, Family::V6),
    ] {
        rows.extend(measure(depth, what, Case { kind: Kind::Echo, mode, family, ..DEFAULT })?);
    }
    Ok(rows)
}

/// Floods of ICMP.
pub(in super::super) fn icmp(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (what, mode) in [(What::Echo, Mode::Nat), (What::Error, Mode::Nat), (What::Error, Mode::FullNat)] {
        rows.extend(measure(depth, what, Case { kind: Kind::Echo, mode, ..DEFAULT })?);
    }
    Ok(rows)
}

/// What was seen in some time, with or without the flood.
struct Period {
    /// Connections.
    seen: Seen,
    /// Exchanges of large datagrams: made, and answered.
    large: (u64, u64),
    /// Frames a second that the client got.
    answered: f64,
    /// Frames a second that the program sent to the servers.
    forwarded: f64,
}

fn measure(depth: Depth, what: What, case: Case) -> Result<Vec<Row>> {
    let mut site = case.site()?;
    spoofed::prepare(&mut site.topology, case.family, false)?;
    let time = Duration::from_millis(depth.of(10_000).max(2000));
    let _apart = Apart::keep(&site)?;
    let quiet = period(&site, case, time)?;
    let (frame, varied) = frame(what, case.family)?;
    let rate = if what.is_fragment() { FRAGMENTS } else { MESSAGES };
    let flood = Flood::of(&site.topology, frame, varied, rate + rate / 20)?;
    thread::sleep(LIMIT);
    let loaded = period(&site, case, time)?;
    let remembered = remembered(&site, case.family)?;
    flood.stop()?;
    let name = format!("{}, {}, {}", what.name(), case.mode.name(), case.family.name());
    tell_drops(&site, &name)?;
    for (reason, count) in &loaded.seen.report.failures {
        eprintln!("{name}: {count} x {reason}");
    }
    let mut rows = beside(&name, rate, &quiet, &loaded);
    let row =
        |text: &str, figure, unit, required| Row::new(format!("{name}: {text}"), figure, unit, required);
    match what {
        What::First | What::Later => {
            let most = Required::AtMost(REMEMBERED * 1.01);
            rows.push(row("packets whose fragments are remembered", number(remembered), "packets", most));
        }
        What::Echo => {
            let most = Required::AtMost(REPLIES * processors()? + BLUR);
            let replies = loaded.answered - quiet.answered;
            rows.push(row("replies beside the load's frames", replies, "a second", most));
        }
        What::Error => {
            let sent = loaded.forwarded - quiet.forwarded;
            rows.push(row("of them sent to servers", sent.max(0.0), "a second", Required::AtMost(BLUR)));
        }
    }
    Ok(rows)
}

impl What {
    fn is_fragment(self) -> bool {
        matches!(self, Self::First | Self::Later)
    }

    fn name(self) -> &'static str {
        match self {
            Self::First => "flood of first fragments",
            Self::Later => "flood of fragments without a first one",
            Self::Echo => "flood of echo requests",
            Self::Error => "flood of forged ICMP errors",
        }
    }
}

/// What the flood costs others.
fn beside(name: &str, rate: u64, quiet: &Period, loaded: &Period) -> Vec<Row> {
    let row =
        |text: &str, figure, unit, required| Row::new(format!("{name}: {text}"), figure, unit, required);
    let share = |good, all: u64| 100.0 * number(good) / number(all.max(1));
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let report = &loaded.seen.report;
    let good = Required::AtLeast(99.9);
    let (before, during) = (milliseconds(quiet.seen.p99), milliseconds(loaded.seen.p99));
    #[rustfmt::skip]
    let rows = vec![
        row("frames that came to the program", loaded.seen.received / 1000.0, "thousand a second", Required::AtLeast(number(rate) / 1000.0)),
        row(&format!("connections of {} that succeeded within {LIMIT:?}", report.total()), share(report.succeeded, report.total()), "%", good),
        row("time that 99 % did not exceed, without the flood", before, "ms", Required::Nothing),
        row("time that 99 % did not exceed", during, "ms", Required::AtMost(3.0 * before)),
        row(&format!("exchanges in fragments of {} that succeeded", loaded.large.0), share(loaded.large.1, loaded.large.0), "%", good),
    ];
    rows
}

fn period(site: &Site, case: Case, time: Duration) -> Result<Period> {
    let large = Udp { target: target(case.family, ECHO_PORT), size: LARGE };
    let load =
        Load { concurrency: 4, pause: Duration::from_millis(40), sources: addresses::clients(case.family) };
    let (begin, before) = (clock::now(), counters(site)?);
    let running = apart::start(site, &large, &load)?;
    let seen = case.load(site, time)?;
    let large = Running::stop(running);
    let (after, seconds) = (counters(site)?, begin.elapsed().as_secs_f64());
    for (reason, count) in &large.failures {
        eprintln!("in fragments: {count} x {reason}");
    }
    Ok(Period {
        seen,
        large: (large.total(), large.succeeded),
        answered: number(after.0 - before.0) / seconds,
        forwarded: number(after.1 - before.1) / seconds,
    })
}

/// Frames that the client got, and that the program sent to the servers.
fn counters(site: &Site) -> Result<(u64, u64)> {
    let stats = site.daemon.lbctl("stats")?;
    let interfaces = stats["interfaces"].as_array().context("no interfaces")?;
    let inside = interfaces.iter().find(|interface| interface["name"] == "eth1");
    let sent = inside.and_then(|interface| interface["tx_packets"].as_u64());
    Ok((site.topology.client.received("eth0")?, sent.context("nothing is known of eth1")?))
}

fn processors() -> Result<f64> {
    Ok(number(thread::available_parallelism()?.get() as u64))
}

/// Entries of the table of fragments.
fn remembered(site: &Site, family: Family) -> Result<u64> {
    let directory = site.daemon.pin_directory().join(format!("v{ABI_VERSION}"));
    let entries = match family {
        Family::V4 => {
            let map = Map::open(&directory.join(maps::FRAGMENTS_V4))?;
            map.entries::<FragmentKey<u32>, FragmentPorts>()?.len()
        }
        Family::V6 => {
            let map = Map::open(&directory.join(maps::FRAGMENTS_V6))?;
            map.entries::<FragmentKey<[u32; 4]>, FragmentPorts>()?.len()
        }
    };
    Ok(entries as u64)
}

/// A frame whose varied fields are 0, and 0xffff where they are inverted.
fn frame(what: What, family: Family) -> Result<(FrameSpec, Varied)> {
    let vip = target(family, SINK_PORT);
    let source: IpAddr = if family == Family::V4 { SOURCE_V4.into() } else { SOURCE_V6.into() };
    let mut spec = match what {
        What::First | What::Later => FrameSpec::udp(SocketAddr::new(source, 0), vip),
        What::Echo => FrameSpec::icmp(source, vip.ip(), ECHO_REQUEST, 0, 0xffff),
        What::Error => FrameSpec::icmp(source, vip.ip(), UNREACHABLE, FRAGMENTATION_NEEDED, 1200),
    };
    spec.id = 0xffff;
    spec.payload = [vec![0xff; 4], vec![0; 60]].concat();
    match what {
        What::First => spec.fragment = Some(Piece { offset: 0, length: 32 }),
        What::Later => spec.fragment = Some(Piece { offset: 32, length: 32 }),
        What::Echo => {}
        What::Error => {
            let mut quoted = FrameSpec::tcp(target(family, ECHO_PORT), SocketAddr::new(source, 40_000), ACK);
            quoted.id = 0xffff;
            spec.payload = quoted.packet()[..28].to_vec();
        }
    }
    // The last half of the source's address and the identification; then, by what it is, the source port, the fragment's identification, that of the echo, or
    // the address in the quote.
    let varied = match (what, family) {
        (What::First, Family::V4) => {
            Varied { first: &[28], first_inverted: &[18, 42], second: &[34], second_inverted: &[44] }
        }
        (What::First, Family::V6) => {
            Varied { first: &[36], first_inverted: &[70], second: &[60, 62], second_inverted: &[72] }
        }
        (What::Later, Family::V4) => Varied { first: &[28], first_inverted: &[18], ..Varied::default() },
        (What::Later, Family::V6) => Varied { first: &[36], second: &[60], ..Varied::default() },
        (What::Echo, Family::V4) => {
            Varied { first: &[28], first_inverted: &[18], second: &[38], second_inverted: &[40] }
        }
        (What::Error, Family::V4) => {
            Varied { first: &[28], first_inverted: &[18], second: &[60], second_inverted: &[46] }
        }
        (What::Echo | What::Error, Family::V6) => bail!("there is no such flood of IPv6"),
    };
    Ok((spec, varied))
}

#[cfg(test)]
mod tests {
    use lb_common::host::checksums;

    use super::*;

    #[test]
    fn checksums_of_messages_stay_good_whatever_the_source_is() {
        for what in [What::Echo, What::Error] {
            let (spec, varied) = frame(what, Family::V4).unwrap();
            let mut bytes = spec.build();
            varied.write(&mut bytes, 0xabcd_1234);
            checksums(&bytes).unwrap();
        }
    }
}
