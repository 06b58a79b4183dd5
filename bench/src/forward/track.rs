//! A ground where frames are made at one end, counted and dropped at the other, and the machine in the middle has its own threads.

use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::{
    clock,
    napi::NapiThreads,
    netns::Netns,
    xdp::{FrameSource, Program},
};

use super::flow::{Direction, Flow, MARKS};
use crate::live::{cpu, way::Ground};

/// A ground with a thread for each interface on the way.
#[derive(Debug)]
pub(crate) struct Track {
    clients_side: NapiThreads,
    servers_side: NapiThreads,
    _ends: [NapiThreads; 2],
    pub(super) ground: Ground,
}

/// Frames of a flow, ready to be sent in a direction.
#[derive(Debug)]
pub(super) struct Lane {
    direction: Direction,
    source: FrameSource,
}

/// What a slice came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    /// Nanoseconds of the balancer's core for a frame.
    pub(super) nanos: f64,
    /// Share of the frames that the balancer received that came out at the other end.
    pub(super) arrived: f64,
}

/// The processor of the balancer and of the sinks. Sinks run first, so that their queues never overflow.
const BALANCER_CPU: usize = 1;
/// The processor that makes frames, more than the balancer can take: what is too much is lost in front of it and not counted.
const SOURCE_CPU: usize = 0;
/// Frames that are made between two looks at the clock.
const CHUNK: u32 = 1 << 19;

impl Track {
    pub(crate) fn new(mut ground: Ground) -> Result<Self> {
        ground.topology.receive_with(&Program::drop_marked(&MARKS))?;
        let topology = &ground.topology;
        let clients_side = NapiThreads::start(&topology.balancer, "eth0")?;
        let servers_side = NapiThreads::start(&topology.balancer, "eth1")?;
        let ends = [
            NapiThreads::start(&topology.switch, "balancer")?,
            NapiThreads::start(&topology.client, "eth0")?,
        ];
        clients_side.pin(BALANCER_CPU)?;
        servers_side.pin(BALANCER_CPU)?;
        ends.iter().try_for_each(|end| end.pin(SOURCE_CPU).and_then(|()| end.prefer(1)))?;
        Ok(Self { clients_side, servers_side, _ends: ends, ground })
    }

    /// Prepares frames of a flow in a direction.
    pub(super) fn lane(&self, flow: &Flow, direction: Direction) -> Result<Lane> {
        let (frame, header) = flow.frame(&self.ground.topology, direction)?;
        let (netns, interface) = self.outside(direction);
        let source = netns.run(|| FrameSource::new(interface, &frame, header))?;
        Ok(Lane { direction, source })
    }

    /// Sends frames for some time.
    pub(super) fn slice(&self, lane: &mut Lane, time: Duration) -> Result<Slice> {
        let direction = lane.direction;
        let (balancer, ingress, threads) = match direction {
            Direction::Forward => (&self.ground.topology.balancer, "eth0", &self.clients_side),
            Direction::Reverse => (&self.ground.topology.balancer, "eth1", &self.servers_side),
        };
        let (netns, _) = self.outside(direction);
        let (sink, sink_interface) = self.outside(direction.opposite());
        let received = || balancer.received(ingress);
        let arrived = || sink.received(sink_interface);
        let before = (threads.cpu_time()?, received()?, arrived()?);
        netns.run(|| send(&mut lane.source, time))?;
        let mut last = u64::MAX;
        clock::wait_until("the last frame", Duration::from_secs(2), || {
            arrived().is_ok_and(|now| std::mem::replace(&mut last, now) == now)
        })?;
        let (frames, out) = (received()? - before.1, arrived()? - before.2);
        let took = threads.cpu_time()? - before.0;
        ensure!(frames > 0, "no frame came to the balancer");
        Ok(Slice { nanos: nanos(took) / number(frames), arrived: number(out) / number(frames) })
    }

    /// Where frames of a direction are made.
    fn outside(&self, direction: Direction) -> (&Netns, &'static str) {
        match direction {
            Direction::Forward => (&self.ground.topology.client, "eth0"),
            Direction::Reverse => (&self.ground.topology.switch, "balancer"),
        }
    }
}

fn send(source: &mut FrameSource, time: Duration) -> Result<()> {
    cpu::pin(0, SOURCE_CPU)?;
    let start = clock::now();
    while start.elapsed() < time {
        source.send(CHUNK)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}
