//! Two machines: properties of one packet, and a whole network of them.

mod convergence;
mod packets;
mod rotation;
mod simulator;

use std::{net::Ipv4Addr, time::Duration};

use super::{Flow, Keys, Link, Phase, Seeds};

/// Both machines' key.
fn keys() -> Keys {
    Keys::parse(&"5a".repeat(32)).unwrap()
}

/// A machine; its flow tables are as the session is.
fn link(session: u8, now: Duration) -> Link {
    let seeds = Seeds { session: [session; 16], challenges: [session; 32] };
    Link::new(now, keys(), &seeds, session.into(), Duration::from_secs(5)).unwrap()
}

/// Flow number `number`.
fn flow(number: u32) -> Flow {
    let [_, a, b, c] = number.to_be_bytes();
    let client = (Ipv4Addr::new(198, a, b, c).into(), 40_000);
    Flow {
        protocol: 6,
        client,
        vip: (Ipv4Addr::new(203, 0, 113, 10).into(), 80),
        source: client,
        backend: (Ipv4Addr::new(10, 0, 0, 1).into(), 8080),
        phase: Phase::ESTABLISHED,
        is_port_allocated: false,
        began_with_cookie: false,
        last_seen: 1000,
    }
}
