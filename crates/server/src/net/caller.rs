//! Who is at the other end of a connection to the internal listener, by its client certificate, and whether it may do
//! what it asks. A refusal is a line in the log with the certificate's names and what is missing.

use super::addresses::{self, Peer};
use crate::app::App;
use crate::config::Config;
use crate::config::callers::{self, Grant};
use crate::logs::{self, Limit};
use crate::trace_context::Traced;
use rustls::CertificateError as Fault;
use rustls_pki_types::CertificateDer;
use std::sync::Arc;
use tokenward_core::time::Clock;
use x509_parser::extensions::GeneralName;

/// Lines about refused callers in a minute; a gateway that is set up wrongly asks at each request.
static REFUSED: Limit = Limit::new(20, 60);
/// The same of handshakes that failed.
static FAILED_HANDSHAKES: Limit = Limit::new(20, 60);

/// Names of a certificate that are shown; a certificate can have hundreds.
const NAMES_SHOWN: usize = 5;

/// What a caller of the internal listener asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked<'a> {
    /// A check, or an introspection that states both.
    Check {
        /// As the caller wrote it.
        environment: &'a str,
        /// As the caller wrote it.
        product: &'a str,
    },
    /// An introspection that does not state both.
    Introspect,
    /// The metrics.
    Metrics,
    /// A replica's stream.
    Replica,
}

impl std::fmt::Display for Asked<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Check {
                environment,
                product,
            } => {
                let (environment, product) = (logs::safe(environment), logs::safe(product));
                write!(out, "{environment}/{product}")
            }
            Self::Introspect => out.write_str("introspect"),
            Self::Metrics => out.write_str("metrics"),
            Self::Replica => out.write_str("replica"),
        }
    }
}

impl Asked<'_> {
    /// Whether a grant allows it.
    fn is_allowed_by(&self, grant: &Grant) -> bool {
        match (grant, self) {
            (
                Grant::Check {
                    environment,
                    product,
                },
                Self::Check {
                    environment: stated,
                    product: named,
                },
            ) => {
                environment.is_none_or(|environment| environment.as_str() == *stated)
                    && product.as_ref().is_none_or(|product| product == named)
            }
            (Grant::Introspect, Self::Introspect)
            | (Grant::Metrics, Self::Metrics)
            | (Grant::Replica, Self::Replica) => true,
            _ => false,
        }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// No certificate is wanted: the listener has no client authority, or it is the unix socket, whose file says who may ask.
    Anyone,
    /// A certificate is wanted, and none was sent.
    Nameless,
    /// The holder of a certificate from the authority.
    Named(Arc<Named>),
}

/// What is known of the holder of a certificate.
#[derive(Debug)]
pub(crate) struct Named {
    names: Vec<String>,
    grants: Vec<Grant>,
}

impl Caller {
    /// The caller that sent these certificates, its own first, which TLS has verified.
    pub(crate) fn of(config: &Config, certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let tls = config.internal_tls.as_ref();
        if tls.is_none_or(|tls| tls.client_authority.is_none()) {
            return Self::Anyone;
        }
        let Some(own) = certificates.and_then(<[_]>::first) else {
            return Self::Nameless;
        };
        let names = names(own);
        let grants = names.iter();
        let grants = grants.filter_map(|name| config.internal_callers.get(&callers::key(name)));
        let grants = grants.flatten().cloned().collect();
        Self::Named(Arc::new(Named { names, grants }))
    }

    /// Whether it may do this. If not, the log says why.
    pub(crate) fn may(&self, app: &App, peer: Peer, asked: &Asked<'_>, traced: Traced<'_>) -> bool {
        let named = match self {
            Self::Anyone => return true,
            Self::Named(named) if named.grants.iter().any(|grant| asked.is_allowed_by(grant)) => {
                return true;
            }
            Self::Named(named) => Some(named),
            Self::Nameless => None,
        };
        if let Some(left_out) = REFUSED.admit(app.data.clock().boot()) {
            let left_out = (left_out > 0).then_some(left_out);
            let source = addresses::text(address(peer));
            let _lines = traced.lines().entered();
            tracing::warn!(source, left_out, "{}", sentence(named, asked));
        }
        false
    }
}

/// Why a caller may not do what it asks, and what to do.
fn sentence(named: Option<&Arc<Named>>, asked: &Asked<'_>) -> String {
    let Some(named) = named else {
        return format!(
            "caller refused: it asked for {asked} without a client certificate. Give it one from the authority in \
             internal_client_authority"
        );
    };
    let shown: Vec<String> = named
        .names
        .iter()
        .take(NAMES_SHOWN)
        .map(|name| format!("{name:?}"))
        .collect();
    let shown = shown.join(", ");
    match (named.names.is_empty(), named.grants.is_empty()) {
        (true, _) => format!(
            "caller refused: it asked for {asked}, and its client certificate has no name. Issue it with a DNS name or a URI \
             in subjectAltName"
        ),
        (_, true) => format!(
            "caller refused: it asked for {asked}, and internal_callers has no entry for its client certificate ({shown}). \
             Add one, if it may ask"
        ),
        (_, false) => format!(
            "caller refused: it asked for {asked}, which internal_callers does not list for its client certificate ({shown}). \
             Add it there, or correct what the caller asks for"
        ),
    }
}

fn address(peer: Peer) -> Option<std::net::IpAddr> {
    match peer {
        Peer::Network(address) => Some(address),
        Peer::SameMachine => None,
    }
}

/// The DNS names and URIs of a certificate; the common name only where it has no alternative names at all.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else {
        return Vec::new();
    };
    if let Ok(Some(alternative)) = parsed.subject_alternative_name() {
        let names = alternative.value.general_names.iter();
        return names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect();
    }
    let common = parsed.subject().iter_common_name();
    common
        .filter_map(|name| name.as_str().ok().map(str::to_owned))
        .collect()
}

/// Notes that a handshake failed because of the client's certificate. Other failures say nothing of a caller's setup.
pub(crate) fn note_handshake(app: &App, peer: Peer, error: &std::io::Error) {
    let inner = error.get_ref();
    let Some(rustls::Error::InvalidCertificate(fault)) =
        inner.and_then(|inner| inner.downcast_ref())
    else {
        return;
    };
    let why = match fault {
        Fault::Expired | Fault::ExpiredContext { .. } => {
            "its client certificate has expired. Renew it".to_owned()
        }
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            "its client certificate is not valid yet. Check the clocks".to_owned()
        }
        Fault::UnknownIssuer => {
            "its client certificate is not from an authority in internal_client_authority"
                .to_owned()
        }
        Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => {
            "its certificate is not for clients (extended key usage clientAuth)".to_owned()
        }
        other => format!("its client certificate is not valid: {other}"),
    };
    if let Some(left_out) = FAILED_HANDSHAKES.admit(app.data.clock().boot()) {
        let left_out = (left_out > 0).then_some(left_out);
        let source = addresses::text(address(peer));
        tracing::warn!(source, left_out, "caller refused: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::callers::callers;

    fn check<'a>(environment: &'a str, product: &'a str) -> Asked<'a> {
        Asked::Check {
            environment,
            product,
        }
    }

    #[test]
    fn each_grant_allows_what_it_names_and_nothing_else() {
        let all = [
            check("production", "gst"),
            check("production", "e-invoice"),
            check("sandbox", "gst"),
            check("elsewhere", "gst"),
            Asked::Introspect,
            Asked::Metrics,
            Asked::Replica,
        ];
        for (text, allowed) in [
            ("production/gst", &[0][..]),
            ("production/*", &[0, 1]),
            ("*/gst", &[0, 2, 3]),
            ("*/*", &[0, 1, 2, 3]),
            ("introspect", &[4]),
            ("metrics", &[5]),
            ("replica", &[6]),
        ] {
            let table = callers(&[format!("gateway={text}")], None).unwrap();
            let grant = &table["gateway"][0];
            assert_eq!(grant.to_string(), text);
            for (place, asked) in all.iter().enumerate() {
                let expect = allowed.contains(&place);
                assert_eq!(asked.is_allowed_by(grant), expect, "{text} {asked}");
            }
        }
    }
}
