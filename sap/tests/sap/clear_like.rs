//! A server like Clear's own in front of the real one: no generations, no `If-Match`, no other route than generating. What the
//! package does then rests on the lock and on reading again alone.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Longest wait for the others of a crowd; without a fault they are there within a second of a quiet machine.
const CROWD_LIMIT: Duration = Duration::from_secs(120);

/// Requests that are held until enough of them are there.
#[derive(Default)]
struct Crowd {
    there: Mutex<usize>,
    more: Condvar,
}

impl Crowd {
    fn wait_for(&self, count: usize) {
        let mut there = self.there.lock().expect("no thread panics here");
        *there += 1;
        self.more.notify_all();
        let gathered = self
            .more
            .wait_timeout_while(there, CROWD_LIMIT, |there| *there < count);
        drop(gathered.expect("no thread panics here"));
    }
}

/// Starts it before the token server at `target` (base URL) and gives its own base URL. It ends with the test process.
pub(crate) fn before(target: &str) -> String {
    before_a_crowd(target, 1)
}

/// The same; requests are held until this many callers ask for a token at one time. What callers do who are not kept
/// apart is then seen however slow the machine is.
pub(crate) fn before_a_crowd(target: &str, count: usize) -> String {
    let target = target.trim_start_matches("http://").to_owned();
    let crowd = Arc::new(Crowd::default());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let target = target.clone();
            let crowd = crowd.clone();
            std::thread::spawn(move || {
                // A caller that went away is no matter of the tests.
                let _ = pass(stream, &target, || crowd.wait_for(count));
            });
        }
    });
    base
}

/// One exchange: the request without `If-Match`, the answer's body without what Clear's has not.
fn pass(mut caller: TcpStream, target: &str, wait: impl FnOnce()) -> std::io::Result<()> {
    let request = read_head(&mut caller)?;
    wait();
    let mut server = TcpStream::connect(target)?;
    server.set_read_timeout(Some(tokenward_testkit::PROGRAM_LIMIT))?;
    for line in request.lines().filter(|line| !line.is_empty()) {
        let lower = line.to_ascii_lowercase();
        if !lower.starts_with("if-match:") && !lower.starts_with("connection:") {
            write!(server, "{line}\r\n")?;
        }
    }
    write!(server, "Connection: close\r\n\r\n")?;
    let mut answer = String::new();
    server.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let mut told: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    if let Some(object) = told.as_object_mut() {
        object.retain(|name, _| matches!(name.as_str(), "access_token" | "valid_till" | "errors"));
    }
    let body = told.to_string();
    for line in head.lines() {
        let lower = line.to_ascii_lowercase();
        if !["etag:", "content-length:", "connection:"]
            .iter()
            .any(|name| lower.starts_with(name))
        {
            write!(caller, "{line}\r\n")?;
        }
    }
    write!(
        caller,
        "Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The head of a request; the requests here have no body.
fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0_u8];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            break;
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
