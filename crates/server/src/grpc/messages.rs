//! The messages of Envoy's external authorization, version 3, as far as they are read or written here;
//! fields that are not named are skipped. Numbers are those of `envoy/service/auth/v3`, `google/rpc` and
//! `envoy/config/core/v3`. Texts are bytes here: they share the memory they arrived in, and a header's
//! value need not be UTF-8.

use bytes::Bytes;

/// What Envoy asks.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) attributes: Option<Attributes>,
}

/// What Envoy knows of a request.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Attributes {
    #[prost(message, optional, tag = "4")]
    pub(super) request: Option<Request>,
    /// What the route's configuration says; nothing a caller sends gets here.
    #[prost(message, repeated, tag = "10")]
    pub(super) context_extensions: Vec<Header>,
}

/// A request; only its HTTP side matters.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Request {
    #[prost(message, optional, tag = "2")]
    pub(super) http: Option<HttpRequest>,
}

/// A request's headers in one of two forms.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HttpRequest {
    /// By name, repeated ones joined by commas.
    #[prost(message, repeated, tag = "3")]
    pub(super) headers: Vec<Header>,
    /// As they came, with `encode_raw_headers`.
    #[prost(message, optional, tag = "13")]
    pub(super) header_map: Option<Headers>,
}

/// Headers in order.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Headers {
    #[prost(message, repeated, tag = "1")]
    pub(super) headers: Vec<Header>,
}

/// A header; also an entry of a map of texts, which looks the same on the wire.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Header {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
    /// The value where it stands in `header_map`.
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) raw_value: Bytes,
}

/// What we answer.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    pub(super) denied: Option<Denied>,
    #[prost(message, optional, tag = "3")]
    pub(super) ok: Option<Permitted>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
}

/// The answer Envoy gives its caller.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Denied {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    pub(super) headers: Vec<HeaderOption>,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) body: Bytes,
}

/// A status of HTTP.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HttpStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
}

/// What Envoy changes in the request before the product gets it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Permitted {
    #[prost(message, repeated, tag = "2")]
    pub(super) headers: Vec<HeaderOption>,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    pub(super) headers_to_remove: Vec<Bytes>,
}

/// A header to set.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HeaderOption {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<Header>,
    #[prost(int32, tag = "3")]
    pub(super) append_action: i32,
    #[prost(bool, tag = "4")]
    pub(super) keep_empty_value: bool,
}

/// `append_action`: whatever the caller sent under this name is gone.
pub(super) const OVERWRITE_IF_EXISTS_OR_ADD: i32 = 2;
