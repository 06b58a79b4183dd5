//! `lbctl drops`.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    args::DropsArgs,
    commands::{Session, Text},
    render,
};
use crate::api::Drop;

/// What the round before counted, while it is shown again and again.
#[derive(Debug)]
pub(super) struct Before {
    every: Duration,
    drops: Mutex<Option<Vec<Drop>>>,
}

impl Before {
    /// Nothing yet, of rounds that are so far apart.
    pub(super) fn new(every: Duration) -> Self {
        Self { every, drops: Mutex::new(None) }
    }
}

/// Shows drops; with `before`, also how many there were per second since then.
pub(super) async fn drops(session: &Session, args: &DropsArgs, before: Option<&Before>) -> Text {
    let mut drops: Vec<Drop> = session.client.get("/v1/drops").await?;
    if !args.reasons.is_empty() {
        drops.retain(|drop| args.reasons.contains(&drop.reason));
    }
    let rates = before.and_then(|before| {
        let last = before.drops.lock().unwrap_or_else(PoisonError::into_inner).replace(drops.clone())?;
        Some(render::drop_rates(&last, &drops, before.every))
    });
    session.show(&drops, |drops| {
        if args.explain {
            render::explained_drops(drops, !args.reasons.is_empty())
        } else {
            render::drops(drops, rates.as_deref(), session.style)
        }
    })
}
