//! Names this machine's flows for the other one.

use std::io;

use lb_common::abi::{Abi, Address, Flow, FlowKey};

use super::{Stamp, convert::flow_of};
use crate::{
    flows::{
        FlowMaps,
        tables::{Table, Visit},
    },
    replication,
};

/// Flows that are handed on at once.
const CHUNK: usize = 1024;

/// Hands all own established flows that live to `take`, some at a time, until it has enough (false). Blocks for as long as it does.
///
/// # Errors
/// What the kernel says.
pub fn name_flows(
    maps: &FlowMaps,
    now: u32,
    take: impl FnMut(Vec<replication::Flow>) -> bool,
) -> io::Result<()> {
    let timeouts = maps.surroundings()?.settings.timeouts;
    let mut namer = Namer { now, timeouts, chunk: Vec::new(), take, is_going_on: true };
    for table in &maps.tables[2..] {
        table.visit(&mut namer)?;
    }
    namer.hand_on();
    Ok(())
}

struct Namer<F> {
    now: u32,
    timeouts: [u32; 16],
    chunk: Vec<replication::Flow>,
    take: F,
    is_going_on: bool,
}

impl<F: FnMut(Vec<replication::Flow>) -> bool> Namer<F> {
    fn hand_on(&mut self) {
        let chunk = std::mem::take(&mut self.chunk);
        self.is_going_on = self.is_going_on && (chunk.is_empty() || (self.take)(chunk));
    }
}

impl<F: FnMut(Vec<replication::Flow>) -> bool> Visit for Namer<F> {
    fn entry<A>(&mut self, _: &Table, key: &FlowKey<A>, flow: &Flow<A>) -> io::Result<bool>
    where
        A: Address,
        FlowKey<A>: Abi,
        Flow<A>: Abi,
    {
        let idle = self.now.saturating_sub(flow.last_seen);
        if !flow.is_reverse()
            && Stamp::of(flow).is_none()
            && idle <= self.timeouts[usize::from(flow.state & 15)]
        {
            self.chunk.extend(flow_of(key, flow).filter(|flow| !flow.phase.is_over()));
            if self.chunk.len() >= CHUNK {
                self.hand_on();
            }
        }
        Ok(self.is_going_on)
    }
}
