//! Requests that are decided late: their body is held back, or the writer waits for the database. It calls nothing by
//! itself; the tests of the admin API and of the console's forms use it.

use std::path::Path;
use std::time::Duration;
use tokenward_testkit::{Api, address_of, status_of};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than anything awaited here takes.
const LIMIT: Duration = Duration::from_secs(20);
/// How long the database may stay locked: the server gives a commit up after five seconds.
const STALLED: Duration = Duration::from_secs(3);

/// A request whose head was taken and whose body is held back.
pub(crate) struct Held {
    stream: TcpStream,
    body: String,
}

impl Held {
    /// Sends the head, with these header lines, and waits until the server asks for the body.
    pub(crate) async fn begin(
        base: &str,
        (method, path): (&str, &str),
        headers: &str,
        body: String,
    ) -> Self {
        let address = address_of(base);
        let mut stream = TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}expect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let byte = tokio::time::timeout(LIMIT, stream.read_u8()).await;
            answer.push(byte.expect("the server asks for the body").unwrap());
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 100"), "{path}: {answer}");
        Self { stream, body }
    }

    /// Sends the body; answers the status and all of the answer.
    pub(crate) async fn finish(mut self) -> (u16, String) {
        self.stream.write_all(self.body.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(LIMIT, self.stream.read_to_end(&mut answer)).await;
        read.expect("an answer").unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        (status_of(&answer), answer)
    }
}

/// Keeps the server from committing, until it is dropped: decisions wait in the order in which they came, and what is
/// read stays as it was.
pub(crate) struct Stall {
    connection: rusqlite::Connection,
}

impl Stall {
    pub(crate) fn new(data_dir: &Path) -> Self {
        let connection = rusqlite::Connection::open(data_dir.join("tokenward.sqlite")).unwrap();
        connection.busy_timeout(LIMIT).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self { connection }
    }

    /// Waits until that many decisions wait, or as long as the database may stay locked.
    pub(crate) async fn until(&self, api: &Api, waiting: usize) {
        let waiting = u32::try_from(waiting).expect("a few");
        let look = async { while decisions_waiting(api).await < waiting.into() {} };
        let _ = tokio::time::timeout(STALLED, look).await;
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        let _ = self.connection.execute_batch("ROLLBACK");
    }
}

/// Decisions that wait for the writer.
pub(crate) async fn decisions_waiting(api: &Api) -> f64 {
    api.figure("tokenward_writes_waiting")
        .await
        .expect("the metric")
}
