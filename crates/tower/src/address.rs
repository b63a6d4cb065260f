//! Where a request really comes from. `X-Forwarded-For` is believed only as far as configured proxies
//! wrote it: read from the right, hop by hop, until an address that is no trusted proxy.

use http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

/// Most hops followed; more are a trick, not a network.
const HOPS_MAX: usize = 32;
/// What an unreadable hop becomes: an address in no allowed network, so that it fails closed.
pub(crate) const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// A network address.
    Network(IpAddr),
    /// Another process of this machine, at a unix socket whose file says who may use it: it is
    /// believed, and its caller is nowhere unless it says where.
    SameMachine,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self::Network(address)
    }
}

/// The caller's address.
#[must_use]
pub fn caller(peer: impl Into<Peer>, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut address = match peer.into() {
        Peer::SameMachine => NOWHERE,
        Peer::Network(address) => {
            let address = address.to_canonical();
            if !is_trusted(address, trusted) {
                return address;
            }
            address
        }
    };
    let mut hops = 0;
    // Several header lines are one list, in order.
    for value in headers.get_all("x-forwarded-for").iter().rev() {
        let Ok(text) = value.to_str() else {
            return NOWHERE;
        };
        for hop in text.rsplit(',') {
            hops += 1;
            let Some(parsed) = parse_hop(hop.trim()).filter(|_| hops <= HOPS_MAX) else {
                return NOWHERE;
            };
            address = parsed;
            if !is_trusted(address, trusted) {
                return address;
            }
        }
    }
    address
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// An address, perhaps in brackets, perhaps with a port.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let address = match text.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => match text.parse::<std::net::SocketAddr>() {
            Ok(with_port) => with_port.ip(),
            Err(_) => text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?,
        },
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, forwarded: &[&str], trusted: &[&str], expect: &str) {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let peer: IpAddr = peer.parse().unwrap();
        let got = caller(peer, &headers, &trusted);
        assert_eq!(got.to_string(), expect, "{peer} {forwarded:?}");
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
        check("127.0.0.1", &["198.51.100.7"], trusted, "198.51.100.7");
        check(
            "127.0.0.1",
            &["10.9.9.9, 198.51.100.7, 10.0.0.2"],
            trusted,
            "198.51.100.7",
        );
        check(
            "127.0.0.1",
            &["198.51.100.7", "10.0.0.2"],
            trusted,
            "198.51.100.7",
        );
        check("127.0.0.1", &["10.0.0.3"], trusted, "10.0.0.3");
        check("127.0.0.1", &[], trusted, "127.0.0.1");
        check(
            "127.0.0.1",
            &["::ffff:198.51.100.7"],
            trusted,
            "198.51.100.7",
        );
        check("127.0.0.1", &["198.51.100.7:4711"], trusted, "198.51.100.7");
        check("127.0.0.1", &["[2001:db8::1]:443"], trusted, "2001:db8::1");
    }

    #[test]
    fn a_process_of_this_machine_says_where_its_caller_is() {
        let check = |forwarded: &[&str], trusted: &[&str], expect: &str| {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
            let got = caller(Peer::SameMachine, &headers, &trusted);
            assert_eq!(got.to_string(), expect, "{forwarded:?}");
        };
        check(&["198.51.100.7"], &[], "198.51.100.7");
        check(&["10.9.9.9, 198.51.100.7"], &[], "198.51.100.7");
        check(&["198.51.100.7, 10.0.0.2"], &["10.0.0.0/8"], "198.51.100.7");
        check(&[], &["0.0.0.0/0"], "0.0.0.0");
        check(&["unknown"], &[], "0.0.0.0");
    }

    #[test]
    fn what_cannot_be_read_is_nowhere() {
        let trusted = &["127.0.0.0/8"];
        check("127.0.0.1", &["unknown"], trusted, "0.0.0.0");
        check("127.0.0.1", &["10.0.0.1,"], trusted, "0.0.0.0");
        check("127.0.0.1", &[""], trusted, "0.0.0.0");
        check(
            "127.0.0.1",
            &[&vec!["127.0.0.1"; 40].join(",")],
            trusted,
            "0.0.0.0",
        );
    }
}
