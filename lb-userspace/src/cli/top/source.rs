//! What is read, by the API.

use std::time::Duration;

use super::state::{Besides, Round, Wanted};
use crate::api::{Client, ClientError, Events, Overview, encode};

/// Services that are read at most.
const SERVICES: usize = 1000;
/// Events of virtual routers that are looked through.
const EVENTS: usize = 200;
/// Longest wait for what is read in a moment, and for a scan of all flows.
const PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE_WITH_FLOWS: Duration = Duration::from_secs(20);

/// Reads what is wanted.
///
/// # Errors
/// `lbd` cannot be reached, does not answer in time, or refuses. What only the screen needs may fail without that.
pub(super) async fn read(client: &Client, wanted: &Wanted) -> Result<Round, ClientError> {
    let service = encode(wanted.backends_of.as_deref().unwrap_or_default());
    let overview: Overview =
        timely(PATIENCE, client.get(&format!("/v1/overview?limit={SERVICES}&backends={service}"))).await?;
    let besides = match besides(client, wanted).await {
        Ok(besides) => besides.map(Ok),
        Err(refused @ ClientError::Refused { .. }) => Some(Err(refused.to_string())),
        Err(error) => return Err(error),
    };
    Ok(Round { overview, besides })
}

async fn besides(client: &Client, wanted: &Wanted) -> Result<Option<Besides>, ClientError> {
    if let Some(query) = &wanted.flows {
        let path = query.path();
        let besides = if query.list {
            Besides::Flows(timely(PATIENCE_WITH_FLOWS, client.get(&path)).await?)
        } else {
            Besides::Top(timely(PATIENCE_WITH_FLOWS, client.get(&path)).await?)
        };
        return Ok(Some(besides));
    }
    if wanted.vrrp {
        let replication = timely(PATIENCE, client.get("/v1/replication")).await?;
        let path = format!("/v1/events?filter={}&limit={EVENTS}", encode("topic=vrrp"));
        let events: Events = timely(PATIENCE, client.get(&path)).await?;
        return Ok(Some(Besides::Vrrp(Box::new(replication), events.events)));
    }
    Ok(None)
}

/// Gives up after a time: somebody waits in front of the screen.
async fn timely<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let late = |_| ClientError::Connect(format!("it does not answer within {} s", patience.as_secs()));
    tokio::time::timeout(patience, call).await.map_err(late)?
}
