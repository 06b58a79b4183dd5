//! From the file to the model, through the API, and into a file again: nothing is lost on the way.

use std::{fs, path::PathBuf};

use hyper::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fixture::Daemon;
use crate::{
    config::{Document, FileStore, arbitrary_draft},
    control::fixture::over,
    model::{Config, Draft, ProbeKind, Shared},
};

/// A daemon on a file of its own.
struct OnFile {
    daemon: Daemon,
    file: PathBuf,
    _directory: TempDir,
}

impl OnFile {
    fn serve(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lb.toml");
        fs::write(&file, text).unwrap();
        Self { daemon: Daemon::over(over(FileStore::new(&file))), file, _directory: directory }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.file).unwrap()
    }

    fn config(&self) -> Config {
        Document::read(&self.file).unwrap().config().unwrap()
    }
}

/// A file's text with a comment before each table.
fn commented(config: &Config) -> (String, usize) {
    let (mut text, mut comments) = (String::from("# The head.\n"), 1);
    for line in Document::of("lb.toml", config).text().lines() {
        if line.starts_with('[') {
            comments += 1;
            text.push_str(&format!("# Remark {comments}.\n"));
        }
        text.push_str(line);
        text.push('\n');
    }
    (text, comments)
}

/// The body that makes what the API shows.
fn body(shown: &Value) -> Value {
    let without = |value: &Value, keys: &[&str]| {
        let mut value = value.clone();
        value.as_object_mut().unwrap().retain(|key, _| !keys.contains(&key.as_str()));
        value
    };
    let figures = ["id", "effective", "health", "drain", "standing", "effective_weight", "since_seconds"];
    let more = ["reason", "held_seconds", "transitions", "connections", "suspect", "suspects", "latency"];
    let mut service = without(shown, &["id", "condition", "connections", "affinity_clients"]);
    let backends = shown["backends"].as_array().unwrap().iter();
    service["backends"] = backends.map(|backend| without(&without(backend, &figures), &more)).collect();
    service
}

/// What needs files beside the configuration is left out; so are deadlines, which only time gives.
fn alone(mut draft: Draft) -> Draft {
    let reads_files = |kind: &ProbeKind| {
        matches!(kind, ProbeKind::Https(..) | ProbeKind::Grpc(_, Some(_)) | ProbeKind::Script(_))
    };
    draft.services = draft
        .services
        .into_iter()
        .map(|service| {
            let mut service = (*service).clone();
            service.health = service.health.filter(|check| !reads_files(&check.probe.kind));
            service.backends.iter_mut().for_each(|backend| backend.drain = None);
            Shared::from(service)
        })
        .collect();
    draft
}

/// With the size of each slot table said, as the API says it.
fn explicit(config: &Config) -> Config {
    let mut draft = config.draft();
    draft.services = draft
        .services
        .into_iter()
        .map(|service| {
            let slots = Some(service.slot_count());
            Shared::from(crate::model::Service { slots, ..(*service).clone() })
        })
        .collect();
    draft.check().unwrap()
}

async fn round_trip(first: &Config) {
    let (text, comments) = commented(first);
    let served = OnFile::serve(&text);
    assert_eq!(&served.config(), first, "the file says what was generated");

    let mut empty = first.draft();
    empty.services.clear();
    let second = OnFile::serve(Document::of("lb.toml", &empty.check().unwrap()).text());
    let shown = served.daemon.get("/v1/services").await;
    for service in shown.as_array().unwrap() {
        second.daemon.call(Method::POST, "/v1/services", &body(service).to_string()).await;
    }
    assert_eq!(second.config(), explicit(first), "what the API shows makes the same file elsewhere");

    for service in shown.as_array().unwrap() {
        for backend in service["backends"].as_array().unwrap() {
            let path = format!(
                "/v1/services/{}/backends/{}",
                service["name"].as_str().unwrap(),
                backend["name"].as_str().unwrap()
            );
            let weight = backend["weight"].as_u64().unwrap();
            for weight in [weight ^ 1, weight] {
                served.daemon.call(Method::PATCH, &path, &json!({ "weight": weight }).to_string()).await;
            }
        }
    }
    assert_eq!(&served.config(), first, "a change there and back is none");
    assert_eq!(served.text().matches("# ").count(), comments, "{}", served.text());
    served.daemon.stop().await;
    second.daemon.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn file_model_api_and_file_are_one(draft in arbitrary_draft()) {
        let first = alone(draft).check().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(round_trip(&first));
    }
}
