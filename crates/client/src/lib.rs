//! The caller's side of Tokenward: an access token that is always there, kept safely, never fought over.
//!
//! A [`TokenSource`] gives a fresh token to any number of threads; processes and machines that name the same home
//! ([`destination`]) share one token and renew it once. It works against Tokenward, whose generations and
//! `If-Match` make sharing exact, and against any server of Clear's kind, where a new token silently ends the old.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use std::time::Duration;
//! use tokenward_client::destination::file::FileHome;
//! use tokenward_client::issuer::{Issuer, Kind};
//! use tokenward_client::secret::SecretFile;
//! use tokenward_client::TokenSource;
//!
//! let secret = Arc::new(SecretFile("/etc/tokenward/erp.secret".into()));
//! let server = "https://api-sandbox.example.com";
//! let issuer = Issuer::new(server, Kind::Tokenward, secret, None, Duration::from_secs(10))?;
//! let home = Arc::new(FileHome::new("/var/lib/erp/token.json".into()));
//! let source = TokenSource::builder(issuer, home).build()?;
//!
//! let entry = source.token().await?;
//! // Send entry.token.expose() in x-cleartax-auth-token. After a 401, once:
//! let another = source.after_refusal(&entry).await?;
//! # let _ = another; Ok(()) }
//! ```
//!
//! Rooms: [`protocol`] decides (pure), [`source`] does, [`issuer`] is the token server, [`destination`] the
//! places, [`secret`] where the client secret comes from. Nothing here prints a token.

pub mod blocking;
pub mod clock;
#[cfg(feature = "config")]
pub mod config;
pub mod credential;
pub mod destination;
pub mod environment;
pub mod issuer;
#[cfg(feature = "middleware")]
pub mod middleware;
pub mod protocol;
mod random;
pub mod secret;
pub mod source;
pub mod timer;

pub use credential::{AccessToken, ClientSecret};
pub use protocol::{Entry, Policy};
pub use source::TokenSource;
