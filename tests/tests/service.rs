//! `lbd` as a service: capabilities, what it tells systemd, and its unit.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use lb_tests::{
    client::{LongConnections, Running},
    clock,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    require_privileged,
    servers::HTTP_PORT,
    site::{Site, WEB_PORT, services, target},
    topology::{Family, Plan, Topology},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// CAP_NET_ADMIN (12), CAP_NET_RAW (13), CAP_PERFMON (38) and CAP_BPF (39).
const KEPT: &str = "000000c000003000";
const NOBODY: u32 = 65534;
const LIMIT: Duration = Duration::from_secs(10);

/// The values of a line in the status of every thread of a process.
fn of_threads(process: u32, line: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let statuses = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok());
    let value = |status: String| {
        let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')).unwrap();
        found.trim().to_owned()
    };
    statuses.map(value).collect()
}

/// No thread may do more than what `lbd` is for, nor get to.
fn assert_limited(process: u32) {
    for (line, expected) in [
        ("CapPrm", KEPT),
        ("CapEff", KEPT),
        ("CapBnd", KEPT),
        ("CapInh", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
    ] {
        let found = of_threads(process, line);
        assert!(found.len() > 2 && found.iter().all(|value| value == expected), "{line}: {found:?}");
    }
}

/// The words that start a program as nobody, with these capabilities only.
fn as_nobody(capabilities: &[&str]) -> Vec<String> {
    let list = capabilities.iter().fold("-all".to_owned(), |list, name| format!("{list},+{name}"));
    let user = NOBODY.to_string();
    let words = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"].map(str::to_owned);
    let sets = ["--bounding-set", "--inh-caps", "--ambient-caps"].map(|set| format!("{set}={list}"));
    words.into_iter().chain(sets).collect()
}

#[test]
fn lbd_started_as_root_keeps_four_capabilities() {
    require_privileged!();
    let site = Site::standard(Plan { servers: 1, ..Plan::default() }, Mode::Nat).unwrap();
    assert_limited(site.daemon.process_id().unwrap());
}

#[test]
fn checks_by_a_script_keep_what_running_it_as_another_user_needs() {
    require_privileged!();
    let site = Site::start(Plan::default(), |topology| {
        let web = Service::new("web", Protocol::Tcp, target(Family::V4, WEB_PORT));
        let mut web = web.backends(&topology.servers, HTTP_PORT);
        let lines =
            "type = \"script\"\nscript = \"/bin/sh\"\nargs = [\"-c\", \"test $LB_BACKEND-$(id -un) != server-1-nobody\"]\n";
        web.health = Some(format!("{lines}interval = \"200ms\"\ntimeout = \"200ms\"\nfall = 1\n"));
        Config::new(topology.interfaces(), [web])
    })
    .unwrap();
    // As nobody it fails, which shows that it ran.
    site.daemon.wait_backend("web", "server-1", "down").unwrap();
    let kept = of_threads(site.daemon.process_id().unwrap(), "CapPrm");
    // CAP_KILL (5), CAP_SETGID (6) and CAP_SETUID (7) as well.
    assert!(kept.iter().all(|value| value == "000000c0000030e0"), "{kept:?}");
}

#[test]
fn a_user_with_four_capabilities_forwards_is_killed_and_adopts() {
    require_privileged!();
    let mut site = Site::start(Plan::default(), |topology| {
        Config::new(topology.interfaces(), services(&topology.servers, Mode::FullNat))
    })
    .unwrap();
    site.daemon.terminate().unwrap();
    site.daemon.detach().unwrap();
    for family in ["ipv4", "ipv6"] {
        site.topology.balancer.sysctl(&format!("net/{family}/conf/lo/forwarding"), "0").unwrap();
    }
    site.daemon.run_as(as_nobody(&["bpf", "perfmon", "net_admin", "net_raw"]), NOBODY).unwrap();
    site.daemon.start_again().unwrap();
    assert_limited(site.daemon.process_id().unwrap());
    let user = of_threads(site.daemon.process_id().unwrap(), "Uid");
    assert!(user.iter().all(|ids| ids.starts_with(&NOBODY.to_string())), "{user:?}");

    let load = site.http_load(Family::V4);
    let connections = site.long_connections(Family::V6, 10).unwrap();
    load.wait_more(100).unwrap();
    site.daemon.kill().unwrap();
    load.wait_more(100).unwrap();
    site.daemon.start_again().unwrap();
    site.daemon.lbctl("backend set web-v4 server-1 --weight 7").unwrap();
    let written = fs::read_to_string(site.daemon.config_file()).unwrap();
    assert!(written.contains("weight = 7"), "{written}");
    load.wait_more(100).unwrap();
    connections.wait_more(100).unwrap();
    let (load, connections) = (Running::stop(load), LongConnections::close(connections));
    assert!(load.failed() == 0 && connections.broken.is_empty(), "{load:?} {connections:?}");
}

#[test]
fn a_missing_capability_is_named_with_what_it_is_for() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let config = Config::new(topology.interfaces(), services(&topology.servers, Mode::Nat));
    let mut daemon = Daemon::prepare(&topology.balancer, &config).unwrap();
    let needed = ["bpf", "perfmon", "net_admin"];
    for missing in needed {
        let others: Vec<_> = needed.into_iter().filter(|name| *name != missing).collect();
        daemon.run_as(as_nobody(&others), NOBODY).unwrap();
        let said = daemon.refusal().unwrap();
        let named = format!("lbd needs CAP_{} to ", missing.to_uppercase());
        assert!(said.contains(&named) && said.contains("setpriv"), "{said}");
        assert!(others.iter().all(|name| !said.contains(&format!("CAP_{}", name.to_uppercase()))), "{said}");
    }
    let shown = topology.balancer.ip("-d link show eth0").unwrap();
    assert!(!shown.contains("xdp"), "something was applied: {shown}");
}

#[test]
fn systemd_is_told_of_the_start_reloads_life_and_the_end() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let config = Config::new(topology.interfaces(), services(&topology.servers, Mode::Nat));
    let mut daemon = Daemon::prepare(&topology.balancer, &config).unwrap();
    let place = lb_tests::temporary::directory("notify").unwrap();
    let mut socket = Socket::bind(&place.path().join("notify"));
    let address = format!("NOTIFY_SOCKET={}", socket.path.display());
    daemon.run_with(["env".to_owned(), address, "WATCHDOG_USEC=300000".to_owned()].into());
    daemon.launch(&[]).unwrap();

    // Nothing but status before it is ready; then the API answers and the maps are complete.
    socket.wait("READY=1");
    let status = daemon.lbctl("status").unwrap();
    assert!(status["problem"].is_null() && status["interfaces"].as_array().unwrap().len() == 2, "{status}");
    let line = socket.wait("STATUS=");
    assert_eq!(line, "STATUS=on eth0, eth1; 6 services; 0 of 6 backends down\n");
    socket.wait("WATCHDOG=1");
    socket.wait("WATCHDOG=1");

    let process = Pid::from_raw(daemon.process_id().unwrap().try_into().unwrap());
    for (text, outcome) in [("", "configuration loaded"), ("nonsense\n", "was not loaded")] {
        let good = fs::read_to_string(daemon.config_file()).unwrap();
        fs::write(daemon.config_file(), format!("{text}{good}")).unwrap();
        kill(process, Signal::SIGHUP).unwrap();
        let reloading = socket.wait("RELOADING=1");
        assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
        socket.wait("READY=1");
        assert!(daemon.log().contains(outcome), "{}", daemon.log());
    }
    daemon.terminate().unwrap();
    socket.wait("STOPPING=1");
}

/// A socket for notices.
struct Socket {
    path: PathBuf,
    socket: UnixDatagram,
    /// Notices that nobody has waited for yet.
    waiting: Vec<String>,
}

impl Socket {
    fn bind(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { path: path.to_owned(), socket, waiting: Vec::new() }
    }

    /// The first notice that begins with this, of those that were not waited for.
    fn wait(&mut self, begin: &str) -> String {
        let notice = clock::wait_for(begin, LIMIT, || {
            let mut buffer = [0; 4096];
            while let Ok(length) = self.socket.recv(&mut buffer) {
                self.waiting.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
            let at = self.waiting.iter().position(|notice| notice.starts_with(begin))?;
            Some(self.waiting.remove(at))
        });
        notice.unwrap_or_else(|error| panic!("{error}; there were {:?}", self.waiting))
    }
}

/// Runs `lbd` where something is missing; it says what within a second, and the interfaces stay as they are.
fn refused(topology: &Topology, daemon: &mut Daemon, parts: &[&str]) {
    let begin = clock::now();
    let said = daemon.refusal().unwrap();
    assert!(clock::now() - begin < Duration::from_secs(1), "it took {:?}", clock::now() - begin);
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing in: {said}");
    }
    let shown = topology.balancer.ip("-d link show eth0").unwrap();
    assert!(!shown.contains("xdp"), "something was applied: {shown}");
}

#[test]
fn a_bpf_file_system_or_descriptors_that_are_missing_are_named_within_a_second() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let config = Config::new(topology.interfaces(), services(&topology.servers, Mode::Nat));
    let mut daemon = Daemon::prepare(&topology.balancer, &config).unwrap();
    daemon.run_with(["prlimit", "--nofile=16"].map(str::to_owned).into());
    refused(&topology, &mut daemon, &["Too many open files"]);
    daemon.run_with(Vec::new());

    let pins = daemon.pin_directory().parent().unwrap().to_owned();
    lb_tests::command::sh(&format!("mount -o remount,ro {}", pins.display())).unwrap();
    refused(&topology, &mut daemon, &[&pins.to_string_lossy(), "read-only file system", "remount,rw"]);
    lb_tests::command::sh(&format!("mount -o remount,rw {}", pins.display())).unwrap();
    lb_tests::command::sh(&format!("umount {}", pins.display())).unwrap();
    refused(&topology, &mut daemon, &["not on a BPF file system", "mount -t bpf bpf"]);
}

#[test]
fn a_full_disk_refuses_a_change_and_keeps_the_file() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let config = Config::new(topology.interfaces(), services(&topology.servers, Mode::Nat));
    let mut daemon = Daemon::prepare(&topology.balancer, &config).unwrap();
    let disk = lb_tests::temporary::directory("disk").unwrap();
    lb_tests::command::sh(&format!("mount -t tmpfs -o size=64k none {}", disk.path().display())).unwrap();
    let (file, link) = (disk.path().join("lb.toml"), daemon.config_file());
    fs::copy(&link, &file).unwrap();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let filled = (0..).find(|number| fs::write(disk.path().join(number.to_string()), [0; 4096]).is_err());
    assert!(filled.is_some());

    daemon.start_again().unwrap();
    let before = fs::read_to_string(&file).unwrap();
    let refused = daemon.lbctl("backend set web-v4 server-1 --weight 7").unwrap_err().to_string();
    assert!(refused.contains("No space left") && refused.contains("lb.toml"), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    assert_eq!(daemon.lbctl("backend list web-v4").unwrap()[0]["weight"], 100);
    daemon.lbctl("backend set web-v4 server-1 --weight 7 --runtime").unwrap();
    assert_eq!(daemon.lbctl("backend list web-v4").unwrap()[0]["weight"], 7);
    daemon.kill().unwrap();
    daemon.start_again().unwrap();
    drop(daemon);
    lb_tests::command::sh(&format!("umount {}", disk.path().display())).unwrap();
}

/// The unit, which installs nothing: its programs need not be there.
#[test]
fn the_unit_is_valid_and_exposes_little() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lb-userspace/systemd/lbd.service");
    let available = || lb_tests::command::sh("systemd-analyze --version").map(drop);
    if !lb_tests::privileged::available_if(available) {
        return;
    }
    let place = lb_tests::temporary::directory("unit").unwrap();
    let copy = place.path().join("lbd.service");
    let text = fs::read_to_string(unit).unwrap();
    fs::write(&copy, text.replace("/usr/local/sbin/lbd", "/bin/true")).unwrap();
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).arg(&copy).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said.into_owned())
    };
    let (valid, said) = analyze(&["verify", "--man=no"]);
    assert!(valid && !said.contains("lbd.service"), "{said}");
    // Tenths of the exposure from 0 to 10; root and the kernel's tunables are most of it.
    let (safe, said) = analyze(&["security", "--offline=true", "--no-pager", "--threshold=30"]);
    assert!(safe, "{said}");
}
