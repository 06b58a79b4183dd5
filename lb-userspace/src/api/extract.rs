//! Parts of a request, with errors in the API's form.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

use super::error::ApiError;

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

/// A body in JSON.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = read(request, state).await?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let path = if path == "." { "" } else { &path };
            ApiError::invalid(path, plain(&error.inner().to_string()))
        })?;
        json.end().map_err(|error| ApiError::invalid("", plain(&error.to_string())))?;
        Ok(Self(value))
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

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "",
            "the body is larger than 1 MiB; send less",
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
