//! The API of a running daemon over TCP: only certificates open it, and who only sits there closes it to nobody.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use lb_tests::{
    clock,
    config::{Config, Service},
    daemon::{Daemon, binary},
    netns::Netns,
    require_privileged,
    servers::Authority,
};

/// Where the API listens.
const LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 9443);
/// More than `lbd` serves at once.
const LORISES: usize = 300;

/// A daemon whose API wants certificates, and who signs them.
struct Remote {
    daemon: Daemon,
    netns: Netns,
    ours: Authority,
}

impl Remote {
    fn start() -> Self {
        let netns = Netns::create("remote").unwrap();
        netns.ip("link add uplink type veth peer name away").unwrap();
        netns.ip("link set uplink up").unwrap();
        let ours = Authority::new("ours").unwrap();
        ours.server("api", "127.0.0.1", false).unwrap();
        ours.client("operator").unwrap();
        let none = std::iter::empty::<Service>();
        let mut daemon = Daemon::prepare(&netns, &Config::new(&["uplink"], none)).unwrap();
        // The table [api] is the last one.
        let mut file = OpenOptions::new().append(true).open(daemon.config_file()).unwrap();
        let [certificate, key, ca] = ["api.pem", "api.key", "ca.pem"].map(|file| ours.path(file));
        writeln!(
            file,
            "listen = \"{}\"\ntls_certificate = {certificate:?}\ntls_key = {key:?}\ntls_client_ca = {ca:?}",
            SocketAddr::from(LISTEN)
        )
        .unwrap();
        daemon.start_again().unwrap();
        Self { daemon, netns, ours }
    }

    /// `lbctl` with some words, over TCP.
    fn lbctl(&self, own: Option<[PathBuf; 2]>, words: &[&str]) -> Output {
        let mut command = Command::new(binary("lbctl").unwrap());
        command.args(["--server", &format!("https://{}", SocketAddr::from(LISTEN)), "--ca"]);
        command.arg(self.ours.path("ca.pem"));
        if let Some([certificate, key]) = own {
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        self.netns.run(|| command.args(words).output()).unwrap()
    }

    fn operator(&self) -> [PathBuf; 2] {
        ["operator.pem", "operator.key"].map(|file| self.ours.path(file))
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn only_a_certificate_of_the_right_authority_opens_the_api_over_tcp() {
    require_privileged!();
    let remote = Remote::start();

    let none = remote.lbctl(None, &["status"]);
    assert_eq!(none.status.code(), Some(5), "{}", said(&none));
    assert!(said(&none).contains("are --ca, --cert and --key the right ones?"), "{}", said(&none));

    let theirs = Authority::new("theirs").unwrap();
    theirs.client("operator").unwrap();
    let strange =
        remote.lbctl(Some(["operator.pem", "operator.key"].map(|file| theirs.path(file))), &["status"]);
    assert_eq!(strange.status.code(), Some(5), "{}", said(&strange));
    assert!(said(&strange).contains("are --ca, --cert and --key the right ones?"), "{}", said(&strange));

    let add = ["service", "add", "web", "--address", "203.0.113.10", "--port", "80", "--protocol", "tcp"];
    let added = remote.lbctl(Some(remote.operator()), &add);
    assert!(added.status.success(), "{}", said(&added));
    assert!(fs::read_to_string(remote.daemon.config_file()).unwrap().contains("name = \"web\""));
    let listed = remote.lbctl(Some(remote.operator()), &["-o", "json", "service", "list"]);
    assert!(said(&listed).contains("203.0.113.10"), "{}", said(&listed));
    let screen = remote.lbctl(Some(remote.operator()), &["top", "--once", "--interval", "250ms"]);
    assert!(screen.status.success() && said(&screen).contains("web"), "{}", said(&screen));
}

#[test]
fn who_connects_and_says_a_byte_a_second_keeps_no_operator_out() {
    require_privileged!();
    let remote = Remote::start();
    let process = remote.daemon.process_id().unwrap();
    let descriptors = || fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    let before = descriptors();
    let mut lorises: Vec<TcpStream> = remote
        .netns
        .run(|| (0..LORISES).map(|_| TcpStream::connect(SocketAddr::from(LISTEN)).unwrap()).collect());
    // The first byte of a handshake, and never the second.
    for loris in &mut lorises {
        // It may have been sent away already.
        let _ = loris.write_all(&[0x16]);
    }
    clock::wait_until("the connections to be taken", Duration::from_secs(5), || descriptors() > before + 64)
        .unwrap();
    let answered = remote.lbctl(Some(remote.operator()), &["status"]);
    assert!(answered.status.success(), "{}", said(&answered));
    assert!(descriptors() < before + 200, "{} descriptors, {before} before", descriptors());
}
