//! A TCP relay that can fail like a network: cut its connections, keep them open and pass nothing on, or pass all on late.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a direction without traffic looks whether the network has changed.
const LOOK: Duration = Duration::from_millis(20);

/// What a network does with what is sent through it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// Passes it on.
    Good,
    /// Ends every connection and refuses new ones.
    Cut,
    /// Keeps connections, takes new ones, and passes nothing on: what a lost route looks like.
    Silent,
    /// The same, and what was sent meanwhile never arrives: each connection of that time stays open and passes nothing any more.
    Lost,
}

/// A relay from a port of its own to one address. Ends with the value.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    port: u16,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    network: AtomicU8,
    delay_micros: AtomicU64,
    ended: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Shared {
    fn network(&self) -> Network {
        match self.network.load(Ordering::SeqCst) {
            0 => Network::Good,
            1 => Network::Cut,
            2 => Network::Silent,
            _ => Network::Lost,
        }
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every connection.
    fn cut(&self) {
        for connection in self.connections().drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Relay {
    /// A relay to this port of 127.0.0.1.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn to(port: u16) -> Relay {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            network: AtomicU8::new(0),
            delay_micros: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let seen = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || accept(&seen, &listener, target));
        Relay {
            shared,
            port,
            accepting: Some(accepting),
        }
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the network from now on.
    pub fn set(&self, network: Network) {
        self.shared.network.store(network as u8, Ordering::SeqCst);
        if network == Network::Cut {
            self.shared.cut();
        }
    }

    /// Passes everything on so much later, in each direction.
    pub fn delay(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.shared.delay_micros.store(micros, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        self.shared.cut();
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, target: SocketAddr) {
    for connection in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = connection else { continue };
        if shared.network() == Network::Cut {
            continue;
        }
        let Ok(server) = TcpStream::connect(target) else {
            continue;
        };
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (Ok(from), Ok(to), Ok(kept)) = (from.try_clone(), to.try_clone(), from.try_clone())
            else {
                continue;
            };
            shared.connections().push(kept);
            let shared = Arc::clone(shared);
            std::thread::spawn(move || pass(&shared, from, to));
        }
    }
}

/// Passes one direction on until either side ends.
fn pass(shared: &Shared, mut from: TcpStream, mut to: TcpStream) {
    let _ = from.set_read_timeout(Some(LOOK));
    let _ = to.set_nodelay(true);
    let mut buffer = vec![0; 65_536];
    let mut is_lost = false;
    while !shared.ended.load(Ordering::SeqCst) {
        is_lost |= shared.network() == Network::Lost;
        if is_lost || shared.network() == Network::Silent {
            std::thread::park_timeout(LOOK);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                let delay = shared.delay_micros.load(Ordering::SeqCst);
                if delay > 0 {
                    std::thread::park_timeout(Duration::from_micros(delay));
                }
                // What was under way when the route was lost does not arrive before it is back.
                while shared.network() == Network::Silent && !shared.ended.load(Ordering::SeqCst) {
                    std::thread::park_timeout(LOOK);
                }
                is_lost |= shared.network() == Network::Lost;
                if !is_lost && to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::{Network, Relay};
    use crate::wait_until;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn what_is_sent_arrives_or_waits_or_ends_as_the_network_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay::to(listener.local_addr().unwrap().port());
        let mut client = TcpStream::connect(("127.0.0.1", relay.port())).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut byte = [0];
        client.write_all(b"a").unwrap();
        server.read_exact(&mut byte).unwrap();
        server.write_all(b"b").unwrap();
        client.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"b");

        relay.set(Network::Silent);
        client.write_all(b"c").unwrap();
        server
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        assert!(server.read(&mut byte).is_err(), "nothing is passed on");
        relay.set(Network::Good);
        server.set_read_timeout(Some(LIMIT)).unwrap();
        server.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"c", "it was kept");

        relay.set(Network::Lost);
        client.write_all(b"d").unwrap();
        server
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        assert!(server.read(&mut byte).is_err(), "nothing is passed on");
        relay.set(Network::Good);
        assert!(server.read(&mut byte).is_err(), "nor later");
        server.set_read_timeout(Some(LIMIT)).unwrap();

        relay.set(Network::Cut);
        assert_eq!(server.read(&mut byte).unwrap_or(0), 0);
        wait_until("new connections to be refused", LIMIT, || {
            let mut refused = TcpStream::connect(("127.0.0.1", relay.port())).ok()?;
            refused.set_read_timeout(Some(LIMIT)).unwrap();
            (refused.read(&mut byte).unwrap_or(0) == 0).then_some(())
        });
    }
}
