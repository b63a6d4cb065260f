//! An HTTP/2 connection to the internal listener: requests like those of HTTP/1, and gRPC calls.

use super::internal::{Service, route};
use super::spans;
use crate::grpc::{self, Call};
use crate::http::HEAD_MAX;
use crate::net::timeouts::Line;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Calls under way on one connection; Envoy opens another for more.
const STREAMS_MAX: u32 = 256;
/// How often a quiet connection is asked whether it lives, and how long it may take to say so.
const PING: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));

/// Answers the requests and calls of an HTTP/2 connection until its end.
pub(super) async fn http2<S>(service: Service, stream: S, line: &Line, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    line.unmanaged();
    let mut builder = http2::Builder::new(ThisThread);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_MAX as u32)
        .keep_alive_interval(Some(PING.0))
        .keep_alive_timeout(PING.1);
    let connection = builder.serve_connection(TokioIo::new(stream), Requests(service));
    drop(watcher.watch(connection).await);
}

/// Runs the streams of a connection on the thread that accepted it.
#[derive(Clone, Copy)]
struct ThisThread;

impl<F> hyper::rt::Executor<F> for ThisThread
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(stream);
    }
}

/// Answers requests and calls.
struct Requests(Service);

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let Service { app, peer, from } = self.0.clone();
        Box::pin(async move {
            if grpc::is_call(&request) {
                let traces = app.data.traces.get();
                let span = traces.and_then(|traces| traces.joined(request.headers()));
                let method = grpc::name_of(request.uri().path());
                let response = grpc::answer(&app, (peer, &from), request).await;
                if let Some(span) = span {
                    spans::end_call(&app, span, method, &response);
                }
                return Ok(response.map(Answer::Call));
            }
            let response = route(&app, (peer, &from), request).await?;
            Ok(response.map(Answer::Plain))
        })
    }
}

/// An answer's body.
enum Answer {
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
