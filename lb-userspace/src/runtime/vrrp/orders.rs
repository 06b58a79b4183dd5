//! What operators want of virtual routers, on its way to their thread and there.

use tokio::sync::{mpsc, oneshot};

use super::{RouterStatus, machine::Machine};
pub(super) use crate::api::Switch;
use crate::{
    control::{Error, ErrorKind},
    model::VirtualRouter,
    vrrp::{Afterwards, RouterId},
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

impl Machine {
    /// Hands over what is active here, as the daemon ends.
    pub(super) fn hand_over(&mut self) {
        for index in 0..self.routers.len() {
            self.node.hand_over(self.clock.now(), RouterId(index), Afterwards::Stop);
        }
    }

    /// Does what an operator wants, and answers when it has begun.
    pub(super) async fn carry_out(&mut self, order: Order) {
        let configured = &self.routers[..self.configured];
        let index_of = |name: &String| configured.iter().position(|router| router.name.as_str() == *name);
        let concerned = match order.router.as_ref().map(|name| index_of(name).ok_or(name)) {
            None => (0..self.configured).collect(),
            Some(Ok(index)) => self.node.companions(RouterId(index)),
            Some(Err(name)) => {
                let error = self.unknown(name);
                return order.answer(Err(error));
            }
        };
        let now = self.clock.now();
        for index in &concerned {
            let id = RouterId(*index);
            match order.switch {
                Switch::Failover { force } => {
                    let then = if force { Afterwards::Leave } else { Afterwards::Stay };
                    self.node.hand_over(now, id, then);
                }
                Switch::Release => self.node.resume(now, id),
            }
        }
        self.obey().await;
        let status = self.publish();
        let of_concerned = |(index, router)| concerned.contains(&index).then_some(router);
        order.answer(Ok(status.into_iter().enumerate().filter_map(of_concerned).collect()));
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<&str> =
            self.routers[..self.configured].iter().map(|router| router.name.as_str()).collect();
        Error::unknown(format!("vrrp[{name}]"), "virtual router", name, &known)
    }
}
