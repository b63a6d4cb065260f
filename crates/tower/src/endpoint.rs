//! Where a node is, and connections to it. What is said on a connection is not known here.

#[cfg(feature = "tls")]
use crate::tls::Tls;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A connection not made in this time is given up.
const CONNECTING: Duration = Duration::from_secs(2);

/// What is spoken on a connection; a TLS handshake says it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    /// HTTP/1.
    Questions,
    /// The replica's stream.
    Replica,
}

/// Where a node's internal listener is: a TCP address, with TLS or without, or a unix socket.
///
/// ```
/// use tokenward_tower::Endpoint;
///
/// let same_machine: Endpoint = "unix:/run/tokenward/internal.sock".parse()?;
/// let elsewhere: Endpoint = "10.0.0.5:8081".parse()?;
/// assert!("https://10.0.0.5:8081".parse::<Endpoint>().is_err());
/// # Ok::<(), tokenward_tower::EndpointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// A host and a port.
    Tcp(String),
    /// The path of a unix socket.
    Unix(PathBuf),
    #[cfg(feature = "tls")]
    Tls(Box<Tls>),
}

/// One node or several of one database, in the order in which they are tried. One endpoint, an array and a vector of them
/// can be given where this is wanted.
#[derive(Clone, Debug)]
pub struct Endpoints(Vec<Endpoint>);

impl Endpoints {
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The endpoint of the turn; none when there is none at all.
    pub(crate) fn at(&self, turn: usize) -> Option<&Endpoint> {
        self.0.get(turn.checked_rem(self.0.len())?)
    }
}

impl std::fmt::Display for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(", "))
    }
}

impl From<Endpoint> for Endpoints {
    fn from(one: Endpoint) -> Self {
        Self(vec![one])
    }
}

impl From<Vec<Endpoint>> for Endpoints {
    fn from(all: Vec<Endpoint>) -> Self {
        Self(all)
    }
}

impl<const N: usize> From<[Endpoint; N]> for Endpoints {
    fn from(all: [Endpoint; N]) -> Self {
        Self(all.into())
    }
}

/// The text does not name a node, or the certificate authorities can't be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct EndpointError(pub(crate) String);

/// Reads `unix:/path/to/socket` or `HOST:PORT`, with or without `http://` before it.
///
/// An `https://` address is refused, because TLS needs to know whom to trust: use `Endpoint::tls`.
impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                let what = "unix: the path of the socket is missing. Write unix:/path/to/socket";
                return Err(EndpointError(what.to_owned()));
            }
            return Ok(Self(Kind::Unix(PathBuf::from(path))));
        }
        if text.starts_with("https://") {
            return Err(EndpointError(format!(
                "{text}: TLS needs the certificate authorities to trust. Use Endpoint::tls with a file of them"
            )));
        }
        let address = text.strip_prefix("http://").unwrap_or(text);
        let address = address.trim_end_matches('/');
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        if host.is_empty() || host.contains('/') || port.parse::<u16>().is_err() {
            return Err(EndpointError(format!(
                "{text}: not the address of a node. Write HOST:PORT, such as 10.0.0.5:8081, or unix:/path/to/socket"
            )));
        }
        Ok(Self(Kind::Tcp(address.to_owned())))
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self(Kind::Tcp(address.to_string()))
    }
}

impl Endpoint {
    /// The node at `address`, a host and a port, behind TLS. Its certificate must be valid for that host and come from
    /// an authority in the PEM file `authorities`, or be in that file itself. The machine's own authorities are not
    /// trusted. The file is read again for a new connection when it has changed.
    ///
    /// # Errors
    /// When the address has no port, or the file can't be read or holds no certificate.
    #[cfg(feature = "tls")]
    pub fn tls(address: &str, authorities: &std::path::Path) -> Result<Self, EndpointError> {
        Self::behind_tls(address, authorities, None)
    }

    /// Like [`Endpoint::tls`], for a node that asks its callers for a certificate (`internal_client_authority`): this service's
    /// own, with its key, in the PEM files `certificate` and `key`. A replica needs a certificate whose name has the
    /// grant `replica` in the node's `internal_callers`.
    ///
    /// All files are read again for a new connection when they have changed.
    ///
    /// # Errors
    /// As [`Endpoint::tls`], and when certificate or key can't be read or don't belong together.
    #[cfg(feature = "tls")]
    pub fn mutual_tls(
        address: &str,
        authorities: &std::path::Path,
        certificate: &std::path::Path,
        key: &std::path::Path,
    ) -> Result<Self, EndpointError> {
        Self::behind_tls(address, authorities, Some((certificate, key)))
    }

    #[cfg(feature = "tls")]
    fn behind_tls(
        address: &str,
        authorities: &std::path::Path,
        own: Option<(&std::path::Path, &std::path::Path)>,
    ) -> Result<Self, EndpointError> {
        let address = address.strip_prefix("https://").unwrap_or(address);
        let tls = Tls::new(address.trim_end_matches('/'), authorities, own)?;
        Ok(Self(Kind::Tls(Box::new(tls))))
    }

    /// Connects.
    pub(crate) async fn connect(&self, speech: Speech) -> std::io::Result<Socket> {
        #[cfg(not(feature = "tls"))]
        let _ = speech;
        let connecting = async {
            let stream: Socket = match &self.0 {
                Kind::Tcp(address) => Box::new(tcp(address).await?),
                Kind::Unix(path) => Box::new(UnixStream::connect(path).await?),
                #[cfg(feature = "tls")]
                Kind::Tls(tls) => Box::new(tls.connect(tcp(&tls.address).await?, speech).await?),
            };
            Ok(stream)
        };
        tokio::time::timeout(CONNECTING, connecting).await?
    }

    /// The `Host` of requests to it.
    pub(crate) fn host(&self) -> &str {
        match &self.0 {
            Kind::Tcp(address) => address,
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => &tls.address,
            Kind::Unix(_) => "localhost",
        }
    }
}

async fn tcp(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Tcp(address) => f.write_str(address),
            Kind::Unix(path) => write!(f, "unix:{}", path.display()),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => write!(f, "https://{}", tls.address),
        }
    }
}

/// A connection of any kind.
pub(crate) type Socket = Box<dyn Stream>;

/// What a connection does.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_nodes_are_read_and_others_say_what_is_wrong() {
        for (text, shown) in [
            ("unix:/run/internal.sock", "unix:/run/internal.sock"),
            ("127.0.0.1:8081", "127.0.0.1:8081"),
            ("http://node.internal:8081/", "node.internal:8081"),
            ("[::1]:8081", "[::1]:8081"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), shown);
        }
        for (text, why) in [
            ("https://node.internal:8081", "Use Endpoint::tls"),
            ("node.internal", "HOST:PORT"),
            (":8081", "HOST:PORT"),
            ("node.internal:http", "HOST:PORT"),
            ("http://node.internal/x:1", "HOST:PORT"),
            ("ftp://node.internal:8081", "HOST:PORT"),
            ("unix:", "unix:/path/to/socket"),
            ("", "HOST:PORT"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(text), "{error}");
        }
    }
}
