//! Tokenward's check as a [tower](https://docs.rs/tower) layer: a Rust service checks access tokens itself, as a gateway
//! does in front of other services.
//!
//! [`CheckLayer`] answers a request without a valid access token, and passes any other on with its [`Permit`]. It goes
//! around every service that takes a tower layer: axum, tonic, hyper.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tokenward_tower::{CheckLayer, Checker, Endpoint, Environment, Permit, Replica};
//!
//! async fn invoices(permit: Permit) -> String {
//!     format!("invoices of {} in workspace {}", permit.label(), permit.workspace())
//! }
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let node: Endpoint = "unix:/run/tokenward/internal.sock".parse()?;
//! let replica = Replica::attach(node, "/etc/e-invoice/replica-keys".as_ref())?;
//! replica.ready().await;
//!
//! let checker = Checker::new(replica.clone(), Environment::Production, "e-invoice");
//! let app = Router::new()
//!     .route("/invoices", get(invoices))
//!     .layer(CheckLayer::new(checker))
//!     // Outside of the check.
//!     .route("/ready", get(async move || replica.is_vouching().to_string()));
//!
//! let listener = tokio::net::TcpListener::bind("0.0.0.0:8000").await?;
//! let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
//! axum::serve(listener, app).await?;
//! # Ok(()) }
//! ```
//!
//! # Who decides
//!
//! A [`Checker`] decides by one of two sources:
//!
//! | | how it decides | when the node can't be reached |
//! |---|---|---|
//! | [`Replica`] | from a live copy in this process, in less than a microsecond | goes on for at most 4 s, then 503 |
//! | [`Node`] | asks a node about each request | 503 at once |
//!
//! A replica can be given several nodes of one database: `Replica::attach([first, second], keys)`. It uses the first that
//! answers, and moves to the next one when that is lost or about to lose its lease.
//!
//! With both, a revoked or replaced token is refused from the moment at which the node has answered the change.
//!
//! # The caller's address
//!
//! API clients can be restricted to networks. The layer takes the address from axum's `ConnectInfo` (feature `axum`) or
//! from a [`PeerAddr`] in the request's extensions, and from `X-Forwarded-For` as far as proxies named in
//! [`Checker::trusted_proxies`] wrote it. Without an address, tokens that are restricted to networks are refused.
//!
//! # Crate features
//!
//! None is on by default.
//!
//! - `axum`: [`Permit`] is an extractor, and the caller's address comes from `ConnectInfo`.
//! - `tls`: `Endpoint::tls`, for a node whose internal listener has a certificate.

#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]

mod answer;
mod checker;
mod endpoint;
mod forged;
mod layer;
mod node;
mod permit;
mod replica;
#[cfg(feature = "tls")]
mod tls;

pub use checker::{Checker, PeerAddr, Source, Verdict};
pub use endpoint::{Endpoint, EndpointError, Endpoints};
pub use ipnet::IpNet;
pub use layer::{CheckFuture, CheckLayer, CheckService};
pub use node::Node;
pub use permit::Permit;
pub use replica::{AttachError, Replica};
pub use tokenward_core::{Denial, Environment};
