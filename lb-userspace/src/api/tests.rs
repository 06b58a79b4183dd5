//! The API over a real Unix socket, with control on maps in memory.

mod captures;
mod changes;
mod document;
mod errors;
mod events;
mod figures;
pub(crate) mod fixture;
mod limits;
mod roundtrip;
mod schemathesis;
mod tls;
