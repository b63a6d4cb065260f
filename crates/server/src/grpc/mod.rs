//! gRPC on the internal listener: Envoy's external authorization, by hand on HTTP/2. One method of one
//! service, so a message in a frame and a status in the trailers is all of gRPC there is; it must
//! decide nothing itself, `http::check` does.

mod call;
mod ext_authz;
mod messages;
mod question;

use crate::listeners::internal::{Service, route};
use bytes::Bytes;
use call::{Call, Code};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Envoy's external authorization, version 3.
const EXT_AUTHZ: &str = "/envoy.service.auth.v3.Authorization/Check";

/// What an HTTP/2 connection is answered: calls, and everything HTTP/1 has.
pub(crate) struct Dialect(pub(crate) Service);

impl hyper::service::Service<Request<Incoming>> for Dialect {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let Service { app, peer } = self.0.clone();
        Box::pin(async move {
            if !call::is_call(&request) {
                let response = route(&app, peer, request).await?;
                return Ok(response.map(Answer::Plain));
            }
            let answer = match request.uri().path() {
                EXT_AUTHZ => match call::message(request).await {
                    Ok(message) => ext_authz::check(&app, message, peer),
                    Err(code) => Err(code),
                },
                _ => Err(Code::Unimplemented),
            };
            Ok(call::response(answer).map(Answer::Call))
        })
    }
}

/// An answer's body.
pub(crate) enum Answer {
    /// Of an ordinary request.
    Plain(Full<Bytes>),
    /// Of a call.
    Call(Call),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Plain(body) => Pin::new(body).poll_frame(cx),
            Self::Call(call) => Poll::Ready(call.next().map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Call(call) => call.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Call(_) => SizeHint::default(),
        }
    }
}
