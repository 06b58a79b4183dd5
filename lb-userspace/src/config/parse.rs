//! From the document to the model.

use toml_edit::Document;

use super::error::Finding;
use super::node::Node;
use super::parse_service::service;
use super::parse_vrrp::virtual_router;
use super::reader::{Report, TableReader};
use super::replication::replication;
use super::scalar;
use crate::model::{
    AnswerRates, ApiTcp, Config, Draft, Invalid, Limits, Path, Service, Timeouts, check_services,
};

/// The configuration, or everything that is wrong.
pub(super) fn parse(text: &str, document: &Document<&str>) -> Result<Config, Vec<Finding>> {
    let report = Report::new(text);
    let root = Node::Table(document.as_table(), Some(0..0));
    let mut draft = Draft::default();
    let reader = TableReader::new(&report, document.as_table(), Some(0..0), Path::root());
    let services = read(&reader, &mut draft);
    reader.end();

    let invalid = if report.count() == 0 {
        draft.services = services.into_iter().map(|(_, service)| service.into()).collect();
        match draft.check() {
            Ok(config) => return Ok(config),
            Err(error) => error.0,
        }
    } else {
        // What could be read is checked too, so that one look at the messages is enough. The totals would not be right.
        let limits = Limits { services: u32::MAX, backends: u32::MAX, port_pools: u32::MAX, ..draft.limits };
        let readable: Vec<(usize, &Service)> =
            services.iter().map(|(index, service)| (*index, service)).collect();
        check_services(&readable, &limits)
    };
    for Invalid { path, value, problem } in invalid {
        let message = if value.is_empty() { problem.to_string() } else { format!("{value} {problem}") };
        let span = root.locate(&path);
        report.add(path, &span, message);
    }
    Err(report.finish())
}

/// Reads all there is; the services without mistakes with their positions.
fn read(root: &TableReader<'_>, draft: &mut Draft) -> Vec<(usize, Service)> {
    if let Some(interfaces) = root.list("interfaces", &scalar::interface()) {
        draft.interfaces = interfaces;
    }
    set(&mut draft.xdp_mode, root.value("xdp_mode", &scalar::keyword("an XDP mode")));
    set(&mut draft.pin_directory, root.value("pin_directory", &scalar::path()));
    draft.seed = root.value("seed", &scalar::seed());
    if let Some(api) = root.table("api") {
        set(&mut draft.api_socket, api.value("socket", &scalar::path()));
        draft.api_group = api.value("group", &scalar::group());
        api_tcp(&api, &mut draft.api_tcp);
        api.end();
    }
    if let Some(metrics) = root.table("metrics") {
        set(&mut draft.metrics_listen, metrics.value("listen", &scalar::listen()));
        set(&mut draft.latency, metrics.value("latency", &scalar::keyword("whose latencies are shown")));
        set(&mut draft.program_run_time, metrics.value("program_run_time", &scalar::boolean()));
        metrics.end();
    }
    if let Some(dashboard) = root.table("dashboard") {
        set(&mut draft.dashboard_listen, dashboard.value("listen", &scalar::listen()));
        dashboard.end();
    }
    if let Some(table) = root.table("limits") {
        limits(table, &mut draft.limits);
    }
    if let Some(table) = root.table("timeouts") {
        timeouts(table, &mut draft.timeouts);
    }
    if let Some(snat) = root.table("snat") {
        set(&mut draft.snat_ports, snat.value("ports", &scalar::port_range()));
        snat.end();
    }
    if let Some(table) = root.table("answers") {
        answers(table, &mut draft.answers);
    }
    if let Some(acl) = root.table("acl") {
        set(&mut draft.acl.deny, acl.list("deny", &scalar::prefix_of_addresses()));
        draft.acl.deny_file = acl.value("deny_file", &scalar::path());
        acl.end();
    }
    let routers = root.tables("vrrp", "[[vrrp]]");
    draft.vrrp = routers.into_iter().filter_map(|(_, table)| virtual_router(table)).collect();
    draft.replication = root.table("replication").and_then(replication);
    let tables = root.tables("services", "[[services]]");
    tables.into_iter().filter_map(|(index, table)| Some((index, service(table)?))).collect()
}

/// Puts a value that was given in the place of the default.
pub(super) fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn api_tcp(table: &TableReader<'_>, tcp: &mut ApiTcp) {
    set(&mut tcp.listen, table.value("listen", &scalar::listen()));
    set(&mut tcp.plain_http, table.value("plain_http", &scalar::boolean()));
    tcp.tls_certificate = table.value("tls_certificate", &scalar::path());
    tcp.tls_key = table.value("tls_key", &scalar::path());
    tcp.tls_client_ca = table.value("tls_client_ca", &scalar::path());
}

fn limits(table: TableReader<'_>, limits: &mut Limits) {
    let number = scalar::number();
    for (key, place) in [
        ("connections_v4", &mut limits.connections_v4),
        ("connections_v6", &mut limits.connections_v6),
        ("embryonic", &mut limits.embryonic),
        ("services", &mut limits.services),
        ("backends", &mut limits.backends),
        ("port_pools", &mut limits.port_pools),
        ("affinity", &mut limits.affinity),
        ("prefixes", &mut limits.prefixes),
        ("sources", &mut limits.sources),
    ] {
        set(place, table.value(key, &number));
    }
    limits.table_full = table.value("table_full", &scalar::keyword("a policy"));
    table.end();
}

fn answers(table: TableReader<'_>, answers: &mut AnswerRates) {
    let number = scalar::number();
    set(&mut answers.icmp_errors, table.value("icmp_errors", &number));
    set(&mut answers.echo_replies, table.value("echo_replies", &number));
    set(&mut answers.resets, table.value("resets", &number));
    table.end();
}

fn timeouts(table: TableReader<'_>, timeouts: &mut Timeouts) {
    let duration = scalar::duration();
    for (key, place) in [
        ("tcp_handshake", &mut timeouts.tcp_handshake),
        ("tcp_established", &mut timeouts.tcp_established),
        ("tcp_half_closed", &mut timeouts.tcp_half_closed),
        ("tcp_closing", &mut timeouts.tcp_closing),
        ("tcp_closed", &mut timeouts.tcp_closed),
        ("udp_new", &mut timeouts.udp_new),
        ("udp_established", &mut timeouts.udp_established),
    ] {
        set(place, table.value(key, &duration));
    }
    table.end();
}
