//! Listening sockets, plain or TLS. Certificates are read again at SIGHUP; a new one that can't be used
//! leaves the old one in place.

pub mod addresses;
pub(crate) mod destination;
pub(crate) mod forwarded;
pub(crate) mod limits;
pub(crate) mod timeouts;
pub(crate) mod unix;

use crate::config::TlsFiles;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokenward_core::time::{MICROS_PER_SECOND, Timestamp};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The name of this machine; none when it does not tell one.
pub(crate) fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Connections the kernel holds for us while we are busy.
const BACKLOG: u32 = 4_096;
/// A TLS handshake not done in this time is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The certificate in use, shared by all listeners of one address.
pub(crate) struct Tls {
    files: TlsFiles,
    pair: RwLock<Pair>,
}

/// A certificate with its key, ready for use.
#[derive(Clone)]
struct Pair {
    acceptor: TlsAcceptor,
    /// From when and till when it is valid, in seconds since 1970.
    valid: (i64, i64),
}

impl Tls {
    /// Reads certificate and key.
    pub(crate) fn open(files: TlsFiles) -> Result<Self, String> {
        let pair = RwLock::new(read(&files)?);
        Ok(Self { files, pair })
    }

    /// Reads them again; connections under way keep what they have.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let fresh = read(&self.files)?;
        *self
            .pair
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Till when the certificate in use is valid, in seconds since 1970.
    pub(crate) fn valid_till(&self) -> i64 {
        self.pair().valid.1
    }

    /// Why callers will refuse the certificate in use at this time, in seconds since 1970; none if they will not.
    pub(crate) fn out_of_time(&self, now: i64) -> Option<String> {
        let (from, till) = self.pair().valid;
        let file = self.files.certificate.display();
        let date = |seconds| Timestamp(seconds * MICROS_PER_SECOND).iso();
        if now > till {
            let till = date(till);
            return Some(format!(
                "the certificate {file} expired at {till}: callers refuse it. Renew it, then send SIGHUP or start again"
            ));
        }
        (now < from).then(|| {
            let from = date(from);
            format!("the certificate {file} is not valid before {from}: callers refuse it. Check it and the clock")
        })
    }

    fn pair(&self) -> Pair {
        self.pair
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn acceptor(&self) -> TlsAcceptor {
        self.pair().acceptor
    }
}

fn read(files: &TlsFiles) -> Result<Pair, String> {
    let (certificate, key) = (files.certificate.display(), files.key.display());
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| {
            format!(
                "{certificate} can't be read as a certificate: {}",
                pem(&error)
            )
        })?;
    let Some(first) = certificates.first() else {
        let swapped = PrivateKeyDer::from_pem_file(&files.certificate).is_ok();
        let hint = if swapped {
            " It holds a private key: are the names of certificate and key swapped?"
        } else {
            " Name a file in PEM form, with a line -----BEGIN CERTIFICATE-----"
        };
        return Err(format!("{certificate} holds no certificate.{hint}"));
    };
    let (_, parsed) = x509_parser::parse_x509_certificate(first).map_err(|error| {
        format!("the first certificate in {certificate} can't be read: {error}")
    })?;
    let validity = parsed.validity();
    let valid = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    let private = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => {
            let swapped = CertificateDer::from_pem_file(&files.key).is_ok();
            let hint = if swapped {
                " It holds a certificate: are the names of certificate and key swapped?"
            } else {
                " Name a file in PEM form, with a line -----BEGIN PRIVATE KEY-----; an encrypted key is not accepted"
            };
            format!("{key} holds no private key.{hint}")
        }
        error => format!("{key} can't be read as a private key: {}", pem(&error)),
    })?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => format!(
                "the key {key} does not belong to the certificate {certificate}. Name the key the certificate was issued for"
            ),
            error => format!("{certificate} and {key} can't be used: {error}"),
        })?;
    config.alpn_protocols = vec![
        b"h2".to_vec(),
        b"http/1.1".to_vec(),
        tokenward_core::attach::ALPN.to_vec(),
    ];
    Ok(Pair {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        valid,
    })
}

/// The system's own words for a file that can't be opened.
fn pem(error: &rustls_pki_types::pem::Error) -> String {
    match error {
        rustls_pki_types::pem::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// A TLS handshake under way.
pub(crate) type Handshake =
    Pin<Box<dyn Future<Output = std::io::Result<TlsStream<TcpStream>>> + Send>>;

/// An accepted connection.
pub(crate) enum Connection {
    /// Without TLS.
    Plain(TcpStream, IpAddr),
    /// With TLS still to be agreed on.
    Tls(Handshake, IpAddr),
}

impl Connection {
    /// The address at its other end.
    #[must_use]
    pub(crate) fn peer(&self) -> IpAddr {
        match self {
            Self::Plain(_, peer) | Self::Tls(_, peer) => *peer,
        }
    }
}

/// A listening socket.
pub(crate) struct Listener {
    socket: TcpListener,
    tls: Option<Arc<Tls>>,
}

/// Binds an address once for each of `count` threads, so that the kernel spreads connections over
/// them; with port 0 all get the same free port.
pub(crate) fn bind(
    address: SocketAddr,
    count: usize,
) -> std::io::Result<(SocketAddr, Vec<std::net::TcpListener>)> {
    use socket2::{Domain, Protocol, Socket, Type};
    let mut address = address;
    let mut sockets = Vec::with_capacity(count);
    if count > 1 && address.port() != 0 {
        // Sockets that share a port share it with other processes of this user, too: a second server would take half
        // of the first one's connections. A socket that shares with none is refused then.
        std::net::TcpListener::bind(address)?;
    }
    for _ in 0..count {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        if count > 1 {
            socket.set_reuse_port(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG.cast_signed())?;
        let socket = std::net::TcpListener::from(socket);
        address = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok((address, sockets))
}

impl Listener {
    /// Makes a bound socket ready on the current runtime.
    pub(crate) fn new(
        socket: std::net::TcpListener,
        tls: Option<Arc<Tls>>,
    ) -> std::io::Result<Self> {
        Ok(Self {
            socket: TcpListener::from_std(socket)?,
            tls,
        })
    }

    /// The next connection. Waits a moment when the process is out of file descriptors.
    pub(crate) async fn accept(&self) -> Connection {
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => return connection(stream, peer, self.tls.as_ref()),
                Err(error) => pause(&error).await,
            }
        }
    }

    /// Stops listening. Returns the connections that the kernel had taken by then: their callers see them as made, and would
    /// get a reset instead of an answer.
    pub(crate) fn close(self) -> Vec<Connection> {
        let Ok(socket) = self.socket.into_std() else {
            return Vec::new();
        };
        let taken = std::iter::from_fn(|| socket.accept().ok());
        let taken: Vec<_> = taken.take(BACKLOG as usize).collect();
        drop(socket);
        let served = taken.into_iter().filter_map(|(stream, peer)| {
            stream.set_nonblocking(true).ok()?;
            let stream = TcpStream::from_std(stream).ok()?;
            Some(connection(stream, peer, self.tls.as_ref()))
        });
        served.collect()
    }
}

fn connection(stream: TcpStream, peer: SocketAddr, tls: Option<&Arc<Tls>>) -> Connection {
    let _ = stream.set_nodelay(true);
    let peer = peer.ip().to_canonical();
    match tls {
        None => Connection::Plain(stream, peer),
        Some(tls) => {
            let accept = tls.acceptor().accept(stream);
            let timed = async move {
                tokio::time::timeout(HANDSHAKE, accept)
                    .await
                    .unwrap_or_else(|late| Err(late.into()))
            };
            Connection::Tls(Box::pin(timed), peer)
        }
    }
}

/// How long a connection that was made before a stop may take to send its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// How often is looked whether it has.
const FIRST_REQUEST_LOOK: Duration = Duration::from_millis(10);

/// Returns when a connection is to end because the server stops: at once if it has been used (`asked`), else when its first
/// request is there or late. Its caller could not know of the stop.
pub(crate) async fn stopping(
    stop: &mut tokio::sync::watch::Receiver<bool>,
    asked: impl Fn() -> bool,
) {
    let _ = stop.wait_for(|stop| *stop).await;
    let mut look = tokio::time::interval(FIRST_REQUEST_LOOK);
    let first = async {
        while !asked() {
            look.tick().await;
        }
    };
    let _ = tokio::time::timeout(FIRST_REQUEST, first).await;
}

/// After a connection could not be accepted: waits a moment, for a process out of file descriptors gets
/// none by asking at once.
pub(crate) async fn pause(error: &std::io::Error) {
    tracing::warn!("could not accept a connection: {error}");
    #[expect(
        clippy::disallowed_methods,
        reason = "the kernel has nothing to wait for here"
    )]
    tokio::time::sleep(Duration::from_millis(50)).await;
}
