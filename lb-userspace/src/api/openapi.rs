//! The OpenAPI document: made of the routes, the extractors and the types, so that it cannot say anything else than they do.

use std::sync::Arc;

use aide::{
    axum::ApiRouter,
    openapi::{
        Info, MediaType, OpenApi, Operation, PathItem, ReferenceOr, Response, SchemaObject, StatusCode,
    },
    transform::TransformOperation,
};
use axum::{Extension, Json, Router};
use schemars::JsonSchema as _;
use serde_json::Value;

use super::{error::ErrorBody, router::Api};

/// Statuses of failures, and what each means.
const FAILURES: &[(u16, &str)] = &[
    (400, "The input is wrong; `path` says where."),
    (403, "The caller may not use the API."),
    (404, "There is no such path, service or backend."),
    (409, "It contradicts what is there, or the file was changed meanwhile."),
    (413, "The body is too large."),
    (503, "The file or the maps cannot be read or written, or `lbd` is busy or stopping."),
];
/// What every operation may answer.
const EVERYWHERE: &[u16] = &[403, 503];

/// The document as it is served.
#[derive(Clone, Debug)]
pub(super) struct Document(Arc<Value>);

/// Says what an operation is for; `id` is its name in generated clients.
pub(super) fn about(
    id: &'static str,
    summary: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    move |operation| operation.id(id).summary(summary)
}

/// Like [`about`], for an operation that changes the desired state.
pub(super) fn changes(
    id: &'static str,
    summary: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    about_failing(id, summary, &[409])
}

/// Like [`about`], with failures that neither parameters nor body bring along.
pub(super) fn about_failing(
    id: &'static str,
    summary: &'static str,
    failures: &'static [u16],
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    move |mut operation| {
        may_fail(operation.inner_mut(), failures);
        operation.id(id).summary(summary)
    }
}

/// Adds failures to an operation; those that are there already stay.
pub(super) fn may_fail(operation: &mut Operation, statuses: &[u16]) {
    let responses = operation.responses.get_or_insert_default();
    for status in statuses {
        let reference = ReferenceOr::ref_(&format!("#/components/responses/{}", name(*status)));
        responses.responses.entry(StatusCode::Code(*status)).or_insert(reference);
    }
}

/// The routes with the document about them.
pub(super) fn finish(routes: ApiRouter<Api>) -> Router<Api> {
    let mut api = OpenApi {
        info: Info {
            title: "lbd".to_owned(),
            description: Some("The API of the load balancer `lbd`, see docs/api.md.".to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Info::default()
        },
        ..OpenApi::default()
    };
    aide::generate::in_context(|context| context.schema.subschema_for::<ErrorBody>());
    let router = routes.finish_api(&mut api);
    for item in api.paths.iter_mut().flat_map(|paths| paths.paths.values_mut()) {
        if let ReferenceOr::Item(item) = item {
            operations(item).for_each(|operation| may_fail(operation, EVERYWHERE));
        }
    }
    let components = api.components.get_or_insert_default();
    let failures = FAILURES.iter().map(|(status, meaning)| (name(*status), failure(meaning)));
    components.responses.extend(failures);
    // Only a map whose keys are no text could not be written: a test reads it.
    let document = serde_json::to_value(&api).unwrap_or_default();
    router.layer(Extension(Document(Arc::new(document))))
}

/// `GET /v1/openapi.json`.
pub(super) async fn document(Extension(Document(document)): Extension<Document>) -> Json<Value> {
    Json(Value::clone(&document))
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn name(status: u16) -> String {
    format!("Error{status}")
}

fn failure(meaning: &str) -> ReferenceOr<Response> {
    let schema = SchemaObject {
        json_schema: schemars::Schema::new_ref(format!("#/components/schemas/{}", ErrorBody::schema_name())),
        external_docs: None,
        example: None,
    };
    let content = MediaType { schema: Some(schema), ..MediaType::default() };
    ReferenceOr::Item(Response {
        description: meaning.to_owned(),
        content: [("application/json".to_owned(), content)].into_iter().collect(),
        ..Response::default()
    })
}
