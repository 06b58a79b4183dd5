//! Both nodes are started at the same moment.

use std::{thread, time::Duration};

use anyhow::Result;

use super::super::{Depth, Row};
use crate::{
    clock,
    duo::{Duo, Setup},
    inject,
    topology::{Family, addresses},
};

/// By when everything has to be right, after a node has become active: a client that is led astray for a moment is led back by then.
const RIGHT_AFTER: Duration = Duration::from_millis(500);

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let count = depth.of(50);
    let mut duo = Duo::start(Setup::default())?;
    let mut wrong = 0;
    for _ in 0..count {
        for node in [0, 1] {
            duo.kill(node)?;
            duo.forget(node)?;
        }
        duo.launch(0)?;
        duo.launch(1)?;
        clock::wait_until("a node to be active", Duration::from_secs(15), || {
            duo.arp.owners().is_ok_and(|owners| !owners.is_empty())
        })?;
        thread::sleep(RIGHT_AFTER);
        let mistakes = mistakes(&mut duo)?;
        mistakes.iter().for_each(|mistake| eprintln!("started at once: {mistake}"));
        wrong += u64::from(!mistakes.is_empty());
    }
    Ok(vec![Row::none(format!("both nodes started at once, {count} rounds: wrong"), wrong, "rounds")])
}

/// What is not as it should be.
fn mistakes(duo: &mut Duo) -> Result<Vec<String>> {
    let mut mistakes = Vec::new();
    let holders = duo.holders()?;
    if holders != [[0], [0]] {
        mistakes.push(format!("all addresses are at {:?}, some at {:?}", holders[0], holders[1]));
    }
    let owners = duo.arp.owners()?;
    if owners != [0] {
        mistakes.push(format!("{owners:?} answer for the VIP"));
    }
    let known = duo.pair.client.ip(&format!("neigh show {}", addresses::vip(Family::V4, 0)))?;
    let mac = inject::mac(&duo.pair.nodes[0], "eth0")?.map(|byte| format!("{byte:02x}")).join(":");
    if !known.is_empty() && !known.contains(&mac) {
        mistakes.push(format!("the client goes astray: {}", known.trim()));
    }
    let lost: u64 = duo.seen(|_| Ok(()))?.iter().map(|seen| seen.lost).sum();
    if lost > 0 {
        mistakes.push(format!("{lost} probes are lost"));
    }
    Ok(mistakes)
}
