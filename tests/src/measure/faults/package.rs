//! The Debian package in a Debian of its own: what an installation starts, an upgrade costs, and a removal leaves.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::super::{Depth, Required, Row, number};
use crate::{
    client::{self, Http, Load, Long, LongConnections, Running},
    clock,
    config::{Config, Mode},
    daemon::binary,
    debian::Debian,
    servers::{ECHO_PORT, Servers},
    site::{WEB_PORT, services, target},
    temporary,
    topology::{Family, Plan, Topology, addresses},
};

const LIMIT: Duration = Duration::from_secs(20);
/// Connections that stay over the upgrade.
const CONNECTIONS: usize = 20;
/// CAP_NET_ADMIN (12), CAP_NET_RAW (13), CAP_PERFMON (38) and CAP_BPF (39): docs/operations.md.
const CAPABILITIES: u64 = 0x00_00c0_0000_3000;
/// CAP_CHOWN (0), which the unit gives for the start.
const BOUNDED: u64 = 1;
/// A virtual router that nobody contends with.
const VRRP: &str = "[[vrrp]]\nname = \"outside\"\ninterface = \"eth0\"\nvirtual_router_id = 7\nadvert_interval = \"100ms\"\n\
    virtual_addresses = [\"203.0.113.99/32\"]\n";
/// What is dpkg's, systemd's, or what any package leaves: not looked at after a removal.
const OTHERS: [&str; 6] = ["/var/lib/dpkg", "/var/log", "/var/lib/systemd", "/var/cache", "/root", "/tmp"];

pub(super) fn measure(_: Depth) -> Result<Vec<Row>> {
    let place = temporary::directory("packages")?;
    let packages = [build(1, place.path())?, build(2, place.path())?];
    let topology = Topology::build(Plan::default())?;
    let _servers = Servers::start_all(&topology.servers)?;
    let debian = Debian::boot(&topology.balancer)?;
    for (package, name) in packages.iter().zip(["1.deb", "2.deb"]) {
        fs::copy(package, debian.file("/root").join(name)).context("cannot copy the package")?;
    }
    let before = Left::look(&debian)?;
    let mut rows = installed(&debian)?;
    rows.extend(configured(&debian, &topology)?);
    rows.extend(upgraded(&debian, &topology)?);
    rows.extend(removed(&debian, &before)?);
    Ok(rows)
}

/// Has a package made of the programs under test.
fn build(revision: u32, output: &Path) -> Result<PathBuf> {
    let programs = binary("lbd")?;
    let directory = programs.parent().context("lbd has no directory")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).env("SOURCE_DATE_EPOCH", "1");
    cargo.args(["xtask", "package", "--revision", &revision.to_string(), "--binaries"]).arg(directory);
    let made = cargo.arg("--output").arg(output).output().context("cannot run cargo xtask package")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()))
}

/// Nothing runs, and nothing is attached, before somebody says to which interface.
fn installed(debian: &Debian) -> Result<Vec<Row>> {
    debian.sh("dpkg --install /root/1.deb 2>&1")?;
    let mut rows = vec![
        Row::none("installed: interfaces with a program", attached(debian)?, "interfaces"),
        Row::none("installed: daemons that run", daemons(debian)?, "processes"),
    ];
    let started =
        debian.sh("! systemctl start lbd 2>&1 && lbd --check 2>&1 | grep -q 'lb.toml: interfaces: missing'");
    rows.push(Row::succeeds("sample configuration: refused with the reason", &started));
    rows.push(Row::none("sample configuration: interfaces with a program", attached(debian)?, "interfaces"));
    let said = debian.sh("lbctl --version && lbctl completions bash | diff - /usr/share/bash-completion/completions/lbctl && getent group lb")?;
    ensure!(said.starts_with("lbctl "), "{said}");
    Ok(rows)
}

/// As a service of systemd, with what its unit allows: it forwards, and is active in VRRP.
fn configured(debian: &Debian, topology: &Topology) -> Result<Vec<Row>> {
    let config = Config::new(topology.interfaces(), services(&topology.servers, Mode::Nat)).tables(VRRP);
    fs::write(debian.file("/etc/lb/lb.toml"), config.to_string()).context("cannot write lb.toml")?;
    debian
        .sh("systemctl enable --now lbd 2>&1")
        .with_context(|| debian.sh("journalctl -u lbd").unwrap_or_default())?;
    let active = clock::wait_until("the virtual router to be active", LIMIT, || {
        debian
            .sh("ip -o address show eth0 | grep -q 203.0.113.99 && lbctl vrrp status | grep -q active")
            .is_ok()
    });
    let verified = debian.sh("systemd-analyze verify --man=no lbd.service 2>&1 | grep lbd || true")?;
    let exposure = debian.sh("systemd-analyze security lbd.service | sed -n 's/.*Overall exposure level for lbd.service: \\([0-9.]*\\).*/\\1/p'")?;
    let socket = debian.sh("stat --format '%U:%G %a' /run/lb/lbd.sock")?;
    ensure!(socket.trim() == "root:lb 660", "the socket belongs to {socket}");
    eprint!("{verified}");
    Ok(vec![
        Row::succeeds("under the unit: active in VRRP, and has its address", &active),
        Row::none("under the unit: capabilities beyond those documented", beyond(debian)?, "capabilities"),
        Row::none("unit: complaints of systemd-analyze verify", verified.lines().count() as u64, "lines"),
        Row::new(
            "unit: exposure by systemd-analyze security",
            exposure.trim().parse()?,
            "of 10",
            Required::AtMost(3.0),
        ),
    ])
}

/// The second package over the first one, under load.
fn upgraded(debian: &Debian, topology: &Topology) -> Result<Vec<Row>> {
    let former = daemon(debian)?;
    let loads = Family::ALL.map(|family| {
        let load = Load::steady(addresses::clients(family));
        client::start(&topology.client, &Http { target: target(family, WEB_PORT) }, &load)
    });
    let connections = LongConnections::open(
        &topology.client,
        &Long {
            target: target(Family::V4, ECHO_PORT),
            sources: addresses::clients(Family::V4),
            count: CONNECTIONS,
            pause: Duration::from_millis(5),
        },
    )?;
    loads.iter().try_for_each(|load| load.wait_more(100))?;
    debian.sh("dpkg --install /root/2.deb 2>&1")?;
    let version = debian.sh("dpkg-query --show --showformat '${Version}' lb")?;
    ensure!(version.ends_with("-2"), "version {version} is installed");
    loads.iter().try_for_each(|load| load.wait_more(100))?;
    connections.wait_more(CONNECTIONS as u64)?;
    let replaced =
        if daemon(debian)? == former { Err(anyhow::anyhow!("the former lbd runs")) } else { Ok(()) };
    let reports = loads.map(Running::stop);
    for (reason, count) in reports.iter().flat_map(|report| &report.failures) {
        eprintln!("{count} x {reason}");
    }
    let connections = connections.close();
    Ok(vec![
        Row::succeeds("upgrade: lbd was started again", &replaced),
        Row::new(
            "upgrade: requests made",
            number(reports.iter().map(client::Report::total).sum()),
            "requests",
            Required::AtLeast(400.0),
        ),
        Row::none("upgrade: failed", reports.iter().map(client::Report::failed).sum(), "requests"),
        Row::none(
            format!("upgrade: broken of {CONNECTIONS} long connections"),
            connections.broken.len() as u64,
            "connections",
        ),
    ])
}

/// Removed, then purged.
fn removed(debian: &Debian, before: &Left) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (what, command, stays) in [
        ("removed", "dpkg --remove lb", &["/etc/lb", "/etc/lb/lb.toml", "group lb"][..]),
        ("purged", "dpkg --purge lb", &[]),
    ] {
        debian.sh(&format!("{command} 2>&1"))?;
        let after = Left::look(debian)?;
        let left: Vec<&String> = after.names.difference(&before.names).collect();
        let unexpected = left.iter().filter(|name| !stays.contains(&name.as_str()));
        let unexpected = unexpected.inspect(|name| eprintln!("{what}: left: {name}")).count() as u64;
        rows.extend([
            Row::none(format!("{what}: daemons that run"), daemons(debian)?, "processes"),
            Row::none(format!("{what}: interfaces with a program"), attached(debian)?, "interfaces"),
            Row::none(
                format!("{what}: files, pins and groups left but the configuration"),
                unexpected,
                "names",
            ),
        ]);
    }
    Ok(rows)
}

/// Files, pins and groups.
struct Left {
    names: BTreeSet<String>,
}

impl Left {
    fn look(debian: &Debian) -> Result<Self> {
        let files = debian.sh("find / /run /sys/fs/bpf -xdev 2>/dev/null || true")?;
        let groups = debian.sh("getent group | cut -d: -f1 | sed 's/^/group /'")?;
        let is_other = |name: &str| {
            OTHERS.iter().any(|other| name.starts_with(other))
                // Runtime files of systemd, such as those about sessions and units.
                || (name.starts_with("/run/") && !name.contains("lb"))
                // dpkg's own copies of what it changed, and files of the kernel in each BPF file system.
                || name.ends_with('-')
                || (name.starts_with("/sys/fs/bpf/") && name.ends_with(".debug"))
        };
        let names = files.lines().chain(groups.lines()).filter(|name| !is_other(name));
        Ok(Self { names: names.map(str::to_owned).collect() })
    }
}

fn attached(debian: &Debian) -> Result<u64> {
    Ok(debian.sh("ip link show")?.matches("prog/xdp").count() as u64)
}

fn daemons(debian: &Debian) -> Result<u64> {
    Ok(debian.sh("pgrep --exact lbd || true")?.lines().count() as u64)
}

fn daemon(debian: &Debian) -> Result<u32> {
    debian.sh("systemctl show --property MainPID --value lbd")?.trim().parse().context("lbd has no process")
}

/// Capabilities that a thread of `lbd` has, or could get by its bounding set, and that are not documented.
fn beyond(debian: &Debian) -> Result<u64> {
    let sets = debian.sh(&format!("grep -hE '^Cap' /proc/{}/task/*/status", daemon(debian)?))?;
    let mut beyond = 0;
    for line in sets.lines() {
        let (name, digits) = line.split_once(':').context("no set")?;
        let documented = if name == "CapBnd" { CAPABILITIES | BOUNDED } else { CAPABILITIES };
        beyond |= u64::from_str_radix(digits.trim(), 16)? & !documented;
    }
    ensure!(!sets.is_empty(), "lbd has no threads");
    Ok(u64::from(beyond.count_ones()))
}
