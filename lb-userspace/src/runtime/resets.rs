//! Makes the ends of connections that are to be reset send something.

use std::{collections::BTreeMap, io, time::Duration};

use super::Clock;
use crate::{
    flows::{Ending, FlowMaps},
    sys::packet::FrameSender,
};

/// Ends asked between two pauses, and the pause: about 60 000 ends a second, so that no queue overflows.
const BURST: usize = 64;
const PAUSE: Duration = Duration::from_millis(1);

/// Sends what there is to send. Frames that are lost are sent again with the next scan.
pub(super) async fn ask(endings: Vec<Ending>, maps: &FlowMaps, clock: Clock) {
    if endings.is_empty() {
        return;
    }
    let begin = clock.now();
    let asked = match FrameSender::open() {
        Ok(sender) => send(&endings, maps, &sender).await,
        Err(error) => {
            tracing::error!(%error, "cannot open a packet socket (CAP_NET_RAW): idle connections are not reset");
            return;
        }
    };
    let milliseconds = clock.now().saturating_sub(begin).as_millis();
    match asked {
        Ok(failed) => {
            tracing::info!(
                ends = endings.len(),
                failed,
                milliseconds,
                "connections of backends that were taken out are reset"
            );
        }
        Err(error) => tracing::error!(%error, "cannot reset idle connections; trying again in a second"),
    }
}

/// The number of ends that could not be asked.
async fn send(endings: &[Ending], maps: &FlowMaps, sender: &FrameSender) -> io::Result<usize> {
    let mut macs: BTreeMap<u32, Option<[u8; 6]>> = BTreeMap::new();
    let mut failed = 0;
    for burst in endings.chunks(BURST) {
        for ending in burst {
            let ifindex = ending.ifindex();
            let mac = match macs.get(&ifindex) {
                Some(mac) => *mac,
                None => *macs.entry(ifindex).or_insert(maps.mac_of(ifindex)?),
            };
            let frames = mac.map(|mac| ending.frames(mac));
            let sent =
                frames.is_some_and(|frames| frames.iter().all(|frame| sender.send(ifindex, frame).is_ok()));
            failed += usize::from(!sent);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(failed)
}
