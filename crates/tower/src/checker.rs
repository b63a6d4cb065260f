//! Deciding about one request: where its token and its caller's address are, and who decides.

use crate::node::Node;
use crate::permit::Permit;
use crate::replica::Replica;
use http::{Extensions, HeaderMap};
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use tokenward_core::check::denial::Refusal;
use tokenward_core::check::{Denial, Facts, Presented};
use tokenward_core::{Environment, address, token_header};

/// The answer of a check.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// The request may pass.
    Permit(Permit),
    /// The request may not pass, and why.
    Deny(Denial),
    /// It can't be known at the moment whether the token is valid: answer 503.
    CannotVouch,
}

/// The address at the other end of the connection. Servers other than axum's put it into a request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddr(pub IpAddr);

/// What decides: a [`Replica`] or a [`Node`].
#[derive(Debug)]
pub struct Source(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Replica(Replica),
    Node(Node),
}

impl From<Replica> for Source {
    fn from(replica: Replica) -> Self {
        Self(Kind::Replica(replica))
    }
}

impl From<Node> for Source {
    fn from(node: Node) -> Self {
        Self(Kind::Node(node))
    }
}

/// Decides requests for one environment and one product. These two come from the service's own
/// configuration, never from the caller.
pub struct Checker {
    pub(crate) source: Kind,
    pub(crate) environment: Environment,
    pub(crate) product: Arc<str>,
    trusted: Vec<IpNet>,
    pub(crate) error_source: String,
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Checker({}, {})",
            self.environment.as_str(),
            self.product
        )
    }
}

impl Checker {
    /// Decides by `source`, a [`Replica`] or a [`Node`], for an environment and the slug of a product.
    pub fn new(source: impl Into<Source>, environment: Environment, product: &str) -> Self {
        Self {
            source: source.into().0,
            environment,
            product: product.into(),
            trusted: Vec::new(),
            error_source: "CLEAR".to_owned(),
        }
    }

    /// The proxies whose `X-Forwarded-For` is believed; none by default.
    #[must_use]
    pub fn trusted_proxies(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.trusted = networks.into_iter().collect();
        self
    }

    /// The `error_source` in error bodies, `CLEAR` by default. Use the node's own setting.
    #[must_use]
    pub fn error_source(mut self, source: &str) -> Self {
        source.clone_into(&mut self.error_source);
        self
    }

    /// Returns the caller's address. An unknown one is in no network: tokens bound to networks are refused.
    pub(crate) fn address(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let own = extensions.get::<PeerAddr>().map(|peer| peer.0);
        #[cfg(feature = "axum")]
        let own = own.or_else(|| {
            let info = extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
            info.map(|info| info.0.ip())
        });
        // Whoever is not known is no trusted proxy either.
        address::caller(own?, headers, &self.trusted)
    }

    /// Decides about a request with these headers and extensions, for services that are no tower services.
    ///
    /// # Panics
    /// With a [`Node`], when not called on a tokio runtime with I/O and time enabled.
    pub async fn decide(&self, headers: &HeaderMap, extensions: &Extensions) -> Verdict {
        let address = self.address(headers, extensions);
        match &self.source {
            Kind::Replica(replica) => self.by(replica, headers, address),
            Kind::Node(node) => {
                // What is wrong with it is the node's to say, in its own order: an unknown product comes first.
                let tokens: &[&str] = match token_header::access_token(headers) {
                    Presented::One("") => &["-"],
                    Presented::One(token) => &[token],
                    Presented::Missing => &[],
                    Presented::Repeated => &["-", "-"],
                };
                node.ask(self.environment, &self.product, tokens, address)
                    .await
            }
        }
    }

    /// Decides by a replica, without waiting.
    #[inline]
    pub(crate) fn by(
        &self,
        replica: &Replica,
        headers: &HeaderMap,
        address: Option<IpAddr>,
    ) -> Verdict {
        let facts = Facts {
            environment: self.environment,
            product: &self.product,
            address,
        };
        match replica.check(token_header::access_token(headers), &facts) {
            tokenward_core::Verdict::Permit(permit) => {
                Verdict::Permit(Permit::of_replica(permit, Arc::clone(&self.product)))
            }
            tokenward_core::Verdict::Deny(denial) => Verdict::Deny(denial),
            tokenward_core::Verdict::CannotVouch => Verdict::CannotVouch,
        }
    }
}

impl Verdict {
    /// The permit, or what is refused.
    pub(crate) fn passed(self) -> Result<Permit, Refusal> {
        match self {
            Self::Permit(permit) => Ok(permit),
            Self::Deny(denial) => Err(Refusal::Denied(denial)),
            Self::CannotVouch => Err(Refusal::CannotVouch),
        }
    }
}
