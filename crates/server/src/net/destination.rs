//! Where a webhook may go: never into networks that only this machine can reach, unless they are named in the
//! configuration. Decided at each connection, about the very addresses that are then connected to; a name that
//! resolved well before is no proof.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use url::{Host, Url};

/// Bytes of a webhook's address.
const URL_BYTES_MAX: usize = 2_048;

/// Networks of IPv4 that are not the public internet (IANA's special-purpose registry, RFC 6890 and later).
const NOT_PUBLIC_4: [Ipv4Net; 15] = [
    Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10),
    Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 0, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 88, 99, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 15),
    Ipv4Net::new_assert(Ipv4Addr::new(198, 51, 100, 0), 24),
    Ipv4Net::new_assert(Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, and what is reserved behind it.
    Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4),
    Ipv4Net::new_assert(Ipv4Addr::new(240, 0, 0, 0), 4),
];
/// The one range of IPv6 that is given out to the public internet...
const PUBLIC_6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// ...and what of it is not, or leads into IPv4 by a way of its own: protocol assignments with Teredo,
/// documentation, 6to4. NAT64 lies outside of it.
const NOT_PUBLIC_6: [Ipv6Net; 4] = [
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    Ipv6Net::new_assert(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    Ipv6Net::new_assert(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Decides which addresses may be connected to.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    allowed: Arc<[IpNet]>,
    /// Whether the public internet is, too.
    public: bool,
}

impl Guard {
    /// For HTTPS: the public internet, and the networks named.
    #[must_use]
    pub(crate) fn secure(allowed: &[IpNet]) -> Self {
        Self {
            allowed: allowed.into(),
            public: true,
        }
    }

    /// For HTTP, which anybody on the way can read and change: the networks named and nothing else.
    #[must_use]
    pub(crate) fn plain(allowed: &[IpNet]) -> Self {
        Self {
            allowed: allowed.into(),
            public: false,
        }
    }

    /// The one for an address, if its scheme has one.
    #[must_use]
    pub(crate) fn of(url: &Url, allowed: &[IpNet]) -> Option<Self> {
        match url.scheme() {
            "https" => Some(Self::secure(allowed)),
            "http" if !allowed.is_empty() => Some(Self::plain(allowed)),
            _ => None,
        }
    }

    /// Whether this address may be connected to.
    #[must_use]
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        // One address must not have two answers: `::ffff:10.0.0.1` is 10.0.0.1.
        let address = address.to_canonical();
        self.allowed
            .iter()
            .any(|network| network.contains(&address))
            || self.public && is_public(address)
    }

    /// Reads a webhook's address; the sentence says what is wrong with it. A name is judged when it is
    /// connected to, but an address that stands there literally is judged here too: nobody resolves it.
    pub(crate) fn read(text: &str, allowed: &[IpNet]) -> Result<Url, String> {
        if text.len() > URL_BYTES_MAX {
            return Err(format!("must have at most {URL_BYTES_MAX} bytes"));
        }
        let url =
            Url::parse(text).map_err(|_| "must be an address such as https://example.com/hook")?;
        let guard = Self::of(&url, allowed).ok_or("must begin with https://")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a user name or a password".into());
        }
        if url.fragment().is_some() {
            return Err("must not have a fragment".into());
        }
        guard.admits_literal(&url).map(|()| url)
    }

    /// Whether what stands in the address literally may be connected to, if it is no name.
    pub(crate) fn admits_literal(&self, url: &Url) -> Result<(), String> {
        let address = match url.host() {
            // `2130706433`, `0x7f.1` and `017700000001` are read as the addresses they are.
            Some(Host::Ipv4(address)) => IpAddr::from(address),
            Some(Host::Ipv6(address)) => IpAddr::from(address),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err("must name a host".into()),
        };
        if self.admits(address) {
            return Ok(());
        }
        Err(refused(address))
    }

    /// Those of the addresses a name resolved to that may be connected to.
    fn admitted(&self, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, String> {
        let found: Vec<_> = found.collect();
        let admitted: Vec<_> = found
            .iter()
            .copied()
            .filter(|one| self.admits(one.ip()))
            .collect();
        match (admitted.is_empty(), found.first()) {
            (false, _) => Ok(admitted),
            // What a name resolves to inside is for operators: the reason is read by workspace admins and auditors.
            (true, Some(first)) => {
                tracing::warn!(address = %first.ip(), "a webhook's name has no public address");
                Err(NOT_PUBLIC.to_owned())
            }
            (true, None) => Err("the name has no address".into()),
        }
    }
}

const NOT_PUBLIC: &str = "its name has no public address; the server's log tells which, and an operator can allow its network with webhook_allow_networks";

fn refused(address: IpAddr) -> String {
    format!(
        "{address} is not a public address; an operator can allow its network with webhook_allow_networks"
    )
}

/// Why a name could not be connected to.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotAdmitted(String);

/// What is resolved here is connected to, without being resolved again.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let admitted = guard.admitted(found).map_err(NotAdmitted)?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => NOT_PUBLIC_4.iter().all(|net| !net.contains(&address)),
        IpAddr::V6(address) => {
            PUBLIC_6.contains(&address) && NOT_PUBLIC_6.iter().all(|net| !net.contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_that_are_not_public_are_refused_however_they_are_written() {
        let check = |host: &str, admitted: bool| {
            let read = Guard::read(&format!("https://{host}/hook"), &[]);
            assert_eq!(read.is_ok(), admitted, "{host}: {read:?}");
        };
        let words = "
            127.0.0.1 127.1 2130706433 0x7f000001 0x7f.1 0177.0.0.1 017700000001 127.0.0.1.
            %31%32%37.0.0.1 １２７.0.0.1 0 0.0.0.0 10.0.0.1 10.255.255.255 100.64.0.1
            100.127.255.255 169.254.169.254 0xa9fea9fe 172.16.0.1 172.31.255.255 192.0.0.192
            192.168.1.1 3232235777 198.18.0.1 192.0.2.1 198.51.100.1 203.0.113.1 224.0.0.1
            239.255.255.250 240.0.0.1 255.255.255.255 [::] [::1] [0:0:0:0:0:0:0:1]
            [::ffff:10.0.0.1] [::ffff:127.0.0.1] [::ffff:a9fe:a9fe] [::127.0.0.1] [fe80::1]
            [fec0::1] [fc00::1] [fd00:ec2::254] [ff02::1] [64:ff9b::10.0.0.1] [64:ff9b::8.8.8.8]
            [64:ff9b:1::1] [2001::1] [2001:db8::1] [2002:a00:1::1] [3fff::1] [100::1] [5f00::1]";
        for refused in words.split_whitespace() {
            check(refused, false);
        }
        let words = "
            8.8.8.8 134744072 172.32.0.1 100.128.0.1 169.253.0.1 [2606:4700::1111]
            [::ffff:8.8.8.8] example.com";
        for admitted in words.split_whitespace() {
            check(admitted, true);
        }
    }

    #[test]
    fn an_address_is_https_without_credentials_or_fragment() {
        let words = "
            http://example.com/ ftp://example.com/ file:///etc/passwd example.com https:// https://user@example.com/
            https://user:word@example.com/ https://example.com/#part gopher://example.com javascript:alert(1)";
        for refused in words.split_whitespace().chain([""]) {
            assert!(Guard::read(refused, &[]).is_err(), "{refused}");
        }
        let long = format!("https://example.com/{}", "x".repeat(URL_BYTES_MAX));
        assert!(Guard::read(&long, &[]).is_err());
        assert!(Guard::read("https://example.com:8443/hook?key=1", &[]).is_ok());
    }

    #[test]
    fn a_network_that_is_named_is_open_and_plain_http_goes_nowhere_else() {
        let allowed = networks(&["10.1.0.0/16"]);
        let check = |text: &str, admitted: bool| {
            assert_eq!(Guard::read(text, &allowed).is_ok(), admitted, "{text}");
        };
        check("https://10.1.2.3/", true);
        check("https://[::ffff:10.1.2.3]/", true);
        check("http://10.1.2.3/", true);
        check("https://10.2.0.1/", false);
        check("https://8.8.8.8/", true);
        check("http://8.8.8.8/", false);
        check("http://127.0.0.1/", false);
    }

    #[test]
    fn of_what_a_name_resolves_to_only_what_is_admitted_is_connected_to() {
        let guard = Guard::secure(&[]);
        let found = |texts: &[&str]| -> Vec<SocketAddr> {
            texts
                .iter()
                .map(|text| SocketAddr::new(text.parse().unwrap(), 0))
                .collect()
        };
        let admitted = |texts: &[&str]| guard.admitted(found(texts).into_iter());
        assert_eq!(admitted(&["8.8.8.8"]), Ok(found(&["8.8.8.8"])));
        // A name that answers with both must not get us inside.
        assert_eq!(
            admitted(&["10.0.0.1", "8.8.8.8", "::1"]),
            Ok(found(&["8.8.8.8"]))
        );
        assert!(admitted(&["10.0.0.1"]).is_err());
        assert!(admitted(&["::ffff:127.0.0.1", "fd00::1"]).is_err());
        assert!(admitted(&[]).is_err());
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_not_connected_to() {
        let name = || "localhost".parse().unwrap();
        assert!(Guard::secure(&[]).resolve(name()).await.is_err());
        let allowed = networks(&["127.0.0.0/8", "::1/128"]);
        assert!(Guard::plain(&allowed).resolve(name()).await.is_ok());
    }
}
