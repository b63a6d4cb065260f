//! The public listener: the token API, OAuth and the admin API behind one router, with limits on
//! everything and a request id on every answer.

use super::envelope::Problem;
use super::{BODY_MAX, HEAD_MAX, admin, clear_api, oauth};
use crate::app::App;
use crate::net::{Connection, Listener};
use crate::random;
use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderName, HeaderValue, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A connection that has not sent a whole request head in this time is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A request not answered in this time is given up: longer than any write may wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections served at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 10_000;
/// Streams of one HTTP/2 connection at once.
const STREAMS_MAX: u32 = 128;

/// Every public address.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(clear_api::PATH, any(generate))
        .route(clear_api::STATUS_PATH, any(status))
        .route(clear_api::PREVIOUS_PATH, any(end_previous))
        .merge(oauth::router())
        .nest("/admin/v1", admin::router())
        .fallback(nothing_here)
        // Each dialect says in its own form that a body is too long.
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn(answer_in_time))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(with_request_id))
        .with_state(app)
}

async fn generate(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    clear_api::generate(&app, &parts, peer.ip())
        .await
        .into_response()
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
fn panicked(
    _: Box<dyn std::any::Any + Send>,
) -> http::Response<http_body_util::Full<bytes::Bytes>> {
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
        Err(_) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "TEMPORARILY_UNAVAILABLE",
            "The service did not answer in time. Ask for the status, or try again.",
        )
        .retry_after(1)
        .response("CLEAR")
        .into_response(),
    }
}

/// Gives every request an id of ours: a caller's own could forge log lines.
async fn with_request_id(request: Request, next: Next) -> Response {
    let id = random::uuid();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("request", %id);
    async move {
        let mut response = next.run(request).await;
        tracing::info!(%method, path = %crate::logs::safe(&path), status = response.status().as_u16(), "answered");
        if let Ok(value) = HeaderValue::try_from(id.to_string()) {
            response.headers_mut().insert(REQUEST_ID.clone(), value);
        }
        response
    }
    .instrument(span)
    .await
}

/// Serves the public listener until told to stop, then waits for what is under way.
pub(crate) async fn serve(app: Arc<App>, listener: Listener, mut stop: watch::Receiver<bool>) {
    let mut make = router(Arc::clone(&app)).into_make_service_with_connect_info::<SocketAddr>();
    let tracker = hyper_util::server::graceful::GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            break;
        };
        let connection = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let peer = SocketAddr::new(connection.peer(), 0);
        let Ok(service) = tower::Service::call(&mut make, peer).await;
        let service = TowerToHyperService::new(service);
        let watcher = tracker.watcher();
        tokio::spawn(async move {
            let _place = place;
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(HEAD_MAX);
            builder
                .http2()
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .max_header_list_size(HEAD_MAX as u32)
                .keep_alive_interval(Some(Duration::from_secs(60)));
            // What a connection ends with is its peer's affair.
            match connection {
                Connection::Plain(stream, _) => {
                    let connection = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .into_owned();
                    drop(watcher.watch(connection).await);
                }
                Connection::Tls(accept, _) => {
                    if let Ok(stream) = accept.await {
                        let connection = builder
                            .serve_connection(TokioIo::new(stream), service)
                            .into_owned();
                        drop(watcher.watch(connection).await);
                    }
                }
            }
        });
    }
    // Whoever calls now is told at once, and does not wait for an answer that never comes.
    drop(listener);
    let drain = Duration::from_secs(app.config.drain_seconds);
    let _ = tokio::time::timeout(drain, tracker.shutdown()).await;
}
