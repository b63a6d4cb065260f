//! Listening sockets, plain or TLS.

pub(crate) mod acme;
pub mod addresses;
pub(crate) mod caller;
mod certificate;
pub(crate) mod destination;
pub(crate) mod forwarded;
pub(crate) mod inherited_sockets;
pub(crate) mod limits;
pub(crate) mod timeouts;
pub(crate) mod unix;

pub(crate) use certificate::Tls;
#[cfg(test)]
pub(crate) use certificate::certificate_for_tests;

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
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
    /// Another process holds the socket, too, so that callers who come later wait for the next server.
    held: bool,
}

/// A bound address.
pub(crate) struct Bound {
    /// With the port that a port of 0 became.
    pub(crate) address: SocketAddr,
    /// A socket for each thread.
    pub(crate) sockets: Vec<std::net::TcpListener>,
    /// Whether another process holds it, too.
    pub(crate) held: bool,
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
        held: bool,
    ) -> std::io::Result<Self> {
        Ok(Self {
            socket: TcpListener::from_std(socket)?,
            tls,
            held,
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
    /// get a reset instead of an answer. Those of a socket that another process holds stay in the kernel, for the next server.
    pub(crate) fn close(self) -> Vec<Connection> {
        if self.held {
            return Vec::new();
        }
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
                let accepted = tokio::time::timeout(HANDSHAKE, accept).await;
                let stream = accepted.unwrap_or_else(|late| Err(late.into()))?;
                let (_, session) = stream.get_ref();
                match session.alpn_protocol() == Some(acme::PROTOCOL) {
                    // The handshake was all the ACME server wanted, and no certificate of ours stands behind it.
                    true => Err(std::io::ErrorKind::ConnectionAborted.into()),
                    false => Ok(stream),
                }
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
