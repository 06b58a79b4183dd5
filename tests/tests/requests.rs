//! Every mode, family and protocol, over one and over two interfaces.

use lb_tests::{
    config::{Mode, Protocol},
    require_privileged,
    site::Site,
    topology::{Arms, Family, Plan},
};

/// Of each family and protocol.
const REQUESTS: u64 = 2000;

/// Makes requests of each family and protocol, and looks at what crossed the links.
fn check(arms: Arms, mode: Mode) {
    let site = Site::standard(Plan { arms, ..Plan::default() }, mode).expect("the site starts");
    let cases = [
        (Family::V4, Protocol::Tcp),
        (Family::V4, Protocol::Udp),
        (Family::V6, Protocol::Tcp),
        (Family::V6, Protocol::Udp),
    ];
    let recorded = site.recorded_requests(&cases, REQUESTS).expect("the recording is complete");
    for (case, report) in cases.iter().zip(&recorded.reports) {
        assert_eq!((report.succeeded, report.failed()), (REQUESTS, 0), "{case:?}: {report:?}");
        for host in &site.topology.servers {
            let share = report.share(&host.name);
            assert!((0.25..0.42).contains(&share), "{case:?}: {} has a share of {share}", host.name);
        }
    }
    // A question and an answer on each of the three links they cross, at least.
    assert!(recorded.frames > 4 * REQUESTS * 6, "only {} frames", recorded.frames);
    assert_eq!(recorded.bad_checksums, Vec::<String>::new());
    assert_eq!(recorded.backends_seen, Vec::<String>::new());
    assert_eq!(recorded.clients_seen > 0, mode == Mode::Nat);
}

#[test]
fn nat_between_two_interfaces() {
    require_privileged!();
    check(Arms::Two, Mode::Nat);
}

#[test]
fn full_nat_between_two_interfaces() {
    require_privileged!();
    check(Arms::Two, Mode::FullNat);
}

#[test]
fn nat_on_one_interface() {
    require_privileged!();
    check(Arms::One, Mode::Nat);
}

#[test]
fn full_nat_on_one_interface() {
    require_privileged!();
    check(Arms::One, Mode::FullNat);
}
