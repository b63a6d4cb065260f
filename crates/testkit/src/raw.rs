//! Connections by hand, for what no HTTP client sends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than any honest answer takes; a server that hangs is then a failure and not a hung test.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The host and port of a base URL.
#[must_use]
pub fn address_of(base: &str) -> &str {
    base.split_once("://").map_or(base, |(_, address)| address)
}

/// A connection to a base URL, whose reads have a deadline.
///
/// # Panics
/// When it is refused.
#[must_use]
#[track_caller]
pub fn connect(base: &str) -> TcpStream {
    let stream = TcpStream::connect(address_of(base)).expect("a connection");
    stream
        .set_read_timeout(Some(ANSWER_LIMIT))
        .expect("a deadline");
    stream
}

/// Sends bytes as they are to a base URL, and reads until the other end closes. It may do so before it has read all.
///
/// # Panics
/// When the other end does not close.
#[must_use]
#[track_caller]
pub fn exchange(base: &str, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = connect(base);
    let _ = stream.write_all(bytes.as_ref());
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        let is_open = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!is_open, "the connection was left open");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer of HTTP/1.1 as it was sent; 0 when there is none.
#[must_use]
pub fn status_of(answer: &str) -> u16 {
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    status.unwrap_or(0)
}
