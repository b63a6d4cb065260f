//! The address of a request's caller. `X-Forwarded-For` is believed only as far as configured proxies wrote it: it is
//! read from the right, hop by hop, until an address that is no trusted proxy.

use http::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;

/// Most hops followed; more are a trick, not a network.
const HOPS_MAX: usize = 32;

/// The other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// A network address.
    Network(IpAddr),
    /// Another process of this machine, at a unix socket whose file says who may use it: it is
    /// believed, and its caller's address is unknown unless it says it.
    SameMachine,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self::Network(address)
    }
}

/// Returns the caller's address; none when a trusted proxy does not name a readable one. An unknown address is in no
/// list of networks that is not empty ([`crate::restrictions::Networks::hold`]).
#[must_use]
pub fn caller(peer: impl Into<Peer>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let mut address = match peer.into() {
        Peer::SameMachine => None,
        Peer::Network(address) => {
            let address = address.to_canonical();
            if !is_trusted(address, trusted) {
                return Some(address);
            }
            Some(address)
        }
    };
    let mut hops = 0;
    // Several header lines are one list, in order.
    for value in headers.get_all("x-forwarded-for").iter().rev() {
        let text = value.to_str().ok()?;
        for hop in text.rsplit(',') {
            hops += 1;
            let parsed = parse_hop(hop.trim()).filter(|_| hops <= HOPS_MAX)?;
            address = Some(parsed);
            if !is_trusted(parsed, trusted) {
                return address;
            }
        }
    }
    address
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// Reads an address, perhaps in brackets, perhaps with a port. The unspecified address is no caller's, and an IPv6
/// zone is of one machine only: both count as unreadable.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let address = match text.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => match text.parse::<std::net::SocketAddr>() {
            Ok(with_port) => with_port.ip(),
            Err(_) => text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?,
        },
    };
    Some(address.to_canonical()).filter(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, forwarded: &[&str], trusted: &[&str], expect: &str) {
        let peer: IpAddr = peer.parse().unwrap();
        check_peer(peer.into(), forwarded, trusted, expect);
    }

    fn check_peer(peer: Peer, forwarded: &[&str], trusted: &[&str], expect: &str) {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let got = caller(peer, &headers, &trusted);
        let got = got.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
        assert_eq!(got, expect, "{peer:?} {forwarded:?}");
    }

    #[test]
    fn nobody_is_believed_by_default() {
        check("203.0.113.9", &["10.0.0.1"], &[], "203.0.113.9");
        check("203.0.113.9", &["10.0.0.1"], &["10.0.0.0/8"], "203.0.113.9");
        check("::ffff:203.0.113.9", &[], &[], "203.0.113.9");
    }

    #[test]
    fn the_first_untrusted_hop_from_the_right_counts() {
        let trusted = &["127.0.0.0/8", "10.0.0.0/8"];
        let counts = |forwarded: &[&str], expect| check("127.0.0.1", forwarded, trusted, expect);
        counts(&["198.51.100.7"], "198.51.100.7");
        counts(&["10.9.9.9, 198.51.100.7, 10.0.0.2"], "198.51.100.7");
        counts(&["198.51.100.7", "10.0.0.2"], "198.51.100.7");
        counts(&["10.0.0.3"], "10.0.0.3");
        counts(&[], "127.0.0.1");
        counts(&["::ffff:198.51.100.7"], "198.51.100.7");
        counts(&["198.51.100.7:4711"], "198.51.100.7");
        counts(&["[2001:db8::1]:443"], "2001:db8::1");
    }

    #[test]
    fn a_process_of_this_machine_says_where_its_caller_is() {
        let check = |forwarded: &[&str], trusted: &[&str], expect: &str| {
            check_peer(Peer::SameMachine, forwarded, trusted, expect);
        };
        check(&["198.51.100.7"], &[], "198.51.100.7");
        check(&["10.9.9.9, 198.51.100.7"], &[], "198.51.100.7");
        check(&["198.51.100.7, 10.0.0.2"], &["10.0.0.0/8"], "198.51.100.7");
        check(&[], &["0.0.0.0/0"], "unknown");
        check(&["unknown"], &[], "unknown");
    }

    #[test]
    fn an_unreadable_hop_is_an_unknown_address() {
        let forty = vec!["127.0.0.1"; 40].join(",");
        let hops = [
            "unknown",
            "10.0.0.1,",
            "",
            "0.0.0.0",
            "::",
            "2001:db8::1%eth0",
        ];
        for hop in hops.into_iter().chain([forty.as_str()]) {
            check("127.0.0.1", &[hop], &["127.0.0.0/8"], "unknown");
        }
    }
}
