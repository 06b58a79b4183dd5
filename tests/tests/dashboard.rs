//! The dashboard in a real browser.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{env, fs, path::Path, time::Duration};

use lb_tests::{
    browser::Browser,
    client::{self, Echo, Load},
    clock,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    large::Size,
    require_privileged,
    servers::{ECHO_PORT, EchoServer},
    site::target,
    topology::{Family, Plan, Topology, addresses},
};
use serde_json::Value;

const PAGE: &str = "http://127.0.0.1:9466/";
/// Pictures in the documentation.
const DOCUMENTED: [&str; 2] = ["dashboard-dark.png", "dashboard-phone.png"];
/// The page asks once a second.
const SOON: Duration = Duration::from_secs(10);

/// Three servers behind one service, and their balancer with a dashboard.
struct Stage {
    daemon: Daemon,
    servers: Vec<EchoServer>,
    topology: Topology,
}

impl Stage {
    fn new() -> Self {
        let topology = Topology::build(Plan { servers: 3, ..Plan::default() }).unwrap();
        let servers = topology.servers.iter().map(|host| EchoServer::start(host).unwrap()).collect();
        let service = Service::new("echo", Protocol::Tcp, target(Family::V4, ECHO_PORT)).mode(Mode::Nat);
        let service = service.backends(&topology.servers, ECHO_PORT).checked(ECHO_PORT);
        let config = Config::new(topology.interfaces(), [service]);
        let config = config.tables("[dashboard]\nlisten = \"127.0.0.1:9466\"\n");
        let daemon = Daemon::start(&topology.balancer, &config).unwrap();
        for host in &topology.servers {
            daemon.wait_backend("echo", &host.name, "active").unwrap();
        }
        Self { daemon, servers, topology }
    }

    fn load(&self) -> client::Running {
        let load = Load::steady(addresses::clients(Family::V4));
        client::start(&self.topology.client, &Echo { target: target(Family::V4, ECHO_PORT) }, &load)
    }
}

/// The exact value behind a figure of the page.
fn figure(browser: &Browser<'_>, id: &str) -> Option<u64> {
    let value = browser.value(&format!("document.getElementById('{id}').dataset.value ?? ''")).unwrap();
    value.as_str().unwrap().parse().ok()
}

/// Writes a picture of the page into the directory `LB_PICTURES`, if there is one, and one that the documentation has there, where that is wanted.
fn photograph(browser: &Browser<'_>, name: &str) {
    if let Some(directory) = env::var_os("LB_PICTURES") {
        browser.photograph(&Path::new(&directory).join(name)).unwrap();
    } else if DOCUMENTED.contains(&name) && env::var_os("LB_UPDATE_GOLDEN").is_some() {
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
        fs::create_dir_all(&images).unwrap();
        browser.photograph(&images.join(name)).unwrap();
    }
}

/// The state of a backend's row in the page.
fn row(backend: &str) -> String {
    format!("document.querySelector('[data-key=\"echo/{backend}\"]')?.dataset.state")
}

#[test]
fn it_shows_what_the_api_reports_and_follows_the_death_of_a_backend() {
    require_privileged!();
    let mut stage = Stage::new();
    let browser = Browser::start(&stage.topology.balancer).unwrap();
    browser.prefer("dark").unwrap();
    browser.open(PAGE).unwrap();
    let load = stage.load();
    browser
        .wait("document.querySelectorAll('#services tr.backend[data-state=active]').length === 3")
        .unwrap();
    browser.wait("document.getElementById('condition').textContent === 'all well'").unwrap();
    browser.wait("/[1-9]/.test(document.getElementById('flows').textContent)").unwrap();
    browser.wait("document.querySelectorAll('#charts polyline')[0].points.length > 1").unwrap();
    browser.wait("document.querySelectorAll('#topology path.link:not(.idle)').length === 4").unwrap();
    photograph(&browser, "dashboard-dark.png");

    let dead = stage.topology.servers[2].name.clone();
    stage.servers.truncate(2);
    stage.daemon.wait_backend("echo", &dead, "down").unwrap();
    browser.wait(&format!("{} === 'down'", row(&dead))).unwrap();
    browser.wait("document.getElementById('condition').textContent === '1 down'").unwrap();
    let fed = format!(
        "[...document.querySelectorAll('#events li')].some((li) => /backend-state.*{dead}.*to=down/.test(li.textContent))"
    );
    browser.wait(&fed).unwrap();

    drop(load.stop());
    let counted = |stats: &Value, field: &str| stats["services"][0][field].as_u64().unwrap();
    for (id, field) in
        [("packets_in", "packets_in"), ("bits_in", "bytes_in"), ("bits_out", "bytes_out"), ("flows", "flows")]
    {
        let reported = || Some(counted(&stage.daemon.lbctl("stats").unwrap(), field));
        clock::wait_until(&format!("the page's {id}"), SOON, || figure(&browser, id) == reported()).unwrap();
    }
    let live = || stage.daemon.lbctl("status").unwrap()["flows"].as_u64();
    clock::wait_until("the page's active flows", SOON, || figure(&browser, "active_flows") == live())
        .unwrap();
    assert_eq!(browser.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn it_works_on_a_phone_in_both_colours_and_outlives_lbd() {
    require_privileged!();
    let mut stage = Stage::new();
    let browser = Browser::start(&stage.topology.balancer).unwrap();
    browser.become_phone().unwrap();
    browser.prefer("light").unwrap();
    browser.open(PAGE).unwrap();
    let load = stage.load();
    browser.wait("document.querySelectorAll('#services tr.backend').length === 3").unwrap();
    browser.wait("/[1-9]/.test(document.getElementById('flows').textContent)").unwrap();
    assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth").unwrap(), true);
    photograph(&browser, "dashboard-phone.png");
    let background = || browser.value("getComputedStyle(document.body).backgroundColor").unwrap();
    let light = background();
    browser.prefer("dark").unwrap();
    clock::wait_until("dark colours", Duration::from_secs(2), || background() != light).unwrap();
    browser.value("document.querySelector('tr.service').click()").unwrap();
    browser.wait("document.getElementById('charted').textContent === 'echo'").unwrap();
    let elsewhere = "performance.getEntriesByType('resource').filter((entry) => !entry.name.startsWith(location.origin)).length";
    assert_eq!(browser.value(elsewhere).unwrap(), 0);
    assert_eq!(browser.errors().unwrap(), Vec::<String>::new());
    drop(load.stop());

    stage.daemon.terminate().unwrap();
    browser.wait("document.getElementById('condition').textContent === 'no answer from lbd'").unwrap();
    stage.daemon.start_again().unwrap();
    browser.wait("document.getElementById('condition').textContent === 'all well'").unwrap();
}

/// Places where two boxes of the drawing, or a box and a text beside it, share points, and texts that leave it.
const COLLISIONS: &str = "(() => { const all = (what) => [...document.querySelectorAll('#topology ' + what)].map((e) => e.getBoundingClientRect()); \
    const [svg] = all('svg'), boxes = all('rect'), alone = all('svg > g > text.rate').filter((t) => !boxes.some((b) => t.left >= b.left && t.right <= b.right + 1 && t.top >= b.top && t.bottom <= b.bottom)); \
    const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1; \
    return boxes.filter((a, i) => boxes.some((b, j) => i < j && meet(a, b)) || alone.some((t) => meet(a, t))).length \
      + all('text').filter((t) => t.left < svg.left - 1 || t.right > svg.right + 1).length; })()";

#[test]
fn many_services_and_backends_have_room_on_every_screen() {
    require_privileged!();
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() }).unwrap();
    for (services, backends, shown) in [(12, 40, 8 * 4 + 1), (1, 1, 3), (0, 0, 1)] {
        let size = Size { services, backends };
        let tables = format!(
            "[dashboard]\nlisten = \"127.0.0.1:9466\"\n[[vrrp]]\nname = \"outside\"\ninterface = \"{}\"\nvirtual_router_id = 51\n\
             virtual_addresses = [\"192.0.2.200/32\"]\n[limits]\n{}\n{}",
            topology.interfaces()[0],
            size.limits(),
            size.text()
        );
        let daemon =
            Daemon::start(&topology.balancer, &Config::new(topology.interfaces(), []).tables(&tables))
                .unwrap();
        let browser = Browser::start(&topology.balancer).unwrap();
        for (screen, colours) in [("desk", "light"), ("desk", "dark"), ("phone", "dark"), ("phone", "light")]
        {
            if screen == "phone" {
                browser.become_phone().unwrap();
            }
            browser.prefer(colours).unwrap();
            browser.open(PAGE).unwrap();
            browser.wait(&format!("document.querySelectorAll('#topology rect').length === {shown}")).unwrap();
            browser.wait("document.querySelectorAll('#vrrp tbody tr').length === 1").unwrap();
            photograph(&browser, &format!("{services}-{backends}-{screen}-{colours}.png"));
            assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth").unwrap(), true);
            assert_eq!(browser.value(COLLISIONS).unwrap(), 0, "{services} services on a {screen}");
        }
        assert_eq!(browser.errors().unwrap(), Vec::<String>::new());
        drop((browser, daemon));
    }
}
