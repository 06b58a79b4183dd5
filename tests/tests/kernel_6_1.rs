//! Kernel 6.1: the oldest that is supported, in an emulated guest with network cards of several queues.

use lb_tests::{
    guest::check::{self, REQUESTS, Way},
    require_guest,
};

#[test]
fn the_program_loads_attaches_natively_and_forwards() {
    require_guest!();
    let facts = check::run().expect("the guest runs");
    println!("{facts}");
    assert!(facts.release.starts_with("6.1."), "kernel {}", facts.release);
    let attached: Vec<_> =
        facts.attachments.iter().map(|found| (found.interface.as_str(), found.mode.as_str())).collect();
    assert_eq!(attached, [("eth0", "driver"), ("eth1", "driver")]);
    // One for each of the two processors, and as many for XDP to send from without a lock.
    assert_eq!(facts.queues, [4, 4]);
    assert!(
        facts.captured.contains("\"reason\":\"duration\""),
        "the program that captures: {}",
        facts.captured
    );
    assert_eq!(facts.exchanges.len(), Way::ALL.len() * 2 * 2);
    for exchange in &facts.exchanges {
        let server = if exchange.way == Way::Back { "neighbour" } else { "server-1" };
        let report = &exchange.report;
        assert_eq!((report.succeeded, report.share(server)), (REQUESTS, 1.0), "{exchange:?}");
    }
}
