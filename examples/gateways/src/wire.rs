//! A caller that writes its requests byte by byte: doubled headers, odd spellings and paths go out as
//! they are, which no HTTP client would do.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;
use tokenward_testkit::Answer;

/// Longer than any honest answer takes; a gateway that hangs is a failure and not a hung test.
const SILENCE: Duration = Duration::from_secs(15);
/// Headers of one message.
pub(crate) const HEADERS_MAX: usize = 128;
/// The caller's address where nothing else is said: on loopback, and not the gateway's own.
pub const CALLER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

/// One request.
#[derive(Debug, Clone)]
#[must_use]
pub struct Ask {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    from: IpAddr,
}

impl Ask {
    /// A GET of this target, sent as it is.
    pub fn get(target: &str) -> Ask {
        Ask::of("GET", target)
    }

    /// A request with any method.
    pub fn of(method: &str, target: &str) -> Ask {
        Ask {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            from: CALLER,
        }
    }

    /// Adds a header line, whatever is there already.
    pub fn header(mut self, name: &str, value: &str) -> Ask {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds the access token in Clear's header.
    pub fn token(self, token: &str) -> Ask {
        self.header("x-cleartax-auth-token", token)
    }

    /// Adds a body and its length.
    pub fn body(mut self, body: &[u8]) -> Ask {
        self.body = body.to_vec();
        self.header("Content-Length", &body.len().to_string())
    }

    /// Calls from another loopback address.
    pub fn from(mut self, address: IpAddr) -> Ask {
        self.from = address;
        self
    }

    /// The request's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!(
            "{} {} HTTP/1.1\r\nHost: api.example.com\r\n",
            self.method, self.target
        )
        .into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it on a connection of its own and reads the answer.
    ///
    /// # Panics
    /// When no whole answer comes.
    #[track_caller]
    pub fn send(&self, to: SocketAddr) -> Answer {
        match self.try_send(to) {
            Ok(answer) => answer,
            Err(error) => panic!("{} {}: {error}", self.method, self.target),
        }
    }

    /// [`Ask::send`] where a closed connection is a possible answer.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub fn try_send(&self, to: SocketAddr) -> io::Result<Answer> {
        let mut line = Line::open(to, self.from)?;
        line.write(&self.bytes())?;
        line.answer(self.method == "HEAD")
    }
}

/// One connection to a gateway.
#[derive(Debug)]
pub struct Line {
    pub(crate) stream: TcpStream,
    pub(crate) buffer: Vec<u8>,
}

impl Line {
    /// Connects from an address of one's own.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn open(to: SocketAddr, from: IpAddr) -> io::Result<Line> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        socket.connect(&to.into())?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        Ok(Line {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Waits for an answer for so long.
    ///
    /// # Errors
    /// When the socket can't be set.
    pub fn wait_at_most(&self, limit: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(limit))
    }

    /// Writes these bytes.
    ///
    /// # Errors
    /// When the other end takes no more.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Writes these bytes on the side, as far as the other end takes them, while an answer is awaited.
    ///
    /// # Errors
    /// When the connection can't be shared.
    pub fn write_aside(&self, bytes: Vec<u8>) -> io::Result<()> {
        let mut stream = self.stream.try_clone()?;
        // Whoever answers before it has read them may well close the connection.
        std::thread::spawn(move || stream.write_all(&bytes).ok());
        Ok(())
    }

    /// Sends a request and reads the answer.
    ///
    /// # Panics
    /// When no whole answer comes.
    #[track_caller]
    pub fn ask(&mut self, ask: &Ask) -> Answer {
        let answer = self.write(&ask.bytes()).and_then(|()| self.answer(false));
        answer.unwrap_or_else(|error| panic!("{ask:?}: {error}"))
    }

    /// Reads one whole answer, interim ones (1xx, but for 101) skipped. `head` when HEAD was asked.
    ///
    /// # Errors
    /// When the connection ends, or is silent too long, before the answer is whole.
    pub fn answer(&mut self, head: bool) -> io::Result<Answer> {
        loop {
            let mut answer = self.head()?;
            if answer.status < 200 && answer.status != 101 {
                continue;
            }
            let bodiless = head || matches!(answer.status, 101 | 204 | 304);
            if !bodiless {
                let bytes = self.body(&answer.headers)?;
                answer.body = String::from_utf8_lossy(&bytes).into_owned();
            }
            return Ok(answer);
        }
    }

    /// Exactly `count` bytes, after an upgrade.
    ///
    /// # Errors
    /// As [`Line::answer`].
    pub fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.more()?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    fn head(&mut self) -> io::Result<Answer> {
        loop {
            let mut space = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut response = httparse::Response::new(&mut space);
            let parsed = response.parse(&self.buffer).map_err(io::Error::other)?;
            if let httparse::Status::Complete(length) = parsed {
                let mut headers = HeaderMap::new();
                for header in response.headers.iter() {
                    let name = HeaderName::try_from(header.name).map_err(io::Error::other)?;
                    let value = HeaderValue::from_bytes(header.value).map_err(io::Error::other)?;
                    headers.append(name, value);
                }
                let status = response.code.unwrap_or(0);
                self.buffer.drain(..length);
                return Ok(Answer {
                    status,
                    headers,
                    body: String::new(),
                });
            }
            self.more()?;
        }
    }

    fn body(&mut self, headers: &HeaderMap) -> io::Result<Vec<u8>> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if text("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            return self.chunks();
        }
        if let Some(length) = text("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            return self.exactly(length);
        }
        loop {
            match self.more() {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.buffer));
                }
                other => other?,
            }
        }
    }

    /// A whole body in chunks.
    pub(crate) fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.chunk_size()?;
            body.extend(self.exactly(size)?);
            self.exactly(2)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// The size of the next chunk, its line taken away. Trailers are not expected.
    fn chunk_size(&mut self) -> io::Result<usize> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((start, size))) => {
                    self.buffer.drain(..start);
                    return usize::try_from(size).map_err(io::Error::other);
                }
                Ok(httparse::Status::Partial) => self.more()?,
                Err(_) => return Err(io::Error::other("a chunk of no size")),
            }
        }
    }

    /// Reads what has come, or waits for it.
    pub(crate) fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 << 10];
        let read = self.stream.read(&mut piece)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&piece[..read]);
        Ok(())
    }
}
