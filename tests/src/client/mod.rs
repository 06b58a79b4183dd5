//! Clients: they produce load from the client's namespace, check every answer, and count.

mod background;
mod echo;
mod http;
mod load;
mod long;
mod prober;
mod report;
mod timed;
mod transfer;
mod udp;

pub use echo::Echo;
pub use http::Http;
pub use load::{Load, MOST_FAILURES, Request, Running, run, start};
pub use long::{Long, LongConnections, LongReport};
pub use prober::{Flows, PROBE_PERIOD, Prober, Seen};
pub use report::Report;
pub use timed::Timed;
pub use transfer::{download, upload};
pub use udp::Udp;
