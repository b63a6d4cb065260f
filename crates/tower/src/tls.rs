//! TLS to a node: whom to trust, the service's own certificate, and the two protocols spoken over it. Only authorities in
//! the service's own file are trusted, and only a certificate of the node's name.

use crate::endpoint::{EndpointError, Speech};
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
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
    files: Files,
    using: Arc<Mutex<Using>>,
}

/// Files in PEM form.
#[derive(Clone)]
struct Files {
    authorities: PathBuf,
    /// The service's certificate and its key.
    own: Option<(PathBuf, PathBuf)>,
}

/// What is used for connections, and which content of the files it was read from.
struct Using {
    connectors: Connectors,
    read: Vec<Identity>,
}

/// Device, inode, size and time of the last change of a file, behind all links; none when it is not there.
type Identity = Option<(u64, u64, u64, i64, i64)>;

/// For questions, and for the replica's stream, which says what it is in the handshake.
#[derive(Clone)]
struct Connectors {
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
    /// authority in the PEM file `authorities`, or be in it itself; `own` are the files of the service's certificate and its
    /// key, for a node that asks for one.
    pub(crate) fn new(
        address: &str,
        authorities: &Path,
        own: Option<(&Path, &Path)>,
    ) -> Result<Self, EndpointError> {
        let (host, _) = address.rsplit_once(':').ok_or_else(|| {
            EndpointError(format!("{address}: the port is missing. Write HOST:PORT"))
        })?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| EndpointError(format!("{host}: {error}")))?;
        let files = Files {
            authorities: authorities.to_owned(),
            own: own.map(|(certificate, key)| (certificate.to_owned(), key.to_owned())),
        };
        let read = files.identities();
        let connectors = files.read()?;
        Ok(Self {
            address: address.to_owned(),
            name,
            files,
            using: Arc::new(Mutex::new(Using { connectors, read })),
        })
    }

    /// What is used now. Files that have changed are read again; what can't be used leaves the former in place.
    fn connectors(&self) -> Connectors {
        let mut using = self.using.lock();
        let found = self.files.identities();
        if using.read != found {
            using.read = found;
            match self.files.read() {
                Ok(connectors) => using.connectors = connectors,
                Err(error) => {
                    tracing::warn!(
                        node = self.address,
                        "keeping the current certificates: {error}"
                    );
                }
            }
        }
        using.connectors.clone()
    }

    /// The handshake.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        speech: Speech,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let connectors = self.connectors();
        let connector = match speech {
            Speech::Questions => connectors.asking,
            Speech::Replica => connectors.attaching,
        };
        connector.connect(self.name.clone(), stream).await
    }
}

impl Files {
    fn identities(&self) -> Vec<Identity> {
        let own = self
            .own
            .iter()
            .flat_map(|(certificate, key)| [certificate, key]);
        let files = std::iter::once(&self.authorities).chain(own);
        let of = |path: &PathBuf| {
            let about = std::fs::metadata(path).ok()?;
            let changed = (about.ctime(), about.ctime_nsec());
            Some((about.dev(), about.ino(), about.size(), changed.0, changed.1))
        };
        files.map(of).collect()
    }

    fn read(&self) -> Result<Connectors, EndpointError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authorities)? {
            roots
                .add(certificate)
                .map_err(|error| broken(&self.authorities, &error))?;
        }
        if roots.is_empty() {
            let what = "no certificate in it. Name a PEM file with the node's authority";
            return Err(broken(&self.authorities, &what));
        }
        // Named, for a service may have more than one of them built in.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| EndpointError(error.to_string()))?
            .with_root_certificates(roots);
        let config = match &self.own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                if chain.is_empty() {
                    let what =
                        "no certificate in it. Name a PEM file with this service's certificate";
                    return Err(broken(certificate, &what));
                }
                let private =
                    PrivateKeyDer::from_pem_file(key).map_err(|error| broken(key, &error))?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| broken(certificate, &error))?
            }
        };
        let connector = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        Ok(Connectors {
            asking: connector(b"http/1.1"),
            attaching: connector(ALPN),
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, EndpointError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| broken(path, &error))
}

fn broken(path: &Path, error: &dyn std::fmt::Display) -> EndpointError {
    EndpointError(format!("{}: {error}", path.display()))
}
