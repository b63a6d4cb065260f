//! The internal listener: checks first, then introspection, metrics and health. Hand-routed on hyper,
//! because a check is a few hundred nanoseconds and a router would be most of it.

use super::connection::{self, Stop};
use super::spans;
use crate::app::App;
use crate::config::data_dir;
use crate::http::envelope::Problem;
use crate::http::{HEAD_MAX, check, oauth, uncached};
use crate::metering::metrics::{ListenerName, Reading};
use crate::net::addresses::Peer;
use crate::net::caller::Asked;
use crate::net::caller::{self, Caller};
use crate::net::timeouts::Lines;
use crate::net::{self, Connection, Listener};
use crate::trace_context::Traced;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::time::Clock;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::MissedTickBehavior;
use tracing::Instrument as _;

/// How often the connections are looked at.
const ROUND: Duration = Duration::from_secs(1);
/// How often a stop looks whether the last connection has ended.
const NEARLY_DONE: Duration = Duration::from_millis(10);

/// Serves these listeners on the current thread until told to stop, then waits for what is under way.
pub(crate) async fn serve(
    app: Arc<App>,
    listener: Listener,
    unix: Option<UnixListener>,
    unix_held: bool,
    mut stop: Stop,
) {
    let lines = Rc::new(Lines::default());
    // HTTP/2 minds its connections itself.
    let tracker = hyper_util::server::graceful::GracefulShutdown::new();
    let mut round = tokio::time::interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let accepted = tokio::select! {
            connection = listener.accept() => Ok(connection),
            stream = accept_unix(unix.as_ref()) => Err(stream),
            _ = round.tick() => {
                lines.look_round();
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => break,
        };
        begin(&app, accepted, &lines, &tracker, &stop);
    }
    // Whoever calls now is told at once, and does not wait for an answer that never comes.
    for connection in listener.close() {
        begin(&app, Ok(connection), &lines, &tracker, &stop);
    }
    let unix = unix.filter(|_| !unix_held);
    for stream in unix.map(close_unix).unwrap_or_default() {
        begin(&app, Err(stream), &lines, &tracker, &stop);
    }
    let drained = async {
        tokio::join!(tracker.shutdown(), async {
            let mut look = tokio::time::interval(NEARLY_DONE);
            loop {
                lines.stop();
                if lines.is_empty() {
                    break;
                }
                look.tick().await;
            }
        })
    };
    let drain = Duration::from_secs(app.data.config.drain_seconds);
    let _ = tokio::time::timeout(drain, drained).await;
}

/// Serves a connection beside the others.
fn begin(
    app: &Arc<App>,
    accepted: Result<Connection, UnixStream>,
    lines: &Rc<Lines>,
    tracker: &hyper_util::server::graceful::GracefulShutdown,
    stop: &Stop,
) {
    app.data.metrics.connected();
    let peer = match &accepted {
        Ok(connection) => Peer::Network(connection.peer()),
        Err(_) => Peer::SameMachine,
    };
    let (watcher, stop) = (tracker.watcher(), stop.clone());
    let service = Service {
        app: Arc::clone(app),
        peer,
        from: Caller::Anyone,
    };
    lines.run(|line| async move {
        match accepted {
            Ok(Connection::Plain(stream, _)) => {
                connection::plain(service, stream, line, watcher, stop).await;
            }
            Ok(Connection::Tls(accept, _)) => match accept.await {
                Ok(stream) => connection::tls(service, stream, line, watcher, stop).await,
                Err(error) => caller::note_handshake(&service.app, service.peer, &error),
            },
            Err(stream) => connection::plain(service, stream, line, watcher, stop).await,
        }
    });
}

/// Stops listening, as [`Listener::close`] does. The socket's other threads do the same.
fn close_unix(unix: UnixListener) -> Vec<UnixStream> {
    let Ok(socket) = unix.into_std() else {
        return Vec::new();
    };
    let taken = std::iter::from_fn(|| socket.accept().ok());
    let served = taken.filter_map(|(stream, _)| {
        stream.set_nonblocking(true).ok()?;
        UnixStream::from_std(stream).ok()
    });
    served.collect()
}

/// The next connection to the unix socket; never, if there is none.
async fn accept_unix(unix: Option<&UnixListener>) -> UnixStream {
    let Some(unix) = unix else {
        return std::future::pending().await;
    };
    loop {
        match unix.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => net::pause(&error).await,
        }
    }
}

/// Answers one connection's requests.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) app: Arc<App>,
    pub(crate) peer: Peer,
    /// Who asks, by its certificate.
    pub(crate) from: Caller,
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
        route(&self.app, (self.peer, &self.from), request)
    }
}

/// `/oauth2/introspect/{environment}/{product}`, and nothing after it.
fn is_introspection_of_a_product(path: &str) -> bool {
    let rest = path.strip_prefix(oauth::INTROSPECT);
    rest.is_some_and(|rest| rest.starts_with('/') && rest.split('/').count() == 3)
}

/// The route of a path, as spans name it.
fn name_of(path: &str) -> Option<&'static str> {
    match path {
        path if path.starts_with("/check/") => Some("/check/{environment}/{product}"),
        path if path == oauth::INTROSPECT => Some(oauth::INTROSPECT),
        path if is_introspection_of_a_product(path) => {
            Some("/oauth2/introspect/{environment}/{product}")
        }
        "/health/live" => Some("/health/live"),
        "/health/ready" => Some("/health/ready"),
        "/metrics" => Some("/metrics"),
        path if path == "/deny" || path.starts_with("/deny/") => Some("/deny"),
        _ => None,
    }
}

/// Answers a request, and records it where its caller does.
pub(crate) fn route(
    app: &Arc<App>,
    (peer, from): (Peer, &Caller),
    request: Request<Incoming>,
) -> Answering {
    let traces = app.data.traces.get();
    let span = traces.and_then(|traces| traces.joined(request.headers()));
    let Some(span) = span else {
        return answer(app, (peer, from), request);
    };
    let is_tls = app.data.config.internal_tls.is_some() && peer != Peer::SameMachine;
    let asked = spans::Asked::new(request.method(), is_tls);
    let route = name_of(request.uri().path()).map(Into::into);
    match answer(app, (peer, from), request) {
        Answering::Now(response) => {
            if let Some(response) = &response {
                asked.end(app, span, route, response);
            }
            Answering::Now(response)
        }
        Answering::Later(answer) => {
            let app = Arc::clone(app);
            Answering::Later(Box::pin(async move {
                let Ok(response) = answer.await;
                asked.end(&app, span, route, &response);
                Ok(response)
            }))
        }
    }
}

fn answer(app: &Arc<App>, (peer, from): (Peer, &Caller), request: Request<Incoming>) -> Answering {
    let refused =
        |status, code, why| Problem::new(status, code, why).response(&app.data.config.error_source);
    if crate::http::head_bytes(&request) > HEAD_MAX {
        let why = "The request's headers may have at most 64 KiB.";
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Answering::Now(Some(refused(status, "INVALID_REQUEST", why)));
    }
    let path = request.uri().path();
    if let Some(rest) = path.strip_prefix("/check/") {
        let (method, headers) = (request.method(), request.headers());
        return Answering::Now(Some(check::answer(
            app,
            rest,
            method,
            headers,
            (peer, from),
        )));
    }
    let lines = Traced::Headers(request.headers()).lines();
    let entered = lines.enter();
    let response = match path {
        path if path == oauth::INTROSPECT || is_introspection_of_a_product(path) => {
            let (app, from) = (Arc::clone(app), from.clone());
            drop(entered);
            let answer =
                async move { Ok(oauth::introspect_internal(&app, (peer, &from), request).await) };
            return Answering::Later(Box::pin(answer.instrument(lines)));
        }
        "/health/live" => text(StatusCode::OK, "live\n"),
        "/health/ready" => match app.not_ready() {
            None => text(StatusCode::OK, "ready\n"),
            Some(why) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("not ready: {why}\n"),
            ),
        },
        "/metrics" if matches!(*request.method(), Method::GET | Method::HEAD) => {
            match from.may(app, peer, &Asked::Metrics, Traced::Known(None)) {
                true => metrics(app, request.headers()),
                false => refused(
                    StatusCode::FORBIDDEN,
                    "CALLER_NOT_ALLOWED",
                    "This caller may not read the metrics. Its client certificate needs the grant metrics in internal_callers.",
                ),
            }
        }
        path if path == "/deny" || path.starts_with("/deny/") => {
            check::deny_again(app, request.headers())
        }
        _ => refused(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "There is nothing at this address.",
        ),
    };
    Answering::Now(Some(response))
}

fn certificates(app: &App) -> Vec<(ListenerName, i64)> {
    let names = ["public", "internal"].map(|listener| ListenerName { listener });
    let tls = app.tls.get().into_iter().flatten();
    let ends = |(name, tls): (ListenerName, &Option<Arc<crate::net::Tls>>)| {
        tls.as_ref()?.valid_till().map(|till| (name, till))
    };
    names.into_iter().zip(tls).filter_map(ends).collect()
}

/// The figures in the format asked for: OpenMetrics where `Accept` names it, else Prometheus' text format, which every
/// scraper reads.
fn metrics(app: &App, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let reading = Reading {
        clients: app.data.replica().client_count(),
        numbers: app.data.store.numbers(),
        committed: app.data.store.committed(),
        waiting: app.data.store.waiting(),
        replicas: app.data.store.attachments().counts(),
        vouching: app.is_ready(),
        writable: app.data.store.is_writable(),
        certificates: certificates(app),
        backed_up: data_dir::backed_up(&app.data.config.data_dir),
        clock_ahead: app.data.clock().ahead(),
        lease_left: app.data.replica().lease().left(app.data.clock().boot()),
        digest_key: app.data.keyring.current().0,
        nodes: app.data.store.nodes(),
    };
    let text = app.data.metrics.text(&reading);
    let wants_open = headers.get_all(header::ACCEPT).iter().any(|value| {
        let value = value.to_str().unwrap_or_default();
        value.contains("application/openmetrics-text")
    });
    let (text, kind) = match wants_open {
        true => (
            text,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        false => (
            crate::metering::metrics::prometheus_text(&text),
            "text/plain; version=0.0.4; charset=utf-8",
        ),
    };
    uncached(StatusCode::OK, kind, Full::from(text))
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    uncached(status, "text/plain; charset=utf-8", Full::from(body.into()))
}
