//! The rules of Tokenward: what an access token, a client secret and an API client are, how a change alters them, and how
//! a request is checked.
//!
//! Nothing here performs I/O, reads a clock, draws random bytes or waits: time, random bytes and messages are arguments.
//! So the same code is tested with seeds, model-checked, and run inside a product API.
//!
//! ```
//! use tokenward_core::{AccessToken, ClientId, Environment};
//! use uuid::Uuid;
//!
//! let client = ClientId(Uuid::from_u128(7));
//! let token = AccessToken::from_random(Environment::Sandbox, client, [1; 28]);
//! let text = token.expose();
//! assert!(text.starts_with("sandbox.1."));
//! assert_eq!(AccessToken::parse(&text).map(|token| token.client()).ok(), Some(client));
//! // A checksum ends every token: one that was cut is refused without a look at any state.
//! assert!(AccessToken::parse(&text[..text.len() - 1]).is_err());
//! ```
//!
//! # Modules
//!
//! - [`credential`], [`digest`], [`seal`], [`at_rest`]: what is secret, and how it is kept.
//! - [`client`], [`slot`], [`label`], [`restrictions`]: the durable state of an API client.
//! - [`generate`], [`change`], [`audit`]: the decision to issue a token, what a decision writes, and the log of it.
//! - [`replica`], [`check`], [`lease`]: the state in memory, the answer to a check, and how long it may be given.
//! - [`sublease`], [`attach`], [`cluster`]: the protocols with attached replicas and among nodes.

pub mod address;
pub mod at_rest;
pub mod attach;
pub mod audit;
pub mod change;
pub mod check;
pub mod client;
pub mod client_id_codec;
pub mod cluster;
pub mod credential;
pub mod digest;
pub mod generate;
pub mod hex;
pub mod ids;
pub mod label;
pub mod lease;
pub mod replica;
pub mod restrictions;
pub mod scan;
pub mod seal;
pub mod slot;
pub mod sources;
pub mod sublease;
pub mod time;
pub mod token_header;

pub use change::Change;
pub use check::{Denial, Facts, Permit, Verdict};
pub use client::{ApiClient, Settings};
pub use credential::{AccessToken, AdminKey, ClientSecret};
pub use digest::{Digest, DigestKey, Keyring};
pub use ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId, WorkspaceNo};
pub use replica::Replica;
pub use slot::Slot;
pub use time::Timestamp;
