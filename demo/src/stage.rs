//! What the walk stands on: the real server in a temporary folder, and the sample product in both environments. Made
//! whole, taken down whole.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use example_e_invoice::{Config, serve};
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{Answer, Api, Server, free_port, http};
use tokio::{sync::oneshot, task::JoinHandle};

/// Clear's header for a client secret.
pub(crate) const SECRET_HEADER: &str = "x-clear-client-secret";
/// Clear's header for an access token.
pub(crate) const TOKEN_HEADER: &str = "x-cleartax-auth-token";
/// The Generate Access Token API.
pub(crate) const GENERATE_PATH: &str = "/integration/v1/authz/token";
/// The sample product.
pub(crate) const INVOICES_PATH: &str = "/e-invoice/v1/invoices";
/// The other sample product.
pub(crate) const GSTIN_PATH: &str = "/gst/v1/gstins/27AAPFU0939F1ZV";

const PRODUCT_STOP_LIMIT: Duration = Duration::from_secs(10);
/// Lines of the server's log shown when something went wrong.
const LOG_LINES_SHOWN: usize = 15;

/// Everything that runs.
pub(crate) struct Stage {
    production: Option<Product>,
    sandbox: Option<Product>,
    pub(crate) server: Server,
    pub(crate) api: Api,
    http: reqwest::Client,
}

impl Stage {
    /// Starts everything and waits until it serves: on ports that are easy to remember where those are free.
    pub(crate) async fn set(binary: Option<&Path>, prefers_ports: bool) -> Self {
        let address = |preferred| address(preferred, prefers_ports);
        let mut builder = Server::builder()
            .without_environment()
            .public(address(8080))
            .internal(address(8081));
        if let Some(binary) = binary {
            builder = builder.binary(binary);
        }
        let server = builder.start();
        let key = server.data_dir().join("admin-key");
        let mode = std::fs::metadata(&key).expect("an admin key").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "who can read the admin key");
        let internal = server.internal();
        Self {
            production: Some(Product::start(address(8082), "production", internal).await),
            sandbox: Some(Product::start(address(8083), "sandbox", internal).await),
            api: server.api(),
            http: http().build().expect("an HTTP client"),
            server,
        }
    }

    /// Base URL of the product that serves this environment.
    pub(crate) fn product(&self, environment: &str) -> &str {
        let product = match environment {
            "production" => &self.production,
            _ => &self.sandbox,
        };
        &product.as_ref().expect("the product runs").base
    }

    /// A call of a product with what should be an access token, and with a body as a POST.
    pub(crate) async fn call(
        &self,
        environment: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let method = body.map_or(Method::GET, |_| Method::POST);
        let url = format!("{}{path}", self.product(environment));
        let mut request = self.http.request(method, url);
        if let Some(token) = token {
            request = request.header(TOKEN_HEADER, token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.api.send(request).await.expect("the product answers")
    }

    /// Sends a correct invoice to the product of production.
    pub(crate) async fn register(&self, token: Option<&str>) -> Answer {
        self.call("production", INVOICES_PATH, token, Some(&invoice()))
            .await
    }

    /// Opens a page as a browser would.
    pub(crate) async fn open(&self, url: &str) -> Answer {
        self.api
            .send(self.http.get(url))
            .await
            .expect("the console answers")
    }

    /// Ends everything in order and demands that it ends well.
    pub(crate) async fn strike(mut self) {
        for product in [self.production.take(), self.sandbox.take()] {
            product.expect("the product runs").end().await;
        }
        // Idle connections would keep the server waiting.
        self.api = self.api.with_new_connections();
        let status = self.server.terminate();
        assert!(status.success(), "the server ended with {status}");
        let data = self.server.data_dir().to_owned();
        drop(self);
        assert!(!data.exists(), "{} is left behind", data.display());
    }
}

/// After a surprise the reader sees what the server wrote last.
impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.server.output();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("\nThe server's last log lines:\n{}", last.join("\n"));
        }
    }
}

/// The preferred port of this machine where it is wanted and free, else another one.
pub(crate) fn address(preferred: u16, prefers_ports: bool) -> SocketAddr {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let taken = !prefers_ports || TcpListener::bind(at(preferred)).is_err();
    at(if taken { free_port() } else { preferred })
}

/// An invoice that the sample product accepts.
pub(crate) fn invoice() -> Value {
    json!({"number": "TW/26-27/1"})
}

/// The sample product, serving one environment.
struct Product {
    base: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Product {
    async fn start(address: SocketAddr, environment: &str, internal: &str) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await;
        let listener = listener.unwrap_or_else(|why| panic!("the sample product: {why}"));
        let address = listener.local_addr().expect("an address");
        let config = Config {
            tokenward: internal.to_owned(),
            environment: environment.to_owned(),
            product: "e-invoice".to_owned(),
            gst_product: "gst".to_owned(),
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            // A dropped sender means the same as a message: end.
            let stopped = async { drop(stopped.await) };
            serve(listener, &config, stopped).await
        });
        let base = format!("http://{address}");
        Self { base, stop, task }
    }

    async fn end(self) {
        let _ = self.stop.send(());
        let ended = tokio::time::timeout(PRODUCT_STOP_LIMIT, self.task).await;
        let ended = ended.expect("the sample product ends in time");
        ended.expect("no panic").expect("the sample product served");
    }
}
