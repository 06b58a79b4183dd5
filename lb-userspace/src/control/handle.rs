//! Runs control on a thread of its own; system calls on maps and files block.

use std::{io, sync::Arc, thread, time::Duration};

use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Control, Error, ErrorKind, Event, NewBlocks, Now, Preview, Request, Snapshot};
use crate::model::Config;

/// Events that may wait. A request that finds the queue full is refused; reports wait for room.
const QUEUE: usize = 256;

/// What comes of an event: the state after it.
pub type Outcome = Result<Arc<Snapshot>, Error>;

/// The way to control, for any number of tasks. Control ends when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Handle {
    events: mpsc::Sender<Envelope>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

#[derive(Debug)]
enum Envelope {
    Event { event: Box<Event>, reply: Option<oneshot::Sender<Outcome>> },
    Preview { config: Box<Config>, reply: oneshot::Sender<Result<Preview, Error>> },
}

impl Handle {
    /// Asks for a change and waits for what comes of it.
    ///
    /// # Errors
    /// The change is refused (nothing was changed), or control is too busy or has ended.
    pub async fn request(&self, request: Request) -> Outcome {
        self.ask(Event::Request(request)).await
    }

    /// Has the configuration file read again and waits for what comes of it.
    ///
    /// # Errors
    /// The file is refused (nothing was changed), or control is too busy or has ended.
    pub async fn reload(&self) -> Outcome {
        self.ask(Event::Reload).await
    }

    /// Makes a text the configuration file and the desired state, and waits for what comes of it. With `confirm` the previous
    /// one comes back unless [`Handle::confirm`] is called in that time.
    ///
    /// # Errors
    /// The text is refused (nothing was changed), or control is too busy or has ended.
    pub async fn apply(&self, text: String, confirm: Option<Duration>) -> Outcome {
        self.ask(Event::Apply { text, confirm }).await
    }

    /// Blocks sources for all services, and waits for what comes of it.
    ///
    /// # Errors
    /// It is refused (nothing was changed), or control is too busy or has ended.
    pub async fn block(&self, wanted: NewBlocks) -> Outcome {
        self.ask(Event::Block(wanted)).await
    }

    /// Blocks sources no more, and waits for what comes of it.
    ///
    /// # Errors
    /// It is refused (nothing was changed), or control is too busy or has ended.
    pub async fn unblock(&self, prefixes: Vec<IpNet>) -> Outcome {
        self.ask(Event::Unblock(prefixes)).await
    }

    /// Keeps what was applied.
    ///
    /// # Errors
    /// Nothing waits to be confirmed, or control is too busy or has ended.
    pub async fn confirm(&self) -> Outcome {
        self.ask(Event::Confirm).await
    }

    /// Brings back what was there before the last apply.
    ///
    /// # Errors
    /// There is nothing to bring back, it is refused (nothing was changed), or control is too busy or has ended.
    pub async fn roll_back(&self) -> Outcome {
        self.ask(Event::RollBack).await
    }

    /// What the maps hold, and what they would hold with another configuration. Nothing is changed.
    ///
    /// # Errors
    /// It does not fit into the maps, or control is too busy or has ended.
    pub async fn preview(&self, config: Config) -> Result<Preview, Error> {
        let (reply, outcome) = oneshot::channel();
        self.send(Envelope::Preview { config: Box::new(config), reply })?;
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Has the maps compared with the desired state and put right, and waits for what comes of it.
    ///
    /// # Errors
    /// The maps cannot be read or written (control tries again by itself), or control is too busy or has ended.
    pub async fn repair(&self) -> Outcome {
        self.ask(Event::Repair).await
    }

    /// Tells what happened, without an answer; waits while the queue is full.
    ///
    /// # Errors
    /// Control has ended.
    pub async fn report(&self, event: Event) -> Result<(), Error> {
        self.events.send(Envelope::Event { event: Box::new(event), reply: None }).await.map_err(|_| ended())
    }

    /// Waits until control has dealt with all that was sent before: it lives.
    ///
    /// # Errors
    /// Control has ended.
    pub async fn answers(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        let envelope = Envelope::Event { event: Box::new(Event::Tick), reply: Some(reply) };
        self.events.send(envelope).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?.map(drop)
    }

    /// The current state.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// The state, and notice of every change of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    async fn ask(&self, event: Event) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        self.send(Envelope::Event { event: Box::new(event), reply: Some(reply) })?;
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }

    fn send(&self, envelope: Envelope) -> Result<(), Error> {
        self.events.try_send(envelope).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::new(
                ErrorKind::Unavailable,
                "",
                "`lbd` has too many changes to make; try again in a moment",
            ),
            mpsc::error::TrySendError::Closed(_) => ended(),
        })
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Unavailable, "", "`lbd` is stopping; start it again")
}

/// Starts control on a thread. `clock` gives the time of each event. `observe` is called there with every state and the one before it. The thread ends with the last handle; joining it makes sure
/// that the last change is in the file.
///
/// # Errors
/// The system has no thread to give.
pub fn spawn(
    control: Control,
    clock: impl Fn() -> Now + Send + 'static,
    observe: impl Fn(&Snapshot, &Snapshot) + Send + 'static,
) -> io::Result<(Handle, thread::JoinHandle<()>)> {
    let (events, inbox) = mpsc::channel(QUEUE);
    let (publish, snapshots) = watch::channel(control.snapshot());
    let thread = thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || run(control, clock, inbox, &Announcer { publish, observe }))?;
    Ok((Handle { events, snapshots }, thread))
}

/// Tells others of the state.
struct Announcer<O> {
    publish: watch::Sender<Arc<Snapshot>>,
    observe: O,
}

impl<O: Fn(&Snapshot, &Snapshot)> Announcer<O> {
    fn announce(&self, control: &Control) {
        self.publish.send_if_modified(|published| {
            let current = control.snapshot();
            if Arc::ptr_eq(&current, published) {
                return false;
            }
            (self.observe)(published, &current);
            let changed = current.generation != published.generation;
            *published = current;
            changed
        });
    }
}

fn run(
    mut control: Control,
    clock: impl Fn() -> Now,
    mut inbox: mpsc::Receiver<Envelope>,
    announcer: &Announcer<impl Fn(&Snapshot, &Snapshot)>,
) {
    while let Some(first) = inbox.blocking_recv() {
        process(&mut control, first, &clock, announcer);
        // What came meanwhile is taken in before the maps are written once for all of it; not without end, though.
        for _ in 0..QUEUE {
            let Ok(next) = inbox.try_recv() else { break };
            process(&mut control, next, &clock, announcer);
        }
        control.settle(clock());
        announcer.announce(&control);
    }
}

fn process(
    control: &mut Control,
    envelope: Envelope,
    clock: &impl Fn() -> Now,
    announcer: &Announcer<impl Fn(&Snapshot, &Snapshot)>,
) {
    let (event, reply) = match envelope {
        Envelope::Event { event, reply } => (event, reply),
        Envelope::Preview { config, reply } => return drop(reply.send(control.preview(&config, clock()))),
    };
    let outcome = control.handle(*event, clock());
    // Whoever asked is to see its change in the snapshot.
    announcer.announce(control);
    match (reply, outcome) {
        // Whoever asked may have gone away; the change stands all the same.
        (Some(reply), outcome) => drop(reply.send(outcome.map(|()| control.snapshot()))),
        (None, Err(error)) => tracing::warn!(%error, "control"),
        (None, Ok(())) => {}
    }
}
