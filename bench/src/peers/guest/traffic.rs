//! Questions and answers through the guest.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    clock,
    netns::Netns,
    topology::{Family, addresses},
};

/// Flows at once.
const FLOWS: usize = 64;
/// Questions of each flow before its answers are waited for. All of them fit into a card's ring of 256: what XDP sends is
/// dropped when the ring is full.
const QUESTIONS: usize = 3;
/// Bytes of a question, headers not counted.
const SIZE: usize = 18;
/// How long answers to a burst may take in an emulated guest.
const PATIENCE: Duration = Duration::from_millis(500);
/// Pause between two looks for answers.
const PAUSE: Duration = Duration::from_micros(50);

/// Flows from the client to a target.
#[derive(Debug)]
pub(super) struct Traffic {
    sockets: Vec<UdpSocket>,
}

impl Traffic {
    /// Opens the flows; nothing is sent.
    pub(super) fn open(client: &Netns, target: SocketAddr) -> Result<Self> {
        let sources = addresses::clients(Family::V4);
        let open = |index: usize| -> Result<UdpSocket> {
            let socket = UdpSocket::bind((sources[index % sources.len()], 0))?;
            socket.connect(target)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let sockets = client.run(|| (0..FLOWS).map(open).collect::<Result<_>>());
        Ok(Self { sockets: sockets.context("cannot open the flows")? })
    }

    /// Asks in bursts, until so many answers have come; gives their number.
    pub(super) fn exchange(&self, count: u64) -> Result<u64> {
        let (mut answered, mut lost) = (0, 0);
        while answered < count {
            for _ in 0..QUESTIONS {
                for socket in &self.sockets {
                    socket.send(&[0; SIZE]).context("cannot send a question")?;
                }
            }
            let missing = self.answers((FLOWS * QUESTIONS) as u64);
            answered += (FLOWS * QUESTIONS) as u64 - missing;
            lost += missing;
            // Lost questions and answers were worked for, too, but not counted.
            ensure!(lost <= 8 + count / 200, "{lost} answers are missing beside {answered}");
        }
        Ok(answered)
    }

    /// Waits for answers, and gives the number of those that did not come.
    fn answers(&self, expected: u64) -> u64 {
        let start = clock::now();
        let mut missing = expected;
        let mut buffer = [0; 256];
        while missing > 0 && start.elapsed() < PATIENCE {
            let before = missing;
            for socket in &self.sockets {
                loop {
                    match socket.recv(&mut buffer) {
                        Ok(_) => missing = missing.saturating_sub(1),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        // An ICMP message about an earlier question.
                        Err(_) => {}
                    }
                }
            }
            if missing == before {
                thread::sleep(PAUSE);
            }
        }
        missing
    }
}
