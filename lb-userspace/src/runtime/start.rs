//! From the configuration file to a running daemon, and to its end.

use std::{
    fs::File,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use tokio::{net::TcpListener, runtime::Builder};

use super::{
    Clock, Failure,
    attached::Attacher,
    data::Data,
    explainer::Explainer,
    limits,
    network::Network,
    notify,
    privileges::Privileges,
    replication,
    signals::Signals,
    tasks::{self, Parts},
    vrrp,
};
use crate::{
    api::{Port, Socket},
    config::{Document, FileStore},
    control::{self, Control, Handle, Snapshot},
    events::{Bus, changes},
    health::Rights,
    loader::{self, LogLevel, PinDirectory, Program, Sizes},
    maps::{Counters, PinnedMaps},
    model::{Config, LatencyMetrics},
    sys::bpf::RunTimeStats,
};

/// The part of the flows without an answer that the half-open connections of one service may be, before its SYNs are answered by cookies.
const HALF_OPEN_PART: u32 = 4;

/// How long control may take to write the last change.
const GRACE: Duration = Duration::from_secs(3);

/// How the daemon is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// A BPF object instead of the embedded one.
    pub object: Option<PathBuf>,
    /// What the data path logs.
    pub data_path_log: LogLevel,
    /// Whether to go on without the flows of another version where they cannot be read.
    pub discard_flows: bool,
}

/// Checks a configuration file, and that there is what its health checks need.
///
/// # Errors
/// [`Failure::Config`].
pub fn check(config: &Path) -> Result<Config, Failure> {
    let document = Document::read(config)?;
    let config = document.config()?;
    document.usable(&config, Rights::Needed)?;
    replication::check(&config)?;
    Ok(config)
}

/// Takes everything out that `lbd` with this configuration brought into the kernel.
///
/// # Errors
/// [`Failure::Config`], [`Failure::Loader`].
pub fn detach(config: &Path) -> Result<(), Failure> {
    Ok(loader::detach(&PinDirectory::new(&Document::read(config)?.config()?.pin_directory))?)
}

/// Brings everything that is pinned into the layout of an older version, for its `lbd` to take over.
///
/// # Errors
/// [`Failure::Config`], [`Failure::Loader`].
pub fn prepare_downgrade(config: &Path, version: u32) -> Result<(), Failure> {
    Ok(loader::prepare_downgrade(&PinDirectory::new(&check(config)?.pin_directory), version)?)
}

/// Runs the daemon until it is asked to end. Forwarding goes on afterwards.
///
/// # Errors
/// [`Failure`].
pub fn run(options: &Options) -> Result<(), Failure> {
    let store = FileStore::new(&options.config);
    if let Err(error) = store.recover(&Clock.moment()) {
        tracing::error!(%error, "whether a configuration waits to be confirmed is not known");
    }
    let config = check(&options.config)?;
    let privileges = Privileges::check(&config)?;
    let of_threads = privileges.clone();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(move || of_threads.limit_thread())
        .build()
        .map_err(Failure::system("start threads"))?;
    runtime.block_on(daemon(options, config, store, &privileges))
}

async fn daemon(
    options: &Options,
    config: Config,
    store: FileStore,
    privileges: &Privileges,
) -> Result<(), Failure> {
    let (clock, started, signals) = (Clock, Clock.now(), Signals::catch()?);
    limits::allow_many_files();
    limits::allow_real_time();
    let directory = PinDirectory::new(&config.pin_directory);
    directory.create()?;
    let lock = directory.lock()?;
    // All that can be refused comes before anything is changed.
    let socket = Socket::bind(&config.api_socket, config.api_group.as_deref())?;
    let (port, dashboard) = ports(&config).await?;
    let metrics = listen(config.metrics_listen).await?;
    let (replicating, synced) = replication::prepare(&config, store.keys())?;
    // For this more is needed than what is kept.
    let _stats = config.program_run_time.then(count_run_time).flatten();
    let seat = vrrp::Seat::take(privileges)?;
    privileges.limit()?;
    let network = Network::open().await?;
    let wanted = Attacher::planned(&config, &network.view)?;

    limits::allow_route_lookups();
    let sizes = sizes(&config, &network);
    let program = load(options, &directory, &sizes)?;
    let mut attacher = Attacher::new(program, &config, lock);
    let capturing = (directory.clone(), options.object.clone(), sizes);
    let tables = directory.versioned();
    let maps = Box::new(PinnedMaps::open(&tables)?);
    let explainer = Explainer::new(directory, options.object.clone(), &maps, &attacher);
    let control = Control::start(Box::new(store), maps, wanted, random()?, clock.moment())?;
    attacher.begin(&network.view)?;

    let events = Bus::new(clock.moment().wall);
    let tell = tell(events.clone(), clock);
    let (control, thread) =
        control::spawn(control, move || clock.moment(), tell).map_err(Failure::system("start a thread"))?;
    let vrrp = vrrp::start(&config.vrrp, synced, &options.config, &tables, clock, events.clone(), seat)?;
    let program = attacher.program().open()?;
    let data = Data::open(&tables, clock, started, vrrp.routers(), explainer, program)?;
    begin_cookies(&data, config.limits.embryonic)?;
    let replication =
        replication::start(replicating, &data, (&control, &events), &mut attacher, clock, privileges)?;
    let tasks = tasks::start(Parts {
        trackers: (vrrp.trackers(), sources(&control, &mut attacher, &tables, clock)?),
        clock,
        control: control.clone(),
        events,
        network,
        attacher,
        data,
        socket,
        port,
        dashboard,
        metrics,
        config_file: options.config.display().to_string(),
        capturing,
    })?;

    let took = clock.now().saturating_sub(started).as_millis();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), milliseconds = took, "ready");
    notify::ready();
    let ended = tasks.run(signals.wait(control.clone(), config)).await;
    vrrp.end().await;
    replication.end().await;
    finish(control, thread).await;
    ended.map_or(Ok(()), |name| Err(Failure::Ended(name)))
}

/// Tells subscribers what changed.
fn tell(events: Bus, clock: Clock) -> impl Fn(&Snapshot, &Snapshot) + Send + 'static {
    move |before, after| events.publish(clock.moment().wall, changes(before, after))
}

/// Where it is found out how the things are that virtual routers track.
fn sources(
    control: &Handle,
    attacher: &mut Attacher,
    tables: &Path,
    clock: Clock,
) -> Result<vrrp::Sources, Failure> {
    let (control, trial) = (control.clone(), attacher.program().trial()?.into());
    let counters = Counters::open(tables)?;
    Ok(vrrp::Sources { control, attached: attacher.list(), trial, clock, counters })
}

fn sizes(config: &Config, network: &Network) -> Sizes {
    Sizes::new(
        &config.limits,
        network.view.highest_ifindex(),
        config.replication.is_some(),
        config.latency != LatencyMetrics::Off,
    )
}

/// Has the kernel count how long BPF programs run, for as long as `lbd` does.
fn count_run_time() -> Option<RunTimeStats> {
    let started = RunTimeStats::start();
    if let Err(error) = &started {
        tracing::warn!(%error, "the run time of the program is not counted: that takes CAP_SYS_ADMIN; or set the sysctl kernel.bpf_stats_enabled");
    }
    started.ok()
}

fn load(options: &Options, directory: &PinDirectory, sizes: &Sizes) -> Result<Program, Failure> {
    let options = loader::Options {
        object: options.object.clone(),
        directory: directory.clone(),
        sizes: sizes.clone(),
        log: options.data_path_log,
        discard_flows: options.discard_flows,
    };
    Ok(loader::load(&options)?)
}

/// Those of the API and of the dashboard.
async fn ports(config: &Config) -> Result<(Option<Port>, Option<Port>), Failure> {
    let port = match config.api_tcp.listener() {
        Some(wanted) => Some(Port::bind(&wanted).await?),
        None => None,
    };
    let dashboard = match config.dashboard_listen {
        Some(address) => Some(Port::bind_plain("dashboard.listen", address).await?),
        None => None,
    };
    Ok((port, dashboard))
}

async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>, Failure> {
    match address {
        None => Ok(None),
        Some(address) => {
            TcpListener::bind(address).await.map(Some).map_err(|error| Failure::Metrics { address, error })
        }
    }
}

/// The key of the flow hash where none was chosen.
fn random() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(Failure::system("read /dev/urandom"))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Gives SYN cookies their key, and the limit at which they begin where there is room for so many flows without an answer.
fn begin_cookies(data: &Data, embryonic: u32) -> Result<(), Failure> {
    let begun = data.flows.begin_cookies([random()?, random()?], embryonic / HALF_OPEN_PART);
    begun.map_err(Failure::system("write the key of SYN cookies"))
}

/// Ends control with the last handle, once the last change is in the file.
async fn finish(control: Handle, thread: thread::JoinHandle<()>) {
    drop(control);
    let joined = tokio::task::spawn_blocking(move || thread.join());
    match tokio::time::timeout(GRACE, joined).await {
        Ok(Ok(Ok(()))) => tracing::info!("ended; forwarding goes on (`lbd --detach` ends that too)"),
        Ok(_) => tracing::error!("control ended with a defect"),
        Err(_) => tracing::error!("control did not end in time"),
    }
}
