//! A stranger sends adverts that are none, and most of which would win an election.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use lb_common::checksum;
use lb_userspace::vrrp::{
    Addresses, Advert, Authentication, ChecksumForm, Ends, GROUP_V4, Interval, PROTOCOL, Priority, Version,
    Vrid,
};

use super::{
    super::{Depth, Required, Row, number},
    rounds::{maximum, thread_time},
};
use crate::{
    clock,
    duo::{self, Duo, Setup, VRIDS},
    inject::{Injector, mac},
    topology::{Family, addresses},
};

/// Adverts a second that a node sends.
const NORMAL: u64 = 10;
/// Times the normal rate.
const RATES: [u64; 3] = [1, 10, 100];
/// Who sends them.
const STRANGER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 250);
/// Kinds that a virtual router sees, but for those of one length. The kernel drops what says that it comes from this node, and other
/// virtual routers are not this one.
const REASONS: f64 = 9.0;
/// Of a processor, under a flood.
const MOST_PROCESSOR: f64 = 2.0;
const FLOOD: u64 = 20_000;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    HopLimit,
    Checksum,
    Version,
    OtherVersion,
    Type,
    NoAddress,
    NoInterval,
    Short,
    Long,
    OtherVrid,
    NoVrid,
    OwnAddress,
    ToOneNode,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::HopLimit,
        Self::Checksum,
        Self::Version,
        Self::OtherVersion,
        Self::Type,
        Self::NoAddress,
        Self::NoInterval,
        Self::Short,
        Self::Long,
        Self::OtherVrid,
        Self::NoVrid,
        Self::OwnAddress,
        Self::ToOneNode,
    ];

    /// The frame, for a node, with a priority.
    fn frame(self, to: usize, macs: [[u8; 6]; 3], priority: Priority) -> Result<Vec<u8>> {
        let source = if self == Self::OwnAddress { duo::source(to) } else { STRANGER };
        let destination = if self == Self::ToOneNode { duo::source(to) } else { GROUP_V4 };
        let ends = Ends::V4(source, destination);
        let mut message = self.message(&ends, priority)?;
        let hop_limit = if self == Self::HopLimit { 254 } else { 255 };
        match self {
            Self::Checksum => message[7] ^= 0x55,
            Self::Short => message.truncate(6),
            Self::Long => message.extend([0; 8]),
            _ => {}
        }
        // For the other node, what says that it comes from this one would be valid.
        let is_for_one = matches!(self, Self::ToOneNode | Self::OwnAddress);
        let to_mac = if is_for_one { macs[to] } else { [0x01, 0, 0x5e, 0, 0, 0x12] };
        Ok([&to_mac[..], &macs[2], &[0x08, 0], &header(&ends, hop_limit, message.len()), &message].concat())
    }

    /// The VRRP message: a valid one, with something changed before its checksum is made.
    fn message(self, ends: &Ends, priority: Priority) -> Result<Vec<u8>> {
        let IpAddr::V4(vip) = addresses::vip(Family::V4, 0) else { anyhow::bail!("the VIP is of IPv4") };
        let vrid = if self == Self::OtherVrid { 77 } else { VRIDS[0] };
        let version = if self == Self::OtherVersion { Version::V2 } else { Version::V3 };
        let advert = Advert {
            version,
            vrid: Vrid::new(vrid).context("a VRID")?,
            priority,
            interval: Interval::from_centiseconds(100).context("an interval")?,
            addresses: Addresses::V4(vec![vip]),
            authentication: Authentication::None,
        };
        let mut message = advert.build(ends, ChecksumForm::MessageOnly)?;
        match self {
            Self::Version => message[0] = 0x41,
            Self::Type => message[0] = 0x32,
            Self::NoAddress => {
                message[3] = 0;
                message.truncate(8);
            }
            Self::NoInterval => message[4..6].fill(0),
            Self::NoVrid => message[1] = 0,
            _ => {}
        }
        message[6..8].fill(0);
        let sum = !checksum::fold(checksum::sum(&message));
        message[6..8].copy_from_slice(&sum.to_ne_bytes());
        Ok(message)
    }
}

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut duo = Duo::start(Setup::default())?;
    let before = duo.changes()?;
    let time = Duration::from_millis(depth.of(2000));
    let mut lost = 0;
    let frames = frames(&duo)?;
    let mut most_lines = 0.0_f64;
    for rate in RATES {
        for (_, frames) in &frames {
            let lines_before = lines(&duo)?;
            let begin = clock::now();
            let seen = duo.seen(|duo| send(duo, frames, rate * NORMAL, time))?;
            lost += seen.iter().map(|seen| seen.lost).sum::<u64>();
            // A line at the very beginning, and one for each second that began.
            let allowed = begin.elapsed().as_secs_f64().ceil() + 1.0;
            most_lines = most_lines.max(excess(&lines_before, &lines(&duo)?, allowed));
        }
    }
    let share = flood(&duo, &frames[0].1, Duration::from_secs(depth.of(10).max(2)))?;
    let rejected = rejected(&duo)?;
    let case = format!("{} kinds of invalid adverts, 1, 10 and 100 times the normal rate", frames.len());
    Ok(vec![
        Row::new(
            format!("{case}: reasons that were told apart"),
            number(rejected.len() as u64),
            "reasons",
            Required::AtLeast(REASONS),
        ),
        Row::none(format!("{case}: changes of state"), duo.changes()? - before, "changes"),
        Row::none(format!("{case}: lost"), lost, "probes"),
        Row::new(
            format!("{case}: lines of the log a second for a reason, at most"),
            most_lines,
            "lines",
            Required::AtMost(1.0),
        ),
        Row::new(
            format!("{FLOOD} invalid adverts a second: processor time of a node's thread for VRRP"),
            share,
            "% of a core",
            Required::AtMost(MOST_PROCESSOR),
        ),
    ])
}

/// The frames of each kind: for both nodes, with a priority that wins and with the one that says "I stop".
fn frames(duo: &Duo) -> Result<Vec<(Kind, Vec<Vec<u8>>)>> {
    let pair = &duo.pair;
    let macs = [mac(&pair.nodes[0], "eth0")?, mac(&pair.nodes[1], "eth0")?, mac(&pair.stranger, "eth0")?];
    let of_kind = |kind: Kind| -> Result<(Kind, Vec<Vec<u8>>)> {
        let mut frames = Vec::new();
        for to in [0, 1] {
            for priority in [Priority::new(254), Priority::STOPS] {
                frames.push(kind.frame(to, macs, priority)?);
            }
        }
        Ok((kind, frames))
    };
    Kind::ALL.into_iter().map(of_kind).collect()
}

/// Sends frames in turn, so many a second.
fn send(duo: &Duo, frames: &[Vec<u8>], rate: u64, time: Duration) -> Result<()> {
    let injector = Injector::open(&duo.pair.stranger, "eth0")?;
    let (begin, mut sent) = (clock::now(), 0);
    while begin.elapsed() < time {
        // All that are due: at high rates more than one each time it wakes.
        let due = (begin.elapsed().as_micros() as u64 * rate).div_ceil(1_000_000);
        for frame in frames.iter().cycle().skip(sent as usize % frames.len()).take((due - sent) as usize) {
            injector.send(frame)?;
        }
        sent = due;
        thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}

/// Part of a processor that the busier node's thread for VRRP takes while it is flooded, in percent.
fn flood(duo: &Duo, frames: &[Vec<u8>], time: Duration) -> Result<f64> {
    let now = || Ok::<_, anyhow::Error>([thread_time(duo, 0, "vrrp")?, thread_time(duo, 1, "vrrp")?]);
    let (before, begin) = (now()?, clock::now());
    send(duo, frames, FLOOD, time)?;
    let took = begin.elapsed().as_secs_f64();
    let used: Vec<f64> = now()?.iter().zip(before).map(|(after, before)| after - before).collect();
    Ok(maximum(&used) / took * 100.0)
}

/// An IPv4 header without options (RFC 791).
fn header(ends: &Ends, hop_limit: u8, length: usize) -> Vec<u8> {
    let Ends::V4(source, destination) = ends else { return Vec::new() };
    let total = (length as u16 + 20).to_be_bytes();
    let fixed = [0x45, 0xc0, total[0], total[1], 0, 0, 0, 0, hop_limit, PROTOCOL, 0, 0];
    let mut header = [&fixed[..], &source.octets(), &destination.octets()].concat();
    let sum = !checksum::fold(checksum::sum(&header));
    header[10..12].copy_from_slice(&sum.to_ne_bytes());
    header
}

/// Rejected packets by reason.
fn rejected(duo: &Duo) -> Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for router in duo.statuses()? {
        for (reason, count) in router["rejected"].as_object().into_iter().flatten() {
            *all.entry(reason.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
    }
    Ok(all)
}

/// Lines of the log of each node for each reason.
fn lines(duo: &Duo) -> Result<BTreeMap<(usize, String), u64>> {
    let mut counts = BTreeMap::new();
    for (node, daemon) in duo.daemons.iter().enumerate() {
        for line in daemon.whole_log()?.lines().filter(|line| line.contains("rejected")) {
            let reason = line.split("reason=").nth(1).and_then(|rest| rest.split_whitespace().next());
            *counts.entry((node, reason.unwrap_or_default().to_owned())).or_default() += 1;
        }
    }
    Ok(counts)
}

/// The most lines for one reason, as a part of those that are allowed.
fn excess(
    before: &BTreeMap<(usize, String), u64>,
    after: &BTreeMap<(usize, String), u64>,
    allowed: f64,
) -> f64 {
    let more = after.iter().map(|(key, count)| count - before.get(key).copied().unwrap_or_default());
    number(more.max().unwrap_or_default()) / allowed
}
