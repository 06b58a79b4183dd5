//! `kill -9` at a random moment while the maps are brought to another configuration.

use std::{collections::BTreeSet, fmt::Write as _, fs, net::Ipv4Addr, path::Path, thread, time::Duration};

use anyhow::{Context, Result};
use lb_common::{
    abi::{ABI_VERSION, Backend, BackendState, Service, ServiceKey},
    maps,
};
use lb_userspace::sys::bpf::Map;

use super::super::{Depth, Required, Row, number};
use super::Ground;
use crate::{clock, config::Mode, topology::Host};

/// Services that change, beside the one with traffic.
const SERVICES: u32 = 300;
/// The longest time between the request for a change and the end.
const LATEST: Duration = Duration::from_millis(50);
/// After which a start is too slow.
const RECOVERY: f64 = 2000.0;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let kills = depth.of(200);
    // The last server is in no configuration.
    let mut ground = Ground::start(4, 3, Mode::Nat, false)?;
    let (load, file) = (ground.load(), ground.daemon.config_file());
    let base = fs::read_to_string(&file)?;
    let stranger = received(&ground.topology.servers[3])?;
    let (mut different, mut slowest, mut random) = (0, 0.0_f64, 1_u64);
    for kill in 0..kills {
        let wanted = Wanted { odd: kill % 2 == 1 };
        fs::write(&file, format!("{base}\n{}", wanted.text()))?;
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pause = LATEST.mul_f64((random >> 33) as f64 / (1_u64 << 31) as f64);
        ground.daemon.reload_by_signal()?;
        thread::sleep(pause);
        ground.daemon.kill()?;
        let start = clock::now();
        ground.daemon.start_again()?;
        slowest = slowest.max(start.elapsed().as_secs_f64() * 1e3);
        different += u64::from(!wanted.is_in(&ground.daemon.pin_directory(), &ground)?);
        let repaired = ground.daemon.lbctl("config repair")?;
        different += u64::from(repaired["repaired"] != 0);
    }
    let report = load.stop();
    report.failures.iter().for_each(|(reason, count)| eprintln!("{count} x {reason}"));
    let stray = received(&ground.topology.servers[3])? - stranger;
    let case = format!("kill -9 at a random moment of {kills} map updates");
    Ok(vec![
        Row::none(format!("{case}: maps unlike the file after the start"), different, "times"),
        Row::new(format!("{case}: slowest start"), slowest, "ms", Required::AtMost(RECOVERY)),
        Row::new(
            format!("{case}: connections meanwhile"),
            number(report.total()),
            "connections",
            Required::AtLeast(number(kills) * 50.0),
        ),
        Row::none(format!("{case}: failed"), report.failed(), "connections"),
        Row::none(format!("{case}: frames of clients at a server that is no backend"), stray, "frames"),
    ])
}

/// One of the two configurations.
struct Wanted {
    odd: bool,
}

impl Wanted {
    /// The services that change: they come and go, and so do their backends.
    fn text(&self) -> String {
        let mut text = String::new();
        for number in self.numbers() {
            let (vip, backend) = (vip(number), self.backend(number));
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "[[services]]\nname = \"s{number}\"\naddress = \"{vip}\"\nprotocol = \"tcp\"\nport = 80\n\
                 [[services.backends]]\nname = \"b\"\naddress = \"{backend}\"\n"
            );
        }
        text
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        let odd = self.odd;
        (0..SERVICES).filter(move |number| number % 3 != u32::from(odd))
    }

    fn backend(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(0x0a01_1000 + number * 2 + u32::from(self.odd && number % 2 == 1))
    }

    /// Whether the pinned maps hold this, and nothing else.
    fn is_in(&self, pins: &Path, ground: &Ground) -> Result<bool> {
        let pins = pins.join(format!("v{ABI_VERSION}"));
        let open = |name: &str| Map::open(&pins.join(name)).with_context(|| name.to_owned());
        let services = open(maps::SERVICES_V4)?.entries::<ServiceKey<u32>, Service>()?;
        let found: BTreeSet<Ipv4Addr> = services
            .iter()
            .filter(|(key, _)| key.port == 80_u16.to_be())
            .map(|(key, _)| key.addr.to_ne_bytes().into())
            .collect();
        let wanted: BTreeSet<Ipv4Addr> = self.numbers().map(vip).collect();
        let backends = open(maps::BACKENDS)?.entries::<u32, Backend>()?;
        let active = backends.iter().filter(|(_, backend)| backend.state == BackendState::Active as u8);
        let there: BTreeSet<Ipv4Addr> =
            active.map(|(_, backend)| backend.addr[0].to_ne_bytes().into()).collect();
        let own = ground.topology.servers[..3].iter().map(|host| host.v4);
        let meant: BTreeSet<Ipv4Addr> =
            self.numbers().map(|number| self.backend(number)).chain(own).collect();
        Ok(found == wanted && there == meant)
    }
}

fn vip(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0xcb00_0001 + number)
}

/// TCP segments that a server has received.
fn received(host: &Host) -> Result<u64> {
    let text = host.netns.sh("cat /proc/net/snmp")?;
    let line = text.lines().filter(|line| line.starts_with("Tcp:")).nth(1).context("no line of TCP")?;
    line.split_whitespace().nth(10).and_then(|field| field.parse().ok()).context("no count of segments")
}
