//! Sources that are blocked by request, in simulated time.

use std::time::Duration;

use ipnet::IpNet;
use lb_common::abi::SettingsFlags;

use super::{
    life::{Life, SECOND},
    *,
};
use crate::control::NewBlocks;

impl Life {
    fn block(&mut self, prefixes: &[&str], time: Option<Duration>) -> Result<(), Error> {
        let prefixes = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
        self.tell(Event::Block(NewBlocks { prefixes, time, reason: "scans".to_owned(), replace: false }))
    }

    /// The prefixes in the list that is for all services, with their last ticks.
    fn blocked(&self) -> Vec<(String, u32)> {
        let image = self.maps.image();
        let list = image.admissions.get(&0).map_or(0, |admission| admission.list);
        assert_eq!(image.settings.flags & SettingsFlags::ADMISSION != 0, list != 0);
        let rules = image.acls.get(&list).map(|rules| rules.iter().collect::<Vec<_>>()).unwrap_or_default();
        assert!(image.acls.keys().all(|number| *number == list), "nobody has the others");
        rules.into_iter().map(|(prefix, rule)| (prefix.to_string(), rule.until)).collect()
    }

    fn wait(&mut self, time: Duration) {
        self.sleep(time);
        self.now.monotonic += time;
        self.tell(Event::Tick).unwrap();
    }
}

#[test]
fn a_block_for_a_time_is_in_the_maps_survives_a_restart_and_ends() {
    let mut life = Life::begin();
    assert_eq!(life.blocked(), []);
    life.block(&["203.0.113.0/24"], Some(600 * SECOND)).unwrap();
    // 1600 s after boot, in ticks of 2^30 ns.
    assert_eq!(life.blocked(), [("203.0.113.0/24".to_owned(), 1491)]);
    assert!(life.control.snapshot().wake_at.is_some_and(|at| at <= life.now.instant + 600 * SECOND));
    life.block(&["2001:db8::/48"], None).unwrap();
    life.now.monotonic += 100 * SECOND;
    life.restart(100 * SECOND);
    let prefixes: Vec<String> = life.blocked().into_iter().map(|(prefix, _)| prefix).collect();
    assert_eq!(prefixes, ["203.0.113.0/24", "2001:db8::/48"]);
    assert_eq!(life.control.snapshot().blocks.len(), 2);
    life.wait(499 * SECOND);
    assert_eq!(life.blocked().len(), 2);
    life.wait(2 * SECOND);
    assert_eq!(life.blocked(), [("2001:db8::/48".to_owned(), 0)]);
    life.tell(Event::Unblock(vec!["2001:db8::/48".parse().unwrap()])).unwrap();
    assert_eq!(life.blocked(), []);
}

#[test]
fn a_list_that_is_replaced_gets_another_number_and_one_prefix_does_not() {
    let mut life = Life::begin();
    let number = |life: &Life| life.maps.image().admissions[&0].list;
    life.block(&["10.0.0.0/8", "11.0.0.0/8"], None).unwrap();
    let first = number(&life);
    life.block(&["12.0.0.0/8"], None).unwrap();
    assert_eq!((number(&life), life.blocked().len()), (first, 3));
    let prefixes: Vec<IpNet> = ["13.0.0.0/8", "14.0.0.0/8"].map(|prefix| prefix.parse().unwrap()).into();
    let wanted = NewBlocks { prefixes, time: None, reason: String::new(), replace: true };
    life.tell(Event::Block(wanted)).unwrap();
    assert_eq!(life.blocked().len(), 2);
    let second = number(&life);
    assert_ne!(second, first);
    life.restart(SECOND);
    assert_eq!(number(&life), second, "the same list");
}

#[test]
fn what_is_wrong_with_a_block_is_told_and_changes_nothing() {
    let mut life = Life::begin();
    life.block(&["10.0.0.0/8"], None).unwrap();
    for (prefix, time, expected) in [
        ("10.0.0.1/8", None, "expected 10.0.0.0/8"),
        ("10.0.0.0/9", Some(Duration::ZERO), "expected 1s to 8760h"),
    ] {
        let error = life.block(&[prefix], time).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = life.tell(Event::Unblock(vec!["10.1.0.0/16".parse().unwrap()])).unwrap_err();
    assert!(error.to_string().contains("10.0.0.0/8 is"), "{error}");
    assert_eq!(life.blocked().len(), 1);
    // More than the maps have room for.
    let prefixes = (0..70_000_u32).map(|number| IpNet::from(std::net::IpAddr::from(number.to_be_bytes())));
    let wanted = NewBlocks { prefixes: prefixes.collect(), time: None, reason: String::new(), replace: true };
    let error = life.tell(Event::Block(wanted)).unwrap_err();
    assert!(error.to_string().contains("limits.prefixes = 65536 is reached: 4464 more"), "{error}");
    assert_eq!((life.blocked().len(), life.control.snapshot().blocks.len()), (1, 1));
}
