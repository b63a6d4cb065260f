//! The format of an error: the same as in Tokenward's own answers, so that a caller reads one format.
//!
//! A message is about the caller's own input or is a fixed sentence; it contains nothing internal.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use uuid::Uuid;

/// What `error_source` says: the product speaks, not Tokenward.
pub const SOURCE: &str = "E-INVOICE";

#[expect(
    clippy::disallowed_methods,
    reason = "the example's one use of randomness; no rule of the product depends on it"
)]
fn new_error_id() -> Uuid {
    Uuid::new_v4()
}

/// The answer with `status` that says what is wrong: a stable code for programs, a sentence for people, and the field of the
/// request that it is about, if there is one.
pub fn refuse(status: StatusCode, code: &str, message: &str, field: Option<&str>) -> Response {
    let mut error = json!({
        "error_code": code,
        "error_message": message,
        "error_source": SOURCE,
        "error_id": new_error_id(),
    });
    if let Some(field) = field {
        error["field"] = json!(field);
    }
    let mut response = (status, Json(json!({ "errors": [error] }))).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
