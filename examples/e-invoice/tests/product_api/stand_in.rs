//! A stand-in for Tokenward's internal check: it says what the test tells it to say and writes down what
//! it was asked. It decides nothing.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use http::{HeaderMap, Method, StatusCode, header};
use tokio::{net::TcpListener, runtime::Runtime};

/// What the stand-in says.
#[derive(Clone)]
pub(crate) enum Say {
    /// 200 with the full identity.
    Permit,
    /// 200 with the full identity, except this header.
    PermitWithout(&'static str),
    /// 200 with the full identity, this header changed.
    PermitWith(&'static str, &'static str),
    /// This status, with these headers and this body.
    Answer(u16, &'static [(&'static str, &'static str)], String),
    /// Nothing, ever.
    Silence,
}

/// What the stand-in was asked.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

struct Shared {
    say: Mutex<Say>,
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
}

/// The running stand-in. It has a runtime of its own, so that stopping it cuts every connection, as a
/// killed process would.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl StandIn {
    pub(crate) fn start(say: Say) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), say)
    }

    pub(crate) fn start_on(address: SocketAddr, say: Say) -> Self {
        let shared = Arc::new(Shared {
            say: Mutex::new(say),
            asked: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let state = Arc::clone(&shared);
        runtime.spawn(async move {
            let listener = TcpListener::bind(address).await.expect("a free port");
            tell.send(listener.local_addr().unwrap()).unwrap();
            let counter = Arc::clone(&state);
            let listener = listener.tap_io(move |_| {
                counter.connections.fetch_add(1, Ordering::Relaxed);
            });
            axum::serve(listener, Router::new().fallback(respond).with_state(state))
                .await
                .unwrap();
        });
        Self {
            address: told
                .recv_timeout(std::time::Duration::from_secs(60))
                .expect("the stand-in listens"),
            shared,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn say(&self, say: Say) {
        *self.shared.say.lock().unwrap() = say;
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn respond(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    shared.asked.lock().unwrap().push(Asked {
        method: request.method().clone(),
        path: path.clone(),
        headers: request.headers().clone(),
    });
    let say = shared.say.lock().unwrap().clone();
    match say {
        Say::Permit => permit(&path).into_response(),
        Say::PermitWithout(name) => {
            let mut headers = permit(&path);
            headers.remove(name).expect("a header of the permit");
            headers.into_response()
        }
        Say::PermitWith(name, value) => {
            let mut headers = permit(&path);
            headers.insert(name, value.parse().unwrap());
            headers.into_response()
        }
        Say::Answer(status, headers, body) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            response.headers_mut().remove(header::CONTENT_TYPE);
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            response
        }
        Say::Silence => std::future::pending().await,
    }
}

fn permit(path: &str) -> HeaderMap {
    let mut parts = path.trim_start_matches("/check/").split('/');
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (
            "x-tokenward-workspace",
            "7d0c4b0e-0f2d-4c39-8a51-0d6a9c3ce001",
        ),
        ("x-tokenward-client", "7d0c4b0e-0f2d-4c39-8a51-0d6a9c3ce002"),
        ("x-tokenward-client-label", "erp"),
        ("x-tokenward-environment", parts.next().unwrap_or_default()),
        ("x-tokenward-product", parts.next().unwrap_or_default()),
        ("x-tokenward-generation", "7"),
        ("x-tokenward-valid-till", ""),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    headers
}
