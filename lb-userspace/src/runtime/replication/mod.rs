//! Replication of flows in a running daemon, on a thread of its own.

mod machine;
mod socket;
mod standing;
mod status;
mod sweep;

use std::{fs::File, io::Read as _, sync::Arc, thread, time::Duration};

use tokio::sync::watch;

pub(super) use self::status::ReplicationBoard;
use self::{machine::Machine, status::ReplicationStatus};
use super::{Clock, Failure, attached::Attacher, data::Data, privileges::Privileges};
use crate::{
    config::read_keys,
    control::Handle,
    events::Bus,
    model::{Config, Replication as Wanted},
    replication::{Keys, Seeds},
    sys::readable,
};

/// How long the end may take.
const GRACE: Duration = Duration::from_secs(3);

/// What has to be there before privileges are given up, and whom it tells whether this machine has the other one's flows.
#[derive(Debug)]
pub(super) struct Prepared {
    wanted: Wanted,
    keys: Keys,
    /// The keys as they are after a reload.
    reloaded: watch::Receiver<Option<Keys>>,
    synced: watch::Sender<bool>,
}

/// Whether this machine has the other one's flows, and how long they are waited for.
pub(super) type Synced = (watch::Receiver<bool>, Duration);

/// The thread.
#[derive(Debug)]
pub(super) struct Replication {
    thread: Option<(thread::JoinHandle<()>, watch::Sender<bool>)>,
}

/// Checks the file with the keys, if flows are to be replicated.
///
/// # Errors
/// [`Failure::Keys`].
pub(super) fn check(config: &Config) -> Result<(), Failure> {
    config.replication.as_ref().map(|wanted| read_keys(&wanted.key_file)).transpose()?;
    Ok(())
}

/// Reads the keys, if flows are to be replicated; and who has to know gets to know whether this machine has the other one's.
///
/// # Errors
/// [`Failure::Keys`].
pub(super) fn prepare(
    config: &Config,
    reloaded: watch::Receiver<Option<Keys>>,
) -> Result<(Option<Prepared>, Option<Synced>), Failure> {
    let Some(wanted) = &config.replication else { return Ok((None, None)) };
    let keys = read_keys(&wanted.key_file)?;
    let (synced, receiver) = watch::channel(false);
    let told = (receiver, wanted.sync_deadline);
    Ok((Some(Prepared { wanted: wanted.clone(), keys, reloaded, synced }), Some(told)))
}

/// Starts the thread, if flows are to be replicated.
pub(super) fn start(
    prepared: Option<Prepared>,
    data: &Data,
    (control, events): (&Handle, &Bus),
    attacher: &mut Attacher,
    clock: Clock,
    privileges: &Privileges,
) -> Result<Replication, Failure> {
    let Some(prepared) = prepared else { return Ok(Replication { thread: None }) };
    let failed = || Failure::system("start a thread for replication");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed())?;
    let (stop, stopped) = watch::channel(false);
    let machine = {
        let _entered = runtime.enter();
        let ring = readable::ring_buffer(attacher.program().flow_events()?)
            .map_err(Failure::system("wait for what becomes of flows"))?;
        let (flows, board) = (Arc::clone(&data.flows), data.replicated.clone());
        let told = (control.watch(), events.clone());
        Machine::new(prepared, &seeds()?, board, told, flows, ring, clock)?
    };
    let privileges = privileges.clone();
    let work = move || {
        privileges.limit_thread();
        runtime.block_on(machine.run(stopped));
    };
    let thread = thread::Builder::new().name("replication".to_owned()).spawn(work).map_err(failed())?;
    Ok(Replication { thread: Some((thread, stop)) })
}

impl Replication {
    /// Ends it.
    pub(super) async fn end(self) {
        let Some((thread, stop)) = self.thread else { return };
        stop.send_replace(true);
        let joined = tokio::task::spawn_blocking(move || thread.join());
        if !matches!(tokio::time::timeout(GRACE, joined).await, Ok(Ok(Ok(())))) {
            tracing::error!("replication did not end as it should");
        }
    }
}

/// From the system's source of random numbers.
fn seeds() -> Result<Seeds, Failure> {
    let mut bytes = [0; 48];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(Failure::system("read /dev/urandom"))?;
    let (mut session, mut challenges) = ([0; 16], [0; 32]);
    session.copy_from_slice(&bytes[..16]);
    challenges.copy_from_slice(&bytes[16..]);
    Ok(Seeds { session, challenges })
}
