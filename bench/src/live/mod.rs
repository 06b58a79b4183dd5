//! Real packets through namespaces: the ways they may take from the client to the servers, and what measures them there.

pub mod client;
pub mod contest;
pub mod cpu;
mod nftables;
pub mod open_loop;
mod proxy;
pub mod rounds;
pub mod server;
pub mod way;
