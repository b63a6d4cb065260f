//! How a program of this folder is told to check, and how it serves: the flags, the layer, the end in good
//! order. It must never let a listener open before the layer can vouch.

use axum::Router;
use axum::serve::ListenerExt as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokenward_tower::{CheckLayer, Checker, Endpoint, Environment, Node, Replica};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The flags that both programs have.
#[derive(clap::Args, Debug)]
pub struct Flags {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// Tokenward's internal listener: HOST:PORT or unix:/path/to/socket. Repeat it for further nodes of the same database:
    /// a replica uses the first that answers.
    #[arg(long = "node", value_name = "NODE", default_value = "127.0.0.1:8081")]
    pub nodes: Vec<String>,
    /// Speak TLS with the node; its certificate comes from an authority in this PEM file.
    #[arg(long)]
    pub node_authorities: Option<PathBuf>,
    /// This service's certificate (PEM), for a node that asks its callers for one.
    #[arg(long, requires = "node_authorities", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, requires = "certificate")]
    pub key: Option<PathBuf>,
    /// The environment served here; tokens of the other one are refused.
    #[arg(long, value_parser = environment)]
    pub environment: Environment,
    /// Replica keys (`tokenward digest-key for-replicas`): check by a live replica in this process. Without
    /// them the first node is asked about each request.
    #[arg(long)]
    pub replica_keys: Option<PathBuf>,
}

fn environment(text: &str) -> Result<Environment, String> {
    [Environment::Sandbox, Environment::Production]
        .into_iter()
        .find(|environment| environment.as_str() == text)
        .ok_or_else(|| "sandbox or production".to_owned())
}

/// Who decides about the tokens of this process.
pub struct Guard {
    environment: Environment,
    first: Endpoint,
    replica: Option<Replica>,
}

impl Guard {
    /// As the flags say. With a replica, it vouches when this returns.
    pub async fn ready(flags: &Flags) -> Result<Self, String> {
        let own = flags.certificate.as_ref().zip(flags.key.as_ref());
        let endpoint = |node: &String| match (&flags.node_authorities, own) {
            (Some(file), Some((certificate, key))) => {
                Endpoint::mutual_tls(node, file, certificate, key)
            }
            (Some(file), None) => Endpoint::tls(node, file),
            (None, _) => node.parse(),
        };
        let nodes: Result<Vec<Endpoint>, _> = flags.nodes.iter().map(endpoint).collect();
        let nodes = nodes.map_err(|why| why.to_string())?;
        let first = nodes.first().ok_or("no node")?.clone();
        let replica = match &flags.replica_keys {
            Some(keys) => {
                let replica = Replica::attach(nodes, keys);
                let replica = replica.map_err(|why| format!("no replica: {why}"))?;
                replica.ready().await;
                Some(replica)
            }
            None => None,
        };
        Ok(Self {
            environment: flags.environment,
            first,
            replica,
        })
    }

    /// The layer for one product's routes.
    #[must_use]
    pub fn layer(&self, product: &str) -> CheckLayer {
        CheckLayer::new(match &self.replica {
            Some(replica) => Checker::new(replica.clone(), self.environment, product),
            None => Checker::new(Node::new(self.first.clone()), self.environment, product),
        })
    }

    /// Whether requests can be decided now, for a readiness probe. Who asks a node learns it by asking.
    pub fn is_ready(&self) -> impl Fn() -> bool + Clone + Send + Sync + 'static {
        let replica = self.replica.clone();
        move || replica.as_ref().is_none_or(Replica::is_vouching)
    }

    /// Serves until SIGTERM or Ctrl-C; then finishes what is under way and takes leave of the node, so
    /// that no change waits for this process.
    pub async fn serve(self, flags: &Flags, app: Router) -> Result<(), String> {
        let listener = TcpListener::bind(flags.listen).await;
        let listener =
            listener.map_err(|why| format!("cannot listen on {}: {why}", flags.listen))?;
        let listener = listener.tap_io(|stream| {
            // Small answers must not wait for the acknowledgement of the last one.
            let _ = stream.set_nodelay(true);
        });
        let mut terminate = signal(SignalKind::terminate())
            .map_err(|why| format!("cannot wait for signals: {why}"))?;
        // The layer takes the caller's address from here.
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service)
            .with_graceful_shutdown(async move {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
            })
            .await
            .map_err(|why| format!("cannot serve: {why}"))?;
        if let Some(replica) = self.replica {
            replica.leave().await;
        }
        Ok(())
    }
}
