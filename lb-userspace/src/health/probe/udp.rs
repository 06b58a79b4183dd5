//! A datagram, and perhaps an answer.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::UdpSocket;

use super::connect::{not_tried, unbound, unreached};
use super::{Deadline, Step, Way, excerpt};
use crate::health::Outcome;
use crate::model::{UdpExpect, UdpProbe};

/// Bytes of a datagram that are looked at.
const DATAGRAM: usize = 4096;

/// Sends, and waits for what is to come back. Where nothing need come back, it waits for an ICMP error.
pub(super) async fn probe(probe: &UdpProbe, way: Way, deadline: &mut Deadline) -> Step<()> {
    let socket = open(way).await?;
    socket.send(probe.send.as_bytes()).await.map_err(|error| unreached(&error))?;
    let mut datagram = vec![0; DATAGRAM];
    let Some(expected) = &probe.expect else {
        return match deadline.if_in_time(socket.recv(&mut datagram)).await {
            Some(received) => received.map(drop).map_err(|error| unreached(&error)),
            None => Ok(()),
        };
    };
    let received = deadline.within("waiting for the answer", socket.recv(&mut datagram)).await?;
    let length = received.map_err(|error| unreached(&error))?;
    if expected.is_met_by(&datagram[..length]) {
        return Ok(());
    }
    let answer = excerpt(&datagram[..length]);
    let wanted = match expected {
        UdpExpect::Prefix(prefix) => format!("one that begins with {:?}", excerpt(prefix.as_bytes())),
        UdpExpect::Matches(pattern) => format!("one that matches {:?}", excerpt(pattern.as_str().as_bytes())),
    };
    Err(Outcome::Failed(format!("answered {answer:?}, expected {wanted}").into()))
}

/// A socket that sends to the backend, and takes datagrams and ICMP errors from there only.
pub(super) async fn open(way: Way) -> Step<UdpSocket> {
    let any = if way.to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = SocketAddr::new(way.source.unwrap_or(any), 0);
    let socket = UdpSocket::bind(from).await.map_err(|error| match way.source {
        Some(_) => unbound(way, &error),
        None => not_tried(&error),
    })?;
    report_icmp_errors(&socket, way).map_err(|error| not_tried(&error))?;
    socket.connect(way.to).await.map_err(|error| unreached(&error))?;
    Ok(socket)
}

/// All ICMP errors become errors of the socket, and not only that a port is unreachable.
pub(super) fn report_icmp_errors(socket: &impl std::os::fd::AsFd, way: Way) -> io::Result<()> {
    let done = if way.to.is_ipv4() {
        setsockopt(socket, sockopt::Ipv4RecvErr, &true)
    } else {
        setsockopt(socket, sockopt::Ipv6RecvErr, &true)
    };
    done.map_err(Into::into)
}
