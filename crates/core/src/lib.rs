//! The pure heart of Tokenward: what a token, a secret and an API client are, how a change alters
//! them, and how one request is checked.
//!
//! Nothing here performs I/O, reads a clock, draws randomness or waits: time, random bytes and
//! messages are arguments. That is what lets the same code be tested with seeds, model-checked and
//! run beside a product API. See `ARCHITECTURE.md` for the whole house.

pub mod address;
pub mod at_rest;
pub mod attach;
pub mod audit;
pub mod change;
pub mod client;
pub mod client_id_codec;
pub mod cluster;
pub mod credential;
pub mod digest;
pub mod generate;
mod hex;
pub mod ids;
pub mod label;
pub mod lease;
pub mod presented;
pub mod replica;
pub mod restrictions;
pub mod scan;
pub mod seal;
pub mod slot;
pub mod sources;
pub mod sublease;
pub mod time;
pub mod verdict;

pub use change::Change;
pub use client::{ApiClient, Settings};
pub use credential::{AccessToken, AdminKey, ClientSecret};
pub use digest::{Digest, DigestKey, Keyring};
pub use ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId, WorkspaceNo};
pub use replica::Replica;
pub use slot::Slot;
pub use time::Timestamp;
pub use verdict::{Denial, Facts, Permit, Verdict};
