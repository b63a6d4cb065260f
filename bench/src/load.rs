//! A small load generator: one thread, many kept connections, one request at a time on each, and no
//! more work a request than it takes to read its answer. It judges every status.

use crate::clock;
use anyhow::{Context as _, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// Bytes of the largest answer read; larger ones end the run.
const ANSWER_MAX: usize = 256 << 10;
/// Bytes read at once.
const PART: usize = 64 << 10;
/// A run in which nothing arrives for this long has failed.
const SILENCE: Duration = Duration::from_secs(10);

/// What a run saw.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Answers by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// How long each took, in microseconds; sorted.
    pub(crate) micros: Vec<u32>,
    /// How long the run took.
    pub(crate) span: Duration,
}

impl Outcome {
    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.micros.len() as f64 / self.span.as_secs_f64()
    }

    /// The latency that `share` of the answers stayed below, in milliseconds.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let at = (self.micros.len() as f64 * share) as usize;
        self.micros
            .get(at)
            .map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
    }

    /// An error unless every answer had this status.
    pub(crate) fn all(self, status: u16) -> Result<Self> {
        let statuses = &self.statuses;
        ensure!(
            statuses.keys().eq([&status]),
            "not every answer was {status}: {statuses:?}"
        );
        Ok(self)
    }
}

/// One connection and the answer arriving on it.
struct Line {
    stream: TcpStream,
    answer: Vec<u8>,
    /// The request, or what is left of it to be written.
    request: Vec<u8>,
    written: usize,
    sent: Duration,
}

/// Keeps `connections` busy for `span`; `request` writes each next request into the empty buffer.
pub(crate) fn run(
    address: SocketAddr,
    connections: usize,
    span: Duration,
    request: impl FnMut(&mut Vec<u8>),
) -> Result<Outcome> {
    let outcome = load(address, connections, span, request);
    outcome.with_context(|| format!("loading {address}"))
}

fn load(
    address: SocketAddr,
    connections: usize,
    span: Duration,
    mut request: impl FnMut(&mut Vec<u8>),
) -> Result<Outcome> {
    let mut poll = Poll::new()?;
    let mut lines = Vec::with_capacity(connections);
    for number in 0..connections {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut stream, Token(number), interest)?;
        let (answer, sent) = (Vec::with_capacity(ANSWER_MAX), clock::wall());
        lines.push(Line {
            stream,
            answer,
            request: Vec::new(),
            written: 0,
            sent,
        });
    }
    let begin = clock::wall();
    let mut outcome = Outcome::default();
    for line in &mut lines {
        line.next(&mut request)?;
    }
    let mut events = Events::with_capacity(connections);
    let mut part = vec![0; PART];
    let mut open = connections;
    while open > 0 {
        poll.poll(&mut events, Some(SILENCE))?;
        if events.is_empty() {
            bail!("it fell silent");
        }
        for event in &events {
            let line = &mut lines[event.token().0];
            if line.written < line.request.len() {
                line.write()?;
            }
            let Some(status) = line.read(&mut part)? else {
                continue;
            };
            let now = clock::wall();
            *outcome.statuses.entry(status).or_default() += 1;
            outcome
                .micros
                .push(u32::try_from((now - line.sent).as_micros()).unwrap_or(u32::MAX));
            if now - begin < span {
                line.next(&mut request)?;
            } else {
                open -= 1;
            }
        }
    }
    outcome.span = clock::wall() - begin;
    outcome.micros.sort_unstable();
    Ok(outcome)
}

impl Line {
    /// Sends the next request.
    fn next(&mut self, request: &mut impl FnMut(&mut Vec<u8>)) -> std::io::Result<()> {
        self.request.clear();
        self.written = 0;
        request(&mut self.request);
        self.sent = clock::wall();
        self.write()
    }

    fn write(&mut self) -> std::io::Result<()> {
        while self.written < self.request.len() {
            match self.stream.write(&self.request[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The status of a whole answer, once it is there.
    fn read(&mut self, part: &mut [u8]) -> std::io::Result<Option<u16>> {
        loop {
            let count = match self.stream.read(part) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            self.answer.extend_from_slice(&part[..count]);
            if let Some((status, length)) = whole(&self.answer).ok_or(ErrorKind::InvalidData)? {
                if self.answer.len() != length {
                    return Err(ErrorKind::InvalidData.into());
                }
                self.answer.clear();
                return Ok(Some(status));
            }
            // A part that did not fill the buffer was the last for now; more will be announced.
            if count < part.len() {
                return Ok(None);
            }
        }
    }
}

/// Status and length of the answer at the beginning of `bytes` if it is whole; none of it if it is not
/// one we can read.
fn whole(bytes: &[u8]) -> Option<Option<(u16, usize)>> {
    if bytes.len() > ANSWER_MAX {
        return None;
    }
    let Some(head) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else {
        return Some(None);
    };
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let status = text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    })?;
    let end = head + 4 + length;
    Some((bytes.len() >= end).then_some((status, end)))
}

/// One request on a connection of its own; the whole answer as text.
pub(crate) fn ask(address: SocketAddr, request: &str) -> Result<String> {
    let mut stream = std::net::TcpStream::connect(address).context(address)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut part = [0; 2048];
    while !matches!(whole(&answer), Some(Some(_))) {
        let count = stream.read(&mut part)?;
        if count == 0 {
            bail!("{address} closed without an answer");
        }
        answer.extend_from_slice(&part[..count]);
    }
    String::from_utf8(answer).with_context(|| format!("{address} answered no text"))
}
