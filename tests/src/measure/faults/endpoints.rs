//! The metrics and the API are abused: heads of a mebibyte, pipelines, HTTP/0.9, and more scrapes than can be answered.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lb_userspace::sys::process::prefer_this_thread;

use super::super::{Depth, Required, Row, figures::maximum, number};
use crate::{
    clock,
    config::{Config, Mode},
    duo::{Adverts, VRIDS},
    http,
    site::{Site, services},
    topology::{Family, Plan, addresses::BALANCER_CLIENT_V4},
};

const METRICS: ([u8; 4], u16) = ([127, 0, 0, 1], 9464);
/// Milliseconds between two adverts, and by which the time between them may differ from that.
const INTERVAL: f64 = 100.0;
const JITTER: f64 = 10.0;
/// What a good scrape may take, in milliseconds.
const SCRAPE: f64 = 1000.0;
/// KiB by which lbd may have grown while it is abused.
const GROWTH: f64 = 10.0 * 1024.0;
/// Connections that each send a head of a mebibyte.
const HEADS: u64 = 200;
/// Connections that each send many requests and read nothing, and how many.
const PIPELINES: usize = 50;
const PIPELINED: usize = 1000;
/// Connections that scrape as fast as they can.
const SCRAPERS: usize = 16;
const LIMIT: Duration = Duration::from_secs(5);

/// Abuses, for so long where it is a matter of time.
type Abuse = fn(&Site, Duration) -> Result<Vec<Row>>;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let router = format!(
        "[[vrrp]]\nname = \"outside\"\ninterface = \"eth0\"\nvirtual_router_id = {}\nadvert_interval = \"{INTERVAL}ms\"\n\
         virtual_addresses = [\"203.0.113.99/32\"]\n",
        VRIDS[0]
    );
    let site = Site::start(Plan::default(), |topology| {
        let health = "interval = \"200ms\"\ntimeout = \"200ms\"\nport = 9000\n".to_owned();
        let mut all = services(&topology.servers, Mode::Nat);
        all.iter_mut().for_each(|service| service.health = Some(health.clone()));
        Config::new(topology.interfaces(), all).tables(&router)
    })?;
    let abuses: [(&str, Abuse); 4] = [
        ("heads of 1 MiB", |site, _| heads(site)),
        ("pipelines", |site, _| pipelines(site)),
        ("HTTP/0.9", |site, _| ancient(site)),
        ("scrapes without a pause", scrapes),
    ];
    scrape(&site)?;
    clock::wait_until("the virtual router to be active", 2 * LIMIT, || {
        site.daemon.lbctl_text("vrrp status").is_ok_and(|status| status.contains("active"))
    })?;
    let adverts = Adverts::open(&site.topology.client)?;
    let mut rows = Vec::new();
    for (abuse, run) in abuses {
        let load = site.http_load(Family::V4);
        let before = resident(&site)?;
        let told = site.daemon.lbctl("events --past")?["last"].as_u64().context("no number")?;
        let over = AtomicBool::new(false);
        let (done, jitter, slowest) = thread::scope(|scope| {
            let ear = scope.spawn(|| listen(&adverts, &over));
            let scraper = scope.spawn(|| good_scrapes(&site, &over));
            let done = run(&site, Duration::from_millis(depth.of(20_000).max(3000)));
            over.store(true, Ordering::Relaxed);
            (done, join(ear), join(scraper))
        });
        rows.extend(done?);
        let grown = number(resident(&site)?.saturating_sub(before));
        load.wait_more(10)?;
        let (failed, jitter, slowest) = (load.stop().failed(), jitter?, slowest?);
        let row =
            |what: &str, figure, unit, required| Row::new(format!("{abuse}: {what}"), figure, unit, required);
        rows.extend([
            row("slowest good scrape", slowest, "ms", Required::AtMost(SCRAPE)),
            row(
                "an advert later or sooner than it should be, at most",
                jitter,
                "ms",
                Required::AtMost(JITTER),
            ),
            row("growth of lbd", grown, "KiB", Required::AtMost(GROWTH)),
            Row::none(format!("{abuse}: requests of clients that failed"), failed, "requests"),
            Row::none(
                format!("{abuse}: backends taken out, and states of VRRP"),
                changes(&site, told)?,
                "changes",
            ),
        ]);
    }
    Ok(rows)
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// How far, in milliseconds, the time between two adverts was from what it should be, at most.
fn listen(adverts: &Adverts, over: &AtomicBool) -> Result<f64> {
    // Without it the ear is late itself.
    let _ = prefer_this_thread();
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) || times.len() < 3 {
        times.push(adverts.heard(BALANCER_CLIENT_V4, 1)?);
    }
    let apart = times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64() * 1e3);
    Ok(maximum(&apart.map(|apart| (apart - INTERVAL).abs()).collect::<Vec<_>>()))
}

/// Scrapes as Prometheus does, but more often; how many milliseconds the slowest took.
fn good_scrapes(site: &Site, over: &AtomicBool) -> Result<f64> {
    let mut slowest = 0.0_f64;
    while !over.load(Ordering::Relaxed) {
        let begin = clock::now();
        scrape(site)?;
        slowest = slowest.max(begin.elapsed().as_secs_f64() * 1e3);
        thread::sleep(Duration::from_millis(200));
    }
    Ok(slowest)
}

fn scrape(site: &Site) -> Result<()> {
    let (status, page) = http::get(&site.topology.balancer, METRICS.into(), "/metrics")?;
    ensure!(status == 200 && page.contains("lb_service_packets_total"), "{status}: {page}");
    Ok(())
}

/// A connection to the metrics, made in the balancer's namespace.
fn connect(site: &Site) -> Result<TcpStream> {
    let connect = || TcpStream::connect_timeout(&SocketAddr::from(METRICS), LIMIT);
    let stream = site.topology.balancer.run(connect).context("cannot connect to the metrics")?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Whether a head of a mebibyte is taken: all of it, and then a good answer.
fn takes_a_head(mut stream: impl Read + Write, path: &str) -> bool {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nx: ").into_bytes();
    request.extend(vec![b'a'; 1 << 20]);
    request.extend(b"\r\n\r\n");
    let sent = stream.write_all(&request);
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).unwrap_or(0);
    sent.is_ok() && answer[..length].starts_with(b"HTTP/1.1 200")
}

fn heads(site: &Site) -> Result<Vec<Row>> {
    let (mut metrics, mut api) = (0, 0);
    for _ in 0..HEADS {
        metrics += u64::from(takes_a_head(connect(site)?, "/metrics"));
        let stream = UnixStream::connect(site.daemon.socket())?;
        stream.set_read_timeout(Some(LIMIT))?;
        api += u64::from(takes_a_head(stream, "/v1/status"));
    }
    Ok(vec![
        Row::none(format!("{HEADS} heads of 1 MiB: taken by the metrics"), metrics, "heads"),
        Row::none(format!("{HEADS} heads of 1 MiB: taken by the API"), api, "heads"),
    ])
}

/// Many requests on each connection, of which nobody reads the answers; then one is read to its end.
fn pipelines(site: &Site) -> Result<Vec<Row>> {
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..PIPELINES {
        let mut stream = connect(site)?;
        stream.set_nonblocking(true)?;
        let requests = request.repeat(PIPELINED);
        // As much as is taken while nothing is read.
        let _ = stream.write(requests.as_bytes());
        held.push(stream);
    }
    thread::sleep(Duration::from_secs(3));
    let mut stream = connect(site)?;
    let last = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{}{last}", request.repeat(9)).as_bytes())?;
    let mut answers = String::new();
    stream.read_to_string(&mut answers)?;
    let good = answers.matches("HTTP/1.1 200 OK\r\n").count() as u64;
    drop(held);
    Ok(vec![Row::new(
        format!("{PIPELINES} pipelines that nobody reads: answers of one of 10 requests that is read"),
        number(good),
        "answers",
        Required::Exactly(10.0),
    )])
}

/// What was HTTP before it had a version, and what never was.
fn ancient(site: &Site) -> Result<Vec<Row>> {
    let mut served = 0;
    let requests =
        ["GET /metrics\r\n", "GET /metrics\n\n", "GET /metrics HTTP/0.9\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}"];
    for request in requests {
        let mut stream = connect(site)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        // It is refused, or it ends as unfinished: the limit of the head is less than ours.
        let begin = clock::now();
        let _ = stream.read_to_string(&mut answer);
        ensure!(begin.elapsed() < LIMIT, "{request:?} was left waiting");
        served += u64::from(answer.contains("lb_service_packets_total"));
    }
    Ok(vec![Row::none(
        format!("{} requests of HTTP/0.9 and of no kind: served", requests.len()),
        served,
        "requests",
    )])
}

/// As many scrapes as go, over connections that stay.
fn scrapes(site: &Site, time: Duration) -> Result<Vec<Row>> {
    let (over, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let streams = (0..SCRAPERS).map(|_| connect(site)).collect::<Result<Vec<_>>>()?;
    let begin = clock::now();
    let outcomes: Vec<Result<()>> = thread::scope(|scope| {
        let (over, count) = (&over, &count);
        let run = |stream: TcpStream| scope.spawn(move || without_pause(stream, over, count));
        let threads: Vec<_> = streams.into_iter().map(run).collect();
        thread::sleep(time);
        over.store(true, Ordering::Relaxed);
        threads.into_iter().map(join).collect()
    });
    let rate = number(count.load(Ordering::Relaxed)) / begin.elapsed().as_secs_f64();
    let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count() as u64;
    outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().err())
        .for_each(|error| eprintln!("a scraper: {error:#}"));
    let case = format!("{SCRAPERS} connections scrape without a pause");
    Ok(vec![
        Row::new(format!("{case}: scrapes"), rate, "a second", Required::AtLeast(10_000.0)),
        Row::none(format!("{case}: broken connections"), failed, "connections"),
    ])
}

fn without_pause(mut stream: TcpStream, over: &AtomicBool, count: &AtomicU64) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    while !over.load(Ordering::Relaxed) {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut answer = Vec::new();
        let whole = loop {
            let length = stream.read(&mut buffer)?;
            ensure!(length > 0, "the connection was closed");
            answer.extend_from_slice(&buffer[..length]);
            if let Some(whole) = length_of(&answer) {
                break whole;
            }
        };
        while answer.len() < whole {
            let length = stream.read(&mut buffer)?;
            ensure!(length > 0, "an answer was cut off");
            answer.extend_from_slice(&buffer[..length]);
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Bytes of an answer whose head is there.
fn length_of(answer: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, _) = text.split_once("\r\n\r\n")?;
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    Some(head.len() + 4 + length.unwrap_or(0))
}

/// Backends that were taken out and changes of virtual routers after an event.
fn changes(site: &Site, told: u64) -> Result<u64> {
    let past = site.daemon.lbctl("events --past --match (kind=backend-state)or(kind=vrrp-state)")?;
    let events = past["events"].as_array().context("no events")?.iter();
    Ok(events.filter(|event| event["sequence"].as_u64() > Some(told)).count() as u64)
}

/// KiB of memory of `lbd`.
fn resident(site: &Site) -> Result<u64> {
    let process = site.daemon.process_id().context("lbd does not run")?;
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
