//! A load balancer without stickiness: each request goes to another server than the request before. Style sheets and scripts
//! don't count as requests: browsers keep them, so with them the server that a page comes from would be a matter of chance.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderName, StatusCode, header};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most bytes of a request's body.
const BODY_MAX: usize = 4_000_000;
/// What is between two ends and not passed on.
const HOP_BY_HOP: [HeaderName; 4] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
];

pub(crate) struct Balancer {
    public: String,
    inner: Arc<Inner>,
    _runtime: tokio::runtime::Runtime,
}

struct Inner {
    servers: Vec<String>,
    requests: AtomicUsize,
    http: reqwest::Client,
}

impl Balancer {
    pub(crate) fn over(servers: &[&str]) -> Self {
        let http = tokenward_testkit::http().redirect(reqwest::redirect::Policy::none());
        let inner = Arc::new(Inner {
            servers: servers.iter().map(|one| (*one).to_owned()).collect(),
            requests: AtomicUsize::new(0),
            http: http.build().unwrap(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let public = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(pass).with_state(Arc::clone(&inner));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            public,
            inner,
            _runtime: runtime,
        }
    }

    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    pub(crate) fn requests(&self) -> usize {
        self.inner.requests.load(Ordering::Relaxed)
    }
}

/// One request there and its answer back, as they are.
async fn pass(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let turn = match parts.uri.path().starts_with("/console/assets/") {
        true => inner.requests.load(Ordering::Relaxed),
        false => inner.requests.fetch_add(1, Ordering::Relaxed),
    };
    let server = &inner.servers[turn % inner.servers.len()];
    let target = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = parts.headers;
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    let asking = inner
        .http
        .request(parts.method, format!("{server}{target}"))
        .headers(headers)
        .body(to_bytes(body, BODY_MAX).await.unwrap());
    let Ok(answer) = asking.send().await else {
        let mut lost = Response::new(Body::empty());
        *lost.status_mut() = StatusCode::BAD_GATEWAY;
        return lost;
    };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    let mut back = Response::new(Body::from(answer.bytes().await.unwrap()));
    *back.status_mut() = status;
    *back.headers_mut() = headers;
    back
}
