//! Clients: they produce load from the client's namespace, check every answer, and count.

mod background;
mod checked;
mod connection;
mod echo;
mod http;
mod load;
mod logged;
mod long;
mod prober;
mod report;
mod spread;
mod timed;
mod transfer;
mod udp;

pub use checked::{Conversation, Datagrams, Stream, WRONG_BYTES};
pub use connection::Connection;
pub use echo::Echo;
pub use http::Http;
pub use load::{Load, MOST_FAILURES, Request, Running, run, start};
pub use logged::{Failure, Logged};
pub use long::{Long, LongConnections, LongReport};
pub use prober::{Flows, PROBE_PERIOD, Prober, Seen};
pub use report::Report;
pub use spread::Spread;
pub use timed::Timed;
pub use transfer::{download, upload};
pub use udp::Udp;
