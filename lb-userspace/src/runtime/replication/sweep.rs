//! A sweep: all flows are read by a thread for blocking work, as fast as they can be sent.

use std::{io, sync::Arc};

use tokio::sync::mpsc;

use crate::{
    flows::{FlowMaps, name_flows},
    replication::Flow,
};

/// Chunks that are read ahead.
const AHEAD: usize = 4;

/// One that is under way. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Sweep {
    chunks: mpsc::Receiver<io::Result<Vec<Flow>>>,
}

impl Sweep {
    /// Begins to read. Must be called in a tokio runtime.
    pub(super) fn start(maps: &Arc<FlowMaps>, tick: u32) -> Self {
        let (sender, chunks) = mpsc::channel(AHEAD);
        let maps = Arc::clone(maps);
        tokio::task::spawn_blocking(move || {
            let read = name_flows(&maps, tick, |chunk| sender.blocking_send(Ok(chunk)).is_ok());
            if let Err(error) = read {
                drop(sender.blocking_send(Err(error)));
            }
        });
        Self { chunks }
    }

    /// The next flows; `None`: these were all. Can be cancelled without loss.
    pub(super) async fn next(&mut self) -> Option<io::Result<Vec<Flow>>> {
        self.chunks.recv().await
    }
}
