//! gRPC on the internal listener: Envoy's external authorization, by hand on HTTP/2. One method of one
//! service, so a message in a frame and a status in the trailers is all of gRPC there is; it must
//! decide nothing itself, `http::check` does.

mod call;
mod ext_authz;
mod messages;
mod question;

pub(crate) use call::{Call, is_call};

use crate::app::App;
use crate::http::envelope::Told;
use crate::net::addresses::Peer;
use crate::net::caller::Caller;
use crate::trace_context::{TraceContext, Traced};
use call::Code;
use http::{Request, Response};
use hyper::body::Incoming;

/// Envoy's external authorization, version 3.
const EXT_AUTHZ: &str = "/envoy.service.auth.v3.Authorization/Check";

/// The name of a method that there is, without the slash before it.
pub(crate) fn name_of(path: &str) -> Option<&'static str> {
    (path == EXT_AUTHZ).then(|| &EXT_AUTHZ[1..])
}

/// Answers a call.
pub(crate) async fn answer(
    app: &App,
    from: (Peer, &Caller),
    request: Request<Incoming>,
) -> Response<Call> {
    // The call's own, not that of the request it asks about, which anyone on the internet may have written.
    let traced = Traced::Known(TraceContext::of(request.headers()));
    let mut told = None;
    let answer = match request.uri().path() {
        EXT_AUTHZ => match call::message(request).await {
            Ok(message) => ext_authz::check(app, message, from, traced).map(|(answer, why)| {
                told = why;
                answer
            }),
            Err(code) => Err(code),
        },
        _ => Err(Code::Unimplemented),
    };
    let mut response = call::response(answer);
    if let Some(told) = told {
        response.extensions_mut().insert::<Told>(told);
    }
    response
}
