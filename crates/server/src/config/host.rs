//! The name a request is for: read strictly, in one place, so that the environment of a host, links and commands to
//! copy all mean the same host. Nothing here decides what a host may do.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A host as a request or the configuration names it: lower case, without a final dot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    /// The name or address; an IPv6 address in brackets.
    name: String,
    port: Option<u16>,
}

impl Host {
    /// Reads `uri-host [ ":" port ]` (RFC 9110, section 7.2); none for anything else, user information, lists, paths,
    /// zones, percent signs and an empty or doubled port among it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = match text.strip_prefix('[') {
            Some(inner) => {
                let (address, rest) = inner.split_once(']')?;
                (format!("[{}]", address.parse::<Ipv6Addr>().ok()?), rest)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (name, rest) = text.split_at(end);
                let name = name.strip_suffix('.').unwrap_or(name);
                (name.to_ascii_lowercase(), rest)
            }
        };
        let label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !label.is_empty() && label.len() <= 63 && label.bytes().all(plain)
        };
        if !name.starts_with('[') && (name.len() > 253 || !name.split('.').all(label)) {
            return None;
        }
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return None,
            Some(digits) => {
                let short = (1..=5).contains(&digits.len());
                let plain = short && digits.bytes().all(|byte| byte.is_ascii_digit());
                Some(digits.parse().ok().filter(|_| plain)?)
            }
        };
        Some(Self { name, port })
    }

    /// The name or address, without the port.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a port is named.
    #[must_use]
    pub fn has_port(&self) -> bool {
        self.port.is_some()
    }

    /// The address, if it is one and no name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.name.trim_matches(['[', ']']).parse().ok()
    }

    /// Whether this is a name or an address of the machine itself.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.name == "localhost"
            || self.name.ends_with(".localhost")
            || self
                .address()
                .is_some_and(|address| address.to_canonical().is_loopback())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_in_one_way_or_not_at_all() {
        let check = |text: &str, expect: Option<&str>| {
            let read = Host::parse(text).map(|host| host.to_string());
            assert_eq!(read.as_deref(), expect, "{text:?}");
        };
        check("api.example.com", Some("api.example.com"));
        check("API.example.com:8443", Some("api.example.com:8443"));
        check("api.example.com.", Some("api.example.com"));
        check("api.example.com.:80", Some("api.example.com:80"));
        check("127.0.0.1:8080", Some("127.0.0.1:8080"));
        check("[2001:DB8:0::1]:8080", Some("[2001:db8::1]:8080"));
        check("my_service", Some("my_service"));
        let words = "
            . :80 x: x:80:80 x:+80 x:65536 x:000080 x@api.example.com api.example.com/ api.example.com?x api..example.com
            api.example.com.. evil\"}<script> api%2eexample.com b\u{fc}cher.example [::1 [::1]x [::1%eth0] [127.0.0.1] ::1";
        let blank = ["", " x", "api.example.com, x"];
        for refused in words.split_whitespace().chain(blank) {
            check(refused, None);
        }
        check(&"x".repeat(64), None);
        check(&"x.".repeat(128), None);
    }

    #[test]
    fn loopback_is_told_by_name_and_by_address() {
        let check = |text: &str, expect: bool| {
            assert_eq!(Host::parse(text).unwrap().is_loopback(), expect, "{text}");
        };
        check("localhost:8080", true);
        check("tokens.localhost", true);
        check("127.9.9.9", true);
        check("[::1]:80", true);
        check("[::ffff:127.0.0.1]", true);
        check("localhost.example.com", false);
        check("10.0.0.1", false);
    }
}
