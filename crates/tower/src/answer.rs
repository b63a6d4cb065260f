//! The answers of requests that may not pass: Clear's error body, as the node gives it, or a gRPC status
//! for those who speak that. A code, a fixed sentence, an id; never inner detail.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;
use tokenward_core::check::denial::{Figure, Refusal};
use uuid::Uuid;

/// The answer to a refused request with these headers.
pub(crate) fn answer(refusal: Refusal, request: &HeaderMap, source: &str) -> Response<Full<Bytes>> {
    let kind = request.get(header::CONTENT_TYPE);
    let grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if grpc {
        in_grpc(refusal)
    } else {
        in_json(refusal, source)
    }
}

fn in_json(refusal: Refusal, source: &str) -> Response<Full<Bytes>> {
    // Without randomness there is no id, and the answer stays what it is.
    let id = tokenward_system::random_bytes()
        .map(|bytes| uuid::Builder::from_random_bytes(bytes).into_uuid());
    let id = id.unwrap_or(Uuid::nil());
    let mut error = json!({
        "error_code": refusal.code(),
        "error_message": refusal.sentence(),
        "error_source": source,
        "error_id": id,
    });
    for (name, figure) in refusal.figures() {
        error[name] = match figure {
            Figure::Number(number) => number.into(),
            Figure::Time(text) => text.into(),
        };
    }
    tracing::debug!(error_id = %id, code = refusal.code(), "refused");
    let mut response = Response::new(Full::from(json!({ "errors": [error] }).to_string()));
    *response.status_mut() =
        StatusCode::from_u16(refusal.http_status()).expect("a refusal has a status of HTTP");
    let headers = response.headers_mut();
    let mut put = |name, value| headers.insert(name, HeaderValue::from_static(value));
    put(header::CONTENT_TYPE, "application/json");
    put(header::CACHE_CONTROL, "no-store");
    if let Some(challenge) = refusal.challenge() {
        put(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = refusal.retry_after_seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(u16::from(seconds)));
    }
    response
}

fn in_grpc(refusal: Refusal) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    let status = HeaderValue::from(u16::from(refusal.grpc_status()));
    headers.insert("grpc-status", status);
    // Fixed sentences of printable ASCII without a percent sign need no encoding.
    headers.insert("grpc-message", HeaderValue::from_static(refusal.sentence()));
    headers.insert("tokenward-code", HeaderValue::from_static(refusal.code()));
    response
}
