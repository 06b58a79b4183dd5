//! The OpenAPI document says what the router does, and all of it.

use std::collections::{BTreeMap, BTreeSet};

use hyper::{Method, StatusCode};
use serde_json::Value;

use super::fixture::Daemon;
use crate::{
    api::router::routes,
    control::ErrorKind,
    model::{Algorithm, Keyword as _, Mode},
};

/// Paths of the document with their methods.
async fn documented(daemon: &Daemon) -> BTreeMap<String, BTreeSet<String>> {
    let document = daemon.get("/v1/openapi.json").await;
    let paths = document["paths"].as_object().unwrap().iter();
    let methods =
        |item: &Value| item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
    paths.map(|(path, item)| (path.clone(), methods(item))).collect()
}

/// Paths that the router knows, with those of its fallback.
fn routed() -> BTreeSet<String> {
    let shown = format!("{:?}", axum::Router::from(routes()));
    let quoted = shown.split('"').skip(1).step_by(2);
    quoted.filter(|text| text.starts_with("/v1/")).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_path_of_the_router_is_in_the_document_and_no_other() {
    let daemon = Daemon::start();
    let documented: BTreeSet<String> = documented(&daemon).await.into_keys().collect();
    assert!(documented.contains("/v1/services/{service}"), "{documented:?}");
    assert_eq!(routed(), documented, "routes are added by `api_route`, never by `route`");
}

/// Paths with their methods, as the first column of the table in `docs/api.md` has them.
fn explained() -> BTreeMap<String, BTreeSet<String>> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md");
    let text = std::fs::read_to_string(page).unwrap();
    let mut paths: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in text.lines().filter_map(|line| line.strip_prefix("| `")) {
        let Some((method, rest)) = row.split_once(" /v1/") else { continue };
        let path = rest.split(['`', '?']).next().unwrap();
        paths.entry(format!("/v1/{path}")).or_default().insert(method.to_owned());
    }
    paths
}

#[tokio::test]
async fn every_path_and_method_is_explained_in_the_documentation_and_no_other() {
    let daemon = Daemon::start();
    assert_eq!(explained(), documented(&daemon).await, "docs/api.md (left) and the routes (right)");
}

#[tokio::test]
async fn every_method_of_a_path_is_in_the_document_and_no_other() {
    let daemon = Daemon::start();
    for (path, methods) in documented(&daemon).await {
        let (status, allowed) = daemon.allowed(&path.replace(['{', '}'], "x")).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allowed: BTreeSet<String> = allowed.split(',').map(str::to_owned).collect();
        let implied = BTreeSet::from([Method::HEAD.to_string()]);
        assert_eq!(&allowed - &implied, methods, "{path}");
    }
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own_a_summary_and_an_answer() {
    let daemon = Daemon::start();
    let document = daemon.get("/v1/openapi.json").await;
    let items = document["paths"].as_object().unwrap().values();
    let operations: Vec<&Value> = items.flat_map(|item| item.as_object().unwrap().values()).collect();
    let ids: BTreeSet<&str> =
        operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len(), "{ids:?}");
    for operation in operations {
        let responses = operation["responses"].as_object().unwrap();
        assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{operation}");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{operation}");
        assert!(responses.contains_key("503") && responses.contains_key("403"), "{operation}");
        assert_eq!(responses.contains_key("413"), operation.get("requestBody").is_some(), "{operation}");
    }
}

#[tokio::test]
async fn every_reference_of_the_document_leads_somewhere() {
    let daemon = Daemon::start();
    let document = daemon.get("/v1/openapi.json").await;
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 20, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            references.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| collect(value, references));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[tokio::test]
async fn words_and_codes_of_the_document_are_those_of_the_code() {
    let daemon = Daemon::start();
    let document = daemon.get("/v1/openapi.json").await;
    let words = |pointer: &str| {
        let list = document.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer}"));
        list.iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let schemas = "/components/schemas";
    let modes: Vec<&str> = Mode::ALL.iter().map(|mode| mode.as_str()).collect();
    assert_eq!(words(&format!("{schemas}/Service/properties/mode/enum")), modes);
    let algorithms: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.as_str()).collect();
    assert_eq!(words(&format!("{schemas}/Service/properties/algorithm/enum")), algorithms);
    let codes = words(&format!("{schemas}/ErrorDetail/properties/code/enum"));
    for kind in
        [ErrorKind::Invalid, ErrorKind::NotFound, ErrorKind::Conflict, ErrorKind::File, ErrorKind::Maps]
    {
        assert!(codes.contains(&kind.code().to_owned()), "{kind:?}");
    }
}

#[test]
fn the_document_is_made_without_a_complaint() {
    aide::generate::on_error(|error| panic!("{error}"));
    let _routes = routes();
}
