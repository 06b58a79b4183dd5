//! `lbctl acl` and `lbctl limit`.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use hyper::Method;
use ipnet::IpNet;

use super::{
    args::{AclCommand, BlockArgs, LimitCommand, RateOptions, SourceOptions},
    commands::{Session, Text, done, service_path, with_query},
    failure::{Exit, Failure},
    render,
};
use crate::{
    acl::parse_list,
    api::{
        Acl, AclVerdicts, BlockSources, Blocked, Service, ServiceLimits, ServicePatch, UnblockSources, encode,
    },
};

pub(super) async fn acl(session: &Session, command: AclCommand) -> Text {
    match command {
        AclCommand::List { limit } => {
            let acl: Acl = session.client.get(&format!("/v1/acl?limit={limit}")).await?;
            session.show(&acl, |acl| render::acl(acl, session.style))
        }
        AclCommand::Block { prefixes, how } => block(session, "/v1/acl/block", &prefixes, how).await,
        AclCommand::Load { file, how } => {
            let prefixes = read(&file)?;
            block(session, "/v1/acl/load", &prefixes, how).await
        }
        AclCommand::Unblock { prefixes } => {
            let body = UnblockSources { prefixes: texts(&prefixes) };
            let blocked: Blocked = session.client.send(Method::POST, "/v1/acl/unblock", &body).await?;
            session.show(&blocked, |blocked| render::blocked(*blocked))
        }
        AclCommand::Check { address, service } => {
            let service = service.map(|name| format!("&service={}", encode(&name))).unwrap_or_default();
            let path = format!("/v1/acl/check?address={}{service}", encode(&address.to_string()));
            let verdicts: AclVerdicts = session.client.get(&path).await?;
            let text = session.show(&verdicts, |verdicts| render::verdicts(verdicts, session.style))?;
            if verdicts.services.iter().all(|verdict| verdict.admitted) {
                return Ok(text);
            }
            Err(Failure { printed: text, ..Failure::new(Exit::Negative, "") })
        }
    }
}

pub(super) async fn limit(session: &Session, command: LimitCommand) -> Text {
    match command {
        LimitCommand::List => {
            let limits: Vec<ServiceLimits> = session.client.get("/v1/limits").await?;
            session.show(&limits, |limits| render::limits(limits, session.style))
        }
        LimitCommand::Set { service, rates, max_connections, change } => {
            let mut patch = ServicePatch { max_connections, ..ServicePatch::default() };
            add_rates(&mut patch, rates);
            if patch == ServicePatch::default() {
                let message =
                    "nothing to change; give an option such as --flow-rate (see `lbctl limit set --help`)";
                return Err(Failure::new(Exit::Invalid, message));
            }
            let path = with_query(service_path(&service.service), change);
            let service: Service = session.client.send(Method::PATCH, &path, &patch).await?;
            session.show(&service, |service| done("service", &[&service.name], "changed", change))
        }
    }
}

/// Adds rates that are given to a change of a service.
pub(super) fn add_rates(patch: &mut ServicePatch, rates: RateOptions) {
    patch.flow_rate = rates.flow_rate;
    patch.flow_burst = rates.flow_burst;
    patch.source_flow_rate = rates.source_flow_rate;
    patch.source_flow_burst = rates.source_flow_burst;
    patch.packet_rate = rates.packet_rate;
    patch.packet_burst = rates.packet_burst;
    patch.source_packet_rate = rates.source_packet_rate;
    patch.source_packet_burst = rates.source_packet_burst;
    patch.source_max_connections = rates.source_max_connections;
    patch.source_max_embryonic = rates.source_max_embryonic;
    patch.source_prefix = rates.source_prefix.map(Some);
}

/// Adds lists of sources that are given to a change of a service.
pub(super) fn add_sources(patch: &mut ServicePatch, sources: &SourceOptions) {
    patch.allow = list(sources.allow.as_ref());
    patch.deny = list(sources.deny.as_ref());
    let file = |file: &String| Some(file.clone()).filter(|file| !file.is_empty());
    patch.allow_file = sources.allow_file.as_ref().map(file);
    patch.deny_file = sources.deny_file.as_ref().map(file);
}

/// The prefixes of an option; those that are empty say only that it was given.
pub(super) fn list(given: Option<&Vec<Option<IpNet>>>) -> Option<Vec<String>> {
    given.map(|list| list.iter().flatten().map(ToString::to_string).collect())
}

async fn block(session: &Session, path: &str, prefixes: &[IpNet], how: BlockArgs) -> Text {
    let BlockArgs { time, reason, end } = how;
    let body = BlockSources { prefixes: texts(prefixes), time, reason, end };
    let blocked: Blocked = session.client.send(Method::POST, path, &body).await?;
    session.show(&blocked, |blocked| render::blocked(*blocked))
}

fn texts(prefixes: &[IpNet]) -> Vec<String> {
    prefixes.iter().map(ToString::to_string).collect()
}

/// The prefixes that a file holds.
fn read(file: &Path) -> Result<Vec<IpNet>, Failure> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let name = file.display();
    let text = text.map_err(|error| Failure::new(Exit::General, format!("{name}: {error}")))?;
    parse_list(&text).map_err(|error| Failure::new(Exit::Invalid, format!("{name}: {error}")))
}
