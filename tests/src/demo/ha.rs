//! A failover, live: `cargo xtask demo --ha`.
//!
//! Two balancers stand between a client and three servers, and one of them has the VIP. What happens to it is what [`tour`] says, from top to
//! bottom; a client asks the VIP each millisecond all the while, and at the end stands what it lost.

use std::{thread, time::Duration};

use anyhow::Result;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};

use super::{
    keep::Interrupt,
    show::{say, step},
};
use crate::{
    client::Seen,
    clock,
    duo::{Duo, Setup},
};

/// Three intervals of 100 ms, the skew of priority 100, and 40 ms for a machine that is busy otherwise.
const MOST_WITHOUT_POWER: Duration = Duration::from_millis(400);

/// What happened, what the client saw of it, and how long it may have been without an answer.
struct Chapter {
    title: &'static str,
    seen: Seen,
    most: Duration,
}

/// Does the tour; true if all expectations were met.
///
/// # Errors
///
/// If a part does not work at all, or on Ctrl-C.
pub fn tour() -> Result<bool> {
    let interrupt = Interrupt::watch()?;
    step("Build a network: a client, two balancers with lbd, three servers, each in its own namespace");
    say("client --- switch ---+--- node 0 (priority 150) ---+--- switch --- server-1, server-2, server-3
198.51.100.10         '--- node 1 (priority 100) ---'
VIP 203.0.113.100 and the servers' gateway 10.1.0.1 are on one of the nodes; adverts each 100 ms");
    let mut tour = Tour { duo: Duo::start(Setup::default())?, chapters: Vec::new(), interrupt };
    tour.status(&[0, 1])?;
    tour.chapter("power off: node 0 is gone, without a word", MOST_WITHOUT_POWER, |duo| {
        duo.power_off(0)?;
        taken(duo, 1)
    })?;
    tour.chapter("power on: node 0 is back, and preferred", Duration::ZERO, |duo| {
        duo.power_on(0)?;
        duo.settled(0)
    })?;
    tour.chapter("lbctl vrrp failover --all: work on node 0 is planned", Duration::ZERO, |duo| {
        duo.daemons[0].lbctl("vrrp failover --all --wait")?;
        duo.settled(1)
    })?;
    tour.status(&[0])?;
    tour.chapter("lbctl vrrp release --all: it is done", Duration::ZERO, |duo| {
        duo.daemons[0].lbctl("vrrp release --all --wait")?;
        duo.settled(0)
    })?;
    tour.chapter("kill -9: lbd of node 0 dies, its data path lives", Duration::ZERO, |duo| {
        duo.kill(0)?;
        taken(duo, 1)?;
        thread::sleep(Duration::from_millis(500));
        Ok(())
    })?;
    tour.chapter("lbd of node 0 is started again", Duration::ZERO, |duo| {
        duo.launch(0)?;
        duo.settled(0)
    })?;
    tour.status(&[0, 1])?;
    step("What the client saw");
    Ok(tour.summary())
}

/// Waits until a node has the addresses, and says when that was.
fn taken(duo: &Duo, node: usize) -> Result<()> {
    let begin = clock::now();
    duo.settled_alone(node)?;
    say(&format!(
        "node {node} has the VIP and has sent five adverts after {} ms",
        begin.elapsed().as_millis()
    ));
    Ok(())
}

struct Tour {
    duo: Duo,
    chapters: Vec<Chapter>,
    interrupt: Interrupt,
}

impl Tour {
    /// Lets something happen, and says what the client saw of it.
    fn chapter(
        &mut self,
        title: &'static str,
        most: Duration,
        event: impl FnOnce(&mut Duo) -> Result<()>,
    ) -> Result<()> {
        self.interrupt.check()?;
        step(title);
        let [one, new] = self.duo.seen(event)?;
        let seen = one.with(new);
        let owners: Vec<String> = self.duo.arp.owners()?.iter().map(|node| format!("node {node}")).collect();
        say(&format!("for the VIP answers: {}", owners.join(" and ")));
        say(&format!(
            "probes: {}, lost: {}, longest time without an answer: {:.1} ms",
            seen.asked,
            seen.lost,
            seen.outage.as_secs_f64() * 1e3
        ));
        self.chapters.push(Chapter { title, seen, most });
        Ok(())
    }

    /// Prints `lbctl vrrp status` of some nodes.
    fn status(&self, nodes: &[usize]) -> Result<()> {
        for node in nodes {
            say(&format!(
                "node {node}$ lbctl vrrp status\n{}",
                self.duo.daemons[*node].lbctl_text("vrrp status")?
            ));
        }
        Ok(())
    }

    /// Prints the final table, and whether it is as expected.
    fn summary(&self) -> bool {
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        table.set_header(["what happened", "probes", "lost", "without an answer", "at most", "as expected"]);
        let milliseconds = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        let mut all_good = true;
        for Chapter { title, seen, most } in &self.chapters {
            let is_good = seen.outage <= *most;
            all_good &= is_good;
            table.add_row([
                (*title).to_owned(),
                seen.asked.to_string(),
                seen.lost.to_string(),
                milliseconds(seen.outage),
                milliseconds(*most),
                if is_good { "yes" } else { "NO" }.to_owned(),
            ]);
        }
        println!("{table}");
        all_good
    }
}
