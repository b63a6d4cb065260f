//! TLS to PostgreSQL: what libpq's `sslmode`, `sslrootcert`, `sslcert` and `sslkey` mean, with rustls. The files are read
//! again for each connection, so that renewed ones need no restart.

use futures_util::future::BoxFuture;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct};
use rustls::{RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokenward_core::time::{MICROS_PER_SECOND, Timestamp};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::oid_registry as oid;
use x509_parser::signature_algorithm::SignatureAlgorithm;

/// What PostgreSQL's protocol is called in a TLS handshake.
const ALPN: &[u8] = b"postgresql";
/// The value of `sslrootcert` for the authorities that the system trusts.
const SYSTEM: &str = "system";

/// Whether a connection is encrypted, and what is verified of the server: libpq's `sslmode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Not encrypted.
    Disable,
    /// Encrypted; nothing is verified.
    Require,
    /// The certificate comes from a trusted authority.
    VerifyCa,
    /// The certificate also names the host.
    VerifyFull,
}

impl Mode {
    /// Reads a value of `sslmode`. Those that fall back to a connection without TLS are refused.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "disable" => Ok(Self::Disable),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            "allow" | "prefer" => Err(format!(
                "sslmode={text} falls back to an unencrypted connection when anyone on the way asks for it. Use verify-full, or \
                 disable in a network that you trust"
            )),
            _ => Err("sslmode is none of disable, require, verify-ca and verify-full".to_owned()),
        }
    }
}

/// The files of TLS, as the URL names them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Files {
    /// The authorities that are trusted; without it those of the system.
    pub(super) authorities: Option<PathBuf>,
    /// The certificate and the key by which the server knows this client.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

impl Files {
    pub(super) fn new(
        root: Option<&str>,
        certificate: Option<&str>,
        key: Option<&str>,
    ) -> Result<Self, String> {
        let client = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            _ => return Err("sslcert and sslkey go together".to_owned()),
        };
        Ok(Self {
            authorities: root.filter(|root| *root != SYSTEM).map(PathBuf::from),
            client,
        })
    }
}

/// Why TLS with a server does not come about, though the server answers: a sentence for the operator.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{server}: {why}")]
pub(crate) struct TlsFault {
    /// Host and port.
    server: String,
    /// What happened, with the file that it is about, and what to do.
    pub(crate) why: String,
}

/// How TLS is spoken with one server.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    /// Host and port, for messages.
    pub(super) server: String,
    pub(super) mode: Mode,
    pub(super) files: Files,
}

impl Tls {
    /// The authorities whose certificates are believed; none when nothing is verified. As in libpq, `require` with a file
    /// of authorities verifies them.
    fn authorities(&self) -> Result<Option<Authorities>, TlsFault> {
        let mut roots = RootCertStore::empty();
        let Some(path) = &self.files.authorities else {
            if matches!(self.mode, Mode::Disable | Mode::Require) {
                return Ok(None);
            }
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(self.fault(
                    "this system has no trusted authorities, so the server's certificate cannot be verified. Install \
                     ca-certificates, or name a file with sslrootcert"
                        .to_owned(),
                ));
            }
            return Ok(Some(Authorities {
                roots,
                listed: Vec::new(),
            }));
        };
        let listed = self.certificates(path, "sslrootcert")?;
        for certificate in &listed {
            roots.add(certificate.clone()).map_err(|error| {
                let path = path.display();
                self.fault(format!(
                    "{path} (sslrootcert) holds a certificate that can't be used: {error}"
                ))
            })?;
        }
        Ok(Some(Authorities { roots, listed }))
    }

    fn fault(&self, why: String) -> TlsFault {
        TlsFault {
            server: self.server.clone(),
            why,
        }
    }

    /// The certificates of a PEM file: one at least.
    fn certificates(
        &self,
        path: &Path,
        parameter: &str,
    ) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
        let read =
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let why = match read {
            Ok(found) if !found.is_empty() => return Ok(found),
            Ok(_) => "holds no certificate in PEM form".to_owned(),
            Err(error) => unreadable(&error),
        };
        Err(self.fault(format!("{} ({parameter}) {why}", path.display())))
    }

    /// Reads the files and makes the settings of one connection.
    pub(super) fn config(&self) -> Result<ClientConfig, TlsFault> {
        // Named, for the process may have more than one of them built in.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let broken = |error: rustls::Error| self.fault(error.to_string());
        let verifier = Verifier {
            authorities: self.authorities()?,
            name: self.mode == Mode::VerifyFull,
            algorithms,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(broken)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.files.client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = self.certificates(certificate, "sslcert")?;
                let (certificate, key_path) = (certificate.display(), key.display());
                let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
                    let why = match error {
                        PemError::NoItemsFound => {
                            "holds no private key in PEM form; an encrypted key is not accepted"
                                .to_owned()
                        }
                        error => unreadable(&error),
                    };
                    self.fault(format!("{key_path} (sslkey) {why}"))
                })?;
                builder.with_client_auth_cert(chain, private).map_err(|error| {
                    self.fault(match error {
                        rustls::Error::InconsistentKeys(_) => format!(
                            "{key_path} (sslkey) does not belong to the certificate {certificate} (sslcert). Name the key that \
                             it was issued for"
                        ),
                        error => format!("{certificate} (sslcert) can't be used: {error}"),
                    })
                })?
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }

    /// An error of the handshake, or of a read after it, as a sentence if it is a judgement of one side about the other.
    fn judged(&self, error: io::Error) -> io::Error {
        let known = error.get_ref().and_then(|inner| inner.downcast_ref());
        match known.and_then(|error| self.judgement(error)) {
            Some(why) => io::Error::other(self.fault(why)),
            None => error,
        }
    }

    fn judgement(&self, error: &rustls::Error) -> Option<String> {
        Some(match error {
            rustls::Error::InvalidCertificate(why) => self.distrusted(why),
            rustls::Error::AlertReceived(alert) => return self.refused(*alert),
            rustls::Error::PeerIncompatible(_) => {
                format!(
                    "the server speaks no TLS that Tokenward accepts, which is 1.2 or 1.3: {error}"
                )
            }
            rustls::Error::InvalidMessage(_) => {
                format!("the answer to the TLS handshake is not TLS: {error}")
            }
            _ => return None,
        })
    }

    /// Why the server's certificate is not accepted.
    fn distrusted(&self, why: &CertificateError) -> String {
        let date = |time: &UnixTime| {
            let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX / MICROS_PER_SECOND);
            Timestamp(seconds.saturating_mul(MICROS_PER_SECOND)).iso()
        };
        let listed = self.files.authorities.as_deref().map_or_else(
            || "the authorities that this system trusts".to_owned(),
            |path| format!("those in {} (sslrootcert)", path.display()),
        );
        match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                "the server's certificate is not signed by one of {listed}. Name the file with its authority by sslrootcert"
            ),
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => format!(
                "the server's certificate is that of an authority, and not itself one of {listed}. Name its file by \
                 sslrootcert, or issue a certificate for the server"
            ),
            CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                "the server's certificate names no host in subjectAltName. Issue one that does, or use sslmode=verify-ca to \
                 verify its authority only"
                    .to_owned()
            }
            CertificateError::NotValidForNameContext { presented, .. } => format!(
                "the server's certificate is issued for {}, not for the host in the database URL. Connect by a name that it \
                 holds, or use sslmode=verify-ca to verify its authority only",
                presented.join(", ")
            ),
            CertificateError::ExpiredContext { not_after, .. } => format!(
                "the server's certificate expired at {}. Renew it on the database server",
                date(not_after)
            ),
            CertificateError::NotValidYetContext { not_before, .. } => format!(
                "the server's certificate is not valid before {}. Check it and both clocks",
                date(not_before)
            ),
            why => format!("the server's certificate can't be used: {why}"),
        }
    }

    /// What an alert of the server says about this client; none when it is about something else.
    fn refused(&self, alert: AlertDescription) -> Option<String> {
        use AlertDescription as Alert;
        if !matches!(
            alert,
            Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError
                | Alert::CertificateRequired
        ) {
            return None;
        }
        Some(match &self.files.client {
            Some((path, _)) => format!(
                "the server refuses the client certificate {} (sslcert): {alert:?}. Name one that an authority of the server's \
                 ssl_ca_file signed and that is not expired",
                path.display()
            ),
            None => format!(
                "the server demands a client certificate ({alert:?}). Name one and its key by sslcert and sslkey"
            ),
        })
    }
}

/// Why a PEM file is not read.
fn unreadable(error: &PemError) -> String {
    match error {
        PemError::Io(error) => format!("can't be read: {error}"),
        error => format!("can't be read: {error}"),
    }
}

/// Whose certificates are believed.
#[derive(Debug)]
struct Authorities {
    roots: RootCertStore,
    /// The certificates of a file, of which a server may present one itself: a self-signed one is its own authority.
    listed: Vec<CertificateDer<'static>>,
}

/// Verifies a server's certificate as far as the mode asks.
#[derive(Debug)]
struct Verifier {
    /// None: nothing is verified.
    authorities: Option<Authorities>,
    /// Whether the certificate must name the host.
    name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Whether a certificate is valid at this time.
fn in_time(certificate: &[u8], now: UnixTime) -> Result<(), CertificateError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| CertificateError::BadEncoding)?;
    let time = |time: x509_parser::time::ASN1Time| {
        let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
    };
    let (not_before, not_after) = (
        time(parsed.validity().not_before),
        time(parsed.validity().not_after),
    );
    if now > not_after {
        return Err(CertificateError::ExpiredContext {
            time: now,
            not_after,
        });
    }
    if now < not_before {
        return Err(CertificateError::NotValidYetContext {
            time: now,
            not_before,
        });
    }
    Ok(())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        let parsed = ParsedCertificate::try_from(certificate)?;
        let (roots, all) = (&authorities.roots, self.algorithms.all);
        if authorities
            .listed
            .iter()
            .any(|listed| listed == certificate)
        {
            in_time(certificate, now)?;
        } else {
            verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, all)?;
        }
        if self.name {
            verify_server_name(&parsed, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The handshake with a server of a name.
pub(super) struct Handshake {
    tls: Tls,
    name: String,
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Encrypted;
    type TlsConnect = Handshake;
    type Error = TlsFault;

    fn make_tls_connect(&mut self, name: &str) -> Result<Handshake, TlsFault> {
        Ok(Handshake {
            tls: self.clone(),
            name: name.to_owned(),
        })
    }
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Encrypted>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let Self { tls, name } = self;
            let name = ServerName::try_from(name).map_err(|_| {
                io::Error::other(
                    tls.fault("no certificate can be issued for this host name".to_owned()),
                )
            })?;
            let reading = tls.clone();
            let config = tokio::task::spawn_blocking(move || reading.config()).await;
            let config = config
                .map_err(io::Error::other)?
                .map_err(io::Error::other)?;
            let connecting = TlsConnector::from(Arc::new(config)).connect(name, socket);
            let stream = connecting.await.map_err(|error| tls.judged(error))?;
            Ok(Encrypted { stream, tls })
        })
    }
}

/// A connection with TLS.
pub(super) struct Encrypted {
    stream: TlsStream<Socket>,
    tls: Tls,
}

impl tokio_postgres::tls::TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        let chain = self.stream.get_ref().1.peer_certificates();
        let end_point = chain
            .and_then(<[_]>::first)
            .and_then(|first| end_point(first));
        end_point.map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// The hash of a certificate by which a SCRAM proof is bound to the connection: by the hash function of the certificate's
/// signature, SHA-256 in place of MD5 and SHA-1 (RFC 5929, section 4.1). None for signatures without such a function.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let algorithm = &parsed.signature_algorithm;
    let pss = match algorithm.algorithm == oid::OID_PKCS1_RSASSAPSS {
        true => SignatureAlgorithm::try_from(algorithm).ok(),
        false => None,
    };
    let name = match &pss {
        Some(SignatureAlgorithm::RSASSA_PSS(parameters)) => parameters.hash_algorithm_oid(),
        _ => &algorithm.algorithm,
    };
    let is = |known: &[oid::Oid<'_>]| known.contains(name);
    if is(&[
        oid::OID_PKCS1_MD5WITHRSAENC,
        oid::OID_PKCS1_SHA1WITHRSA,
        oid::OID_HASH_SHA1,
        oid::OID_PKCS1_SHA256WITHRSA,
        oid::OID_SIG_ECDSA_WITH_SHA256,
        oid::OID_NIST_HASH_SHA256,
    ]) {
        return Some(Sha256::digest(certificate).to_vec());
    }
    if is(&[
        oid::OID_PKCS1_SHA384WITHRSA,
        oid::OID_SIG_ECDSA_WITH_SHA384,
        oid::OID_NIST_HASH_SHA384,
    ]) {
        return Some(Sha384::digest(certificate).to_vec());
    }
    is(&[
        oid::OID_PKCS1_SHA512WITHRSA,
        oid::OID_SIG_ECDSA_WITH_SHA512,
        oid::OID_NIST_HASH_SHA512,
    ])
    .then(|| Sha512::digest(certificate).to_vec())
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, into));
        // With TLS 1.3 a server judges the client's certificate after the client's side of the handshake has ended.
        Poll::Ready(read.map_err(|error| self.tls.judged(error)))
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
