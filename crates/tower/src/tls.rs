//! TLS to a node: whom to trust, and the two protocols spoken over it. Only authorities in the service's own file are
//! trusted, and only a certificate of the node's name.

use crate::endpoint::{EndpointError, Speech};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::path::Path;
use std::sync::Arc;
use tokenward_core::attach::ALPN;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A node behind TLS.
#[derive(Clone)]
pub(crate) struct Tls {
    /// A host and a port.
    pub(crate) address: String,
    name: ServerName<'static>,
    /// For questions, and for the replica's stream, which says what it is in the handshake.
    asking: TlsConnector,
    attaching: TlsConnector,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({})", self.address)
    }
}

impl Tls {
    /// The node at `address` (a host and a port), whose certificate must be for that host and come from an
    /// authority in the PEM file `authorities`, or be in it itself.
    pub(crate) fn new(address: &str, authorities: &Path) -> Result<Self, EndpointError> {
        let (host, _) = address.rsplit_once(':').ok_or_else(|| {
            EndpointError(format!("{address}: the port is missing. Write HOST:PORT"))
        })?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| EndpointError(format!("{host}: {error}")))?;
        let broken = |error: &dyn std::fmt::Display| {
            EndpointError(format!("{}: {error}", authorities.display()))
        };
        let mut roots = RootCertStore::empty();
        for certificate in
            CertificateDer::pem_file_iter(authorities).map_err(|error| broken(&error))?
        {
            let certificate = certificate.map_err(|error| broken(&error))?;
            roots.add(certificate).map_err(|error| broken(&error))?;
        }
        if roots.is_empty() {
            return Err(broken(
                &"no certificate in it. Name a PEM file with the node's authority",
            ));
        }
        let roots = Arc::new(roots);
        let connector = |protocol: &[u8]| {
            // Named, for a service may have more than one of them built in.
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| EndpointError(error.to_string()))?
                .with_root_certificates(Arc::clone(&roots))
                .with_no_client_auth();
            config.alpn_protocols = vec![protocol.to_vec()];
            Ok(TlsConnector::from(Arc::new(config)))
        };
        Ok(Self {
            address: address.to_owned(),
            name,
            asking: connector(b"http/1.1")?,
            attaching: connector(ALPN)?,
        })
    }

    /// The handshake.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        speech: Speech,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let connector = match speech {
            Speech::Questions => &self.asking,
            Speech::Replica => &self.attaching,
        };
        connector.connect(self.name.clone(), stream).await
    }
}
