//! A node, replica keys, and a product behind the layer.

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tokenward_testkit::{Api, ApiClient, NewClient, PROGRAM_LIMIT, Server, finish, wait_until};
use tokenward_tower::{
    CheckLayer, Checker, Endpoint, Environment, PeerAddr, Permit, Replica, Source,
};
use tower::ServiceExt;

/// Longer than anything here takes on a busy machine; never waited for when all is well.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);
pub(crate) const HOME: &str = "10.1.2.3";

/// A running node and what a product beside it is given.
pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) api: Api,
    pub(crate) keys: PathBuf,
    pub(crate) workspace: String,
    _folder: tempfile::TempDir,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = Server::builder()
            .data_dir(&folder.path().join("data"))
            .arg("--trusted-proxy=127.0.0.0/8");
        for argument in arguments {
            builder = builder.arg(argument);
        }
        let server = builder.start();
        let keys = folder.path().join("replica-keys");
        let mut making = Command::new(server.binary());
        making
            .args(["digest-key", "for-replicas", "--data-dir"])
            .arg(server.data_dir())
            .arg(&keys);
        let made = finish(&mut making, PROGRAM_LIMIT);
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let api = server.api();
        for slug in ["gst", "e-invoice"] {
            api.product(slug, slug).await.unwrap();
        }
        let workspace = api.workspace("Sahyadri Tools").await.unwrap();
        Self {
            server,
            api,
            keys,
            workspace,
            _folder: folder,
        }
    }

    /// The API client `erp` in production.
    pub(crate) async fn client(&self) -> ApiClient {
        self.make(NewClient::production("erp")).await
    }

    pub(crate) async fn make(&self, new: NewClient) -> ApiClient {
        self.api.client(&self.workspace, new).await.unwrap()
    }

    /// The access token of a new client.
    pub(crate) async fn token_of(&self, new: NewClient) -> String {
        self.generate(&self.make(new).await.secret).await
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.server.internal().parse().unwrap()
    }

    /// A replica that vouches.
    pub(crate) async fn replica(&self) -> Replica {
        self.replica_at(self.endpoint()).await
    }

    pub(crate) async fn replica_at(&self, endpoint: Endpoint) -> Replica {
        let replica = Replica::attach(endpoint, &self.keys).unwrap();
        tokio::time::timeout(LIMIT, replica.ready())
            .await
            .unwrap_or_else(|_| panic!("never ready: {}", self.server.output()));
        replica
    }

    pub(crate) async fn generate(&self, secret: &str) -> String {
        let answer = self.api.generate(secret).await.unwrap();
        answer.expect(200).token().access_token
    }

    /// Waits until the node's log has these words.
    pub(crate) fn until_it_says(&self, words: &str) {
        let log = self.server.stderr_file();
        until("the node to refuse it", || {
            std::fs::read_to_string(&log).unwrap().contains(words)
        });
    }

    /// One figure of the metrics.
    pub(crate) async fn figure(&self, name: &str) -> String {
        figure_of(&self.server, name).await
    }
}

/// One figure of a server's metrics.
pub(crate) async fn figure_of(server: &Server, name: &str) -> String {
    // The metrics need no admin key, which only the first node of a database has.
    let api = Api::new(server.public(), server.internal(), "");
    let text = api.metrics().await.unwrap().body;
    let name = format!("{name} ");
    let figure = text.lines().find_map(|line| line.strip_prefix(&name));
    figure
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .to_owned()
}

/// Lets a condition come true, with the runtime going on.
pub(crate) fn until(what: &str, condition: impl FnMut() -> bool) {
    tokio::task::block_in_place(|| wait_until(what, LIMIT, condition));
}

/// The layer of the product `gst` in production, deciding by this source.
pub(crate) fn gst(source: impl Into<Source>) -> Router {
    router(Checker::new(source, Environment::Production, "gst"))
}

/// The layer before a handler that tells its permit.
pub(crate) fn router(checker: Checker) -> Router {
    let told = |permit: Permit| async move {
        axum::Json(json!({
            "workspace": permit.workspace(), "client": permit.client(), "label": permit.label(),
            "environment": permit.environment().as_str(), "product": permit.product(),
            "generation": permit.generation(), "valid_till": permit.valid_till(),
        }))
    };
    Router::new()
        .route("/{*path}", any(told))
        .layer(CheckLayer::new(
            checker.trusted_proxies(["192.0.2.1/32".parse().unwrap()]),
        ))
}

/// What came back: status, the headers that matter to a caller, the body without its id.
#[derive(PartialEq, Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

/// Sees an answer less what differs from one to the next.
pub(crate) fn seen(status: u16, headers: &http::HeaderMap, body: &[u8]) -> Seen {
    let mut body: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(error) = body.pointer_mut("/errors/0") {
        assert!(error["error_id"].is_string());
        error["error_id"] = Value::Null;
    }
    let names = "www-authenticate retry-after cache-control content-type";
    let pick = |name: &str| {
        let value = headers.get(name)?.to_str().unwrap().to_owned();
        Some((name.to_owned(), value))
    };
    Seen {
        status,
        headers: names.split(' ').filter_map(pick).collect(),
        body,
    }
}

/// Calls a product with these headers, from this address.
pub(crate) async fn call(product: &Router, headers: &[(&str, &str)], from: &str) -> Seen {
    let mut request = Request::get("/invoices");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    let from: IpAddr = from.parse().unwrap();
    request.extensions_mut().insert(PeerAddr(from));
    let response = product.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    seen(parts.status.as_u16(), &parts.headers, &body)
}

pub(crate) async fn status(product: &Router, token: &str) -> u16 {
    call(product, &[("x-cleartax-auth-token", token)], HOME)
        .await
        .status
}
