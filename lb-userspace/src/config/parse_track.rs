//! What a virtual router tracks.

use std::time::Duration;

use super::parse::set;
use super::reader::{TableReader, ValueOrTable};
use super::scalar;
use crate::model::{
    Quorum, SCRIPT_USER, ScriptProbe, Track, TrackedFile, TrackedInterface, TrackedScript, TrackedService,
};

/// The keys that begin with `track_`.
pub(super) fn track(table: &TableReader<'_>) -> Track {
    let elements = table.values_or_tables("track_interfaces", &scalar::interface());
    let tables = |key, header| table.tables(key, header).into_iter().map(|(_, table)| table);
    let mut track = Track {
        interfaces: elements.into_iter().filter_map(interface).collect(),
        services: tables("track_services", "[[vrrp.track_services]]").filter_map(service).collect(),
        scripts: tables("track_scripts", "[[vrrp.track_scripts]]").filter_map(script).collect(),
        files: tables("track_files", "[[vrrp.track_files]]").filter_map(file).collect(),
        ..Track::default()
    };
    set(&mut track.data_path, table.value("track_data_path", &scalar::boolean()));
    track
}

fn weight(table: &TableReader<'_>) -> i16 {
    table.value("weight", &scalar::priority_weight()).unwrap_or_default()
}

fn interface(element: ValueOrTable<'_, crate::model::InterfaceName>) -> Option<TrackedInterface> {
    match element {
        ValueOrTable::Value(interface) => Some(TrackedInterface { interface, weight: 0 }),
        ValueOrTable::Table(table) => {
            let interface = table.required("interface", &scalar::interface());
            let weight = weight(&table);
            table.end();
            Some(TrackedInterface { interface: interface?, weight })
        }
    }
}

fn service(table: TableReader<'_>) -> Option<TrackedService> {
    let service = table.required("service", &scalar::service_name());
    let number = table.value("min_healthy", &scalar::number());
    let percent = table.value("min_healthy_percent", &scalar::percentage());
    if number.is_some() && percent.is_some() {
        let message = "means the same as min_healthy in another measure; expected one of them".to_owned();
        table.wrong(&crate::model::Path::root().key("min_healthy_percent"), message);
    }
    let weight = weight(&table);
    table.end();
    let quorum = percent.map_or(Quorum::Backends(number.unwrap_or(1)), Quorum::Percent);
    Some(TrackedService { service: service?, quorum, weight })
}

fn script(table: TableReader<'_>) -> Option<TrackedScript> {
    let name = table.required("name", &scalar::router_name());
    let path = table.required("script", &scalar::path());
    let args = table.list("args", &scalar::text()).unwrap_or_default();
    let user = table.value("user", &scalar::text()).unwrap_or_else(|| SCRIPT_USER.to_owned());
    let duration = |key, default| table.value(key, &scalar::duration()).unwrap_or(default);
    let interval = duration("interval", Duration::from_secs(1));
    let timeout = duration("timeout", interval);
    let count = |key, default| table.value(key, &scalar::number()).unwrap_or(default);
    let (rise, fall) = (count("rise", 2), count("fall", 2));
    let weight = weight(&table);
    table.end();
    let program = ScriptProbe { path: path?, args, user };
    Some(TrackedScript { name: name?, program, interval, timeout, rise, fall, weight })
}

fn file(table: TableReader<'_>) -> Option<TrackedFile> {
    let path = table.required("path", &scalar::path());
    let weight = table.value("weight", &scalar::priority_weight()).unwrap_or(1);
    table.end();
    Some(TrackedFile { path: path?, weight })
}
