//! A prober that asks every millisecond and never waits for an answer before it asks again.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use lb_tests::{clock, netns::Netns};

/// Time between two questions.
const PERIOD: Duration = Duration::from_millis(1);
/// A question without an answer for so long is lost.
const LIMIT: Duration = Duration::from_millis(500);

/// Which flows the questions belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flows {
    /// All to the same: what happens to established ones.
    One,
    /// Each to one of its own: what happens to new ones.
    New,
}

/// What the prober saw.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) asked: u64,
    pub(super) lost: u64,
    /// The longest time from one answered question to the next: when they were asked, so that a late answer is no gap.
    pub(super) gap: Duration,
}

/// A prober under way. It stops on drop.
#[derive(Debug)]
pub(super) struct Prober {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<Seen>>>,
}

impl Prober {
    /// Asks a UDP echo server from a namespace.
    pub(super) fn start(netns: &Netns, target: SocketAddr, flows: Flows) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = netns.spawn_thread({
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            move || probe(target, flows, &stop, &asked)
        });
        Self { stop, asked, thread: Some(thread) }
    }

    /// Waits until so many more questions have been asked.
    pub(super) fn wait_more(&self, count: u64) -> Result<()> {
        let enough = self.asked.load(Ordering::Relaxed) + count;
        clock::wait_until("questions of the prober", Duration::from_secs(20), || {
            self.asked.load(Ordering::Relaxed) >= enough
        })
    }

    /// Waits for the last answers and gives what was seen.
    pub(super) fn stop(mut self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the prober has been stopped")?;
        thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A question that waits for its answer.
struct Question {
    socket: Arc<UdpSocket>,
    asked: Instant,
    number: u64,
    answered: bool,
}

fn probe(target: SocketAddr, flows: Flows, stop: &AtomicBool, counter: &AtomicU64) -> Result<Seen> {
    let one = Arc::new(open(target)?);
    let mut waiting: VecDeque<Question> = VecDeque::new();
    let mut seen = Seen::default();
    let mut last_answered = None;
    let mut next = clock::now();
    loop {
        let stopped = stop.load(Ordering::Relaxed);
        if !stopped {
            let socket = if flows == Flows::One { Arc::clone(&one) } else { Arc::new(open(target)?) };
            // What cannot be sent is not answered.
            let _ = socket.send(&seen.asked.to_be_bytes());
            waiting.push_back(Question { socket, asked: clock::now(), number: seen.asked, answered: false });
            seen.asked += 1;
            counter.store(seen.asked, Ordering::Relaxed);
        }
        next += PERIOD;
        thread::sleep(next.saturating_duration_since(clock::now()));
        receive(&mut waiting, flows);
        while let Some(front) = waiting.front()
            && (front.answered || front.asked.elapsed() > LIMIT)
        {
            if front.answered {
                let gap = last_answered.replace(front.asked).map(|last| front.asked.duration_since(last));
                seen.gap = seen.gap.max(gap.unwrap_or_default());
            } else {
                seen.lost += 1;
            }
            waiting.pop_front();
        }
        if stopped && waiting.is_empty() {
            return Ok(seen);
        }
    }
}

/// Takes in the answers that are there.
fn receive(waiting: &mut VecDeque<Question>, flows: Flows) {
    match flows {
        Flows::New => {
            for question in waiting.iter_mut().filter(|question| !question.answered) {
                question.answered = answer(&question.socket).is_some();
            }
        }
        Flows::One => {
            let Some(socket) = waiting.front().map(|question| Arc::clone(&question.socket)) else { return };
            while let Some(number) = answer(&socket) {
                let question = waiting.iter_mut().find(|question| question.number == number);
                question.into_iter().for_each(|question| question.answered = true);
            }
        }
    }
}

/// The number of an answer, which the echo server puts behind its name.
fn answer(socket: &UdpSocket) -> Option<u64> {
    let mut buffer = [0; 128];
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let number = buffer[..length].last_chunk().map(|bytes| u64::from_be_bytes(*bytes));
                return number;
            }
            // An ICMP error about an earlier question.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(_) => return None,
        }
    }
}

fn open(target: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("the prober has no socket")?;
    socket.connect(target).context("the prober cannot reach the VIP")?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
