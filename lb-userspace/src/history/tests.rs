//! An hour of points.

use super::*;

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

/// A point at a second, with so many packets from clients of all services and of each of some.
fn point(second: u64, packets: u64, services: &[(&str, u64)]) -> Point {
    let figures = |packets_in| Figures {
        traffic: TrafficCounters { packets_in, ..TrafficCounters::default() },
        active_flows: second,
        drops: 0,
    };
    Point {
        now: Duration::from_secs(second),
        at: Timestamp::since_epoch(Duration::from_secs(1_700_000_000 + second)),
        all: figures(packets),
        services: services.iter().map(|(service, packets)| (name(service), figures(*packets))).collect(),
    }
}

fn packets(history: &History, service: Option<&str>) -> Vec<f64> {
    let service = service.map(name);
    history.rates(service.as_ref()).iter().map(|rate| rate.packets_in).collect()
}

#[test]
fn a_rate_is_what_came_between_two_points() {
    let mut history = History::default();
    assert!(packets(&history, None).is_empty());
    history.record(point(0, 1000, &[]));
    assert!(packets(&history, None).is_empty(), "one point has no rate");
    history.record(point(5, 1500, &[]));
    history.record(point(15, 1510, &[]));
    assert_eq!(packets(&history, None), [100.0, 1.0]);
    let last = history.rates(None)[1];
    assert_eq!((last.at, last.active_flows), (point(15, 0, &[]).at, 15));
}

#[test]
fn counters_that_begin_anew_are_no_rate_below_zero() {
    let mut history = History::default();
    for (second, count) in [(0, 1000), (5, 10), (10, 60)] {
        history.record(point(second, count, &[]));
    }
    assert_eq!(packets(&history, None), [0.0, 10.0]);
}

#[test]
fn a_service_has_rates_only_where_it_was_there() {
    let mut history = History::default();
    history.record(point(0, 0, &[("web", 0)]));
    history.record(point(5, 0, &[("web", 50), ("dns", 7)]));
    history.record(point(10, 0, &[("dns", 17)]));
    assert_eq!(packets(&history, Some("web")), [10.0]);
    assert_eq!(packets(&history, Some("dns")), [2.0]);
    assert!(packets(&history, Some("none")).is_empty());
}

#[test]
fn no_more_than_an_hour_is_kept() {
    let mut history = History::default();
    for number in 0..2 * KEPT as u64 {
        history.record(point(number * EVERY.as_secs(), number * 5, &[]));
    }
    let rates = history.rates(None);
    assert_eq!(rates.len(), KEPT - 1);
    assert_eq!(rates.len() as u64 * EVERY.as_secs(), 3600);
    assert_eq!(rates[0].at, point(KEPT as u64 * EVERY.as_secs() + 5, 0, &[]).at);
}
