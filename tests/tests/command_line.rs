//! `lbctl` as people and shells run it: on a terminal, in a pipe, and for completions.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use lb_tests::{
    clock,
    config::{Config, Protocol, Service},
    daemon::{Daemon, binary},
    require_privileged,
    site::{WEB_PORT, target},
    topology::{Family, Plan, Topology},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const LIMIT: Duration = Duration::from_secs(10);

fn start(topology: &Topology) -> Result<Daemon> {
    let web = Service::new("web", Protocol::Tcp, target(Family::V4, WEB_PORT));
    let config = Config::new(topology.interfaces(), [web.backends(&topology.servers, 8080)]);
    Daemon::start(&topology.balancer, &config)
}

/// Waits for the end of a process and gives its exit code.
fn exit_code(child: &mut Child) -> Result<Option<i32>> {
    let status = clock::wait_for("the end of lbctl", LIMIT, || child.try_wait().transpose())??;
    Ok(status.code())
}

fn lbctl(daemon: &Daemon, line: &str) -> Result<(Child, BufReader<ChildStdout>)> {
    let mut command = Command::new(binary("lbctl")?);
    command.arg("--socket").arg(daemon.socket()).args(line.split(' '));
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("no standard output")?;
    Ok((child, BufReader::new(stdout)))
}

#[test]
fn watching_ends_well_by_a_signal_and_when_the_reader_is_gone() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let daemon = start(&topology).unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (mut child, mut lines) = lbctl(&daemon, "service list -o json --watch 1").unwrap();
        for _ in 0..2 {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            let services: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(services[0]["name"], "web");
        }
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        assert_eq!(exit_code(&mut child).unwrap(), Some(0), "{signal}");
    }
    let (mut child, lines) = lbctl(&daemon, "status --watch 1").unwrap();
    drop(lines);
    assert_eq!(exit_code(&mut child).unwrap(), Some(0));
    let (mut child, _lines) = lbctl(&daemon, "service rm web --watch").unwrap();
    assert_eq!(exit_code(&mut child).unwrap(), Some(2));
    assert_eq!(daemon.lbctl("service list").unwrap()[0]["name"], "web");
}

#[test]
fn a_terminal_is_drawn_in_place_and_in_colours_unless_no_color_is_set() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    let daemon = start(&topology).unwrap();
    let program = binary("lbctl").unwrap();
    let line = format!("{} --socket {} backend list --watch 1", program.display(), daemon.socket().display());
    for (no_color, coloured) in [("", true), ("1", false)] {
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("NO_COLOR", no_color);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut shown = String::new();
        let mut stdout = child.stdout.take().unwrap();
        let mut chunk = [0; 4096];
        while shown.matches("server-1").count() < 2 {
            let read = stdout.read(&mut chunk).unwrap();
            assert!(read > 0, "it ended: {shown}");
            shown.push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        exit_code(&mut child).unwrap();
        assert!(shown.matches("\u{1b}[H\u{1b}[2J").count() >= 2, "{shown:?}");
        assert_eq!(shown.contains("\u{1b}[38;5;") || shown.contains("\u{1b}[1m"), coloured, "{shown:?}");
    }
}

#[test]
fn completions_know_the_names_that_the_daemon_knows() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 2, ..Plan::default() }).unwrap();
    let daemon = start(&topology).unwrap();
    let complete = |words: &[&str]| {
        let mut command = Command::new(binary("lbctl").unwrap());
        command.env("COMPLETE", "bash").env("LB_SOCKET", daemon.socket());
        command.env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string()).env("_CLAP_IFS", "\n");
        String::from_utf8(command.arg("--").args(words).output().unwrap().stdout).unwrap()
    };
    assert_eq!(complete(&["lbctl", "service", "show", "w"]).trim(), "web");
    let backends = complete(&["lbctl", "backend", "set", "web", ""]);
    assert!(backends.contains("server-1") && backends.contains("server-2"), "{backends}");
    assert!(complete(&["lbctl", "serv"]).contains("service"));
}
