//! What a client's secret and tokens are limited to: networks and products.

use crate::ids::ProductNo;
use crate::label::TextRefused;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Most networks in one list; each check walks it.
pub const NETWORKS_MAX: usize = 64;

/// A list of networks; empty means everywhere.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Reads a list of networks such as `10.0.0.0/8`, or single addresses. Host bits are refused, not
    /// cut: they are a slip more often than a wish.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, TextRefused> {
        if texts.len() > NETWORKS_MAX {
            return Err(TextRefused(format!("at most {NETWORKS_MAX} networks")));
        }
        let mut out = Vec::with_capacity(texts.len());
        for text in texts {
            let net = network(text.as_ref())?;
            if !out.contains(&net) {
                out.push(net);
            }
        }
        Ok(Self(out))
    }

    /// Returns whether `address` is inside. An empty list holds every caller; an unknown address (`None`) is in no
    /// other list, not even in one that names every address.
    #[must_use]
    pub fn hold(&self, address: impl Into<Option<IpAddr>>) -> bool {
        self.0.is_empty()
            || address.into().is_some_and(|address| {
                let address = address.to_canonical();
                self.0.iter().any(|net| net.contains(&address))
            })
    }

    /// Whether there is no limit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The networks in CIDR notation.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

/// Reads one network or address.
pub fn network(text: &str) -> Result<IpNet, TextRefused> {
    let refuse = |why: &str| {
        TextRefused(format!(
            "{:?}: {why}",
            text.chars().take(64).collect::<String>()
        ))
    };
    let net = match text.parse::<IpNet>() {
        Ok(net) => net,
        Err(_) => IpNet::from(
            text.parse::<IpAddr>()
                .map_err(|_| refuse("not a network such as 10.0.0.0/8"))?,
        ),
    };
    if net.addr() != net.network() {
        return Err(refuse(&format!(
            "has host bits set; did you mean {}?",
            net.trunc()
        )));
    }
    // ::ffff:10.0.0.0/104 is 10.0.0.0/8 by another name.
    if let IpNet::V6(v6) = net
        && v6.prefix_len() >= 96
        && let Some(v4) = v6.addr().to_ipv4_mapped()
    {
        return IpNet::new(v4.into(), v6.prefix_len() - 96).map_err(|_| refuse("not a network"));
    }
    Ok(net)
}

/// What a check asks of a client besides its token. Shared between clients with the same limits.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Restrictions {
    /// The products allowed, sorted; none means all.
    pub products: Option<Box<[ProductNo]>>,
    /// From where tokens may be used.
    pub token_networks: Networks,
}

impl Restrictions {
    /// Those that allow these products, in any order, from these networks.
    #[must_use]
    pub fn new(products: Option<Vec<ProductNo>>, token_networks: Networks) -> Self {
        let products = products.map(|mut list| {
            list.sort_unstable();
            list.dedup();
            list.into_boxed_slice()
        });
        Self {
            products,
            token_networks,
        }
    }

    /// Whether `product` is allowed.
    #[must_use]
    pub fn allow_product(&self, product: ProductNo) -> bool {
        self.products
            .as_ref()
            .is_none_or(|list| list.binary_search(&product).is_ok())
    }

    /// Whether nothing is restricted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.products.is_none() && self.token_networks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_they_say() {
        let nets = Networks::parse(&["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]).unwrap();
        let check = |text: &str, expect: bool| {
            assert_eq!(nets.hold(text.parse::<IpAddr>().unwrap()), expect, "{text}")
        };
        check("10.255.0.1", true);
        check("::ffff:10.1.2.3", true);
        check("11.0.0.1", false);
        check("2001:db8::1", true);
        check("192.0.2.7", true);
        check("192.0.2.8", false);
        let anybody: IpAddr = "203.0.113.9".parse().unwrap();
        assert!(Networks::default().hold(anybody));
    }

    #[test]
    fn an_unknown_address_is_in_no_network() {
        let everywhere = Networks::parse(&["0.0.0.0/0", "::/0"]).unwrap();
        assert!(!everywhere.hold(None));
        assert!(Networks::default().hold(None));
    }

    #[test]
    fn mapped_networks_are_plain_ones() {
        assert_eq!(
            network("::ffff:10.0.0.0/104").unwrap().to_string(),
            "10.0.0.0/8"
        );
        assert_eq!(
            network("::ffff:192.0.2.7").unwrap().to_string(),
            "192.0.2.7/32"
        );
    }

    #[test]
    fn slips_are_told_not_mended() {
        for bad in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "",
            "10",
            "a",
            "10.0.0.0/8 ",
            "1.2.3.4/-1",
        ] {
            assert!(network(bad).is_err(), "{bad}");
        }
        assert!(network("10.0.0.1/8").unwrap_err().0.contains("10.0.0.0/8"));
        assert!(Networks::parse(&vec!["10.0.0.0/8"; 65]).is_err());
    }
}
