//! Who is at the other end of a connection to the internal listener, by its client certificate, and whether it may do
//! what it asks. A refusal is a line in the log with the certificate's names and what is missing.

use super::addresses::{self, Peer};
use crate::app::App;
use crate::config::Config;
use crate::config::callers::{self, Asked, Grant};
use crate::logs::Limit;
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
    pub(crate) fn may(&self, app: &App, peer: Peer, asked: &Asked<'_>) -> bool {
        let named = match self {
            Self::Anyone => return true,
            Self::Named(named) if named.grants.iter().any(|grant| grant.allows(asked)) => {
                return true;
            }
            Self::Named(named) => Some(named),
            Self::Nameless => None,
        };
        if let Some(left_out) = REFUSED.admit(app.data.clock().boot()) {
            let left_out = (left_out > 0).then_some(left_out);
            let source = addresses::text(address(peer));
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
