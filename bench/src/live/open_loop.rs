//! Latency at a fixed rate, by an open loop.
//!
//! A closed loop (as of wrk) sends the next request when it has the answer to the last: while the server stalls it asks nothing,
//! and what users would have waited for never shows ("coordinated omission"). Here requests are due at fixed times, whatever became
//! of those before, and latency counts from the time at which a request was due.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lb_tests::clock;
use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use tokio::{
    io::unix::AsyncFd,
    net::TcpStream,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinSet,
};

use super::client::{Client, exchange};

/// Latencies of requests, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    nanos: Vec<u64>,
}

impl Latencies {
    /// Adds others.
    pub fn merge(&mut self, mut others: Self) {
        self.nanos.append(&mut others.nanos);
    }

    /// Number of requests.
    #[must_use]
    pub fn count(&self) -> usize {
        self.nanos.len()
    }

    /// The latency in microseconds that a share of the requests (0 to 1) does not exceed.
    #[must_use]
    #[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "counts are far below 2^52")]
    pub fn percentile(&mut self, share: f64) -> f64 {
        self.nanos.sort_unstable();
        let rank = (share * self.nanos.len() as f64).ceil() as usize;
        self.nanos.get(rank.max(1) - 1).map_or(f64::NAN, |nanos| *nanos as f64 / 1e3)
    }
}

/// Sends requests at a fixed rate in a second over the kept connections of a client, in turn.
///
/// # Errors
///
/// If a connection breaks.
pub fn ask(client: &mut Client, rate: u32, time: Duration) -> Result<Latencies> {
    ensure!(rate > 0, "a rate of 0");
    let (runtime, kept) = client.parts();
    let streams = std::mem::take(kept);
    let (latencies, streams) = runtime.block_on(ask_all(streams, rate, time))?;
    *kept = streams;
    Ok(latencies)
}

async fn ask_all(
    streams: Vec<TcpStream>,
    rate: u32,
    time: Duration,
) -> io::Result<(Latencies, Vec<TcpStream>)> {
    let (mut queues, mut tasks) = (Vec::new(), JoinSet::new());
    for stream in streams {
        let (queue, due) = unbounded_channel();
        queues.push(queue);
        tasks.spawn(work(stream, due));
    }
    let period = Duration::from_secs(1) / rate;
    let timer = Timer::start(period)?;
    let start = clock::now();
    let mut next = start;
    let mut turn = queues.iter().cycle();
    while next < start + time {
        timer.tick().await?;
        while next <= clock::now() {
            // A task that has ended says why when it is joined.
            let _ = turn.next().map(|queue| queue.send(next));
            next += period;
        }
    }
    drop(queues);
    let (mut latencies, mut kept) = (Latencies::default(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (stream, some) = done.map_err(io::Error::other)??;
        latencies.merge(some);
        kept.push(stream);
    }
    Ok((latencies, kept))
}

/// Makes the requests of a connection, one after the other, each no sooner than it is due.
async fn work(
    mut stream: TcpStream,
    mut due: UnboundedReceiver<Instant>,
) -> io::Result<(TcpStream, Latencies)> {
    let mut latencies = Latencies::default();
    while let Some(due) = due.recv().await {
        exchange(&mut stream).await?;
        latencies.nanos.push(due.elapsed().as_nanos().try_into().unwrap_or(u64::MAX));
    }
    Ok((stream, latencies))
}

/// A timer of the kernel's: tokio's own are a millisecond coarse.
struct Timer(AsyncFd<Fd>);

struct Fd(TimerFd);

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Timer {
    fn start(period: Duration) -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        timer.set(Expiration::Interval(TimeSpec::from_duration(period)), TimerSetTimeFlags::empty())?;
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe; the descriptor is owned, and never changes"
        )]
        let timer = AsyncFd::new(Fd(timer))?;
        Ok(Self(timer))
    }

    /// Waits until it has expired, once or more often.
    async fn tick(&self) -> io::Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            let read =
                ready.try_io(|fd| nix::unistd::read(&fd.get_ref().0, &mut [0; 8]).map_err(io::Error::from));
            if let Ok(read) = read {
                return read.map(drop);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, io::Write, net::TcpListener, thread};

    use super::*;
    use crate::live::server::REQUEST;

    /// How long the server below stalls, once.
    const STALL: Duration = Duration::from_millis(200);

    /// A server for one connection that stalls in the middle.
    fn stalling_server() -> (std::net::SocketAddr, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serve = move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; REQUEST];
            for number in 0.. {
                if stream.read_exact(&mut request).is_err() {
                    break;
                }
                if number == 100 {
                    thread::sleep(STALL);
                }
                stream.write_all(&request).unwrap();
            }
        };
        (address, thread::spawn(serve))
    }

    #[test]
    fn a_stall_delays_all_requests_that_were_due_meanwhile() {
        let (address, server) = stalling_server();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut latencies = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            ask_all(vec![stream], 1000, Duration::from_millis(600)).await.unwrap().0
        });
        server.join().unwrap();
        assert_eq!(latencies.count(), 600, "the rate is kept, whatever the server does");
        // A third of the requests was due during the stall; a closed loop would have seen one slow request of some hundreds.
        let stall = STALL.as_secs_f64() * 1e6;
        assert!(latencies.percentile(0.85) > stall / 4.0, "{}", latencies.percentile(0.85));
        assert!(latencies.percentile(1.0) > stall * 0.9, "{}", latencies.percentile(1.0));
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let mut latencies = Latencies { nanos: (1..=1000).rev().map(|micros| micros * 1000).collect() };
        assert!((latencies.percentile(0.5) - 500.0).abs() < f64::EPSILON);
        assert!((latencies.percentile(0.999) - 999.0).abs() < f64::EPSILON);
    }
}
