//! The span of a request: its name and attributes by the semantic conventions of OpenTelemetry for HTTP and RPC. What a
//! caller wrote is in none of them: a path is the route it matched, an unknown method is `_OTHER`.

use crate::app::App;
use crate::http::envelope::Told;
use crate::traces::{Ended, Kind, OTHER_METHOD, Span, Value};
use http::{Extensions, Method, Response};
use std::borrow::Cow;

/// The methods that are named (RFC 9110 and RFC 5789).
const METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];

/// An HTTP request, as far as its span shows it.
pub(super) struct Asked {
    method: Option<&'static str>,
    is_tls: bool,
}

impl Asked {
    /// A request with this method, on a listener with TLS or without.
    pub(super) fn new(method: &Method, is_tls: bool) -> Self {
        let known = METHODS.iter().find(|known| **known == method.as_str());
        Self {
            method: known.copied(),
            is_tls,
        }
    }

    /// Ends the span with this answer. `route` is one of the server's own.
    pub(super) fn end<B>(
        self,
        app: &App,
        span: Span,
        route: Option<Cow<'static, str>>,
        response: &Response<B>,
    ) {
        let method = self.method.unwrap_or(OTHER_METHOD);
        let scheme = if self.is_tls { "https" } else { "http" };
        let status = response.status();
        let mut attributes = vec![
            ("http.request.method", Value::Text(method.into())),
            ("url.scheme", Value::Text(scheme.into())),
            (
                "http.response.status_code",
                Value::Number(status.as_u16().into()),
            ),
        ];
        if status.is_server_error() {
            let text = status.as_str().to_owned();
            attributes.push(("error.type", Value::Text(text.into())));
        }
        let verb = self.method.unwrap_or("HTTP");
        let name = match &route {
            Some(route) => format!("{verb} {route}").into(),
            None => verb.into(),
        };
        attributes.extend(route.map(|route| ("http.route", Value::Text(route))));
        attributes.extend(told(response.extensions()));
        finish(app, span, name, status.is_server_error(), attributes);
    }
}

/// Ends the span of a gRPC call. `method` is `service/method` of one that the server has.
pub(super) fn end_call<B>(
    app: &App,
    span: Span,
    method: Option<&'static str>,
    response: &Response<B>,
) {
    let status = response.headers().get("grpc-status");
    let code = status.and_then(|code| code.to_str().ok()?.parse().ok());
    let code: i64 = code.unwrap_or(0);
    let mut attributes = vec![
        ("rpc.system", Value::Text("grpc".into())),
        ("rpc.grpc.status_code", Value::Number(code)),
    ];
    if let Some((service, method)) = method.and_then(|method| method.split_once('/')) {
        attributes.push(("rpc.service", Value::Text(service.into())));
        attributes.push(("rpc.method", Value::Text(method.into())));
    }
    attributes.extend(told(response.extensions()));
    finish(
        app,
        span,
        method.unwrap_or("grpc").into(),
        false,
        attributes,
    );
}

/// The code and the id of an error answer.
fn told(extensions: &Extensions) -> impl Iterator<Item = (&'static str, Value)> {
    let told = extensions.get::<Told>();
    let code = told.map(|told| ("tokenward.error_code", Value::Text(told.code.into())));
    let id = told.and_then(|told| told.error_id);
    let id = id.map(|id| ("tokenward.error_id", Value::Text(id.to_string().into())));
    code.into_iter().chain(id)
}

fn finish(
    app: &App,
    span: Span,
    name: Cow<'static, str>,
    failed: bool,
    attributes: Vec<(&'static str, Value)>,
) {
    if let Some(traces) = app.data.traces.get() {
        let ended = Ended {
            name,
            kind: Kind::Server,
            failed,
            attributes,
        };
        traces.end(span, ended);
    }
}
