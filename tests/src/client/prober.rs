//! A prober that asks every millisecond and never waits for an answer before it asks again.
//!
//! It asks over UDP: nothing is repeated, so that each datagram that is lost on the way shows. TCP would hide a gap behind its repetitions.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use lb_userspace::sys::process::prefer_this_thread;

use super::background::{Background, Enough};
use crate::{clock, netns::Netns};

/// Time between two questions.
pub const PROBE_PERIOD: Duration = Duration::from_millis(1);
/// A question without an answer for so long is lost.
const LIMIT: Duration = Duration::from_millis(500);

/// Which flows the questions belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flows {
    /// All to the same: what happens to established ones.
    One,
    /// Each to one of its own: what happens to new ones.
    New,
}

/// What the prober saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Questions.
    pub asked: u64,
    /// Those without an answer.
    pub lost: u64,
    /// The longest time from one answered question to the next: when they were asked, so that a late answer is no gap.
    pub gap: Duration,
    /// The longest such time in which a question was lost.
    pub outage: Duration,
    /// How much shorter that may have been: how late the questions were that it begins and ends with.
    pub blur: Duration,
    /// The longest time from one question to the next: while the prober did not ask, it saw nothing.
    pub stall: Duration,
}

impl Seen {
    /// What two probers saw at the same time, all in all.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let (longer, shorter) = if self.outage >= other.outage { (self, other) } else { (other, self) };
        Self {
            asked: self.asked + other.asked,
            lost: self.lost + other.lost,
            gap: self.gap.max(other.gap),
            outage: longer.outage,
            blur: longer.blur,
            stall: longer.stall.max(shorter.stall),
        }
    }
}

/// A prober under way. It stops on drop.
#[derive(Debug)]
pub struct Prober {
    counts: Arc<Counts>,
    thread: Background<Result<Seen>>,
}

#[derive(Debug, Default)]
struct Counts {
    asked: AtomicU64,
    lost: AtomicU64,
}

impl Prober {
    /// Asks a UDP echo server from a namespace, before all threads without real-time priority where that is allowed.
    #[must_use]
    pub fn start(netns: &Netns, target: SocketAddr, flows: Flows) -> Self {
        let (enough, counts) = (Enough::default(), Arc::new(Counts::default()));
        let thread = Background::start(netns, enough.clone(), {
            let counts = Arc::clone(&counts);
            move || {
                // Without it the prober is late more often, which it notices.
                let _ = prefer_this_thread();
                probe(target, flows, &enough, &counts)
            }
        });
        Self { counts, thread }
    }

    /// Waits until so many more questions have been asked.
    ///
    /// # Errors
    ///
    /// If that takes longer than 20 seconds.
    pub fn wait_more(&self, count: u64) -> Result<()> {
        let enough = self.asked() + count;
        clock::wait_until("questions of the prober", Duration::from_secs(20), || self.asked() >= enough)
    }

    /// Questions so far.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.counts.asked.load(Ordering::Relaxed)
    }

    /// Questions so far that were lost: no answer came within half a second.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// Waits for the last answers and gives what was seen.
    ///
    /// # Errors
    ///
    /// If it had no socket.
    pub fn stop(mut self) -> Result<Seen> {
        self.thread.stop().context("the prober has been stopped")?
    }
}

/// A question that waits for its answer.
struct Question {
    socket: Arc<UdpSocket>,
    asked: Instant,
    number: u64,
    answered: bool,
}

/// Sums up questions in the order in which they were asked.
#[derive(Debug, Default)]
struct Tally {
    seen: Seen,
    last_asked: Option<Instant>,
    last_answered: Option<Instant>,
    /// Since the last answered one: the first and the last that were lost.
    lost: Option<(Instant, Instant)>,
}

impl Tally {
    fn add(&mut self, asked: Instant, answered: bool) {
        let since =
            |earlier: Option<Instant>| earlier.map_or(Duration::ZERO, |last| asked.duration_since(last));
        self.seen.stall = self.seen.stall.max(since(self.last_asked));
        self.last_asked = Some(asked);
        self.seen.asked += 1;
        if !answered {
            self.seen.lost += 1;
            self.lost = Some((self.lost.map_or(asked, |(first, _)| first), asked));
            return;
        }
        let gap = since(self.last_answered);
        self.seen.gap = self.seen.gap.max(gap);
        if let (Some(before), Some((first, last))) = (self.last_answered, self.lost.take())
            && gap > self.seen.outage
        {
            self.seen.outage = gap;
            self.seen.blur = first.duration_since(before) + asked.duration_since(last);
        }
        self.last_answered = Some(asked);
    }

    /// What was lost last never came back: an outage up to the last question.
    fn end(mut self) -> Seen {
        if let (Some(before), Some((_, last))) = (self.last_answered, self.lost) {
            self.seen.outage = self.seen.outage.max(last.duration_since(before));
            self.seen.gap = self.seen.gap.max(self.seen.outage);
        }
        self.seen
    }
}

fn probe(target: SocketAddr, flows: Flows, enough: &Enough, counts: &Counts) -> Result<Seen> {
    let one = Arc::new(open(target)?);
    let mut waiting: VecDeque<Question> = VecDeque::new();
    let mut tally = Tally::default();
    let mut number = 0;
    let mut next = clock::now();
    loop {
        let stopped = enough.is_said();
        if !stopped {
            let socket = if flows == Flows::One { Arc::clone(&one) } else { Arc::new(open(target)?) };
            // What cannot be sent is not answered.
            let _ = socket.send(&u64::to_be_bytes(number));
            waiting.push_back(Question { socket, asked: clock::now(), number, answered: false });
            number += 1;
            counts.asked.store(number, Ordering::Relaxed);
        }
        next += PROBE_PERIOD;
        thread::sleep(next.saturating_duration_since(clock::now()));
        receive(&mut waiting, flows);
        while let Some(front) = waiting.front()
            && (front.answered || front.asked.elapsed() > LIMIT)
        {
            tally.add(front.asked, front.answered);
            waiting.pop_front();
        }
        counts.lost.store(tally.seen.lost, Ordering::Relaxed);
        if stopped && waiting.is_empty() {
            return Ok(tally.end());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of questions asked at these milliseconds, lost where negative.
    fn seen(questions: &[i64]) -> Seen {
        let (start, mut tally) = (clock::now(), Tally::default());
        for at in questions {
            tally.add(start + Duration::from_millis(at.unsigned_abs()), *at >= 0);
        }
        tally.end()
    }

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn an_outage_lasts_from_answer_to_answer_and_is_blurred_by_its_ends() {
        let seen = seen(&[0, 1, -2, -3, -9, 10, 11]);
        assert_eq!((seen.asked, seen.lost, seen.gap, seen.outage), (7, 3, ms(9), ms(9)));
        assert_eq!((seen.blur, seen.stall), (ms(2), ms(6)));
        assert_eq!(Tally::default().end().outage, ms(0));
    }

    #[test]
    fn a_late_question_is_a_stall_and_no_outage() {
        let seen = seen(&[0, 1, 30, -31, 60]);
        assert_eq!((seen.gap, seen.outage, seen.stall), (ms(30), ms(30), ms(29)));
        assert_eq!(seen.blur, ms(30), "it may have been a moment only");
        assert_eq!(self::seen(&[0, 1, 30]).outage, ms(0));
    }

    #[test]
    fn what_never_comes_back_is_an_outage() {
        assert_eq!(seen(&[0, -1, -2, -50]).outage, ms(50));
    }
}
