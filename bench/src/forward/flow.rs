//! A flow that is established by real sockets, and the frames that continue it.

use std::{
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Context, Result};
use lb_common::host::FrameSpec;
use lb_tests::{
    config::Protocol,
    inject,
    topology::{Family, Topology, addresses},
};

use crate::live::way::{Ground, PORT, Way};

/// A flow, and its addresses as each end sees them.
#[derive(Debug)]
pub(super) struct Flow {
    protocol: Protocol,
    client: SocketAddr,
    target: SocketAddr,
    server: SocketAddr,
    /// The client, as the server sees it.
    peer: SocketAddr,
    _sockets: Sockets,
}

/// Open, so that neither end resets the flow.
#[derive(Debug)]
#[expect(dead_code, reason = "held until the flow is dropped")]
enum Sockets {
    Tcp(TcpStream, TcpStream),
    Udp(UdpSocket, UdpSocket),
    /// Nobody looks at the frames.
    None,
}

/// Which way frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the client to the servers.
    Forward,
    /// Back.
    Reverse,
}

impl Direction {
    pub(super) const BOTH: [Self; 2] = [Self::Forward, Self::Reverse];

    pub(super) fn opposite(self) -> Self {
        match self {
            Self::Forward => Self::Reverse,
            Self::Reverse => Self::Forward,
        }
    }
}

/// Frames of the bench carry this: IPv4's identification, or IPv6's traffic class behind the version.
pub(super) const MARKS: [(i16, u16); 2] = [(18, 0x1234), (14, 0x6040)];

/// What a socket waits for at most.
const LIMIT: Duration = Duration::from_secs(5);
/// Frames without their checksum are no shorter.
const SHORTEST: usize = 60;

impl Flow {
    /// Establishes one through a ground with one server.
    pub(super) fn establish(ground: &Ground, family: Family, protocol: Protocol) -> Result<Self> {
        let target = ground.target(family, 0);
        let server = SocketAddr::new(ground.topology.servers[0].address(family), PORT);
        if ground.way == Way::Bare {
            let client = SocketAddr::new(addresses::clients(family)[0], 40_000);
            return Ok(Self { protocol, client, target, server, peer: client, _sockets: Sockets::None });
        }
        let establish = match protocol {
            Protocol::Tcp => tcp,
            Protocol::Udp => udp,
        };
        let (client, peer, sockets) = establish(&ground.topology, target, server)
            .with_context(|| format!("no flow through {}", ground.way.name()))?;
        Ok(Self { protocol, client, target, server, peer, _sockets: sockets })
    }

    /// A frame of the flow in a direction, and how much of it is header.
    pub(super) fn frame(&self, topology: &Topology, direction: Direction) -> Result<(Vec<u8>, usize)> {
        let (from, to, dmac, smac) = match direction {
            Direction::Forward => (
                self.client,
                self.target,
                inject::mac(&topology.balancer, "eth0")?,
                inject::mac(&topology.client, "eth0")?,
            ),
            Direction::Reverse => (
                self.server,
                self.peer,
                inject::mac(&topology.balancer, "eth1")?,
                inject::mac(&topology.servers[0].netns, "eth0")?,
            ),
        };
        let mut spec = match self.protocol {
            Protocol::Tcp => FrameSpec::tcp(from, to, ACK),
            Protocol::Udp => FrameSpec::udp(from, to),
        };
        (spec.dmac, spec.smac) = (dmac, smac);
        let header = spec.build().len();
        if self.protocol == Protocol::Udp {
            spec.payload = vec![0; SHORTEST.saturating_sub(header)];
        }
        let mut frame = spec.build();
        frame.resize(frame.len().max(SHORTEST), 0);
        if from.is_ipv6() {
            frame[14..16].copy_from_slice(&MARKS[1].1.to_be_bytes());
        }
        Ok((frame, header))
    }
}

const ACK: u8 = 0x10;

fn tcp(
    topology: &Topology,
    target: SocketAddr,
    server: SocketAddr,
) -> Result<(SocketAddr, SocketAddr, Sockets)> {
    let listener = topology.servers[0].netns.run(|| TcpListener::bind(server)).context("no listener")?;
    let client = topology.client.run(|| TcpStream::connect_timeout(&target, LIMIT)).context("connect")?;
    let (accepted, peer) = listener.accept()?;
    Ok((client.local_addr()?, peer, Sockets::Tcp(client, accepted)))
}

fn udp(
    topology: &Topology,
    target: SocketAddr,
    server: SocketAddr,
) -> Result<(SocketAddr, SocketAddr, Sockets)> {
    let answering = topology.servers[0].netns.run(|| UdpSocket::bind(server)).context("no server")?;
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let client = topology
        .client
        .run(|| UdpSocket::bind(any).and_then(|socket| socket.connect(target).map(|()| socket)))?;
    client.set_read_timeout(Some(LIMIT))?;
    answering.set_read_timeout(Some(LIMIT))?;
    client.send(b"?")?;
    let (_, peer) = answering.recv_from(&mut [0; 8]).context("nothing came to the server")?;
    answering.send_to(b"!", peer)?;
    client.recv(&mut [0; 8]).context("nothing came back")?;
    Ok((client.local_addr()?, peer, Sockets::Udp(client, answering)))
}
