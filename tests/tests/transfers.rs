//! Large things: files, datagrams in fragments, and a path that is narrower than its ends.

use lb_tests::{
    capture::Capture,
    client::{self, Load, Udp},
    config::{Config, Mode},
    pattern::Pattern,
    require_privileged,
    servers::{ECHO_PORT, Nginx},
    site::{Site, WEB_PORT, services, target},
    topology::{Family, Plan, addresses},
};

const MEGABYTE: u64 = 1_000_000;

/// Sends a file each way, in both families.
fn transfer(site: &Site, size: u64) {
    let (down, up) = (Pattern::new(1), Pattern::new(2));
    let servers: Vec<&Nginx> = site.servers.iter().map(|servers| &servers.nginx).collect();
    for server in &servers {
        server.provide("down", down, size).expect("the file can be written");
    }
    for family in Family::ALL {
        let web = target(family, WEB_PORT);
        let client = &site.topology.client;
        client::download(client, web, "down", down, size).expect("the download is intact");
        site.topology.forget_mtus().expect("the caches can be flushed");
        client::upload(client, web, &servers, family.name(), up, size).expect("the upload is intact");
    }
}

#[test]
fn files_arrive_intact_both_ways() {
    require_privileged!();
    for mode in Mode::ALL {
        transfer(&Site::standard(Plan::default(), mode).unwrap(), 20 * MEGABYTE);
    }
}

#[test]
fn files_cross_a_path_with_a_smaller_mtu() {
    require_privileged!();
    for mode in Mode::ALL {
        let plan = Plan { servers: 0, narrow: true, ..Plan::default() };
        let site = Site::start(plan, |topology| {
            let far = topology.far.as_slice();
            Config::new(topology.interfaces(), services(far, mode))
        });
        let site = site.unwrap();
        let capture = Capture::start(&site.topology.links()).unwrap();
        transfer(&site, 10 * MEGABYTE);
        let recording = capture.stop().unwrap();
        // The client can only have learned the MTU from an ICMP error that was translated for it.
        for too_big in ["icmp.type == 3 && icmp.code == 4 && icmp.mtu == 1280", "icmpv6.type == 2"] {
            let errors = recording.find_on("client", too_big).unwrap();
            assert!(!errors.is_empty(), "{}: no {too_big} reached the client", mode.name());
        }
        assert_eq!(recording.bad_checksums().unwrap(), Vec::<String>::new(), "{}", mode.name());
    }
}

#[test]
fn datagrams_in_fragments_arrive_both_ways() {
    require_privileged!();
    for mode in Mode::ALL {
        let site = Site::standard(Plan::default(), mode).unwrap();
        for family in Family::ALL {
            let capture = Capture::start(&site.topology.links()).unwrap();
            let mut load = Load::full(addresses::clients(family));
            if (mode, family) == (Mode::FullNat, Family::V4) {
                // Identifications are unique for a source only, and SNAT makes one source of many: two datagrams under way at once
                // may be put together wrongly (RFC 4963).
                load.concurrency = 1;
            }
            let request = Udp { target: target(family, ECHO_PORT), size: 4096 };
            let report = client::run(&site.topology.client, &request, &load, 1000);
            let recording = capture.stop().unwrap();
            let case = format!("{} {}", mode.name(), family.name());
            assert_eq!((report.succeeded, report.failed()), (1000, 0), "{case}: {report:?}");
            let fragments =
                recording.find_on("client", "ip.flags.mf == 1 || ipv6.fraghdr.more == 1").unwrap();
            assert!(fragments.len() > 2000, "{case}: {} fragments", fragments.len());
            assert_eq!(recording.bad_checksums().unwrap(), Vec::<String>::new(), "{case}");
        }
    }
}
