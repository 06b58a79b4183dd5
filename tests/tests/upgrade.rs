//! Upgrades and downgrades under load: another layout of the pinned maps, another program.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use lb_common::{
    abi::{ABI_VERSION, BackendSignals, Signal},
    maps,
};
use lb_tests::{
    client::{LongConnections, Running},
    clock,
    config::{Mode, Protocol},
    former::{Form, Former, links},
    require_privileged,
    site::Site,
    topology::{Family, Plan},
};
use lb_userspace::sys::bpf::Map;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// HTTP requests and long connections of both families, and what is to be true of them in the end.
struct Traffic {
    loads: [Running; 2],
    connections: [LongConnections; 2],
    /// Of the links.
    ids: Vec<String>,
    /// IPv4 packets that had come to the host before.
    received: u64,
}

impl Traffic {
    fn start(site: &Site) -> Self {
        let loads = Family::ALL.map(|family| site.http_load(family));
        let connections = Family::ALL.map(|family| site.long_connections(family, 20).unwrap());
        Self { loads, connections, ids: link_ids(site), received: received(site) }
    }

    fn wait_more(&self) {
        self.loads.iter().for_each(|load| load.wait_more(50).unwrap());
        self.connections.iter().for_each(|connections| connections.wait_more(50).unwrap());
    }

    /// Nothing failed, and no packet came to the host, as it would past an interface without the program.
    fn end_unharmed(self, site: &Site, case: &str) {
        let received_before = self.received;
        self.end(site, case, 0);
        assert_eq!(received(site), received_before, "{case}: IPv4 packets came to the host");
    }

    /// No more requests of a family failed than said, no connection broke, and no interface was ever without a program.
    fn end(self, site: &Site, case: &str, most: u64) {
        for report in self.loads.map(Running::stop) {
            assert!(report.failed() <= most && report.succeeded >= 200, "{case}: {report:?}");
        }
        for report in self.connections.map(LongConnections::close) {
            assert!(report.broken.is_empty() && report.connected == 20, "{case}: {report:?}");
        }
        assert_eq!(link_ids(site), self.ids, "{case}: an interface was attached anew");
    }
}

/// The kernel's ids of the links on the interfaces, wherever they are pinned.
fn link_ids(site: &Site) -> Vec<String> {
    let root = site.daemon.pin_directory();
    let versions = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
    let place = versions.filter(|path| links(path).is_ok_and(|links| !links.is_empty())).max().unwrap();
    let id = |name: String| {
        let shown =
            lb_tests::command::sh(&format!("bpftool link show pinned {}", place.join(name).display()));
        shown.unwrap().split(':').next().unwrap().to_owned()
    };
    links(&place).unwrap().into_iter().map(id).collect()
}

/// IPv4 packets that the balancer's own stack received.
fn received(site: &Site) -> u64 {
    let text = site.topology.balancer.run(|| fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|name| name == "InReceives").unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

fn version(site: &Site, version: u32) -> PathBuf {
    site.daemon.pin_directory().join(format!("v{version}"))
}

fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Whether a program is pinned there; not if there is no such directory yet.
fn has_program(directory: &Path) -> bool {
    let is_program =
        |entry: fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with("program-"));
    fs::read_dir(directory).is_ok_and(|entries| entries.flatten().any(is_program))
}

fn ids(site: &Site) -> Vec<String> {
    let services = site.daemon.lbctl("service list").unwrap();
    services.as_array().unwrap().iter().map(|service| service["id"].to_string()).collect()
}

/// A site whose tables of established flows are of the type that layout 1 has, and whose configuration does not say so.
fn standard(mode: Mode) -> Site {
    let mut site = Site::standard(Plan::default(), mode).unwrap();
    let text = fs::read_to_string(site.daemon.config_file()).unwrap();
    forget_idle(&mut site);
    fs::write(site.daemon.config_file(), text).unwrap();
    site
}

/// Starts again with tables that forget the longest idle flow.
fn forget_idle(site: &mut Site) {
    site.daemon.terminate().unwrap();
    let file = site.daemon.config_file();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n[limits]\ntable_full = \"evict-idle\"\n")).unwrap();
    site.daemon.start_again().unwrap();
}

/// Whether tables of established flows forget the longest idle one.
fn forgets(site: &Site) -> bool {
    const LRU_HASH: u32 = 9;
    [maps::FLOWS_V4, maps::FLOWS_V6].iter().all(|name| {
        Map::open(&version(site, ABI_VERSION).join(name)).unwrap().info().shape.map_type == LRU_HASH
    })
}

#[test]
fn an_upgrade_from_layout_1_under_load_harms_no_request_and_no_connection() {
    require_privileged!();
    for (form, mode) in Form::ALL.into_iter().zip([Mode::FullNat, Mode::Nat]) {
        let mut site = standard(mode);
        let traffic = Traffic::start(&site);
        let known = ids(&site);
        for _ in 0..2 {
            traffic.wait_more();
            site.daemon.terminate().unwrap();
            Former::of(&site.daemon, form).unwrap().put_in_place().unwrap();
            traffic.wait_more();
            site.daemon.start_again().unwrap();
            traffic.wait_more();
            assert!(!version(&site, 1).exists(), "{:?}", files(&version(&site, 1)));
            assert_eq!(forgets(&site), form == Form::Last, "{form:?}");
        }
        assert_eq!(ids(&site), known, "services have other ids");
        let case = format!("{form:?} form, {}", mode.name());
        match form {
            // Where tables are not shared, a connection that begins within the milliseconds of a switch tries once more, or is reset.
            Form::First => traffic.end(&site, &case, 2),
            Form::Last => traffic.end_unharmed(&site, &case),
        }
    }
}

#[test]
fn an_upgrade_that_is_killed_anywhere_is_taken_up_by_either_version() {
    require_privileged!();
    for form in Form::ALL {
        let mut site = standard(Mode::Nat);
        let traffic = Traffic::start(&site);
        let (now, then) = (version(&site, ABI_VERSION), version(&site, 1));
        site.daemon.terminate().unwrap();
        let former = Former::of(&site.daemon, form).unwrap();
        former.put_in_place().unwrap();
        let stages: [(&str, &dyn Fn() -> bool); 5] = [
            ("its directory is there", &|| now.exists()),
            ("its maps are there", &|| now.join(maps::EVENTS).exists()),
            ("its program is there", &|| has_program(&now)),
            ("the links are pinned twice", &|| now.join("link-eth1").exists()),
            ("the former maps are going", &|| !then.join("link-eth1").exists()),
        ];
        for (stage, reached) in stages {
            site.daemon.launch(&[]).unwrap();
            clock::wait_for(stage, Duration::from_secs(20), || reached().then_some(())).unwrap();
            site.daemon.kill().unwrap();
            traffic.wait_more();
            if links(&then).is_ok_and(|links| links.len() == 2) {
                former.start().unwrap();
                traffic.wait_more();
            }
        }
        site.daemon.start_again().unwrap();
        traffic.wait_more();
        assert!(!then.exists(), "{:?}", files(&then));
        let most = if matches!(form, Form::First) { 2 } else { 0 };
        traffic.end(&site, &format!("{form:?} form"), most);
    }
}

#[test]
fn a_downgrade_that_was_prepared_keeps_every_connection() {
    require_privileged!();
    let mut site = Site::standard(Plan::default(), Mode::Nat).unwrap();
    let traffic = Traffic::start(&site);
    let refused = site.daemon.run_lbd(&["--prepare-downgrade", "1"]).unwrap_err().to_string();
    let process = format!("process {}", site.daemon.process_id().unwrap());
    assert!(refused.contains("another lbd") && refused.contains(&process), "{refused}");
    site.daemon.terminate().unwrap();
    let refused = site.daemon.run_lbd(&["--prepare-downgrade", "7"]).unwrap_err().to_string();
    assert!(refused.contains("layout version 7") && refused.contains("go back to layout 1"), "{refused}");
    let refused = site.daemon.run_lbd(&["--prepare-downgrade", "1"]).unwrap_err().to_string();
    assert!(refused.contains("set [limits] table_full to \"evict-idle\""), "{refused}");
    site.daemon.start_again().unwrap();
    forget_idle(&mut site);
    traffic.wait_more();
    site.daemon.terminate().unwrap();
    for _ in 0..2 {
        let former = Former::of(&site.daemon, Form::Last).unwrap();
        site.daemon.run_lbd(&["--prepare-downgrade", "1"]).unwrap();
        assert!(!version(&site, ABI_VERSION).exists());
        // A second time there is nothing to do, which is no error.
        site.daemon.run_lbd(&["--prepare-downgrade", "1"]).unwrap();
        traffic.wait_more();
        former.start().unwrap();
        traffic.wait_more();
        site.daemon.start_again().unwrap();
        traffic.wait_more();
        site.daemon.terminate().unwrap();
    }
    traffic.end_unharmed(&site, "downgrade");
}

#[test]
fn pins_that_cannot_be_read_are_refused_untouched_and_their_interfaces_taken_over_on_demand() {
    require_privileged!();
    let mut site = Site::standard(Plan { servers: 1, ..Plan::default() }, Mode::Nat).unwrap();
    site.daemon.terminate().unwrap();
    let (own, newer, older) = (version(&site, ABI_VERSION), version(&site, 9), version(&site, 1));
    let links = link_ids(&site);
    let refused = |site: &mut Site, place: &Path, parts: &[&str]| {
        fs::rename(&own, place).unwrap();
        let before = files(place);
        let said = site.daemon.refusal().unwrap();
        for part in parts.iter().copied().chain([&*place.to_string_lossy(), "--discard-flows", "--detach"]) {
            assert!(said.contains(part), "{part:?} is missing in: {said}");
        }
        assert!(files(place) == before && !own.exists());
        let report = site.requests(Family::V4, Protocol::Tcp, 50);
        assert_eq!(report.failed(), 0, "{report:?}");
    };
    refused(&mut site, &newer, &["layout version 9", "newer", &format!("--prepare-downgrade {ABI_VERSION}")]);
    site.daemon.start_with(&["--discard-flows"]).unwrap();
    let report = site.requests(Family::V4, Protocol::Tcp, 50);
    assert_eq!(report.failed(), 0, "{report:?}");
    assert!(!newer.exists() && link_ids(&site) == links);

    // Version 1, but with services of another form.
    site.daemon.terminate().unwrap();
    let services = own.join(maps::SERVICES_V4);
    fs::remove_file(&services).unwrap();
    let create = "bpftool map create {} type hash key 8 value 24 entries 64 name other";
    lb_tests::command::sh(&create.replace("{}", &services.to_string_lossy())).unwrap();
    refused(&mut site, &older, &["layout version 1", "SERVICES_V4", "24-byte values"]);
}

/// Versions of one layout differ in maps that one of them does not have.
#[test]
fn maps_that_the_former_version_did_not_have_are_made_without_a_gap() {
    require_privileged!();
    let mut site = Site::standard(Plan::default(), Mode::Nat).unwrap();
    let traffic = Traffic::start(&site);
    let added = version(&site, ABI_VERSION).join(maps::BACKEND_SIGNALS);
    traffic.wait_more();
    site.daemon.terminate().unwrap();
    for map in [
        maps::BACKEND_SIGNALS,
        maps::BACKEND_LATENCIES,
        maps::HANDSHAKES,
        maps::FULL_AT,
        maps::BACKEND_LIMITS,
        maps::BACKEND_PLACES,
        maps::SERVICE_PLACES,
        maps::AFFINITY,
        maps::COOKIES_V4,
        maps::COOKIES_V6,
        maps::SYN_COOKIES,
    ] {
        fs::remove_file(added.with_file_name(map)).unwrap();
    }
    site.daemon.start_again().unwrap();
    site.daemon.lbctl("service set echo-v4 --max-connections 20 --affinity-timeout 1h").unwrap();
    clock::wait_until("long connections to be counted", Duration::from_secs(5), || {
        site.daemon.lbctl("service show echo-v4").unwrap()["connections"] == 20
    })
    .unwrap();
    traffic.wait_more();
    let counted = Map::open(&added).unwrap().entries::<u32, BackendSignals>().unwrap();
    assert!(counted.iter().any(|(_, signals)| signals.of(Signal::SynAck) > 0));
    traffic.end_unharmed(&site, "a map more");
}

#[test]
fn another_program_of_the_same_layout_takes_over_without_a_gap() {
    require_privileged!();
    let mut site = Site::standard(Plan::default(), Mode::Nat).unwrap();
    let traffic = Traffic::start(&site);
    for round in 0..4 {
        traffic.wait_more();
        site.daemon.terminate().unwrap();
        // A program that logs is another one than that which does not.
        let log = if round % 2 == 0 { "error" } else { "off" };
        site.daemon.start_with(&["--data-path-log", log]).unwrap();
    }
    let programs = files(&version(&site, ABI_VERSION));
    assert_eq!(programs.iter().filter(|name| name.starts_with("program-")).count(), 1, "{programs:?}");
    traffic.end_unharmed(&site, "same layout");
}

#[test]
fn a_program_is_gone_on_with_until_it_is_another_or_its_maps_are() {
    require_privileged!();
    let mut site = Site::standard(Plan { servers: 1, ..Plan::default() }, Mode::Nat).unwrap();
    let own = version(&site, ABI_VERSION);
    let program = |site: &Site| {
        let report = site.requests(Family::V4, Protocol::Tcp, 20);
        assert_eq!(report.failed(), 0, "{report:?}");
        let names: Vec<_> = files(&own).into_iter().filter(|name| name.starts_with("program-")).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        names[0].clone()
    };
    let first = program(&site);
    for _ in 0..2 {
        site.daemon.kill().unwrap();
        site.daemon.start_again().unwrap();
        assert_eq!(program(&site), first);
    }
    // It can be put on an interface that has lost it.
    site.daemon.kill().unwrap();
    let link = files(&own).into_iter().find(|name| name.starts_with("link-")).unwrap();
    fs::remove_file(own.join(link)).unwrap();
    site.daemon.start_again().unwrap();
    assert_eq!(program(&site), first);

    site.daemon.kill().unwrap();
    fs::remove_file(own.join(maps::DROPS)).unwrap();
    site.daemon.start_again().unwrap();
    let second = program(&site);
    assert_ne!(second, first, "it counts drops in a map that nobody can read");

    site.daemon.terminate().unwrap();
    site.daemon.start_with(&["--data-path-log", "error"]).unwrap();
    assert_ne!(program(&site), second, "it does not log");
}

#[test]
fn a_bpf_file_system_that_is_unmounted_harms_nobody_and_everything_is_pinned_on_the_next() {
    require_privileged!();
    let mut site = Site::standard(Plan { servers: 1, ..Plan::default() }, Mode::Nat).unwrap();
    let (links, own) = (link_ids(&site), version(&site, ABI_VERSION));
    let mount_point = site.daemon.pin_directory().parent().unwrap().to_owned();
    let pinned = files(&own);
    // Any change of a link makes lbd look.
    let look = |site: &Site, name: &str| {
        site.topology.balancer.ip(&format!("link add {name} type veth peer name {name}-peer")).unwrap();
    };
    let works = |site: &Site| {
        let report = site.requests(Family::V4, Protocol::Tcp, 20);
        assert_eq!(report.failed(), 0, "{report:?}");
    };
    umount2(&mount_point, MntFlags::MNT_DETACH).unwrap();
    look(&site, "one");
    let said = || site.daemon.log().contains("what is pinned is out of reach");
    clock::wait_until("lbd to say it", Duration::from_secs(15), said).unwrap();
    assert_eq!(site.daemon.lbctl("status").unwrap()["pins_out_of_reach"], true);
    works(&site);

    let none: Option<&str> = None;
    mount(Some("bpf"), &mount_point, Some("bpf"), MsFlags::empty(), none).unwrap();
    look(&site, "two");
    let again = || site.daemon.log().contains("everything is pinned again");
    clock::wait_until("lbd to pin again", Duration::from_secs(15), again).unwrap();
    assert!(site.daemon.lbctl("status").unwrap()["pins_out_of_reach"].is_null());
    assert_eq!((files(&own), link_ids(&site)), (pinned, links.clone()));
    works(&site);

    site.daemon.kill().unwrap();
    works(&site);
    site.daemon.start_again().unwrap();
    works(&site);
    assert_eq!(link_ids(&site), links, "the interfaces never were without the program");
}
