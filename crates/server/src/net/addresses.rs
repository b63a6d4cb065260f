//! Where a request really comes from: by the same rules as in the layer for Rust services.

pub use tokenward_core::address::{Peer, caller};

use std::net::IpAddr;

/// An address as it is kept and shown; an unknown one is the word `unknown` (RFC 7239, section 6.2).
#[must_use]
pub fn text(address: Option<IpAddr>) -> String {
    address.map_or_else(
        || "unknown".to_owned(),
        |address| address.to_canonical().to_string(),
    )
}
