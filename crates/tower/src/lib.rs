//! Tokenward's check as a tower layer: what a gateway does in front of a product, inside a Rust service.
//!
//! Two ways to decide, one layer: [`Replica`] holds a live copy of everything a check needs, fed by a node,
//! and decides in well under a microsecond; [`Node`] asks a node about each request. Either way a request that
//! may not pass gets the same answer as from the node itself, a permitted one carries its [`Permit`], and
//! whoever cannot be sure answers 503 and lets nobody pass.
//!
//! ```no_run
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! use tokenward_tower::{CheckLayer, Checker, Endpoint, Environment, Permit, Replica};
//!
//! let node = Endpoint::parse("unix:/run/tokenward/internal.sock");
//! let replica = Replica::attach(node, "/etc/e-invoice/replica-keys".as_ref())?;
//! replica.ready().await;
//! let checker = Checker::new(replica, Environment::Production, "e-invoice");
//! let app: axum::Router = axum::Router::new()
//!     .route("/invoices", axum::routing::get(|permit: Permit| async move {
//!         format!("hello, {}", permit.label())
//!     }))
//!     .layer(CheckLayer::new(checker));
//! # drop(app); Ok(()) }
//! ```

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

pub use checker::{Checker, PeerAddr, Verdict};
pub use endpoint::Endpoint;
pub use layer::{CheckFuture, CheckLayer, CheckService};
pub use node::Node;
pub use permit::Permit;
pub use replica::{AttachError, Replica};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};
pub use tokenward_core::check::Denial;
pub use tokenward_core::{Environment, Timestamp};
