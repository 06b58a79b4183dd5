//! The control socket: strangers, and friends that misbehave.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{Read as _, Write as _},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lb_tests::{
    clock,
    config::Config,
    daemon::{Daemon, binary},
    require_privileged,
    topology::{Plan, Topology},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A group that every Debian has.
const GROUP: (&str, u32) = ("daemon", 1);
const NOBODY: &str = "65534";

/// An `lbd` without services whose socket belongs to a group.
fn start(topology: &Topology) -> Result<Daemon> {
    let none = std::iter::empty::<lb_tests::config::Service>();
    let mut daemon = Daemon::prepare(&topology.balancer, &Config::new(topology.interfaces(), none))?;
    // The table [api] is the last one.
    let mut file = OpenOptions::new().append(true).open(daemon.config_file())?;
    writeln!(file, "group = \"{}\"", GROUP.0)?;
    daemon.start_again()?;
    Ok(daemon)
}

/// `lbctl status` as a user without privileges, in some groups.
fn as_nobody(lbctl: &Path, socket: &Path, groups: &[&str]) -> Result<Output> {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--no-new-privs"]).args(groups);
    command.arg(lbctl).arg("--socket").arg(socket).arg("status").output().context("cannot start setpriv")
}

#[test]
fn strangers_are_refused_by_the_mode_and_by_the_daemon_and_members_are_served() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let daemon = start(&topology).unwrap();
    let socket = daemon.socket();
    let metadata = fs::metadata(&socket).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.uid(), metadata.gid()), (0o660, 0, GROUP.1));
    // The user must reach the socket and the program.
    let directory = socket.parent().unwrap();
    fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
    let lbctl = directory.join("lbctl");
    fs::copy(binary("lbctl").unwrap(), &lbctl).unwrap();

    let output = as_nobody(&lbctl, &socket, &["--clear-groups"]).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("permission denied"), "{said}");

    fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    let output = as_nobody(&lbctl, &socket, &["--clear-groups"]).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("you may not use this API"), "{said}");
    assert!(daemon.log().contains("refused a connection to the API"), "{}", daemon.log());
    assert!(daemon.log().contains(&format!("uid={NOBODY}")), "{}", daemon.log());

    fs::set_permissions(&socket, Permissions::from_mode(0o660)).unwrap();
    let output = as_nobody(&lbctl, &socket, &["--groups", "1"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_thousand_half_open_clients_and_a_gigabyte_of_garbage_leave_the_daemon_small_and_quick() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let daemon = start(&topology).unwrap();
    let process = daemon.process_id().unwrap();
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let before = resident(process).unwrap();
    let mut clients = Vec::new();
    for number in 0..1000 {
        let mut client = UnixStream::connect(daemon.socket()).unwrap();
        let sent: &[u8] = match number % 3 {
            0 => b"GET /v1/status HTTP/1.1\r\nHost: ",
            1 => b"POST /v1/services HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n{",
            _ => b"",
        };
        client.write_all(sent).unwrap();
        clients.push(client);
    }
    let garbage = std::thread::spawn({
        let socket = daemon.socket();
        move || flood(&socket)
    });
    for _ in 0..5 {
        let begin = clock::now();
        daemon.lbctl("status").unwrap();
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }
    garbage.join().unwrap().unwrap();
    let grown = resident(process).unwrap().saturating_sub(before);
    assert!(grown < 32 << 10, "lbd has grown by {grown} KiB");
    drop(clients);
    daemon.lbctl("service list").unwrap();
}

/// Sends up to a gigabyte of nonsense for a header, and as much for a body.
fn flood(socket: &Path) -> Result<()> {
    for head in ["GET /v1/", "POST /v1/services HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n"] {
        let mut client = UnixStream::connect(socket)?;
        let chunk = vec![b'x'; 1 << 20];
        let mut sent = client.write_all(head.as_bytes());
        for _ in 0..1024 {
            sent = sent.and_then(|()| client.write_all(&chunk));
        }
        ensure!(sent.is_err(), "a gigabyte was taken");
        let mut answer = Vec::new();
        // It is closed with much unread, which may count as a reset.
        let _ = client.read_to_end(&mut answer);
    }
    Ok(())
}

/// Memory of a process in KiB.
fn resident(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
