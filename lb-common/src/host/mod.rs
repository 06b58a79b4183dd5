//! The host model: a packet in a `Vec` and tables in `HashMap`s, for tests, properties, fuzzing and `lbctl explain`.

mod asked;
mod frame;
mod setup;
mod spec;
mod tables;
mod verify;

pub use asked::Asked;
pub use frame::HostFrame;
pub use setup::{FlowView, ServiceSetup, Side, flow_key, words};
pub use spec::{Extension, FrameSpec, Piece, Transport};
pub use tables::{Family, HostEntry, HostTables};
pub use verify::checksums;

use crate::{Verdict, Workspace, long_way, process};

/// Runs the pipeline on a frame that arrived at `ingress`: the verdict, and the frame as it leaves.
#[must_use]
pub fn run(frame: &[u8], ingress: u32, tables: &HostTables) -> (Verdict, Vec<u8>) {
    let mut packet = HostFrame::new(frame.to_vec(), ingress);
    let verdict = process(&mut packet, tables, &mut Workspace::default());
    (verdict, packet.into_bytes())
}

/// [`run`] without the shortcut.
#[must_use]
pub fn run_long_way(frame: &[u8], ingress: u32, tables: &HostTables) -> (Verdict, Vec<u8>) {
    let mut packet = HostFrame::new(frame.to_vec(), ingress);
    let verdict = long_way(&mut packet, tables, &mut Workspace::default());
    (verdict, packet.into_bytes())
}
