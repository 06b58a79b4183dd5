//! What handlers return: the status and the schema of an answer are those of its type.

use aide::{
    OperationOutput,
    generate::GenContext,
    openapi::{Operation, Response},
};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response as HttpResponse},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::error::ApiError;

/// 200 with a value.
pub(super) type Answer<T> = Result<Json<T>, ApiError>;

/// 201 with what was made.
pub(super) struct Created<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> HttpResponse {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> OperationOutput for Created<T> {
    type Inner = T;

    fn operation_response(context: &mut GenContext, operation: &mut Operation) -> Option<Response> {
        Json::<T>::operation_response(context, operation)
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        let response = Self::operation_response(context, operation);
        response.map(|response| (Some(StatusCode::CREATED.as_u16()), response)).into_iter().collect()
    }
}

/// Failures are described where they come from: by the extractors, and for every operation.
impl OperationOutput for ApiError {
    type Inner = super::error::ErrorBody;
}
