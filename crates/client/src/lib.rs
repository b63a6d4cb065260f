//! Access tokens of Tokenward for programs that call products: one token shared by many threads, processes and machines,
//! renewed once and in time, and stored where only they can read it.
//!
//! A new access token revokes the previous one, so jobs that each generate their own revoke each other's. A
//! [`TokenSource`] generates one with the client secret and gives it to all callers. Sources that name the same *home*,
//! a place that can be read back and locked, share one token. It works with Tokenward, where generations and `If-Match`
//! make sharing exact, and with other servers of the same API, where a new token silently ends the old one.
//!
//! ```no_run
//! use std::{sync::Arc, time::Duration};
//! use tokenward_client::{Options, TokenSource};
//! use tokenward_client::destination::file::FileHome;
//! use tokenward_client::issuer::{Issuer, Kind};
//! use tokenward_client::secret::SecretFile;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = Arc::new(SecretFile("/etc/tokenward/erp.secret".into()));
//! let server = "https://api-sandbox.example.com";
//! let issuer = Issuer::new(server, Kind::Tokenward, secret, None, Duration::from_secs(20))?;
//! let home = Arc::new(FileHome::new("/var/lib/erp/token.json".into()));
//! let source = TokenSource::new(issuer, home, Options::default())?;
//!
//! let entry = source.token().await?;
//! let http = reqwest::Client::new();
//! let call = |token: &str| {
//!     let request = http.get("https://api-sandbox.example.com/einv/v2/eInvoice");
//!     request.header("x-cleartax-auth-token", token).send()
//! };
//! let mut answer = call(entry.token.expose()).await?;
//! if answer.status() == 401 {
//!     // Once: a second 401 is final.
//!     let entry = source.after_refusal(&entry).await?;
//!     answer = call(entry.token.expose()).await?;
//! }
//! # Ok(()) }
//! ```
//!
//! # Crate features
//!
//! None is on by default.
//!
//! - `config`: token sources from a TOML file, the one that the program `tokenward-agent` reads.
//! - `middleware`: a middleware for `reqwest-middleware` clients, which does the retry above.
//! - `aws`: AWS Secrets Manager as a destination.
//! - `keyring`: the keyring of a desktop session as a destination.
//!
//! # Modules
//!
//! - [`issuer`]: the token server. [`secret`]: where the client secret is read.
//! - [`destination`]: the places where a token is stored, and the traits for one of your own.
//! - [`blocking`]: the source for programs without async.
//! - [`protocol`]: when to renew and who does it, as a state machine without I/O, and the errors it ends with.
//! - [`clock`]: the token server's clock as this process knows it.
//!
//! # Panics
//!
//! [`TokenSource`] needs a tokio runtime with I/O and time enabled; its async functions panic outside of one.

#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]

pub mod blocking;
pub mod clock;
#[cfg(feature = "config")]
pub mod config;
mod credential;
pub mod destination;
mod environment;
pub mod issuer;
#[cfg(feature = "middleware")]
pub mod middleware;
pub mod protocol;
mod random;
pub mod secret;
mod source;
mod timer;

pub use credential::{AccessToken, ClientSecret, Malformed};
pub use protocol::{Entry, Policy, TokenError};
pub use source::{Counts, NotAHome, Options, TokenSource};
