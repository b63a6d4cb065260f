//! Listening sockets that another process keeps for this one: systemd by a socket unit, or `tokenward hold`. They stay open
//! when the server ends, so that callers wait in the kernel until the next server accepts them.

use super::unix;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The sockets that were handed over and not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    tcp: Vec<(SocketAddr, TcpListener)>,
    unix: Vec<(PathBuf, UnixListener)>,
}

impl Handed {
    /// Takes what the environment names (`LISTEN_FDS`, `LISTEN_PID`), once in a process and before it has threads: the
    /// variables are removed.
    ///
    /// # Errors
    /// When what was handed over is no listening TCP or unix socket.
    pub(crate) fn take() -> Result<Self, String> {
        let mut found = listenfd::ListenFd::from_env();
        let mut taken = Self::default();
        for place in 0..found.len() {
            let broken = |error: std::io::Error| {
                format!(
                    "socket {place} of LISTEN_FDS can't be used: {error}. Hand over listening TCP or unix stream sockets \
                     (ListenStream= of a socket unit)"
                )
            };
            if let Ok(Some(socket)) = found.take_tcp_listener(place) {
                socket.set_nonblocking(true).map_err(broken)?;
                taken
                    .tcp
                    .push((socket.local_addr().map_err(broken)?, socket));
            } else if let Some(socket) = found.take_unix_listener(place).map_err(broken)? {
                socket.set_nonblocking(true).map_err(broken)?;
                let address = socket.local_addr().map_err(broken)?;
                let path = address.as_pathname().unwrap_or(Path::new(""));
                taken.unix.push((path.to_owned(), socket));
            }
        }
        if found.len() > 0 {
            // A server whose `tokenward hold` was killed would go on without anybody who ends it. systemd does not end.
            let term = Some(rustix::process::Signal::TERM);
            let _ = rustix::process::set_parent_process_death_signal(term);
        }
        Ok(taken)
    }

    /// The socket for this setting of an address. Port 0 means any port.
    pub(crate) fn tcp(&mut self, wanted: SocketAddr) -> Option<(SocketAddr, TcpListener)> {
        let fits = |at: &SocketAddr| {
            at.ip() == wanted.ip() && (at.port() == wanted.port() || wanted.port() == 0)
        };
        let place = self.tcp.iter().position(|(at, _)| fits(at))?;
        Some(self.tcp.remove(place))
    }

    /// The unix socket at this path.
    pub(crate) fn unix(&mut self, wanted: &Path) -> Option<UnixListener> {
        let place = self
            .unix
            .iter()
            .position(|(bound, _)| unix::Socket::is_at(bound, wanted))?;
        Some(self.unix.remove(place).1)
    }

    /// Those that no setting names: callers of them would wait without end.
    pub(crate) fn unclaimed(&self) -> Vec<String> {
        let tcp = self.tcp.iter().map(|(address, _)| address.to_string());
        let unix = self.unix.iter().map(|(path, _)| path.display().to_string());
        tcp.chain(unix).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_finds_its_socket_and_the_rest_is_named() {
        let socket = || {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            (socket.local_addr().unwrap(), socket)
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("check.sock");
        let unix = UnixListener::bind(&path).unwrap();
        let tcp = vec![socket(), socket(), socket()];
        let [first, second, third] = [tcp[0].0, tcp[1].0, tcp[2].0];
        let unix = vec![(path.clone(), unix)];
        let mut handed = Handed { tcp, unix };
        assert_eq!(handed.tcp(second).unwrap().0, second);
        assert!(handed.tcp(second).is_none(), "it is taken");
        assert!(
            handed
                .tcp(SocketAddr::from(([127, 0, 0, 2], first.port())))
                .is_none()
        );
        assert_eq!(
            handed.tcp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap().0,
            first
        );
        assert!(handed.unix(Path::new("/elsewhere")).is_none());
        assert_eq!(
            handed.unclaimed(),
            [third.to_string(), path.display().to_string()]
        );
        assert!(handed.unix(&path).is_some());
        // As `tokenward hold` binds it.
        let bound = folder.path().join("check.sock.77");
        let unix = UnixListener::bind(&bound).unwrap();
        handed.unix = vec![(bound, unix)];
        assert!(handed.unix(&folder.path().join("check")).is_none());
        assert!(handed.unix(&path).is_some());
    }
}
