//! Where a request really comes from: by the same rules as in the layer for Rust services.

pub use tokenward_core::address::{Peer, caller};

use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};

/// An address as it is kept and shown; an unknown one is the word `unknown` (RFC 7239, section 6.2).
#[must_use]
pub fn text(address: Option<IpAddr>) -> String {
    address.map_or_else(
        || "unknown".to_owned(),
        |address| address.to_canonical().to_string(),
    )
}

/// Whether what a peer says of a request is believed: it is a trusted proxy.
pub(crate) fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|net| net.contains(&peer))
}

/// The network a source is counted by: an IPv6 caller has a whole /64 to choose addresses from. Callers whose address is
/// not known are counted together.
#[must_use]
pub fn network(source: Option<IpAddr>) -> Option<IpAddr> {
    match source?.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            Some(IpAddr::V6(Ipv6Addr::from(network)))
        }
        v4 => Some(v4),
    }
}
