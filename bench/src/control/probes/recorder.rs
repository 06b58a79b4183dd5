//! Sees probes begin: SYNs on their way out, with the kernel's own time.

use std::{
    io::IoSliceMut,
    net::Ipv4Addr,
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use lb_tests::{inject, netns::Netns};
use nix::{
    cmsg_space,
    errno::Errno,
    sys::{
        socket::{ControlMessageOwned, MsgFlags, bind, recvmsg, setsockopt, sockopt},
        time::TimeSpec,
    },
};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::spread::Start;
use crate::live::cpu;

/// Bytes of frames that may wait to be looked at.
const WAITING: usize = 32 << 20;
/// `ETH_P_ALL` in network byte order.
const EVERY_PROTOCOL: i32 = 0x0300;
/// Passes the IPv4 and TCP headers of what is TCP and has SYN alone of all flags; the data begins with the IP header.
const ONLY_SYNS: [SockFilter; 7] = [
    SockFilter::new(0x30, 0, 0, 9),  // A = protocol
    SockFilter::new(0x15, 0, 4, 6),  // is it TCP?
    SockFilter::new(0xb1, 0, 0, 0),  // X = length of the IP header
    SockFilter::new(0x50, 0, 0, 13), // A = flags
    SockFilter::new(0x15, 0, 1, 2),  // is it SYN?
    SockFilter::new(0x06, 0, 0, 60),
    SockFilter::new(0x06, 0, 0, 0),
];

/// Records in a thread of its own.
#[derive(Debug)]
pub(super) struct Recorder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Start>>>,
}

impl Recorder {
    /// Records what leaves by an interface of a namespace, with a thread on this processor.
    pub(super) fn start(netns: &Netns, interface: &str, cpu: usize) -> Result<Self> {
        let socket = netns.run(|| open(interface))?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            cpu::pin(0, cpu)?;
            record(&socket, &told)
        });
        Ok(Self { stop, thread })
    }

    /// What was seen, in its order.
    pub(super) fn stop(self) -> Result<Vec<Start>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the recorder panicked"))?
    }
}

fn open(interface: &str) -> Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(EVERY_PROTOCOL)));
    let socket = socket.context("cannot open a packet socket")?;
    socket.attach_filter(&ONLY_SYNS).context("cannot filter")?;
    setsockopt(&socket, sockopt::RcvBufForce, &WAITING)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    bind(socket.as_raw_fd(), &inject::link_address(interface)?)
        .with_context(|| format!("cannot bind to {interface}"))?;
    Ok(socket)
}

fn record(socket: &Socket, stop: &AtomicBool) -> Result<Vec<Start>> {
    let mut starts = Vec::new();
    let mut header = [0; 60];
    let mut space = cmsg_space!(TimeSpec);
    while !stop.load(Ordering::Relaxed) {
        let mut parts = [IoSliceMut::new(&mut header)];
        let received = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty());
        let time = match received {
            Ok(message) => message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(time) => Some(time),
                _ => None,
            }),
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Err(error) => return Err(error).context("cannot read from the packet socket"),
        };
        let time = time.context("a frame without a time")?;
        let at = u64::try_from(time.tv_sec())? * 1_000_000_000 + u64::try_from(time.tv_nsec())?;
        let target = Ipv4Addr::new(header[16], header[17], header[18], header[19]);
        starts.push(Start { at, target });
    }
    starts.sort_by_key(|start| start.at);
    Ok(starts)
}
