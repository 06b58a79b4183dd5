//! `lbctl capture` shows packets before and after, and disturbs none.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use lb_common::{abi::ABI_VERSION, host::FrameSpec, wire::RST};
use lb_tests::{
    clock,
    config::{Mode, Protocol},
    daemon::binary,
    inject::{self, Injector},
    require_privileged,
    site::{Site, WEB_PORT, target},
    temporary,
    topology::{Family, Plan, addresses},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

/// The verifier takes its time on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// `lbctl capture` while it runs. What it prints goes into a file: nobody has to read it meanwhile.
struct Capturing {
    process: Child,
    directory: TempDir,
}

impl Capturing {
    /// Starts it, and waits until there are so many captures.
    fn start(site: &Site, arguments: &[&str], captures: usize) -> Self {
        let capturing = Self::begin(site, arguments);
        clock::wait_until("the capture to begin", LIMIT, || under_way(site) >= captures).unwrap();
        capturing
    }

    fn begin(site: &Site, arguments: &[&str]) -> Self {
        let directory = temporary::directory("lbctl").unwrap();
        let file = |name| fs::File::create(directory.path().join(name)).unwrap();
        let mut command = Command::new(binary("lbctl").unwrap());
        command.arg("--socket").arg(site.daemon.socket()).args(["-o", "json", "capture"]).args(arguments);
        command.stdin(Stdio::null()).stdout(file("out")).stderr(file("said"));
        Self { process: site.topology.balancer.spawn(&mut command).unwrap(), directory }
    }

    fn interrupt(self) -> Output {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        self.finish()
    }

    fn finish(mut self) -> Output {
        let read = |name| fs::read(self.directory.path().join(name)).unwrap();
        Output { status: self.process.wait().unwrap(), stdout: read("out"), stderr: read("said") }
    }
}

fn under_way(site: &Site) -> usize {
    site.daemon.lbctl("capture --list").unwrap()["captures"].as_array().unwrap().len()
}

/// The lines of a capture: packets, and how it ended.
fn lines(output: &Output) -> (Vec<Value>, Value) {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let end = lines.pop().unwrap_or_else(|| panic!("no line: {said}"))["end"].clone();
    (lines.into_iter().map(|mut line| line["packet"].take()).collect(), end)
}

/// Fields that tshark finds in the packets that match a filter. It must have nothing to say about the file.
fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r"]).arg(file).args(["-Y", filter, "-T", "fields"]);
    for option in ["ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE"] {
        command.args(["-o", option]);
    }
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said: Vec<&str> = said.lines().filter(|line| !line.starts_with("Running as user")).collect();
    assert!(output.status.success() && said.iter().all(|line| line.is_empty()), "{said:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// The name of the program that each interface runs.
fn programs(site: &Site) -> Vec<String> {
    let interfaces = site.topology.interfaces().iter();
    let shown = interfaces.map(|name| site.topology.balancer.ip(&format!("-d link show {name}")).unwrap());
    shown
        .map(|text| {
            text.split("prog/xdp").nth(1).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
        })
        .collect()
}

fn all_capture(site: &Site) -> bool {
    programs(site).iter().all(|program| program.contains("lb_capture"))
}

fn none_captures(site: &Site) -> bool {
    programs(site).iter().all(|program| program.contains("name lb "))
}

const BAD_CHECKSUM: &str = "ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0";

#[test]
fn both_copies_with_what_became_of_them_open_in_tshark() {
    require_privileged!();
    for mode in Mode::ALL {
        let site = Site::standard(Plan::default(), mode).unwrap();
        let requests = |count| {
            for family in Family::ALL {
                for protocol in [Protocol::Tcp, Protocol::Udp] {
                    let report = site.requests(family, protocol, count);
                    assert_eq!(report.failed(), 0, "{report:?}");
                }
            }
        };
        // Once all neighbours are known nothing is dropped.
        requests(30);
        let directory = temporary::directory("capture").unwrap();
        let file = directory.path().join("packets.pcapng");
        let path = file.to_string_lossy().into_owned();
        let arguments = ["-w", &path, "--full", "service^=web-", "or", "service^=udp-"];
        let capturing = Capturing::start(&site, &arguments, 1);
        assert!(all_capture(&site), "{:?}", programs(&site));
        requests(10);
        let output = capturing.interrupt();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && said.contains("ended: stopped") && said.contains("lost 0"),
            "{said}"
        );
        clock::wait_until("the usual program", LIMIT, || none_captures(&site)).unwrap();
        assert_eq!(tshark(&file, BAD_CHECKSUM, &["frame.number"]), Vec::<Vec<String>>::new());
        copies_are_pairs(&file);
        both_sides_are_seen(&file, mode);
        let rights = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(rights & 0o777, 0o600);
    }
}

/// Each packet is in the file twice: as it arrived and as it left, with the same number and comment.
fn copies_are_pairs(file: &Path) {
    let fields = ["frame.interface_name", "frame.packet_flags_direction", "frame.packet_id", "frame.comment"];
    let packets = tshark(file, "frame", &fields);
    assert!(packets.len() > 100, "{} packets", packets.len());
    for pair in packets.chunks(2) {
        let [arrived, left] = pair else { panic!("a copy is missing: {pair:?}") };
        assert!(arrived[1] != left[1] && arrived[2] == left[2], "{pair:?}");
        assert!(arrived[0] != left[0], "it is forwarded to the other interface: {pair:?}");
        assert!(arrived[3] == left[3] && arrived[3].contains("verdict=redirect"), "{pair:?}");
        assert!(arrived[3].contains("backend=server-"), "{pair:?}");
    }
}

/// Requests are there as clients see them, and as backends do.
fn both_sides_are_seen(file: &Path, mode: Mode) {
    let begun = "frame.comment contains \"flow=begun\" && frame.packet_flags_direction == 1";
    let begun = tshark(file, begun, &["frame.number"]);
    assert!(begun.len() >= 40, "{} flows begin", begun.len());
    let vip = addresses::vip(Family::V4, 0);
    let arrived = format!("http.request && ip.dst == {vip} && frame.interface_name == \"eth0\"");
    let arrived = tshark(file, &arrived, &["frame.comment"]);
    assert_eq!(arrived.len(), 10, "{arrived:?}");
    assert!(arrived.iter().all(|fields| fields[0].contains("service=web-v4")), "{arrived:?}");
    let forwarded = tshark(file, "http.request && ip.dst == 10.0.0.0/8", &["ip.src"]);
    let kept = forwarded.iter().filter(|fields| fields[0].starts_with("198.51.100.")).count();
    assert_eq!((forwarded.len(), kept), (10, if mode == Mode::Nat { 10 } else { 0 }), "{forwarded:?}");
}

#[test]
fn drops_are_shown_with_their_reason_and_a_capture_of_others_shows_none() {
    require_privileged!();
    let site = Site::standard(Plan { servers: 1, ..Plan::default() }, Mode::Nat).unwrap();
    let capturing =
        Capturing::start(&site, &["--count", "1", "verdict=drop", "client", "in", "198.51.100.0/24"], 1);
    let other = Capturing::start(&site, &["--duration", "1h", "verdict=drop", "protocol=udp"], 2);
    let client = SocketAddr::new(addresses::clients(Family::V4)[0], 40_000);
    let injector = Injector::open(&site.topology.client, "eth0").unwrap();
    let mut spec = FrameSpec::tcp(client, target(Family::V4, WEB_PORT), RST);
    spec.smac = injector.mac();
    spec.dmac = inject::mac(&site.topology.balancer, "eth0").unwrap();
    injector.send(&spec.build()).unwrap();
    let (packets, end) = lines(&capturing.finish());
    assert_eq!((packets.len(), &end["reason"]), (1, &"count".into()), "{packets:?} {end}");
    let packet = &packets[0];
    assert_eq!(
        (&packet["verdict"], &packet["reason"]),
        (&"drop".into(), &"rst-without-flow".into()),
        "{packet}"
    );
    assert_eq!((&packet["service"], &packet["flow"]), (&"web-v4".into(), &"none".into()), "{packet}");
    assert_eq!(
        (&packet["client"], &packet["ingress"]),
        (&client.to_string().into(), &"eth0".into()),
        "{packet}"
    );
    assert_eq!(packet["arrived"]["details"], "rst", "{packet}");
    let (packets, end) = lines(&other.interrupt());
    assert_eq!((packets.len(), &end["reason"]), (0, &"stopped".into()), "{packets:?} {end}");
}

#[test]
fn no_request_fails_while_captures_begin_and_end_and_there_are_so_many_at_most() {
    require_privileged!();
    let site = Site::standard(Plan::default(), Mode::Nat).unwrap();
    let loads = Family::ALL.map(|family| site.http_load(family));
    for round in 0..2 {
        loads.iter().for_each(|load| load.wait_more(50).unwrap());
        let first = Capturing::start(&site, &["--rate", "50", "service=web-v4"], 1);
        let others: Vec<Capturing> =
            (2..=4).map(|number| Capturing::start(&site, &["service=web-v6"], number)).collect();
        if round == 0 {
            let refused = Capturing::begin(&site, &[]).finish();
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(refused.status.code() == Some(4) && said.contains("4 captures are under way"), "{said}");
        }
        loads.iter().for_each(|load| load.wait_more(100).unwrap());
        let (packets, _) = lines(&first.interrupt());
        assert!(packets.iter().all(|packet| packet["service"] == "web-v4"), "{packets:?}");
        for other in others {
            let (packets, end) = lines(&other.interrupt());
            assert!(
                packets.len() > 50 && packets.iter().all(|packet| packet["service"] == "web-v6"),
                "{end}"
            );
        }
        clock::wait_until("the usual program", LIMIT, || none_captures(&site)).unwrap();
    }
    for report in loads.map(lb_tests::client::Running::stop) {
        assert_eq!(report.failed(), 0, "{report:?}");
    }
}

#[test]
fn a_rate_is_never_exceeded_and_a_sample_is_one_of_so_many() {
    require_privileged!();
    let site = Site::standard(Plan { servers: 1, ..Plan::default() }, Mode::Nat).unwrap();
    let load = site.http_load(Family::V4);
    let capped = Capturing::start(&site, &["--rate", "100", "--duration", "3s", "service=web-v4"], 1);
    let sampled = Capturing::start(&site, &["--sample", "1/10", "--duration", "3s", "service=web-v4"], 2);
    let (packets, end) = lines(&capped.finish());
    // Windows of 134 ms, of which three seconds touch 24.
    assert!(packets.len() <= 24 * 13 + 13, "{} packets: {end}", packets.len());
    let (over_rate, looked_at) = (end["over_rate"].as_u64().unwrap(), end["looked_at"].as_u64().unwrap());
    // Packets of the host and of ARP are looked at, too.
    let others = looked_at - packets.len() as u64 - over_rate;
    assert!(over_rate > 0 && others < looked_at / 10 && end["lost"] == 0, "{end}");
    let (packets, end) = lines(&sampled.finish());
    let share = packets.len() as f64 / looked_at as f64;
    assert!((0.05..0.2).contains(&share), "{share} of {looked_at}: {end}");
    let told = |filter: &str| site.daemon.lbctl_text(&format!("events --past --match {filter}")).unwrap();
    let ended = || told("kind=capture-ended");
    clock::wait_until("both ends to be told", LIMIT, || ended().lines().count() == 2).unwrap();
    assert!(ended().contains(&format!("count={}", packets.len())), "{}", ended());
    let began = told("kind=capture-began");
    assert!(began.contains("who=\"uid 0 pid ") && began.contains("reason=service=web-v4"), "{began}");
    assert_eq!(load.stop().failed(), 0);
}

#[test]
fn lbd_may_be_killed_or_stopped_while_it_captures() {
    require_privileged!();
    let mut site = Site::standard(Plan::default(), Mode::Nat).unwrap();
    let load = site.http_load(Family::V4);
    let capturing = Capturing::start(&site, &["service=web-v4"], 1);
    site.daemon.kill().unwrap();
    let output = capturing.finish();
    assert!(!output.status.success(), "it does not say that the capture broke off");
    assert!(all_capture(&site), "{:?}", programs(&site));
    load.wait_more(200).unwrap();
    site.daemon.start_again().unwrap();
    assert!(none_captures(&site), "{:?}", programs(&site));
    let pinned = fs::read_dir(site.daemon.pin_directory().join(format!("v{ABI_VERSION}"))).unwrap();
    let pinned: Vec<String> =
        pinned.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(pinned.iter().filter(|name| name.starts_with("program-")).count(), 1, "{pinned:?}");

    let capturing = Capturing::start(&site, &["service=web-v4"], 1);
    load.wait_more(50).unwrap();
    site.daemon.terminate().unwrap();
    let (packets, end) = lines(&capturing.finish());
    assert!(!packets.is_empty() && end["reason"] == "stopped", "{end}");
    assert!(none_captures(&site), "{:?}", programs(&site));
    site.daemon.start_again().unwrap();
    // Nobody asks for the end of what lbctl asked for, when that is killed.
    let mut capturing = Capturing::start(&site, &["--duration", "1h", "service=web-v6"], 1);
    capturing.process.kill().unwrap();
    capturing.finish();
    clock::wait_until("the usual program", LIMIT, || none_captures(&site)).unwrap();
    load.wait_more(50).unwrap();
    assert_eq!(load.stop().failed(), 0);
}
