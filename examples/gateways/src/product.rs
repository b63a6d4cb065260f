//! A product behind a gateway: answers 200 to everything, echoes after an upgrade, and records each
//! request as it arrived. It checks nothing; whatever reaches it has passed the gateway.

use crate::wire::{HEADERS_MAX, Line};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The handshake answer to the sample key of RFC 6455, section 1.3, which the suite sends.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method and target.
    pub line: String,
    /// Header names in lower case with their values, in order.
    pub headers: Vec<(String, String)>,
    /// Bytes of the body so far.
    pub body: usize,
}

impl Seen {
    /// All values of a header, by its name in lower case.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(its, _)| its == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// A running product; ends with this value.
#[derive(Debug)]
pub struct Product {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    ending: Arc<AtomicBool>,
}

impl Product {
    /// Starts on a free port; `name` is the body of its answers.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(name: &'static str) -> Product {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let product = Product {
            address: listener.local_addr().expect("the port bound"),
            seen: Arc::default(),
            ending: Arc::default(),
        };
        let (seen, ending) = (Arc::clone(&product.seen), Arc::clone(&product.ending));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ending.load(Ordering::SeqCst) {
                    return;
                }
                let seen = Arc::clone(&seen);
                // A caller that breaks off is its own affair.
                std::thread::spawn(move || serve(stream, name, &seen).ok());
            }
        });
        product
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that arrived since the last call.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.seen))
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        // Wakes the listener so that it sees the end.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock(seen: &Mutex<Vec<Seen>>) -> MutexGuard<'_, Vec<Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection's life; its end is an error.
fn serve(stream: TcpStream, name: &str, seen: &Mutex<Vec<Seen>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut line = Line {
        stream,
        buffer: Vec::new(),
    };
    loop {
        let request = head(&mut line)?;
        let is_head = request.line.starts_with("HEAD ");
        let upgrade = !request.all("upgrade").is_empty();
        let length = request
            .all("content-length")
            .first()
            .map(|text| text.parse());
        let chunked = !request.all("transfer-encoding").is_empty();
        lock(seen).push(request);
        if upgrade {
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
            );
            line.write(answer.as_bytes())?;
            line.stream.write_all(&line.buffer)?;
            let mut other = line.stream.try_clone()?;
            return std::io::copy(&mut other, &mut line.stream).map(drop);
        }
        let body = match (chunked, length) {
            (true, _) => line.chunks()?,
            (false, Some(Ok(length))) => line.exactly(length)?,
            (false, _) => Vec::new(),
        };
        if let Some(last) = lock(seen).last_mut() {
            last.body = body.len();
        }
        let shown = if is_head { "" } else { name };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{shown}",
            name.len()
        );
        line.write(answer.as_bytes())?;
    }
}

/// The next request's head.
fn head(line: &mut Line) -> std::io::Result<Seen> {
    loop {
        let mut space = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut space);
        let parsed = request.parse(&line.buffer).map_err(std::io::Error::other)?;
        if let httparse::Status::Complete(length) = parsed {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let headers = request.headers.iter();
            let (method, path) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
            let seen = Seen {
                line: format!("{method} {path}"),
                headers: headers
                    .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
                    .collect(),
                body: 0,
            };
            line.buffer.drain(..length);
            return Ok(seen);
        }
        line.more()?;
    }
}
