//! `lbctl doctor`: works with and without a daemon.

use std::io::{self, Write as _};
use std::path::PathBuf;

use serde::Serialize;

use super::{
    args::DoctorArgs,
    commands::Session,
    failure::{Exit, Failure},
    render,
};
use crate::api::Status;
use crate::config::Document;
use crate::doctor::{Answer, Finding, Severity, Subject, diagnose, inspect};

/// The file that lbd reads unless it is told of another.
const USUAL_CONFIG: &str = "/etc/lb/lb.toml";

/// What is printed as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
}

pub(super) async fn doctor(session: &Session, args: DoctorArgs) -> Result<String, Failure> {
    let Some(socket) = session.client.socket() else {
        let message = "--server: doctor looks at the machine that it runs on; run it where lbd runs";
        return Err(Failure::new(Exit::Invalid, message));
    };
    let answer =
        session.client.get::<Status>("/v1/status").await.map(answer).map_err(|error| error.to_string());
    let running = answer.as_ref().ok().map(|answer| PathBuf::from(&answer.config_file));
    let config_file = args.config.or(running).unwrap_or_else(|| PathBuf::from(USUAL_CONFIG));
    let read = Document::read(&config_file).and_then(|document| document.config());
    let config = Some(read.map_err(|error| error.to_string()));
    let socket = socket.to_owned();
    let facts = inspect(Subject { config_file, config, socket, answer: Some(answer) }).await;
    let report = Report { findings: diagnose(&facts) };
    let text = session.show(&report, |report| render::findings(&report.findings, args.all, session.style))?;
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if errors == 0 && !(args.strict && warnings > 0) {
        return Ok(text);
    }
    // What was found is printed all the same; whether anybody reads it does not matter for how this ends.
    let _ = io::stdout().write_all(text.as_bytes());
    Err(Failure::new(Exit::General, format!("errors: {errors}, warnings: {warnings}")))
}

fn answer(status: Status) -> Answer {
    Answer {
        version: status.version,
        uptime_seconds: status.uptime_seconds,
        problem: status.problem,
        restart_needed: status.restart_needed,
        unsaved_changes: status.unsaved_changes,
        config_file: status.config_file,
    }
}
