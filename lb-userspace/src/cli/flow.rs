//! `lbctl flow`.

use hyper::Method;

use super::{
    args::{FlowCommand, FlowPick, KillArgs, TopArgs},
    commands::{Session, Text},
    failure::{Exit, Failure},
    render,
};
use crate::api::{FlowTop, FlowTotals, Flows, KillFlows, KilledFlows, encode};

pub(super) async fn flow(session: &Session, command: FlowCommand) -> Text {
    match command {
        FlowCommand::List { pick, limit } => {
            let flows: Flows = session.client.get(&path("/v1/flows", &pick, &[("limit", limit)])).await?;
            session.show(&flows, |flows| render::flows(flows, session.style))
        }
        FlowCommand::Top(args) => top(session, &args).await,
        FlowCommand::Count => {
            let totals: FlowTotals = session.client.get("/v1/flows/count").await?;
            session.show(&totals, |totals| render::flow_totals(totals, session.style))
        }
        FlowCommand::Kill(args) => kill(session, args).await,
    }
}

async fn top(session: &Session, args: &TopArgs) -> Text {
    let numbers =
        [("prefix_v4", args.prefix_v4.into()), ("prefix_v6", args.prefix_v6.into()), ("limit", args.limit)];
    let path = path(&format!("/v1/flows/top?by={}", encode(&args.by)), &args.pick, &numbers);
    let top: FlowTop = session.client.get(&path).await?;
    session.show(&top, |top| render::flow_top(top, session.style))
}

async fn kill(session: &Session, args: KillArgs) -> Text {
    let KillArgs { pick, all, dry_run } = args;
    let FlowPick { service, backend, client, protocol, state, idle_min, idle_max } = pick;
    let body = KillFlows {
        service,
        backend,
        client: client.map(|network| network.to_string()),
        protocol,
        state: (!state.is_empty()).then(|| state.join(",")),
        idle_min,
        idle_max,
        all,
        dry_run,
    };
    if body == (KillFlows { all: false, dry_run: false, ..KillFlows::default() }) {
        let message = "nothing says which flows are to end; give an option such as --client (see `lbctl flow kill --help`), or --all";
        return Err(Failure::new(Exit::Invalid, message));
    }
    let killed: KilledFlows = session.client.send(Method::POST, "/v1/flows/kill", &body).await?;
    session.show(&killed, render::killed)
}

/// A path with what flows are picked by, and numbers.
fn path(path: &str, pick: &FlowPick, numbers: &[(&str, usize)]) -> String {
    let FlowPick { service, backend, client, protocol, state, idle_min, idle_max } = pick;
    let client = client.map(|network| network.to_string());
    let states = (!state.is_empty()).then(|| state.join(","));
    let texts = [
        ("service", service),
        ("backend", backend),
        ("client", &client),
        ("protocol", protocol),
        ("state", &states),
        ("idle_min", idle_min),
        ("idle_max", idle_max),
    ];
    let texts = texts.into_iter().filter_map(|(key, value)| Some((key, encode(value.as_ref()?))));
    let numbers = numbers.iter().map(|(key, number)| (*key, number.to_string()));
    let mut path = path.to_owned();
    for (key, value) in texts.chain(numbers) {
        let separator = if path.contains('?') { '&' } else { '?' };
        path.push_str(&format!("{separator}{key}={value}"));
    }
    path
}
