//! What operators want of virtual routers, on its way to their thread.

use tokio::sync::{mpsc, oneshot};

use super::RouterStatus;
pub(super) use crate::api::Switch;
use crate::{
    control::{Error, ErrorKind},
    model::VirtualRouter,
};

type Answer = Result<Vec<RouterStatus>, Error>;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    /// An operator wants something.
    Order(Order),
    /// The desired state has these virtual routers.
    Configure(Vec<VirtualRouter>),
}

/// An order.
#[derive(Debug)]
pub(super) struct Order {
    /// Whom it is about; `None`: all.
    pub(super) router: Option<String>,
    pub(super) switch: Switch,
    answer: oneshot::Sender<Answer>,
}

impl Order {
    /// Says what became of it; who asked may be gone.
    pub(super) fn answer(self, answer: Answer) {
        drop(self.answer.send(answer));
    }
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct Orders(pub(super) mpsc::UnboundedSender<Message>);

impl Orders {
    /// Has an order carried out, and returns the routers that it is about as they are then. Waits for the thread: not to be called
    /// where that would keep others waiting.
    ///
    /// # Errors
    /// There is no such router, or the thread ends.
    pub(in crate::runtime) fn give(&self, router: Option<String>, switch: Switch) -> Answer {
        let (answer, answered) = oneshot::channel();
        let ends = || Error::new(ErrorKind::Unavailable, "", "the virtual routers are stopping");
        self.0.send(Message::Order(Order { router, switch, answer })).map_err(|_| ends())?;
        answered.blocking_recv().unwrap_or_else(|_| Err(ends()))
    }

    /// Has the thread go on with these virtual routers; false: it has ended.
    pub(super) fn configure(&self, routers: Vec<VirtualRouter>) -> bool {
        self.0.send(Message::Configure(routers)).is_ok()
    }
}
