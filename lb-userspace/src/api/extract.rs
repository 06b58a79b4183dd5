//! Parts of a request, with errors in the API's form.

use aide::{
    OperationInput,
    generate::GenContext,
    openapi::{MediaType, Operation, RequestBody, SchemaObject},
    operation::{ParamLocation, add_parameters, parameters_from_schema, set_body},
};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

use super::{error::ApiError, object::Object, openapi::may_fail, seats::Progress};

/// The names in a path.
pub(super) struct Names<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Names<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(names) = Path::from_request_parts(parts, state)
            .await
            .map_err(|error| ApiError::invalid(parts.uri.path(), error.body_text()))?;
        Ok(Self(names))
    }
}

impl<T: JsonSchema> OperationInput for Names<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = context.schema.root_schema_for::<T>();
        let parameters = parameters_from_schema(context, schema, ParamLocation::Path);
        add_parameters(context, operation, parameters);
        may_fail(operation, &[400, 404]);
    }
}

/// Query parameters; unknown ones are errors if `T` says so.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(params) = Query::from_request_parts(parts, state)
            .await
            .map_err(|error| ApiError::invalid("query", plain(&error.body_text())))?;
        Ok(Self(params))
    }
}

impl<T: JsonSchema> OperationInput for Params<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let mut schema = context.schema.root_schema_for::<T>();
        left_out_is_not_null(&mut schema);
        let parameters = parameters_from_schema(context, schema, ParamLocation::Query);
        add_parameters(context, operation, parameters);
        may_fail(operation, &[400]);
    }
}

/// An optional field may be `null` in JSON; a query has no `null`.
fn left_out_is_not_null(schema: &mut Schema) {
    let Some(properties) = schema.ensure_object().get_mut("properties") else { return };
    for property in properties.as_object_mut().into_iter().flat_map(|properties| properties.values_mut()) {
        if let Some(words) = property.get_mut("enum").and_then(|words| words.as_array_mut()) {
            words.retain(|word| !word.is_null());
        }
        let Some(types) = property.get_mut("type") else { continue };
        if let Some([kind, _]) = types.as_array().map(Vec::as_slice) {
            *types = kind.clone();
        }
    }
}

/// A body in JSON.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = read(request, state).await?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let Object(value) = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let path = if path == "." { "" } else { &path };
            ApiError::invalid(path, plain(&error.inner().to_string()))
        })?;
        json.end().map_err(|error| ApiError::invalid("", plain(&error.to_string())))?;
        Ok(Self(value))
    }
}

impl<T: JsonSchema> OperationInput for Body<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = context.schema.subschema_for::<T>();
        describe_body(context, operation, "application/json", schema);
    }
}

/// A body as text.
pub(super) struct Text(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = read(request, state).await?;
        String::from_utf8(bytes.into())
            .map(Self)
            .map_err(|error| ApiError::invalid("", format!("the body is not UTF-8 text: {error}")))
    }
}

impl OperationInput for Text {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = context.schema.subschema_for::<String>();
        describe_body(context, operation, "text/plain", schema);
    }
}

fn describe_body(context: &mut GenContext, operation: &mut Operation, media_type: &str, schema: Schema) {
    let schema = SchemaObject { json_schema: schema, external_docs: None, example: None };
    let content = MediaType { schema: Some(schema), ..MediaType::default() };
    let content = [(media_type.to_owned(), content)].into_iter().collect();
    set_body(context, operation, RequestBody { content, required: true, ..RequestBody::default() });
    may_fail(operation, &[400, 413]);
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    let progress = request.extensions().get::<Progress>().cloned();
    let bytes = Bytes::from_request(request, state).await;
    // Only a whole request keeps its connection from making room for others.
    if let Some(progress) = progress {
        progress.busy();
    }
    bytes.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "",
            "the body is larger than it may be (1 MiB, a configuration 64 MiB); send less",
        ),
        status => ApiError::new(status, "invalid", "", error.body_text()),
    })
}

/// Names of Rust's types in serde's messages, as people say them.
fn plain(message: &str) -> String {
    let mut message = message.to_owned();
    for (rust, plain) in [
        ("expected u8", "expected 0 to 255"),
        ("expected u16", "expected 0 to 65535"),
        ("expected u32", "expected 0 to 4294967295"),
        ("expected usize", "expected a number"),
    ] {
        // The word may be the beginning of another one only in text that the client sent; it does no harm there.
        message = message.replace(rust, plain);
    }
    message
}
