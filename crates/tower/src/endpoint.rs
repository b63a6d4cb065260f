//! Where a node is: a TCP address, with TLS or without, or a unix socket. What is said on a connection is not
//! known here.

#[cfg(feature = "tls")]
use crate::tls::{Tls, TlsError};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
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

/// Where a node's internal listener is.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// A host and a port, such as `127.0.0.1:8081`.
    Tcp(String),
    /// The path of a unix socket.
    Unix(PathBuf),
    /// A host and a port behind TLS.
    #[cfg(feature = "tls")]
    Tls(Box<Tls>),
}

impl Endpoint {
    /// Reads `unix:/path/to/socket`, or `host:port`, perhaps with `http://` before it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("unix:") {
            Some(path) => Self::Unix(PathBuf::from(path)),
            None => {
                let text = text.strip_prefix("http://").unwrap_or(text);
                Self::Tcp(text.trim_end_matches('/').to_owned())
            }
        }
    }

    /// The node at `address`, a host and a port, behind TLS: its certificate must be for that host, and come
    /// from an authority in the PEM file `authorities` (or be in it itself).
    #[cfg(feature = "tls")]
    pub fn tls(address: &str, authorities: &std::path::Path) -> Result<Self, TlsError> {
        let address = address.strip_prefix("https://").unwrap_or(address);
        let tls = Tls::new(address.trim_end_matches('/'), authorities)?;
        Ok(Self::Tls(Box::new(tls)))
    }

    /// Connects.
    pub(crate) async fn connect(&self, speech: Speech) -> std::io::Result<Socket> {
        #[cfg(not(feature = "tls"))]
        let _ = speech;
        let connecting = async {
            match self {
                Self::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Ok(Socket::Tcp(stream))
                }
                Self::Unix(path) => UnixStream::connect(path).await.map(Socket::Unix),
                #[cfg(feature = "tls")]
                Self::Tls(tls) => {
                    let stream = TcpStream::connect(&tls.address).await?;
                    stream.set_nodelay(true)?;
                    let stream = tls.connect(stream, speech).await?;
                    Ok(Socket::Tls(Box::new(stream)))
                }
            }
        };
        tokio::time::timeout(CONNECTING, connecting).await?
    }

    /// The `Host` of requests to it.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Tcp(address) => address,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => &tls.address,
            Self::Unix(_) => "localhost",
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => write!(f, "https://{}", tls.address),
        }
    }
}

/// A connection of any kind.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

macro_rules! whichever {
    ($self:expr, $stream:ident => $do:expr) => {
        match $self.get_mut() {
            Socket::Tcp($stream) => $do,
            Socket::Unix($stream) => $do,
            #[cfg(feature = "tls")]
            Socket::Tls($stream) => $do,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        whichever!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        whichever!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        whichever!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        whichever!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
