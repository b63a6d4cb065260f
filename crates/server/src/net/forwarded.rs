//! Warns about a proxy that is not trusted: its `X-Forwarded-For` is ignored, and all its callers count as one address.
//! Without a word an operator would learn that only from refusals.

use crate::net::addresses::{self, Peer};
use http::HeaderMap;
use ipnet::IpNet;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Peers warned about, one line each. Every caller of the public listener can send the header: the number of lines is
/// bounded.
const WARNED_MAX: usize = 16;

/// The peers warned about so far.
#[derive(Debug, Default)]
pub(crate) struct ForwardedIgnored {
    warned: Mutex<Vec<IpAddr>>,
    /// Whether there is no more to warn about: known without the lock.
    full: AtomicBool,
}

impl ForwardedIgnored {
    /// Warns once when `peer` sends `X-Forwarded-For` and is no trusted proxy.
    #[inline]
    pub(crate) fn look(&self, peer: Peer, headers: &HeaderMap, trusted: &[IpNet]) {
        let Peer::Network(address) = peer else { return };
        if self.full.load(Ordering::Relaxed) || !headers.contains_key("x-forwarded-for") {
            return;
        }
        if let Some(address) = self.first(address.to_canonical(), trusted) {
            tracing::warn!(
                peer = %address,
                "X-Forwarded-For of {address} is ignored, and its callers count as one address: it is not a trusted \
                 proxy. If it is yours, add it to trusted_proxies."
            );
        }
    }

    /// The address, if it is not trusted and was not warned about.
    #[cold]
    fn first(&self, address: IpAddr, trusted: &[IpNet]) -> Option<IpAddr> {
        if addresses::is_trusted(address, trusted) {
            return None;
        }
        let mut warned = self.warned.lock();
        if warned.contains(&address) || warned.len() >= WARNED_MAX {
            return None;
        }
        warned.push(address);
        self.full
            .store(warned.len() >= WARNED_MAX, Ordering::Relaxed);
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_untrusted_peer_is_named_once_and_not_without_end() {
        let ignored = ForwardedIgnored::default();
        let trusted = ["10.0.0.2/32".parse().unwrap()];
        let first = |text: &str| ignored.first(text.parse().unwrap(), &trusted).is_some();
        assert!(!first("10.0.0.2"));
        assert!(first("192.0.2.1"));
        assert!(!first("192.0.2.1"));
        assert!(first("10.0.0.3"));
        for n in 0..100u8 {
            first(&format!("198.51.100.{n}"));
        }
        assert_eq!(ignored.warned.lock().len(), WARNED_MAX);
        assert!(ignored.full.load(Ordering::Relaxed));
    }
}
