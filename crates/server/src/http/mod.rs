//! The interfaces over HTTP: one file or folder each. Status codes and header names are known here, in `grpc` and in
//! `listeners` only; the bodies are never types of the domain.

pub mod admin;
mod body;
pub mod check;
pub mod clear_api;
pub(crate) mod console;
pub mod credentials;
mod denied;
pub mod envelope;
pub mod oauth;
pub(crate) mod request_host;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;
use std::time::Duration;

/// The largest body any endpoint takes, in bytes: forms and small JSON.
pub const BODY_MAX: usize = 64 * 1024;
/// The largest request head, in bytes; past it the answer is 431.
pub const HEAD_MAX: usize = 64 * 1024;
/// A body that is not there in this time is given up: it is its sender who is late, not we.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The size of a request's head, about as it was sent: hyper may read somewhat more than [`HEAD_MAX`].
pub(crate) fn head_bytes<B>(request: &http::Request<B>) -> usize {
    // A colon, a blank and the line's end.
    const AROUND: usize = 4;
    let uri = request.uri();
    let target = uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let lines = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + AROUND);
    target + lines.sum::<usize>()
}

/// An answer of this kind that must not be cached.
pub(crate) fn uncached<B>(status: StatusCode, kind: &'static str, body: B) -> Response<B> {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// JSON that must not be cached.
fn json_reply(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut reply = uncached(status, "application/json", Full::from(body.to_string()));
    let pragma = HeaderValue::from_static("no-cache");
    reply.headers_mut().insert(header::PRAGMA, pragma);
    reply
}
