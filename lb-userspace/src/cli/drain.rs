//! `lbctl backend drain`, `undrain`, `enable` and `disable`.

use std::time::Duration;

use hyper::Method;

use super::{
    args::{BackendArg, ChangeArgs, DrainArgs},
    commands::{Session, backend_path, done, with_query},
    failure::{Exit, Failure},
    render,
};
use crate::{
    api::{Backend, BackendPatch, Client, ClientError, Drain, NewDrain},
    model::AdminState,
};

/// Between two looks at the number of flows.
const PAUSE: Duration = Duration::from_millis(250);
/// How often `lbd` may be out of reach in a row while a drain is waited for: it may be restarted meanwhile.
const PATIENCE: u32 = 60;
/// How often flows may be left after a deadline that resets them.
const RESETTING: u32 = 40;

/// `backend drain`.
pub(super) async fn drain(session: &Session, args: DrainArgs) -> Result<String, Failure> {
    let DrainArgs { backend, deadline, then, wait, change } = args;
    let path = backend_path(&backend);
    let body = NewDrain { deadline, then };
    let draining: Backend =
        session.client.send(Method::POST, &with_query(format!("{path}/drain"), change), &body).await?;
    let names = [&backend.service.service, &backend.backend];
    if !wait {
        return session.show(&draining, |backend| {
            let how = backend.drain.as_ref().map(render::drain_end).unwrap_or_default();
            format!("{}{how}", done("backend", &names, "draining", change))
        });
    }
    let last = wait_until_done(session, &path).await?;
    let left = last.drain.as_ref().and_then(|drain| drain.flows).unwrap_or_default();
    match last.drain {
        Some(Drain { drained: true, .. }) => {
            session.show(&last, |_| done("backend", &names, "drained", change))
        }
        Some(Drain { .. }) => Err(Failure::new(
            Exit::Negative,
            format!(
                "backend {} {} is not drained at the deadline: {left} flows are left",
                names[0], names[1]
            ),
        )),
        None => Err(Failure::new(
            Exit::Conflict,
            format!("backend {} {} is not draining any more: somebody changed it", names[0], names[1]),
        )),
    }
}

/// Looks at a backend until it is drained, its drain is over, or somebody ended it. The number of flows that are left goes to
/// standard error whenever it changes.
async fn wait_until_done(session: &Session, path: &str) -> Result<Backend, Failure> {
    let (mut told, mut unreachable, mut resetting) = (None, 0, 0);
    loop {
        match look(&session.client, path).await {
            Ok(backend) => {
                unreachable = 0;
                let Some(drain) = &backend.drain else { return Ok(backend) };
                if drain.flows != told && !session.json {
                    told = drain.flows;
                    eprintln!("{} flows left", told.unwrap_or_default());
                }
                resetting += u32::from(drain.expired);
                let resets = drain.then.as_deref() == Some("rst");
                if drain.drained || drain.expired && (!resets || resetting > RESETTING) {
                    return Ok(backend);
                }
            }
            Err(ClientError::Connect { .. } | ClientError::Protocol { .. }) if unreachable < PATIENCE => {
                unreachable += 1;
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn look(client: &Client, path: &str) -> Result<Backend, ClientError> {
    client.get(path).await
}

/// `backend undrain`, `enable` and `disable`.
pub(super) async fn set_state(
    session: &Session,
    backend: &BackendArg,
    state: AdminState,
    change: ChangeArgs,
) -> Result<String, Failure> {
    let patch = BackendPatch { state: Some(state.to_string()), ..BackendPatch::default() };
    let path = with_query(backend_path(backend), change);
    let changed: Backend = session.client.send(Method::PATCH, &path, &patch).await?;
    let names = [&backend.service.service, &backend.backend];
    session.show(&changed, |changed| done("backend", &names, &changed.state, change))
}
