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
