//! The public listener: the token API, OAuth and the admin API behind one router, with limits on
//! everything and a request id on every answer.

use super::spans;
use crate::app::App;
use crate::http::envelope::{Problem, Told};
use crate::http::{BODY_MAX, HEAD_MAX, admin, clear_api, console, head_bytes, oauth, request_host};
use crate::logs::Limit;
use crate::net::addresses::is_trusted;
use crate::net::limits::{Activity, Connections, End, Limits, Noted, Place, Watched};
use crate::net::{self, Connection, Listener};
use crate::trace_context::{TraceContext, TraceId};
use crate::{random, request_id, traces};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokenward_core::time::{BootInstant, Clock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::Instrument;
use uuid::Uuid;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request not answered in this time is given up: longer than any write may wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams of one HTTP/2 connection at once.
const STREAMS_MAX: u32 = 128;
/// How often the connections are looked at: the unit of their limits.
const ROUND: Duration = Duration::from_secs(1);

/// Lines about answers in a second; a flood of requests must not fill the disk.
static ANSWER_LINES: Limit = Limit::new(200, 1);

/// Every public address.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", any(front_door))
        .route(clear_api::STATUS_PATH, any(clear_api::status))
        .route(clear_api::PREVIOUS_PATH, any(clear_api::end_previous))
        .merge(oauth::router())
        .nest("/admin/v1", admin::router(&app))
        .merge(console::router())
        .fallback(nothing_here)
        // Each dialect says in its own form that a body is too long.
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn(note_route))
        .with_state(app)
}

/// `GET /`: a browser is led to the console; a program finds nothing here.
async fn front_door(State(app): State<Arc<App>>, method: Method, headers: HeaderMap) -> Response {
    let reads = matches!(method, Method::GET | Method::HEAD);
    let accepts = headers.get_all(header::ACCEPT).iter();
    let mut accepts = accepts.filter_map(|value| value.to_str().ok());
    let mut response = match reads && accepts.any(|kinds| kinds.contains("text/html")) {
        true => axum::response::Redirect::to("/console").into_response(),
        false => nothing_here(State(app)).await,
    };
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, vary);
    response
}

async fn nothing_here(State(app): State<Arc<App>>) -> Response {
    Problem::new(
        StatusCode::NOT_FOUND,
        "NOT_FOUND",
        "There is nothing at this address.",
    )
    .response(&app.data.config.error_source)
    .into_response()
}

/// A panic is a fault of ours, answered like one; its text stays in the log.
fn panicked() -> http::Response<Full<Bytes>> {
    tracing::error!("a request handler panicked");
    internal_error().response("CLEAR")
}

fn internal_error() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "INTERNAL_ERROR",
        "Something went wrong on our side. Try again.",
    )
}

/// Where the route that was matched is written, for the span of a request, also of one that is not answered in time.
type Matched = Arc<OnceLock<MatchedPath>>;

async fn note_route(request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    if let (Some(matched), Some(route)) = (extensions.get::<Matched>(), extensions.get()) {
        let _ = matched.set(MatchedPath::clone(route));
    }
    next.run(request).await
}

fn late() -> http::Response<Full<Bytes>> {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "TEMPORARILY_UNAVAILABLE",
        "The service did not answer in time. Ask for the status, or try again.",
    )
    .retry_after(1)
    .response("CLEAR")
}

/// The span of a request, at the level of every line it may have: an id of ours, for a caller's own could forge log lines, the caller's address, and
/// the trace it belongs to, if there is one.
fn request_span(source: Option<IpAddr>, trace: Option<TraceId>) -> (Uuid, tracing::Span) {
    let id = random::uuid();
    let none = tracing::field::Empty;
    let source = source.map(tracing::field::display);
    let trace = trace.map(tracing::field::display);
    (
        id,
        tracing::error_span!("request", %id, source, trace_id = trace, client = none, actor = none),
    )
}

fn put_id<B>(response: &mut http::Response<B>, id: Uuid) {
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
}

/// One connection's requests, with what every answer has. Generating goes straight to its handler, for it is called more than
/// everything else together and a router would cost more than it does; the rest is routed.
struct Front {
    app: Arc<App>,
    peer: IpAddr,
    router: Router,
    activity: Arc<Activity>,
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Noted<Body>>, Infallible>> + Send>>;

impl hyper::service::Service<http::Request<Incoming>> for Front {
    type Response = http::Response<Noted<Body>>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: http::Request<Incoming>) -> Answer {
        let is_http2 = request.version() == Version::HTTP_2;
        let answering = self.activity.request(is_http2);
        let app = Arc::clone(&self.app);
        let begun = app.data.clock().boot();
        let source = app.caller_address(self.peer, request.headers());
        let traced = Recorded::of(&app, self.peer, &mut request);
        let trace = traced.context.map(|context| context.trace);
        let trace = trace.or(traced.span.map(|span| span.trace()));
        let (id, span) = request_span(source, trace);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let admitted = span.in_scope(|| self.admit(&mut request));
        let answer: Pin<Box<dyn Future<Output = Response> + Send>> = match admitted {
            Err(problem) => {
                let refused = problem
                    .response(&app.data.config.error_source)
                    .into_response();
                Box::pin(std::future::ready(refused))
            }
            Ok(()) if path == clear_api::PATH => {
                let (parts, _) = request.into_parts();
                let (app, peer) = (Arc::clone(&app), self.peer);
                Box::pin(async move {
                    let answer = clear_api::generate(&app, &parts, peer).await;
                    answer.into_response()
                })
            }
            Ok(()) => {
                let peer = SocketAddr::new(self.peer, 0);
                request.extensions_mut().insert(ConnectInfo(peer));
                let request = request.map(|body| answering.awaited(body));
                // Routed when it is polled: under the limits and the guard below.
                let mut router = self.router.clone();
                Box::pin(async move {
                    let answer = tower::Service::call(&mut router, request).await;
                    answer.unwrap_or_else(|never| match never {})
                })
            }
        };
        let answered = async move {
            let answer = traces::scope(traced.span, guarded(answer));
            let mut response = request_id::scope(id, answer).await;
            log_answer(&app, &method, &path, &response, begun);
            traced.end(&app, &path, &response);
            put_headers(&app, &mut response, id);
            if app.is_stopping() && !is_http2 {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok(response.map(|body| answering.body(body)))
        };
        Box::pin(answered.instrument(span))
    }
}

/// A request's place in a trace, and its span where it is recorded.
struct Recorded {
    context: Option<TraceContext>,
    span: Option<traces::Span>,
    matched: Option<Matched>,
    asked: spans::Asked,
}

impl Recorded {
    /// What is believed of a request: anyone on the internet can send `traceparent`, so only a trusted proxy's is read.
    fn of<B>(app: &App, peer: IpAddr, request: &mut http::Request<B>) -> Self {
        let config = &app.data.config;
        let is_believed = is_trusted(peer, &config.trusted_proxies);
        let context = is_believed.then(|| TraceContext::of(request.headers()));
        let context = context.flatten();
        let traces = app.data.traces.get();
        let span = traces.and_then(|traces| traces.joined_or_begun(context));
        let matched = span.map(|_| Matched::default());
        if let Some(matched) = &matched {
            request.extensions_mut().insert(Arc::clone(matched));
        }
        Self {
            context,
            span,
            matched,
            asked: spans::Asked::new(request.method(), config.public_has_tls()),
        }
    }

    fn end(self, app: &App, path: &str, response: &Response) {
        let Some(span) = self.span else { return };
        let matched = self.matched.as_ref().and_then(|matched| matched.get());
        let route = match path {
            clear_api::PATH => Some(clear_api::PATH.into()),
            _ => matched.map(|route| route.as_str().to_owned().into()),
        };
        self.asked.end(app, span, route, response);
    }
}

impl Front {
    /// Refuses what no dialect should see.
    fn admit(&self, request: &mut http::Request<Incoming>) -> Result<(), Problem> {
        if head_bytes(request) > HEAD_MAX {
            return Err(Problem::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "INVALID_REQUEST",
                "The request's headers may have at most 64 KiB.",
            ));
        }
        let trusted = &self.app.data.config.trusted_proxies;
        request_host::settle(request, self.peer, trusted).map_err(|request_host::BadHost| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "INVALID_REQUEST",
                "The request must name exactly one valid host in its Host header.",
            )
        })?;
        if takes_secrets(request.uri().path()) && is_from_another_site(request.headers()) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "CROSS_SITE_REQUEST",
                "A page of another site sent this request. Call this address from a program, not from a browser.",
            ));
        }
        Ok(())
    }
}

/// Whether a browser may have credentials for this address that it adds by itself (HTTP Basic).
fn takes_secrets(path: &str) -> bool {
    path.starts_with(clear_api::PATH) || path.starts_with("/oauth2/")
}

/// Whether a browser says that another site made it send this; what isn't a browser says nothing.
fn is_from_another_site(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    sites.any(|site| site != "same-origin" && site != "none")
}

/// One line an answer. What is asked for often and tells nothing new, as a generated token, which is in the audit log and in the
/// metrics, is for those who look for details.
fn log_answer(app: &App, method: &Method, path: &str, response: &Response, begun: BootInstant) {
    let status = response.status();
    let ms = app.data.clock().boot().0.saturating_sub(begun.0) / 1_000_000;
    let is_routine = path == clear_api::PATH || path.starts_with("/console/assets/");
    if is_routine && (status.is_success() || status == StatusCode::NOT_MODIFIED) {
        tracing::debug!(%method, status = status.as_u16(), ms, "answered");
        return;
    }
    let Some(left_out) = ANSWER_LINES.admit(app.data.clock().boot()) else {
        return;
    };
    let left_out = (left_out > 0).then_some(left_out);
    let path = crate::logs::safe(path);
    let told = response.extensions().get::<Told>();
    let code = told.map(|told| told.code);
    let error_id = told.and_then(|told| told.error_id.map(tracing::field::display));
    tracing::info!(%method, path, status = status.as_u16(), code, error_id, ms, left_out, "answered");
}

/// What every answer has.
fn put_headers(app: &App, response: &mut Response, id: Uuid) {
    put_id(response, id);
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if app.data.config.public_has_tls() {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
}

/// An answer in time, whatever its maker does.
async fn guarded(answer: impl Future<Output = Response>) -> Response {
    let answer = AssertUnwindSafe(answer).catch_unwind();
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => panicked().into_response(),
        Err(_) => late().into_response(),
    }
}

/// Serves the public listener until told to stop, then waits for what is under way.
pub(crate) async fn serve(
    app: Arc<App>,
    listener: Listener,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let router = router(Arc::clone(&app));
    let connections = Connections::new(limits);
    let looking = tokio::spawn(look_round(Arc::clone(&connections)));
    let mut serving = JoinSet::new();
    loop {
        let connection = tokio::select! {
            connection = listener.accept() => connection,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let peer = connection.peer();
        let Some(share) = connections.share(peer, &app.data.config.trusted_proxies) else {
            app.data.metrics.connection_refused();
            continue;
        };
        if share.made_room() {
            app.data.metrics.connection_refused();
        }
        let place = tokio::select! {
            biased;
            // A connection that has its place is served, also when the server stops at that moment.
            Some(place) = connections.place(share) => place,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let service = front(&app, peer, &router, &place);
        while serving.try_join_next().is_some() {}
        serving.spawn(serve_accepted(connection, service, place, stop.clone()));
    }
    // A caller that connects now is refused at once instead of waiting for an answer that never comes.
    for connection in listener.close() {
        let peer = connection.peer();
        let share = connections.share(peer, &app.data.config.trusted_proxies);
        let place = share.and_then(|share| connections.place(share).now_or_never().flatten());
        let Some(place) = place else {
            app.data.metrics.connection_refused();
            continue;
        };
        let service = front(&app, peer, &router, &place);
        serving.spawn(serve_accepted(connection, service, place, stop.clone()));
    }
    let drain = Duration::from_secs(app.data.config.drain_seconds);
    let _ = tokio::time::timeout(drain, connections.ended()).await;
    looking.abort();
    // A peer that does not react to the stop must not keep the process running.
    serving.shutdown().await;
}

fn front(app: &Arc<App>, peer: IpAddr, router: &Router, place: &Place) -> Front {
    Front {
        app: Arc::clone(app),
        peer,
        router: router.clone(),
        activity: Arc::clone(place.activity()),
    }
}

/// Serves a connection until it ends; it has its place until then.
async fn serve_accepted(
    connection: Connection,
    service: Front,
    place: Place,
    stop: watch::Receiver<bool>,
) {
    match connection {
        Connection::Plain(stream, _) => {
            serve_connection(stream, service, place.activity(), stop).await;
        }
        Connection::Tls(accept, _) => {
            let mut stopped = stop.clone();
            let accepted = tokio::select! {
                accepted = accept => accepted,
                // A handshake that goes on for long makes room like any other idle connection.
                _ = place.activity().end() => return,
                () = net::stopping(&mut stopped, || false) => return,
            };
            if let Ok(stream) = accepted {
                serve_connection(stream, service, place.activity(), stop).await;
            }
        }
    }
}

async fn look_round(connections: Arc<Connections>) {
    let mut round = tokio::time::interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        round.tick().await;
        connections.look_round();
    }
}

/// Answers the requests of one connection until it ends, is overdue, or the server stops. What it ends with is its
/// peer's affair.
async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Front,
    activity: &Arc<Activity>,
    mut stop: watch::Receiver<bool>,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The time limits are those of `connection_limits`.
    builder
        .http1()
        .header_read_timeout(None)
        .max_buf_size(HEAD_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_MAX as u32)
        .keep_alive_interval(Some(Duration::from_secs(60)));
    let stream = TokioIo::new(Watched::new(stream, Arc::clone(activity)));
    let connection = builder.serve_connection(stream, service);
    tokio::pin!(connection);
    let mut closing = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            end = activity.end() => match end {
                End::Now => return,
                End::Idle => {}
            },
            () = net::stopping(&mut stop, || activity.has_asked()), if !closing => {}
        }
        // Idle, or the server stops: what is under way is still answered.
        closing = true;
        activity.closing();
        connection.as_mut().graceful_shutdown();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_panic_is_answered_and_its_text_is_not() {
        let breaks = async || -> StatusCode { panic!("inner detail") };
        let mut router = Router::new().route("/", any(breaks));
        let answer = tower::Service::call(&mut router, Request::new(Body::empty()));
        let answer = guarded(async { answer.await.unwrap_or_else(|never| match never {}) }).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let mut body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let id = body["errors"][0]["error_id"].take();
        assert!(id.as_str().is_some_and(|id| Uuid::try_parse(id).is_ok()));
        insta::assert_snapshot!(body, @r#"{"errors":[{"error_code":"INTERNAL_ERROR","error_id":null,"error_message":"Something went wrong on our side. Try again.","error_source":"CLEAR"}]}"#);
    }
}
