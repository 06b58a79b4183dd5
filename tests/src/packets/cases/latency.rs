//! How long handshakes take: from the first SYN to the SYN-ACK, and from that to the client's ACK. In the kernel a case takes as long as it
//! says and some milliseconds more: its latencies are in the middle of their buckets.

use lb_common::{
    abi::{Latency, Mode, Settings, SettingsFlags},
    host::HostTables,
    wire::{ACK, RST, SYN, TCP},
};

use crate::packets::{
    Case, Fact, Step,
    scene::{BACKEND, SERVICE, Scene},
};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scene in Scene::of(TCP) {
        cases.extend(with("", &scene, false));
        if scene.mode == Mode::Nat {
            cases.extend(with("of an exclusive backend: ", &scene, true));
        }
    }
    cases
}

fn c(scene: &Scene, flags: u8) -> Step {
    scene.forwards(&scene.request(flags))
}

fn b(scene: &Scene, flags: u8) -> Step {
    scene.returns(&scene.answer(flags))
}

/// Time passes; too little for any time-out.
fn after(milliseconds: u64) -> Step {
    Step::Change(Box::new(move |tables: &HostTables| {
        tables.nanos.set(tables.nanos.get() + milliseconds * 1_000_000);
    }))
}

/// Numbers of the buckets that have something, in the order in which latencies are named.
fn measured(expected: &'static [(Latency, usize, u64)]) -> Step {
    Step::Fact(Fact::Latencies(BACKEND, expected))
}

/// Bucket of 4.3 to 8.6 seconds, and the last one.
const SECONDS: usize = 19;
const LONGER: usize = 20;

fn with(which: &str, scene: &Scene, exclusive: bool) -> Vec<Case> {
    use Latency::{Handshake, Rtt};
    let case = |what: &str| {
        let case = scene.case(&format!("latency {which}{what}"));
        let Settings { flags, .. } = case.tables.settings.get();
        let flags = flags | SettingsFlags::TIME_HANDSHAKES;
        case.tables.settings.set(Settings { flags, ..case.tables.settings.get() });
        case.tables.nanos.set(3_600_000_000_000);
        if exclusive {
            case.tables.make_exclusive(SERVICE, scene.vip(), TCP);
        }
        case
    };
    let whole = || vec![c(scene, SYN), after(6000), b(scene, SYN | ACK), after(12_000), c(scene, ACK)];
    vec![
        case("both halves of a handshake count once").then(whole()).then(vec![
            measured(&[(Handshake, SECONDS, 1), (Rtt, LONGER, 1)]),
            Step::Fact(Fact::Stamps(0)),
            after(6000),
            c(scene, ACK),
            b(scene, ACK),
            measured(&[(Handshake, SECONDS, 1), (Rtt, LONGER, 1)]),
        ]),
        case("what is repeated does not move the time of the first").then(vec![
            c(scene, SYN),
            after(6000),
            c(scene, SYN),
            after(6000),
            b(scene, SYN | ACK),
            after(3000),
            b(scene, SYN | ACK),
            after(3000),
            c(scene, ACK),
            measured(&[(Handshake, LONGER, 1), (Rtt, SECONDS, 1)]),
        ]),
        case("a refused connection has none").then(vec![
            c(scene, SYN),
            after(6000),
            b(scene, RST | ACK),
            measured(&[]),
            Step::Fact(Fact::Stamps(0)),
        ]),
        case("a stamp of another handshake is respected for 4.3 seconds")
            .then(vec![c(scene, SYN), Step::Change(Box::new(of_another)), after(2000), c(scene, SYN)])
            .then(vec![after(1000), b(scene, SYN | ACK), measured(&[]), after(6000), c(scene, ACK)])
            .then(vec![measured(&[]), Step::Fact(Fact::Stamps(1))]),
        case("a stamp that is older than that is taken over")
            .then(vec![c(scene, SYN), Step::Change(Box::new(of_another)), after(6000), c(scene, SYN)])
            .then(vec![after(6000), b(scene, SYN | ACK), measured(&[(Handshake, SECONDS, 1)])]),
        case("nothing is measured where nobody wants it")
            .change(|tables| tables.settings.set(Settings { flags: 0, ..tables.settings.get() }))
            .then(whole())
            .then(vec![measured(&[]), Step::Fact(Fact::Stamps(0))]),
    ]
}

/// The stamps that there are become those of other handshakes.
fn of_another(tables: &HostTables) {
    tables.handshakes.borrow_mut().values_mut().for_each(|stamp| stamp.tag ^= 1 << 20);
}
