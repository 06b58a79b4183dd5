//! The load of a soak, and which failures are those of a backend that died.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    super::super::{Required, Row, number},
    SNAT_PORT,
};
use crate::{
    client::{
        self, Conversation, Datagrams, Failure, Http, Load, Logged, Long, LongConnections, Request, Running,
        Stream, WRONG_BYTES,
    },
    netns::Netns,
    servers::ECHO_PORT,
    site::{WEB_PORT, target},
    topology::{Family, addresses},
};

/// Connections that last as long as the soak, with a message each 100 ms.
const LASTING: usize = 60;

/// From the death of a backend until every service knows it.
#[derive(Clone, Debug)]
pub(super) struct Death {
    pub(super) victim: String,
    pub(super) begun: Instant,
    pub(super) known: Instant,
}

impl Death {
    /// Whether the failure is of the victim: of a connection that it had, or of one that nobody answered while it was not known.
    fn explains(&self, failure: &Failure) -> bool {
        let meanwhile = failure.begun <= self.known && failure.ended >= self.begun;
        let named = failure.reason.split_once(": ").map(|(name, _)| name);
        let of_another = named.is_some_and(|name| name.starts_with("server-") && name != self.victim);
        meanwhile && !of_another && !failure.reason.contains(WRONG_BYTES)
    }
}

/// All the load.
pub(super) struct Loads {
    running: Vec<(&'static str, Running)>,
    lasting: LongConnections,
    failures: Arc<Mutex<Vec<Failure>>>,
    deaths: Mutex<Vec<Death>>,
}

impl Loads {
    pub(super) fn start(client: &Netns) -> Result<Self> {
        let (v4, v6) = (Family::V4, Family::V6);
        let lasting = Long {
            target: target(v4, ECHO_PORT),
            sources: addresses::clients(v4),
            count: LASTING,
            pause: Duration::from_millis(100),
        };
        let mut loads = Self {
            running: Vec::new(),
            lasting: LongConnections::open(client, &lasting)?,
            failures: Arc::default(),
            deaths: Mutex::default(),
        };
        let talk = |target: SocketAddr, messages, millis| Conversation {
            target,
            messages,
            pause: Duration::from_millis(millis),
        };
        let (nat, snat) = (target(v4, ECHO_PORT), target(v4, SNAT_PORT));
        loads.add(client, "HTTP requests, nat", Http { target: target(v4, WEB_PORT) }, v4, (4, 40));
        loads.add(client, "streams, nat", Stream { target: nat }, v4, (4, 60));
        loads.add(client, "streams, full-nat", Stream { target: snat }, v4, (4, 60));
        loads.add(client, "streams, full-nat, IPv6", Stream { target: target(v6, ECHO_PORT) }, v6, (4, 60));
        loads.add(client, "conversations of 20 s, nat", talk(nat, 100, 200), v4, (16, 100));
        loads.add(client, "conversations of 20 s, full-nat", talk(snat, 100, 200), v4, (16, 100));
        loads.add(client, "datagrams, nat", Datagrams(talk(nat, 1, 0)), v4, (4, 40));
        loads.add(client, "datagrams, full-nat", Datagrams(talk(snat, 1, 0)), v4, (4, 40));
        loads.add(client, "UDP flows of 4 s, nat", Datagrams(talk(nat, 40, 100)), v4, (16, 100));
        loads.add(client, "UDP flows of 4 s, full-nat", Datagrams(talk(snat, 40, 100)), v4, (16, 100));
        Ok(loads)
    }

    /// So many at a time, with a pause of so many milliseconds after each.
    fn add(
        &mut self,
        client: &Netns,
        name: &'static str,
        request: impl Request,
        family: Family,
        rate: (u32, u64),
    ) {
        let request = Logged { request, failures: Arc::clone(&self.failures) };
        let (concurrency, pause) = (rate.0, Duration::from_millis(rate.1));
        let load = Load { concurrency, pause, sources: addresses::clients(family) };
        self.running.push((name, client::start(client, &request, &load)));
    }

    /// A backend died meanwhile.
    pub(super) fn died(&self, death: Death) {
        self.deaths.lock().unwrap_or_else(PoisonError::into_inner).push(death);
    }

    /// Ends it; what came of it.
    pub(super) fn end(self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (name, running) in self.running {
            let report = running.stop();
            let what = format!("soak, {name}: made");
            rows.push(Row::new(what, number(report.total()), "exchanges", Required::AtLeast(10.0)));
        }
        let deaths = self.deaths.into_inner().unwrap_or_else(PoisonError::into_inner);
        let lasting = self.lasting.close();
        let victims: Vec<String> = deaths.iter().map(|death| format!("{}: ", death.victim)).collect();
        let of_others = |reason: &&String| !victims.iter().any(|victim| reason.starts_with(victim));
        let broken: Vec<&String> = lasting.broken.iter().filter(of_others).collect();
        broken.iter().for_each(|reason| eprintln!("soak: a lasting connection: {reason}"));
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = failures.iter().filter(|failure| failure.reason.contains(WRONG_BYTES)).count();
        let (explained, others): (Vec<&Failure>, Vec<&Failure>) =
            failures.iter().partition(|failure| deaths.iter().any(|death| death.explains(failure)));
        tell(&others);
        let kept = LASTING - (lasting.broken.len() - broken.len());
        rows.extend([
            Row::none("soak: wrong bytes", wrong as u64, "exchanges"),
            Row::none("soak: failed though no backend of theirs had died", others.len() as u64, "exchanges"),
            Row::new(
                "soak: failed because their backend died",
                number(explained.len() as u64),
                "exchanges",
                Required::Nothing,
            ),
            Row::none(
                format!("soak: broken of {kept} lasting connections whose backends live"),
                broken.len() as u64,
                "connections",
            ),
        ]);
        Ok(rows)
    }
}

fn tell(failures: &[&Failure]) {
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for failure in failures {
        *reasons.entry(&failure.reason).or_default() += 1;
    }
    for (reason, count) in reasons {
        eprintln!("soak: {count} x {reason}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_death_explains_what_its_victim_had_and_what_nobody_answered_and_nothing_else() {
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let death = Death { victim: "server-3".to_owned(), begun: at(10), known: at(12) };
        let explains = |from, to, reason: &str| {
            death.explains(&Failure { begun: at(from), ended: at(to), reason: reason.to_owned() })
        };
        assert!(explains(1, 11, "server-3: reset") && explains(11, 20, "connect: refused"));
        assert!(!explains(1, 11, "server-4: reset"), "another one's");
        assert!(!explains(1, 9, "server-3: reset"), "before");
        assert!(!explains(13, 20, "connect: refused"), "it was known");
        assert!(!explains(11, 12, "server-3: wrong bytes in a stream"), "death is no reason for that");
    }
}
