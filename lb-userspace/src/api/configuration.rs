//! The configuration as a whole: shown, compared, applied, confirmed, taken back.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use lb_common::abi::Mode;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    answer::Answer,
    changes::{Applied, Change, FlowImpact, KeyChange},
    convert,
    error::ApiError,
    extract::{Params, Text},
    handlers::blocking,
    router::Api,
    types::Checked,
    view,
};
use crate::{
    config::{self, Document, diff},
    control::{Error, Snapshot},
    model::Config,
    plan::{MapImage, impact},
};

/// Parameters of an apply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApplyParams {
    /// Only say what it would do.
    #[serde(default)]
    dry_run: bool,
    /// What was before comes back unless the new configuration is confirmed in this time, `1s` to `24h`.
    confirm: Option<String>,
}

/// `GET /v1/config`.
pub(super) async fn show(State(api): State<Api>) -> Result<String, ApiError> {
    let (snapshot, path) = (api.control.snapshot(), api.config_file.clone());
    on_a_thread(move || {
        let same = |document: &Document| {
            document.config().is_ok_and(|config| diff(&config, &snapshot.config).is_empty())
        };
        let file = Document::read(path.as_ref()).ok().filter(same);
        Ok(file.unwrap_or_else(|| Document::of(path, &snapshot.config)).text().to_owned())
    })
    .await
}

/// `GET /v1/config/diff`: what a reload would do.
pub(super) async fn compare_file(State(api): State<Api>) -> Answer<Vec<Change>> {
    let (snapshot, path) = (api.control.snapshot(), api.config_file.clone());
    let changes = on_a_thread(move || {
        let config = Document::read(path.as_ref()).and_then(|document| document.config())?;
        Ok(changes(&snapshot, &config))
    });
    Ok(Json(changes.await?))
}

/// `POST /v1/config/diff`: what an apply of the body would do.
pub(super) async fn compare(State(api): State<Api>, Text(text): Text) -> Answer<Vec<Change>> {
    let snapshot = api.control.snapshot();
    let changes = on_a_thread(move || Ok(changes(&snapshot, &Document::new("body", text).config()?)));
    Ok(Json(changes.await?))
}

/// `POST /v1/config/apply`.
pub(super) async fn apply(
    State(api): State<Api>,
    Params(ApplyParams { dry_run, confirm }): Params<ApplyParams>,
    Text(text): Text,
) -> Answer<Applied> {
    let confirm = convert::duration("confirm", confirm.as_deref())?;
    let snapshot = api.control.snapshot();
    let (changes, config, text) = on_a_thread(move || {
        let document = Document::new("body", text);
        let config = document.config()?;
        Ok((changes(&snapshot, &config), config, document.text().to_owned()))
    })
    .await?;
    let flows = predict(&api, config).await?;
    let snapshot = if dry_run { api.control.snapshot() } else { api.control.apply(text, confirm).await? };
    let confirm_until = snapshot.confirm_until.filter(|_| !dry_run).map(|until| until.to_string());
    Ok(Json(Applied { applied: !dry_run, changes, flows, confirm_until }))
}

/// `POST /v1/config/confirm`.
pub(super) async fn confirm(State(api): State<Api>) -> Answer<Checked> {
    Ok(Json(view::checked(&api.control.confirm().await?.config)))
}

/// `POST /v1/config/rollback`.
pub(super) async fn roll_back(State(api): State<Api>) -> Answer<Checked> {
    Ok(Json(view::checked(&api.control.roll_back().await?.config)))
}

/// What a configuration would do to the flows that live now.
async fn predict(api: &Api, config: Config) -> Result<FlowImpact, ApiError> {
    let preview = api.control.preview(config).await?;
    let full_nat = full_nat(&preview.before);
    let groups = blocking(api, move |data| data.flow_groups(&full_nat)).await?;
    let flows = impact(&preview.before, &preview.after, &groups);
    Ok(FlowImpact { total: flows.total, moves: flows.moves, resets: flows.resets, ends: flows.ends })
}

/// Ids of the services with source NAT.
fn full_nat(image: &MapImage) -> BTreeSet<u16> {
    let services = image.services.values().filter(|service| service.mode == Mode::FullNat as u8);
    services.map(|service| service.id).collect()
}

fn changes(snapshot: &Snapshot, config: &Config) -> Vec<Change> {
    diff(&snapshot.config, config).into_iter().map(change).collect()
}

fn change(change: config::Change) -> Change {
    let keys = change.keys.into_iter();
    Change {
        kind: change.kind.as_str().to_owned(),
        service: change.service.map(|name| name.to_string()),
        backend: change.backend.map(|name| name.to_string()),
        keys: keys.map(|config::KeyChange { key, from, to }| KeyChange { key, from, to }).collect(),
    }
}

/// Reads and compares files where that may take its time: one with 100 000 backends takes about a second.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(Error::new(
            crate::control::ErrorKind::Unavailable,
            "",
            format!("it failed ({error}); see the log of `lbd`"),
        ))
    })
    .map_err(Into::into)
}

/// Longest text of a configuration, in bytes: 100 000 backends take about 10 MB.
pub(super) const TEXT_LIMIT: usize = 64 << 20;
/// Texts that may be read at once; others wait.
pub(super) static TEXTS: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(2);
