//! Errors as the API's JSON, with their HTTP status.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data::DataError;
use crate::control::{Error, ErrorKind};

/// Every value of [`ErrorDetail::code`].
const CODES: &[&str] = &[
    ErrorKind::Invalid.code(),
    ErrorKind::NotFound.code(),
    ErrorKind::Conflict.code(),
    ErrorKind::File.code(),
    ErrorKind::Maps.code(),
    ErrorKind::Unavailable.code(),
    "forbidden",
    "method-not-allowed",
    "timeout",
    "too-large",
];

/// Body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorDetail {
    /// Stable code for programs.
    #[schemars(extend("enum" = CODES))]
    pub code: String,
    /// What it is about, such as `services[web].port`; empty: the request as a whole.
    pub path: String,
    /// What was found, and what to do.
    pub message: String,
}

/// An error on its way to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Body.
    pub detail: ErrorDetail,
}

impl ApiError {
    /// An error of this module, not of the model.
    pub(crate) fn new(status: StatusCode, code: &str, path: &str, message: impl Into<String>) -> Self {
        let detail = ErrorDetail { code: code.to_owned(), path: path.to_owned(), message: message.into() };
        Self { status, detail }
    }

    /// 400.
    pub(crate) fn invalid(path: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorKind::Invalid.code(), path, message)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match error.kind {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::File | ErrorKind::Maps | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.kind.code(), &error.path, error.message)
    }
}

impl From<DataError> for ApiError {
    fn from(error: DataError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Maps.code(), "", error.0)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorBody { error: self.detail })).into_response()
    }
}
