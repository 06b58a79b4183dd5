//! `lbctl replication`.

use clap::Subcommand;

use super::{
    commands::{Session, Text},
    render,
};
use crate::api::Replication;

/// What to do with replication.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ReplicationCommand {
    /// Show whether both machines have each other's flows, and what was sent, received and rejected.
    Status,
}

pub(super) async fn replication(session: &Session, ReplicationCommand::Status: ReplicationCommand) -> Text {
    let status: Replication = session.client.get("/v1/replication").await?;
    session.show(&status, |status| render::replication(status, session.style))
}
