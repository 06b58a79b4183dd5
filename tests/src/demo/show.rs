//! What the tour prints.

use std::collections::BTreeMap;

use super::WEIGHTS;

/// Prints the heading of the next step.
pub(super) fn step(text: &str) {
    println!("\n== {text}");
}

/// Prints text, indented.
pub(super) fn say(text: &str) {
    for line in text.trim_end().lines() {
        println!("   {line}");
    }
}

/// Prints the network.
pub(super) fn network() {
    say("client --- eth0 [balancer: XDP] eth1 --- switch --- server-1   weight 100
 198.51.100.10     203.0.113.100             |------- server-2   weight 100
                   2001:db8:f::100           '------- server-3   weight 200");
}

/// `server-1 25 % #####` and so on, of counts.
pub(super) fn shares(counts: &BTreeMap<String, u64>) -> String {
    let total: u64 = counts.values().sum();
    let share = |count: u64| count * 100 / total.max(1);
    let bars = counts.iter().map(|(server, count)| {
        let bar = "#".repeat(usize::try_from(share(*count) / 5).unwrap_or_default());
        format!("{server} {:2} % {bar:<10}", share(*count))
    });
    bars.collect::<Vec<_>>().join("  ")
}

/// The weight of a server by its name, `server-1` and so on.
pub(super) fn weight(server: &str) -> u16 {
    let number: usize = server.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default();
    number.checked_sub(1).and_then(|index| WEIGHTS.get(index)).copied().unwrap_or_default()
}
