//! Area `ha`: what it costs clients when a balancer dies, ends, returns, is cut off or attacked, and another one takes over.
//!
//! A client asks the VIP over UDP each millisecond, through the balancer that has it, and is answered by servers behind it. A round in which the
//! asking itself was late is not counted (see [`rounds`]).

mod carrier;
mod flows;
mod invalid;
mod kill;
mod partition;
mod power;
mod replication;
mod rounds;
mod starved;
mod stop;
mod together;

use super::Step;

/// What is measured, one network after the other.
pub(super) const STEPS: &[Step] = &[
    ("power off: the active node is gone", power::measure),
    ("stop and return of the active node", stop::measure),
    ("kill: the active daemon is killed, and stopped", kill::measure),
    ("carrier: links of the active node flap", carrier::measure),
    ("partition that heals", partition::measure),
    ("invalid adverts", invalid::measure),
    ("flows: long connections over failover and failback", flows::measure),
    ("replication: what it costs forwarding", replication::measure),
    ("starved: busy processes, and adverts each 10 ms", starved::measure),
    ("together: both nodes are started at once", together::measure),
];
