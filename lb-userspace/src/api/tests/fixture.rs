//! A daemon without a data path.

use std::collections::BTreeSet;
use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{ALLOW, HOST},
};
use hyper_util::rt::TokioIo;
use lb_common::abi::{CaptureFilter, DropReason, Latencies, Selector};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::UnixStream, sync::oneshot, task::JoinHandle};

use crate::{
    api::{
        self, Api, CaptureAbout, Client, ClientError, Counters, DataError, DataSource, Ended, Explained,
        FlowCount, FlowFilter, FlowGroupKey, FlowList, FlowRecord, FlowShare, FlowTable, FlowTally, GroupBy,
        Interface, InterfaceTraffic, Local, PacketAt, Remote, Signals, Socket, Switch, Traffic,
        VirtualRouter, router,
    },
    capture::{CaptureRefused, Feed},
    config::Document,
    control::{
        Error, Handle,
        fixture::{self, MemoryStore},
    },
    events::{Bus, changes},
    explain::{Direction, Fate, FlowUse, Headers, Trace},
    health::Suspects,
    history::Rate,
    model::{ApiListener, ServiceName, Timestamp},
    plan::FlowGroup,
};

/// A served API; it ends with this value.
pub(crate) struct Daemon {
    pub(crate) client: Client,
    pub(crate) socket: PathBuf,
    pub(crate) store: MemoryStore,
    pub(crate) control: Handle,
    /// Milliseconds that have passed for control.
    pub(crate) clock: Arc<AtomicU64>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    _directory: TempDir,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        let store = MemoryStore::new(fixture::example());
        let events = Bus::new(wall());
        let publish = {
            let events = events.clone();
            move |before: &_, after: &_| events.publish(wall(), changes(before, after))
        };
        let (control, clock) = fixture::observed(&store, publish);
        Self::serve(control, clock, store, events)
    }

    /// One with this control.
    pub(crate) fn over(control: Handle) -> Self {
        Self::serve(control, Arc::default(), MemoryStore::new(fixture::example()), Bus::new(wall()))
    }

    fn serve(control: Handle, clock: Arc<AtomicU64>, store: MemoryStore, events: Bus) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lbd.sock");
        let api = Api {
            control: control.clone(),
            data: Arc::new(FakeData),
            events,
            config_file: "/etc/lb/lb.toml".to_owned(),
        };
        let socket = Socket::bind(&path, None).unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(Local::new(socket, router(api)).serve(async {
            let _ = stopped.await;
        }));
        Self {
            client: Client::new(&path),
            socket: path,
            store,
            control,
            clock,
            stop,
            served,
            _directory: directory,
        }
    }

    /// Ends it, and waits for the end.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.served.await.unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.client.get(path).await.unwrap()
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &str) -> Value {
        let answer = self.client.call(method, path, Bytes::copy_from_slice(body.as_bytes())).await.unwrap();
        if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer).unwrap() }
    }

    /// Status and header `allow` of the answer to a method that no path takes.
    pub(crate) async fn allowed(&self, path: &str) -> (StatusCode, String) {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::trace(path).header(HOST, "localhost").body(String::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let allowed = answer.headers().get(ALLOW).map(|allowed| allowed.to_str().unwrap().to_owned());
        (answer.status(), allowed.unwrap_or_default())
    }

    /// Status, code, path and message of a refusal.
    pub(crate) async fn refusal(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> (StatusCode, String, String, String) {
        match self.client.call(method, path, Bytes::copy_from_slice(body.as_bytes())).await {
            Err(ClientError::Refused { status, detail }) => {
                (status, detail.code, detail.path, detail.message)
            }
            other => panic!("{path}: expected a refusal, got {other:?}"),
        }
    }
}

/// When events happen here.
fn wall() -> Timestamp {
    Timestamp::since_epoch(Duration::from_secs(1_795_389_000))
}

/// A served API at a TCP port; it ends with this value.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    _stop: oneshot::Sender<()>,
    _directory: TempDir,
}

impl Port {
    pub(crate) async fn open(listener: &ApiListener) -> Self {
        let control = fixture::handle(&MemoryStore::new(fixture::example()));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lb.toml");
        fs::write(&file, Document::of(file.clone(), &fixture::example()).text()).unwrap();
        let api = Api {
            control,
            data: Arc::new(FakeData),
            events: Bus::new(wall()),
            config_file: file.display().to_string(),
        };
        let port = api::Port::bind(listener).await.unwrap();
        let address = port.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(Remote::new(port, router(api)).serve(async {
            let _: Result<(), _> = stopped.await;
        }));
        Self { address, _stop: stop, _directory: directory }
    }
}

/// Figures that do not change.
#[derive(Debug)]
pub(crate) struct FakeData;

fn record(client: &str, backend: u32) -> FlowRecord {
    let client: SocketAddr = client.parse().unwrap();
    FlowRecord {
        protocol: 6,
        client,
        vip: "203.0.113.10:80".parse().unwrap(),
        source: client,
        destination: "10.0.0.11:8080".parse().unwrap(),
        service: 1,
        backend,
        state: 5,
        idle_seconds: 3,
    }
}

impl DataSource for FakeData {
    fn now(&self) -> std::time::Instant {
        fixture::moment()
    }

    fn capture(&self, _: &CaptureFilter, _: CaptureAbout) -> Result<Feed, CaptureRefused> {
        Err(CaptureRefused::TooMany(4))
    }

    fn suspects(&self) -> Arc<Suspects> {
        let mut suspects = Suspects::default();
        suspects.raise(3, "3 of 3 SYNs refused within 0.25 s".into(), fixture::moment());
        Arc::new(suspects)
    }

    fn latencies(&self, backend: u32) -> Latencies {
        let mut measured = Latencies::default();
        if backend == 3 {
            (0..99).for_each(|_| measured.handshake.add(100));
            measured.handshake.add(1_000_000);
        }
        measured
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(61)
    }

    fn interfaces(&self) -> Result<Vec<Interface>, DataError> {
        Ok(vec![Interface { name: "eth0".to_owned(), ifindex: 2, mode: "native".to_owned() }])
    }

    fn flows(&self, filter: &FlowFilter) -> Result<FlowList, DataError> {
        let all = [
            record("198.51.100.7:40000", 1),
            record("198.51.100.7:40001", 2),
            record("198.51.100.8:40000", 99),
        ];
        let mut flows: Vec<_> = all.into_iter().filter(|flow| filter.wants(flow)).collect();
        let truncated = flows.len() > filter.limit;
        flows.truncate(filter.limit);
        Ok(FlowList { flows, truncated })
    }

    fn flow_top(&self, by: GroupBy, filter: &FlowFilter) -> Result<FlowTally, DataError> {
        let key = match by {
            GroupBy::Client => FlowGroupKey::Clients("198.51.100.7/32".parse().unwrap()),
            GroupBy::ClientPrefix(bits, _) => {
                FlowGroupKey::Clients(format!("198.51.100.0/{bits}").parse().unwrap())
            }
            GroupBy::Service => FlowGroupKey::Service(1),
            GroupBy::Backend => FlowGroupKey::Backend(1, 99),
        };
        let largest = vec![FlowShare { key, established: 2, embryonic: 1 }];
        let groups = 5 + u64::from(filter.wants_all());
        Ok(FlowTally { established: 9, embryonic: 3, groups, largest })
    }

    fn kill_flows(&self, filter: &FlowFilter, _: bool) -> Result<Ended, DataError> {
        let FlowList { flows, .. } = self.flows(&FlowFilter { limit: 10, ..filter.clone() })?;
        Ok(Ended { reset: flows.len() as u64, forgotten: 0 })
    }

    fn explain(&self, packet: &PacketAt) -> Result<Explained, DataError> {
        let trace = Trace {
            fate: Fate::Redirect,
            egress: Some(2),
            reason: None,
            service: Some(1),
            selector: Some(Selector::Rotation as u8),
            backend: Some(1),
            direction: Some(Direction::ToBackend),
            flow: FlowUse::None,
            before: None,
            after: None,
            arrived: Headers::of(&packet.frame),
            frame: packet.frame.clone(),
        };
        Ok(Explained { trace, same_code: true })
    }

    fn flow_tables(&self) -> Vec<FlowTable> {
        vec![FlowTable { name: "FLOWS_V4", entries: 30, capacity: 120 }]
    }

    fn flow_counts(&self) -> Result<Vec<FlowCount>, DataError> {
        Ok(vec![
            FlowCount { service: 1, backend: 1, established: 5, embryonic: 1 },
            FlowCount { service: 1, backend: 99, established: 2, embryonic: 0 },
        ])
    }

    fn history(&self, service: Option<&ServiceName>) -> Vec<Rate> {
        let at = Timestamp::since_epoch(Duration::from_secs(1_700_000_005));
        let rate = Rate {
            at,
            packets_in: 100.5,
            bytes_in: 0.0,
            packets_out: 0.0,
            bytes_out: 0.0,
            flows: 0.0,
            active_flows: 3,
            drops: 0.0,
        };
        if service.is_none() { vec![rate] } else { Vec::new() }
    }

    fn flow_groups(&self, _: &BTreeSet<u16>) -> Result<Vec<FlowGroup>, DataError> {
        let group = |backend, flows| FlowGroup { service: 1, backend, source: None, flows };
        Ok(vec![group(1, 6), group(2, 4)])
    }

    fn stats(&self) -> Result<Counters, DataError> {
        let traffic = Traffic { packets_in: 10, bytes_in: 1000, packets_out: 9, bytes_out: 900, flows: 2 };
        let interface =
            InterfaceTraffic { name: "eth0".to_owned(), ifindex: 2, rx_packets: 11, ..Default::default() };
        Ok(Counters {
            services: vec![(1, traffic)],
            backends: vec![(1, traffic)],
            signals: vec![(1, Signals { syns: 5, syn_acks: 2, syn_resets: 3, ..Signals::default() })],
            interfaces: vec![interface],
        })
    }

    fn drops(&self) -> Result<Vec<(DropReason, u64)>, DataError> {
        Ok(vec![(DropReason::NoRoute, 7)])
    }

    fn virtual_routers(&self) -> Vec<VirtualRouter> {
        let outside = VirtualRouter {
            name: "outside".to_owned(),
            interface: "eth0".to_owned(),
            virtual_router_id: 51,
            state: "active".to_owned(),
            priority: 150,
            virtual_addresses: vec!["203.0.113.10/24".to_owned()],
            transitions: 2,
            ..VirtualRouter::default()
        };
        let inside = VirtualRouter {
            name: "inside".to_owned(),
            interface: "eth1".to_owned(),
            state: "backup".to_owned(),
            active_router: Some("10.0.0.3".to_owned()),
            active_priority: Some(100),
            switchover: Some("standby".to_owned()),
            virtual_addresses: vec!["10.0.0.1/24".to_owned()],
            ..outside.clone()
        };
        vec![outside, inside]
    }

    fn switch_over(&self, router: Option<String>, switch: Switch) -> Result<Vec<VirtualRouter>, Error> {
        let mut routers = self.virtual_routers();
        if let Some(name) = &router {
            routers.retain(|router| router.name == *name);
            if routers.is_empty() {
                let known = ["outside", "inside"];
                return Err(Error::unknown(format!("vrrp[{name}]"), "virtual router", name, &known));
            }
        }
        for router in &mut routers {
            router.switchover = match (switch, router.state.as_str()) {
                (Switch::Failover { .. }, "active") => Some("handing-over".to_owned()),
                (Switch::Failover { .. }, _) => Some("standby".to_owned()),
                (Switch::Release, _) => None,
            };
            router.taking_over = switch == Switch::Release && router.state == "backup";
        }
        Ok(routers)
    }
}
