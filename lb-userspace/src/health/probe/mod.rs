//! One probe: what a check does to a backend, once.
//!
//! Every probe ends within its time limit, keeps at most some hundred KiB whatever a backend sends, and says in a line why a
//! backend is not healthy. It leaves from the network namespace of this process to the backend's address and port.

mod bounded;
mod connect;
mod deadline;
mod dns;
mod exchange;
mod grpc;
mod http;
mod icmp;
mod script;
#[cfg(test)]
mod tests;
mod tls;
mod udp;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;

pub use connect::close;
use deadline::Deadline;
pub use script::Program;

use super::{Outcome, Prepared};
use crate::model::ProbeKind;

/// Most bytes of a body, a DNS answer or a script's output that are looked at.
pub const MAX_BODY: usize = 64 << 10;
/// Most bytes of a head (status line, header fields) that are taken.
const MAX_HEAD: usize = 64 << 10;
/// Scripts that run at once; others wait.
pub const MAX_SCRIPTS: usize = 32;

/// What is probed.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Name of the service.
    pub service: String,
    /// Name of the backend.
    pub backend: String,
    /// The backend's address and the port that is checked; port 0: none.
    pub address: SocketAddr,
}

/// What probes share. A clone shares it too.
#[derive(Clone, Debug)]
pub struct Prober {
    scripts: Arc<Semaphore>,
    key: RandomState,
}

impl Default for Prober {
    fn default() -> Self {
        Self { scripts: Arc::new(Semaphore::new(MAX_SCRIPTS)), key: RandomState::new() }
    }
}

/// How a probe went well or badly; an error ends it.
type Step<T> = Result<T, Outcome>;

/// Where packets go, and from where.
#[derive(Clone, Copy, Debug)]
struct Way {
    to: SocketAddr,
    source: Option<IpAddr>,
}

impl Prober {
    /// Probes once; `number` tells this probe from others of this [`Prober`]. The stream, if there is one, is for [`close()`].
    ///
    /// Ends within `limit`; a script may wait for as long before it is started, if [`MAX_SCRIPTS`] run.
    pub async fn probe(
        &self,
        prepared: &Prepared,
        subject: &Subject,
        limit: Duration,
        number: u64,
    ) -> (Outcome, Option<TcpStream>) {
        let way = Way { to: subject.address, source: prepared.probe.source };
        let mut deadline = Deadline::after(limit);
        let done = match (&prepared.probe.kind, &prepared.tls) {
            (ProbeKind::Tcp, _) => match connect::connect(way, &mut deadline).await {
                Ok(stream) => return (Outcome::Healthy, Some(stream)),
                Err(outcome) => Err(outcome),
            },
            (ProbeKind::Http(probe) | ProbeKind::Https(probe, _), tls) => {
                http::probe(probe, tls.as_ref(), way, &mut deadline).await
            }
            (ProbeKind::Grpc(probe, _), tls) => grpc::probe(probe, tls.as_ref(), way, &mut deadline).await,
            (ProbeKind::Dns(probe), _) => dns::probe(probe, self.nonce(number), way, &mut deadline).await,
            (ProbeKind::Udp(probe), _) => udp::probe(probe, way, &mut deadline).await,
            (ProbeKind::Icmp, _) => icmp::probe(self.nonce(number), way, &mut deadline).await,
            (ProbeKind::Script(probe), _) => {
                script::probe(probe, prepared.user, subject, &self.scripts, limit).await
            }
        };
        (done.err().unwrap_or(Outcome::Healthy), None)
    }

    /// A number that cannot be guessed from outside.
    fn nonce(&self, number: u64) -> u64 {
        self.key.hash_one(number)
    }
}

/// What a backend sent, as part of a reason: cut short, on one line.
fn excerpt(bytes: &[u8]) -> String {
    const CHARACTERS: usize = 160;
    let line = String::from_utf8_lossy(bytes);
    let mut characters = line.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut text: String = characters.by_ref().take(CHARACTERS).collect();
    if characters.next().is_some() {
        text.push_str("...");
    }
    text
}
