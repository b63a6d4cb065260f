//! The internal listener: checks first, then introspection, metrics and health. Hand-routed on hyper,
//! because a check is a few hundred nanoseconds and a router would be most of it.

use super::{HEAD_MAX, check, oauth};
use crate::app::App;
use crate::metrics::Reading;
use crate::net::{Connection, Listener};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A connection that has not sent a whole request head in this time is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves one listener on the current thread until told to stop, then waits for what is under way.
pub(crate) async fn serve(app: Arc<App>, listener: Listener, mut stop: watch::Receiver<bool>) {
    let tracker = hyper_util::server::graceful::GracefulShutdown::new();
    loop {
        let connection = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let peer = connection.peer();
        let app = Arc::clone(&app);
        match connection {
            Connection::Plain(stream, _) => {
                let watched = tracker.watch(connect(app, TokioIo::new(stream), peer));
                tokio::task::spawn_local(async move { drop(watched.await) });
            }
            Connection::Tls(accept, _) => {
                let watcher = tracker.watcher();
                tokio::task::spawn_local(async move {
                    if let Ok(stream) = accept.await {
                        drop(
                            watcher
                                .watch(connect(app, TokioIo::new(stream), peer))
                                .await,
                        );
                    }
                });
            }
        }
    }
    // Whoever calls now is told at once, and does not wait for an answer that never comes.
    drop(listener);
    let drain = Duration::from_secs(app.config.drain_seconds);
    let _ = tokio::time::timeout(drain, tracker.shutdown()).await;
}

/// One connection's life.
fn connect<S>(app: Arc<App>, io: TokioIo<S>, peer: IpAddr) -> http1::Connection<TokioIo<S>, Service>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        .pipeline_flush(true);
    builder.serve_connection(io, Service { app, peer })
}

/// Answers one connection's requests.
pub(crate) struct Service {
    app: Arc<App>,
    peer: IpAddr,
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>>>>;

/// An answer that is there, or one that is awaited.
pub(crate) enum Answering {
    /// It is there.
    Now(Option<Response<Full<Bytes>>>),
    /// It is awaited.
    Later(Answer),
}

impl Future for Answering {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        match &mut *self {
            Self::Now(response) => std::task::Poll::Ready(Ok(response.take().unwrap_or_default())),
            Self::Later(answer) => answer.as_mut().poll(cx),
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        route(&self.app, self.peer, request)
    }
}

fn route(app: &Arc<App>, peer: IpAddr, request: Request<Incoming>) -> Answering {
    let path = request.uri().path();
    if let Some(rest) = path.strip_prefix("/check/") {
        return Answering::Now(Some(check::answer(app, rest, request.headers(), peer)));
    }
    let response = match path {
        "/oauth2/introspect" => {
            let app = Arc::clone(app);
            return Answering::Later(Box::pin(async move {
                Ok(oauth::introspect_internal(&app, request).await)
            }));
        }
        "/health/live" => text(StatusCode::OK, "live\n"),
        "/health/ready" => match app.is_ready() {
            true => text(StatusCode::OK, "ready\n"),
            false => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        },
        "/metrics" if matches!(*request.method(), Method::GET | Method::HEAD) => metrics(app),
        path if path == "/deny" || path.starts_with("/deny/") => {
            check::deny_again(app, request.headers())
        }
        _ => super::envelope::Problem::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "There is nothing at this address.",
        )
        .response(&app.config.error_source),
    };
    Answering::Now(Some(response))
}

fn metrics(app: &App) -> Response<Full<Bytes>> {
    let reading = Reading {
        clients: app.replica().client_count(),
        numbers: app.store.numbers(),
        committed: app.store.committed(),
        waiting: app.store.waiting(),
        vouching: app.is_ready(),
        writable: app.store.is_writable(),
    };
    let mut response = Response::new(Full::from(app.metrics.text(&reading)));
    let kind =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
