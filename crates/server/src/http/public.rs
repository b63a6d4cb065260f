//! The public listener: the token API, OAuth and the admin API behind one router, with limits on
//! everything and a request id on every answer.

use super::envelope::Problem;
use super::{BODY_MAX, HEAD_MAX, admin, clear_api, console, oauth};
use crate::app::App;
use crate::connection_limits::{Activity, Connections, Delivered, End, Limits, Watched};
use crate::net::{Connection, Listener};
use crate::random;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;
use uuid::Uuid;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request not answered in this time is given up: longer than any write may wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams of one HTTP/2 connection at once.
const STREAMS_MAX: u32 = 128;
/// How often the connections are looked at: the unit of their limits.
const ROUND: Duration = Duration::from_secs(1);

/// Every public address.
pub fn router(app: Arc<App>) -> Router {
    let router = Router::new()
        .route(clear_api::STATUS_PATH, any(status))
        .route(clear_api::PREVIOUS_PATH, any(end_previous))
        .merge(oauth::router())
        .nest("/admin/v1", admin::router())
        .merge(console::router())
        .fallback(nothing_here);
    guarded(router).with_state(app)
}

/// The router behind what guards every answer.
fn guarded<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        // Each dialect says in its own form that a body is too long.
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn(answer_in_time))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(with_request_id))
}

async fn status(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    clear_api::status(&app, &parts, peer.ip())
        .await
        .into_response()
}

async fn end_previous(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    clear_api::end_previous(&app, &parts, peer.ip())
        .await
        .into_response()
}

async fn nothing_here(State(app): State<Arc<App>>) -> Response {
    Problem::new(
        StatusCode::NOT_FOUND,
        "NOT_FOUND",
        "There is nothing at this address.",
    )
    .response(&app.config.error_source)
    .into_response()
}

/// A panic is a fault of ours, answered like one; its text stays in the log.
fn panicked(_: Box<dyn std::any::Any + Send>) -> http::Response<Full<Bytes>> {
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

async fn answer_in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => late().into_response(),
    }
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

/// Gives every request an id of ours: a caller's own could forge log lines.
async fn with_request_id(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (id, span) = request_span();
    async move {
        let mut response = next.run(request).await;
        log_answer(&method, &path, response.status());
        put_id(&mut response, id);
        response
    }
    .instrument(span)
    .await
}

fn request_span() -> (Uuid, tracing::Span) {
    let id = random::uuid();
    (id, tracing::info_span!("request", %id))
}

fn log_answer(method: &Method, path: &str, status: StatusCode) {
    tracing::info!(%method, path = %crate::logs::safe(path), status = status.as_u16(), "answered");
}

fn put_id<B>(response: &mut http::Response<B>, id: Uuid) {
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
}

/// One connection's requests: the token API goes straight to its handler, for it is called more than
/// everything else together and a router's layers would cost more than it does; the rest is routed.
struct Front<S> {
    app: Arc<App>,
    peer: IpAddr,
    router: TowerToHyperService<S>,
    activity: Arc<Activity>,
}

type Answer =
    Pin<Box<dyn Future<Output = Result<http::Response<Delivered<Body>>, Infallible>> + Send>>;

impl<S> hyper::service::Service<http::Request<Incoming>> for Front<S>
where
    S: tower::Service<http::Request<Incoming>, Response = Response, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = http::Response<Delivered<Body>>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: http::Request<Incoming>) -> Answer {
        let answering = self.activity.request(request.version() == Version::HTTP_2);
        if request.uri().path() == clear_api::PATH {
            let (parts, _) = request.into_parts();
            let answer = generate(Arc::clone(&self.app), parts, self.peer);
            return Box::pin(async move { Ok(answer.await.map(|body| answering.body(body))) });
        }
        let answer = self.router.call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| answering.body(body))) })
    }
}

/// The token API with what the router's layers give everything else. A success is in the audit log and
/// in the metrics, so its line in the log is for those who look for details.
async fn generate(app: Arc<App>, parts: Parts, peer: IpAddr) -> Response {
    let (id, span) = request_span();
    async move {
        let mut response = awaited(clear_api::generate(&app, &parts, peer)).await;
        if response.status().is_success() {
            tracing::debug!(method = %parts.method, "generated");
        } else {
            log_answer(&parts.method, clear_api::PATH, response.status());
        }
        put_id(&mut response, id);
        response.into_response()
    }
    .instrument(span)
    .await
}

/// An answer in time, whatever its maker does.
async fn awaited(
    answer: impl Future<Output = http::Response<Full<Bytes>>>,
) -> http::Response<Full<Bytes>> {
    let answer = AssertUnwindSafe(answer).catch_unwind();
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => panicked(panic),
        Err(_) => late(),
    }
}

/// Serves the public listener until told to stop, then waits for what is under way.
pub(crate) async fn serve(
    app: Arc<App>,
    listener: Listener,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let mut make = router(Arc::clone(&app)).into_make_service_with_connect_info::<SocketAddr>();
    let connections = Connections::new(limits);
    let looking = tokio::spawn(look_round(Arc::clone(&connections)));
    loop {
        let connection = tokio::select! {
            connection = listener.accept() => connection,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let peer = SocketAddr::new(connection.peer(), 0);
        let Some(share) = connections.share(peer.ip(), &app.config.trusted_proxies) else {
            app.metrics.connection_refused();
            continue;
        };
        let place = tokio::select! {
            Some(place) = connections.place(share) => place,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Ok(service) = tower::Service::call(&mut make, peer).await;
        let service = Front {
            app: Arc::clone(&app),
            peer: peer.ip(),
            router: TowerToHyperService::new(service),
            activity: Arc::clone(place.activity()),
        };
        let stop = stop.clone();
        tokio::spawn(async move {
            match connection {
                Connection::Plain(stream, _) => {
                    serve_connection(stream, service, place.activity(), stop).await;
                }
                Connection::Tls(accept, _) => {
                    let mut stopped = stop.clone();
                    let accepted = tokio::select! {
                        accepted = accept => accepted,
                        _ = stopped.wait_for(|stop| *stop) => return,
                    };
                    if let Ok(stream) = accepted {
                        serve_connection(stream, service, place.activity(), stop).await;
                    }
                }
            }
        });
    }
    // A caller that connects now is refused at once instead of waiting for an answer that never comes.
    drop(listener);
    let drain = Duration::from_secs(app.config.drain_seconds);
    let _ = tokio::time::timeout(drain, connections.ended()).await;
    looking.abort();
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
async fn serve_connection<I, S>(
    stream: I,
    service: Front<S>,
    activity: &Arc<Activity>,
    mut stop: watch::Receiver<bool>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    Front<S>: hyper::service::Service<
            http::Request<Incoming>,
            Response = http::Response<Delivered<Body>>,
            Error = Infallible,
            Future = Answer,
        >,
{
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
            _ = stop.wait_for(|stop| *stop), if !closing => {}
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

    /// The body of a fault of ours, without its id.
    async fn told<B>(response: http::Response<B>) -> String
    where
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
    {
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let mut body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let id = body["errors"][0]["error_id"].take();
        assert!(id.as_str().is_some_and(|id| Uuid::try_parse(id).is_ok()));
        body.to_string()
    }

    #[tokio::test]
    async fn a_panic_is_answered_and_its_text_is_not() {
        let breaks = async || -> StatusCode { panic!("inner detail") };
        let mut router = guarded(Router::new().route("/", any(breaks))).with_state(());
        let answer = tower::Service::call(&mut router, Request::new(Body::empty()));
        let Ok(response) = answer.await;
        let told_by_router = told(response).await;
        insta::assert_snapshot!(told_by_router, @r#"{"errors":[{"error_code":"INTERNAL_ERROR","error_id":null,"error_message":"Something went wrong on our side. Try again.","error_source":"CLEAR"}]}"#);
        let answer = awaited(async { panic!("inner detail") }).await;
        assert_eq!(told(answer).await, told_by_router);
    }
}
