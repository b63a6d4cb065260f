//! The format of an error: the same as in Tokenward's own answers, so that a caller reads one format.
//!
//! A message is about the caller's own input or is a fixed sentence; it contains nothing internal.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use uuid::Uuid;

/// What `error_source` says: the product speaks, not Tokenward.
pub const SOURCE: &str = "E-INVOICE";

/// One thing wrong with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Stable code for programs.
    pub code: &'static str,
    /// A sentence for people.
    pub message: String,
    /// Which field of the request, where it is about one (`number`).
    pub field: Option<String>,
}

impl Problem {
    /// A problem of the request as a whole.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
        }
    }

    /// A problem of one field.
    pub fn at(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: Some(field.into()),
        }
    }
}

#[derive(Serialize)]
struct Envelope {
    errors: [EnvelopeError; 1],
}

#[derive(Serialize)]
struct EnvelopeError {
    error_code: &'static str,
    error_message: String,
    error_source: &'static str,
    error_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the example's one use of randomness; no rule of the product depends on it"
)]
fn new_error_id() -> Uuid {
    Uuid::new_v4()
}

/// The answer with `status` that says what is wrong.
pub fn refuse(status: StatusCode, problem: Problem) -> Response {
    let error = EnvelopeError {
        error_code: problem.code,
        error_message: problem.message,
        error_source: SOURCE,
        error_id: new_error_id(),
        field: problem.field,
    };
    let mut response = (status, Json(Envelope { errors: [error] })).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
