//! gRPC on the internal listener: Envoy's external authorization, by hand on HTTP/2. One method of one
//! service, so a message in a frame and a status in the trailers is all of gRPC there is; it must
//! decide nothing itself, `http::check` does.

mod call;
mod ext_authz;
mod messages;
mod question;

pub(crate) use call::{Call, is_call};

use crate::app::App;
use crate::net::addresses::Peer;
use crate::net::caller::Caller;
use call::Code;
use http::{Request, Response};
use hyper::body::Incoming;

/// Envoy's external authorization, version 3.
const EXT_AUTHZ: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Answers a call.
pub(crate) async fn answer(
    app: &App,
    from: (Peer, &Caller),
    request: Request<Incoming>,
) -> Response<Call> {
    let answer = match request.uri().path() {
        EXT_AUTHZ => match call::message(request).await {
            Ok(message) => ext_authz::check(app, message, from),
            Err(code) => Err(code),
        },
        _ => Err(Code::Unimplemented),
    };
    call::response(answer)
}
