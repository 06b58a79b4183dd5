//! The tasks of a running daemon.

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    io::unix::AsyncFd,
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    Clock, Failure,
    attached::Attacher,
    captures::{self, Captures},
    data::Data,
    deadlines, flows, health, history, neighbours,
    network::{self, Network, Peers},
    notify, observe, refusals, vrrp,
};
use crate::{
    api::{self, Api, Local, Port, Remote, Socket},
    control::Handle,
    dashboard as page,
    events::Bus,
    loader::{PinDirectory, Sizes},
    metrics,
    sys::readable::{self, LogReader},
};

/// Messages to the neighbours' task that may wait.
const NEIGHBOUR_QUEUE: usize = 1024;
/// How long the servers may take to end.
const GRACE: Duration = Duration::from_secs(3);

/// What the tasks are made of.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) control: Handle,
    pub(super) events: Bus,
    pub(super) network: Network,
    pub(super) attacher: Attacher,
    pub(super) data: Data,
    pub(super) socket: Socket,
    pub(super) port: Option<Port>,
    pub(super) dashboard: Option<Port>,
    pub(super) metrics: Option<TcpListener>,
    pub(super) config_file: String,
    pub(super) capturing: (PinDirectory, Option<PathBuf>, Sizes),
    pub(super) trackers: (vrrp::Trackers, vrrp::Sources),
}

/// Tasks that run.
pub(super) struct Tasks {
    stop: watch::Sender<bool>,
    /// Ends the streams of events, which have no end of their own.
    events: Bus,
    /// The same of captures.
    captures: Captures,
    /// End when they are told to, so that answers under way are not cut off.
    servers: JoinSet<&'static str>,
    /// Can be ended at any moment.
    workers: JoinSet<&'static str>,
}

/// Starts all tasks.
pub(super) fn start(parts: Parts) -> Result<Tasks, Failure> {
    let Parts {
        clock,
        control,
        events: bus,
        network,
        mut attacher,
        data,
        socket,
        port,
        dashboard,
        metrics,
        config_file,
        trackers: (trackers, sources),
        capturing,
    } = parts;
    let mut tasks = Tasks::new(bus.clone(), data.captures.clone());

    let events = attacher.program().events()?;
    let events =
        readable::ring_buffer(events).map_err(Failure::system("wait for what the data path tells"))?;
    if let Some(logger) = attacher.program().logger() {
        let logger =
            readable::log_reader(logger).map_err(Failure::system("wait for what the data path logs"))?;
        tasks.work("the data path's log", data_path_log(logger));
    }
    let (neighbours, inbox) = mpsc::channel(NEIGHBOUR_QUEUE);
    let requests = network.requests.clone();
    tasks.work("the neighbours", neighbours::run(control.clone(), requests, inbox, clock));
    tasks.work("what systemd is told", notify::run(control.clone(), attacher.list(), clock));
    let captures = tasks.capture(capturing, clock);
    let peers = Peers { control: control.clone(), neighbours, events, captures, clock };
    tasks.work("the network", network::run(network, attacher, peers));
    tasks.work("the virtual routers", data.routers.clone().follow(control.clone()));
    tasks.work("the deadlines", deadlines::run(control.clone(), clock));
    let (signals, suspects, last) = (Arc::clone(&data.signals), data.suspects.clone(), data.last.clone());
    tasks.work("the health checks", health::run(control.clone(), bus.clone(), signals, suspects, clock));
    tasks.work("what VRRP tracks", trackers.run(sources));
    tasks.work(
        "the flow scan",
        flows::run(control.clone(), bus.clone(), Arc::clone(&data.flows), last.clone(), clock),
    );

    let data = Arc::new(data);
    if let Some(listener) = metrics {
        let source = observe::source(control.clone(), bus.clone(), Arc::clone(&data), last);
        tasks.serve("the metrics", metrics::serve(listener, source, stopped(tasks.stop.subscribe())));
    }
    tasks.work("what services refuse", refusals::run(control.clone(), bus.clone(), Arc::clone(&data), clock));
    if dashboard.is_some() {
        tasks.work("the history", history::run(control.clone(), Arc::clone(&data), clock));
    }
    let router = api::router(Api { control, data, events: bus, config_file });
    if let Some(port) = dashboard {
        let page = Remote::for_browsers(port, page::router(router.clone()));
        tasks.serve("the dashboard", page.serve(stopped(tasks.stop.subscribe())));
    }
    if let Some(port) = port {
        let remote = Remote::new(port, router.clone());
        tasks.serve("the API over TCP", remote.serve(stopped(tasks.stop.subscribe())));
    }
    tasks.serve("the API", Local::new(socket, router).serve(stopped(tasks.stop.subscribe())));
    Ok(tasks)
}

impl Tasks {
    fn new(events: Bus, captures: Captures) -> Self {
        let (stop, _) = watch::channel(false);
        Self { stop, events, captures, servers: JoinSet::new(), workers: JoinSet::new() }
    }

    /// Waits for `end`, or a task that ends by itself, whose name is returned. Then all are ended.
    pub(super) async fn run(mut self, end: impl Future<Output = ()>) -> Option<&'static str> {
        let ended = tokio::select! {
            () = end => None,
            Some(task) = self.workers.join_next() => Some(task.unwrap_or("a task with a defect")),
            Some(task) = self.servers.join_next() => Some(task.unwrap_or("a server with a defect")),
        };
        notify::stopping();
        self.stop.send_replace(true);
        self.events.end();
        self.captures.stop_all();
        let servers = async { while self.servers.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, servers).await.is_err() {
            tracing::warn!("requests were cut off");
        }
        self.workers.shutdown().await;
        ended
    }

    /// Starts what serves captures; where it says which program the interfaces are to run.
    fn capture(
        &mut self,
        (directory, object, sizes): (PinDirectory, Option<PathBuf>, Sizes),
        clock: Clock,
    ) -> mpsc::Receiver<network::Capture> {
        let (network, switches) = mpsc::channel(1);
        let means = captures::Means { directory, object, sizes, network, clock };
        let orders = self.captures.orders();
        self.work("the captures", captures::run(self.captures.clone(), orders, means));
        switches
    }

    fn work(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.workers.spawn(async move {
            task.await;
            name
        });
    }

    fn serve(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.servers.spawn(async move {
            task.await;
            name
        });
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is an end too.
    drop(stop.wait_for(|stop| *stop).await);
}

async fn data_path_log(mut logger: AsyncFd<LogReader>) {
    while let Ok(mut ready) = logger.readable_mut().await {
        ready.get_inner_mut().flush();
        ready.clear_ready();
    }
}
