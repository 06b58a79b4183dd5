//! The balancer has a processor of its own; clients, servers and who floods share another one, as if they were other machines.
//!
//! Otherwise a client's thread receives the flood for the balancer while it sends, or waits until a scan of the tables leaves it the
//! processor: what is measured then is how the scheduler shares this machine.

use std::{process, thread};

use anyhow::{Context, Result};
use nix::unistd::gettid;

use crate::{
    client::{self, Load, Request, Running},
    command,
    napi::NapiThreads,
    processor,
    site::Site,
};

/// The balancer's processor.
const BALANCER: usize = 1;
/// The others' processor.
const OTHERS: usize = 0;
/// The priority of threads that run as soon as they have something to do.
const FIRST: u8 = 1;

/// The balancer and the rest, apart. On drop packets are received by whoever runs again.
#[derive(Debug)]
pub(super) struct Apart {
    _napi: [NapiThreads; 2],
}

impl Apart {
    /// Keeps `lbd` and what receives for it on the balancer's processor, and the threads that serve on the other one. Packets are received before
    /// anything else runs, as in softirqs, and servers run before who floods.
    pub(super) fn keep(site: &Site) -> Result<Self> {
        let lbd = site.daemon.process_id().context("lbd does not run")?;
        for thread in processor::threads_of(lbd)? {
            processor::pin(thread, BALANCER)?;
        }
        for thread in processor::threads_of(process::id())? {
            if thread != own_thread() {
                run_first(thread)?;
            }
        }
        let receive = |interface| -> Result<NapiThreads> {
            let napi = NapiThreads::start(&site.topology.balancer, interface)?;
            napi.pin(BALANCER)?;
            napi.prefer(FIRST)?;
            Ok(napi)
        };
        Ok(Self { _napi: [receive("eth0")?, receive("eth1")?] })
    }
}

/// As [`client::start`], with a thread that has the others' processor first.
pub(super) fn start(site: &Site, request: &impl Request, load: &Load) -> Result<Running> {
    first(|| client::start(&site.topology.client, request, load))
}

/// Does something whose threads have the others' processor first: they inherit that.
pub(super) fn first<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| run_first(own_thread()).map(|()| work()));
        thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    })
}

/// Leaves the balancer its processor, and others the rest of what the clients and servers leave.
pub(super) fn stay_behind() -> Result<()> {
    processor::stay_on(OTHERS)?;
    command::sh(&format!("renice -n 19 -p {}", own_thread())).map(drop)
}

fn run_first(thread: u32) -> Result<()> {
    processor::pin(thread, OTHERS)?;
    processor::prefer(thread, FIRST)
}

fn own_thread() -> u32 {
    gettid().as_raw().cast_unsigned()
}
