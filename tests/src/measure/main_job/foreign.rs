//! What the balancer does with frames that are not for it, and what it shows of itself.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use etherparse::PacketBuilder;
use lb_common::abi::DropReason;

use super::super::{Required, Row, number};
use crate::{
    capture::Capture,
    clock,
    config::{Mode, Protocol},
    inject::{self, Injector},
    servers::HTTP_PORT,
    site::{Site, WEB_PORT, target},
    topology::{Family, Plan, addresses},
};

/// Looks at the program's mode, the drop reasons, and frames that must not be forwarded.
pub(super) fn measure() -> Result<Vec<Row>> {
    eprintln!("measuring: foreign frames");
    let site = Site::standard(Plan::default(), Mode::Nat)?;
    let native = site.topology.balancer.sh("bpftool net show")?.matches("driver").count();
    let interfaces = site.topology.interfaces().len();
    let drops = site.daemon.lbctl_text("-o json drops")?;
    let unlisted =
        DropReason::ALL.iter().filter(|reason| !drops.contains(&format!("\"{}\"", reason.as_str())));
    let frames = frames_to_ignore(&site)?;
    let forwarded = inject_and_count(&site, &frames)?;
    Ok(vec![
        Row::new(
            "interfaces with native XDP (bpftool)",
            number(native as u64),
            "interfaces",
            Required::Exactly(number(interfaces as u64)),
        ),
        Row::none(
            "drop reasons that `lbctl drops -o json` does not list",
            unlisted.count() as u64,
            "reasons",
        ),
        Row::none(
            format!("of {} misdirected, truncated and foreign frames forwarded", frames.len()),
            forwarded,
            "frames",
        ),
    ])
}

/// The source port that marks injected frames.
const MARK: u16 = 4242;
/// The source port of the one good frame that comes last: it must be forwarded.
const CONTROL: u16 = 4243;

/// Frames that must not be forwarded.
fn frames_to_ignore(site: &Site) -> Result<Vec<Vec<u8>>> {
    let balancer = inject::mac(&site.topology.balancer, "eth0")?;
    let own = inject::mac(&site.topology.client, "eth0")?;
    let server = inject::mac(&site.topology.servers[0].netns, "eth0")?;
    let vip = vip()?;
    let backend = site.topology.servers[0].v4;
    let frame = |to: [u8; 6], destination, port| syn(own, to, destination, MARK, port);
    let good = frame(balancer, vip, WEB_PORT)?;
    let mut frames = vec![
        // For the VIP, but for another host's MAC address.
        frame(server, vip, WEB_PORT)?,
        frame([2, 0, 0, 0, 0, 9], vip, WEB_PORT)?,
        frame([0xff; 6], vip, WEB_PORT)?,
        // For a port of the VIP without a service; for a host behind the balancer; for nobody.
        frame(balancer, vip, 81)?,
        frame(balancer, backend, HTTP_PORT)?,
        frame(balancer, Ipv4Addr::new(192, 0, 2, 1), WEB_PORT)?,
    ];
    // Cut off anywhere in the headers: the total length then promises more than there is.
    frames.extend((14..good.len()).map(|length| good[..length].to_vec()));
    // Not IP, or not as it says.
    let mut changed = |offset: usize, bytes: &[u8]| {
        let mut frame = good.clone();
        frame[offset..offset + bytes.len()].copy_from_slice(bytes);
        frames.push(frame);
    };
    changed(12, &[0x88, 0xb5]);
    changed(12, &[0x86, 0xdd]);
    changed(14, &[0x55]);
    changed(14, &[0x44]);
    changed(14, &[0x4f]);
    changed(16, &[0xff, 0xff]);
    changed(16, &[0, 20]);
    changed(46, &[0x10]);
    Ok(frames)
}

/// The VIP of IPv4.
fn vip() -> Result<Ipv4Addr> {
    match target(Family::V4, WEB_PORT).ip() {
        IpAddr::V4(vip) => Ok(vip),
        IpAddr::V6(vip) => bail!("{vip} is not of IPv4"),
    }
}

/// A SYN from the client.
fn syn(from: [u8; 6], to: [u8; 6], destination: Ipv4Addr, sport: u16, dport: u16) -> Result<Vec<u8>> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(from, to)
        .ipv4(addresses::CLIENT_V4.octets(), destination.octets(), 64)
        .tcp(sport, dport, 1, 1000)
        .syn()
        .write(&mut frame, &[])?;
    Ok(frame)
}

/// Sends frames, and counts those that reach the switch behind the balancer.
fn inject_and_count(site: &Site, frames: &[Vec<u8>]) -> Result<u64> {
    // So that no frame is dropped only because a neighbour is not known yet.
    let report = site.requests(Family::V4, Protocol::Tcp, 100);
    ensure!(report.failed() == 0, "good requests failed: {:?}", report.failures);
    let injector = Injector::open(&site.topology.client, "eth0")?;
    let control =
        syn(injector.mac(), inject::mac(&site.topology.balancer, "eth0")?, vip()?, CONTROL, WEB_PORT)?;
    let capture = Capture::start(&site.topology.links())?;
    frames.iter().try_for_each(|frame| injector.send(frame))?;
    injector.send(&control)?;
    let control = format!("tcp.srcport == {CONTROL}");
    clock::wait_until("the good frame to be forwarded", Duration::from_secs(10), || {
        capture.count("balancer-switch", &control).is_ok_and(|count| count > 0)
    })?;
    let recording = capture.stop()?;
    // What is malformed has no ports that tshark would show, so everything that leaves the balancer counts, but the good frame
    // and its connection, and how the balancer itself finds its neighbours.
    let balancer = inject::mac(&site.topology.balancer, "eth1")?.map(|byte| format!("{byte:02x}")).join(":");
    let filter = format!("eth.src == {balancer} && !arp && !icmpv6 && !({control})");
    let forwarded = recording.find_on("balancer-switch", &filter)?;
    for line in forwarded.iter().take(5) {
        eprintln!("forwarded: {line}");
    }
    let sent = recording.find_on("client", &format!("tcp.srcport == {MARK}"))?;
    ensure!(!sent.is_empty(), "the frames were not sent");
    Ok(forwarded.len() as u64)
}
