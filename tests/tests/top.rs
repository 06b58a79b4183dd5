//! `lbctl top` on a terminal, with a daemon that balances.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use lb_tests::{
    client::{self, Echo, Load},
    config::{Config, Mode, Protocol, Service},
    daemon::{Daemon, binary},
    require_privileged,
    servers::{ECHO_PORT, EchoServer},
    site::target,
    tmux::Terminal,
    topology::{Family, Plan, Topology, addresses},
};
use nix::sys::signal::Signal;

/// What a shell says when it is back, in one piece only then.
const BACK: &str = "echo 'shell is'' back'";

/// Two servers behind one service.
struct Stage {
    daemon: Daemon,
    servers: Vec<EchoServer>,
    topology: Topology,
}

impl Stage {
    fn new() -> Self {
        let topology = Topology::build(Plan { servers: 2, ..Plan::default() }).unwrap();
        let servers = topology.servers.iter().map(|host| EchoServer::start(host).unwrap()).collect();
        let service = Service::new("echo", Protocol::Tcp, target(Family::V4, ECHO_PORT)).mode(Mode::Nat);
        let service = service.backends(&topology.servers, ECHO_PORT).checked(ECHO_PORT);
        let router = format!(
            "[[vrrp]]\nname = \"outside\"\ninterface = \"{}\"\nvirtual_router_id = 51\nadvert_interval = \"100ms\"\n\
             virtual_addresses = [\"192.0.2.200/32\"]\n",
            topology.interfaces()[0]
        );
        let config = Config::new(topology.interfaces(), [service]).tables(&router);
        let daemon = Daemon::start(&topology.balancer, &config).unwrap();
        for host in &topology.servers {
            daemon.wait_backend("echo", &host.name, "active").unwrap();
        }
        Self { daemon, servers, topology }
    }

    fn load(&self) -> client::Running {
        let load = Load::steady(addresses::clients(Family::V4));
        client::start(&self.topology.client, &Echo { target: target(Family::V4, ECHO_PORT) }, &load)
    }

    /// The command line of `top`, for a shell.
    fn top(&self, options: &str) -> String {
        let lbctl = binary("lbctl").unwrap();
        format!(
            "{} --socket {} top --interval 250ms {options}",
            lbctl.display(),
            self.daemon.socket().display()
        )
    }
}

/// The line of a screen that has a text.
fn line<'a>(screen: &'a str, text: &str) -> &'a str {
    screen.lines().find(|line| line.contains(text)).unwrap_or_default()
}

#[test]
fn every_screen_shows_what_lbd_does_and_keys_lead_through_them() {
    require_privileged!();
    let mut stage = Stage::new();
    let terminal = Terminal::start(80, 24, &[("LANG", "C.UTF-8")]).unwrap();
    let load = stage.load();
    terminal.enter(&stage.top("")).unwrap();
    // The rate of packets is a number that is not 0.
    let is_counted = |screen: &str| {
        line(screen, "echo")
            .split_whitespace()
            .nth(1)
            .is_some_and(|rate| rate.starts_with(|c: char| c.is_ascii_digit() && c != '0'))
    };
    let screen = terminal.wait("rates of the service", is_counted).unwrap();
    assert!(screen.contains("[1 overview]") && line(&screen, "echo").contains("2/2"), "{screen}");

    terminal.press(&["Enter"]).unwrap();
    let (alive, dead) = (stage.topology.servers[0].name.clone(), stage.topology.servers[1].name.clone());
    terminal
        .wait("the backends", |screen| screen.contains("[2 echo]") && line(screen, &dead).contains("active"))
        .unwrap();
    stage.servers.pop();
    terminal.wait("its death", |screen| line(screen, &dead).contains("down")).unwrap();
    terminal.press(&["Down"]).unwrap();
    terminal.wait("why", |screen| screen.contains("refused")).unwrap();
    terminal.press(&["k", "Enter"]).unwrap();
    terminal
        .wait("flows of a backend", |screen| {
            screen.contains("/service=echo backend=") && line(screen, ":9000 ").contains(&alive)
        })
        .unwrap();

    terminal.press(&["3", "Escape"]).unwrap();
    terminal
        .wait("who has most flows", |screen| screen.contains("EMBRYONIC") && screen.contains("full: "))
        .unwrap();
    terminal.press(&["4"]).unwrap();
    terminal.wait("drops", |screen| screen.contains("[4 drops]")).unwrap();
    terminal.press(&["5"]).unwrap();
    terminal
        .wait("the virtual router", |screen| {
            line(screen, "outside").contains("active") && screen.contains("replication: off")
        })
        .unwrap();
    terminal.press(&["6"]).unwrap();
    terminal.wait("interfaces", |screen| screen.contains(stage.topology.interfaces()[0])).unwrap();
    terminal.press(&["?"]).unwrap();
    terminal.wait("the help", |screen| screen.contains("any key goes back")).unwrap();
    terminal.press(&["x", "1", "/", "z", "z", "Enter"]).unwrap();
    terminal.wait("that nothing passes the filter", |screen| screen.contains("nothing has \"zz\"")).unwrap();
    terminal.resize(120, 40).unwrap();
    let wide = |screen: &str| screen.lines().next().is_some_and(|line| line.chars().count() > 100);
    terminal.wait("a wider screen", wide).unwrap();
    terminal.resize(30, 5).unwrap();
    terminal.wait("that this is too small", |screen| screen.contains("are needed")).unwrap();
    drop(load.stop());
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    require_privileged!();
    let stage = Stage::new();
    let terminal = Terminal::start(80, 24, &[("LANG", "C.UTF-8"), ("NO_COLOR", "1")]).unwrap();
    let shown = |screen: &str| screen.contains("[1 overview]");
    let ends: [(&str, &dyn Fn()); 4] = [
        ("q", &|| terminal.press(&["q"]).unwrap()),
        ("control and c", &|| terminal.press(&["C-c"]).unwrap()),
        ("SIGTERM", &|| terminal.signal(Signal::SIGTERM).unwrap()),
        ("SIGHUP", &|| terminal.signal(Signal::SIGHUP).unwrap()),
    ];
    for (name, end) in ends {
        terminal.enter("clear").unwrap();
        terminal.enter(&format!("{}; echo ended with $?", stage.top(""))).unwrap();
        terminal.wait("the screen", shown).unwrap();
        end();
        terminal.wait(name, |screen| screen.contains("ended with 0") && !shown(screen)).unwrap();
        assert!(terminal.has_cursor().unwrap(), "{name}");
        // Echo and lines are as a shell wants them.
        terminal.enter(&format!("{BACK}; stty -a | grep -o ' icanon.* echo '")).unwrap();
        terminal
            .wait("the shell", |screen| screen.contains("shell is back") && screen.contains(" echo"))
            .unwrap();
    }
    terminal.enter("clear").unwrap();
    terminal.enter(&stage.top("")).unwrap();
    terminal.wait("the screen", shown).unwrap();
    let styled = terminal.screen(true).unwrap();
    assert!(!(1..8).any(|colour| styled.contains(&format!("\u{1b}[3{colour}m"))), "NO_COLOR: {styled:?}");
    terminal.press(&["C-z"]).unwrap();
    terminal.wait("the shell", |screen| !shown(screen)).unwrap();
    terminal.enter(BACK).unwrap();
    terminal.wait("the shell", |screen| screen.contains("shell is back")).unwrap();
    assert!(terminal.has_cursor().unwrap());
    terminal.enter("fg").unwrap();
    terminal.wait("the screen again", shown).unwrap();
    terminal.press(&["C-l"]).unwrap();
    terminal.press(&["?"]).unwrap();
    terminal.wait("the help", |screen| screen.contains("any key goes back")).unwrap();
    terminal.press(&["q"]).unwrap();
    terminal.wait("the shell", |screen| !shown(screen)).unwrap();
}

#[test]
fn it_outlives_lbd_and_prints_a_screen_for_scripts() {
    require_privileged!();
    let mut stage = Stage::new();
    let terminal = Terminal::start(80, 24, &[("LANG", "C")]).unwrap();
    terminal.enter(&stage.top("echo")).unwrap();
    let backend = stage.topology.servers[0].name.clone();
    let shown = |screen: &str| line(screen, &backend).contains("active");
    let screen = terminal.wait("the backends", shown).unwrap();
    assert!(screen.is_ascii(), "{screen}");
    stage.daemon.terminate().unwrap();
    let gone = |screen: &str| screen.contains("NO ANSWER from lbd") && shown(screen);
    terminal.wait("that lbd is gone, and what was before", gone).unwrap();
    stage.daemon.start_again().unwrap();
    terminal.wait("lbd again", |screen| shown(screen) && !screen.contains("NO ANSWER")).unwrap();
    terminal.press(&["q"]).unwrap();

    let text = stage.daemon.lbctl_text("top --once --interval 250ms").unwrap();
    assert!(line(&text, "echo").contains("2/2"), "{text}");
    let text = stage.daemon.lbctl_text("top --once --interval 250ms --screen vrrp").unwrap();
    assert!(line(&text, "outside").contains("active"), "{text}");
    for (line, message) in [
        ("top", "needs a terminal"),
        ("top nothing --once --interval 250ms", "there is no service `nothing`"),
        ("top --once --screen flows --filter colour=red", "--filter: colour=red: flows are picked by"),
        ("top --once -o json", "has no JSON"),
    ] {
        let error = stage.daemon.lbctl_text(line).unwrap_err().to_string();
        assert!(error.contains(message), "{line}: {error}");
    }
}
