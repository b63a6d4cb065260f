//! A stand-in for Clear's own token server and a product behind it, as its public reference describes them: a new
//! token ends the old one at once, 288 a day, no generations, no `If-Match`, no status call, tokens of another
//! shape than ours. It is not Clear's software; what it shows is that our side needs nothing more than this.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// Tokens a day (Clear's figure).
const QUOTA: u64 = 288;

/// A running stand-in. Its threads end with the test process.
#[derive(Clone)]
pub(crate) struct ClearStandIn {
    shared: Arc<Shared>,
    pub(crate) base: String,
}

type Trap = Box<dyn FnOnce() + Send>;

struct Shared {
    secret: String,
    lifetime: Duration,
    behind: Duration,
    live: Mutex<Option<(String, SystemTime)>>,
    made: AtomicU64,
    /// What happens when the next token has been made, before it is answered.
    trap: Mutex<Option<Trap>>,
    trapped: AtomicU64,
}

impl ClearStandIn {
    pub(crate) fn start(secret: &str, lifetime: Duration) -> ClearStandIn {
        ClearStandIn::behind(secret, lifetime, Duration::ZERO)
    }

    /// One whose clock is behind this machine's; or, seen from there, whose clients' clocks are fast.
    pub(crate) fn behind(secret: &str, lifetime: Duration, behind: Duration) -> ClearStandIn {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            secret: secret.to_owned(),
            lifetime,
            behind,
            live: Mutex::new(None),
            made: AtomicU64::new(0),
            trap: Mutex::new(None),
            trapped: AtomicU64::new(0),
        });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = serving.clone();
                std::thread::spawn(move || serve(&shared, stream));
            }
        });
        ClearStandIn { shared, base }
    }

    /// Tokens made so far.
    pub(crate) fn made(&self) -> u64 {
        self.shared.made.load(Ordering::SeqCst)
    }

    /// Does this after the next token is made and before it is answered.
    pub(crate) fn set_trap(&self, trap: impl FnOnce() + Send + 'static) {
        *self.shared.trap.lock().unwrap() = Some(Box::new(trap));
    }

    /// How many traps sprang.
    pub(crate) fn trapped(&self) -> u64 {
        self.shared.trapped.load(Ordering::SeqCst)
    }

    /// Ends the live token, as another holder of the secret would by generating one.
    pub(crate) fn generate_elsewhere(&self) {
        let end = self.shared.now() + self.shared.lifetime;
        *self.shared.live.lock().unwrap() = Some(("elsewhere".to_owned(), end));
    }

    /// Where a product checks tokens.
    pub(crate) fn product_url(&self) -> String {
        format!("{}/product", self.base)
    }
}

impl Shared {
    #[expect(
        clippy::disallowed_methods,
        reason = "a stand-in of a server has a clock of its own"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now() - self.behind
    }
}

/// Requests on one connection, one after the other.
fn serve(shared: &Shared, stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => head.push(line.trim_end().to_owned()),
            }
        }
        let (status, body) = answer(shared, &head);
        let body = if head[0].starts_with("HEAD") {
            ""
        } else {
            &body
        };
        let date = httpdate(shared.now());
        let sent = write!(
            writer,
            "HTTP/1.1 {status} X\r\ndate: {date}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if sent.is_err() {
            return;
        }
    }
}

fn answer(shared: &Shared, head: &[String]) -> (u16, String) {
    let header = |name: &str| {
        head.iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let error = |code: &str| format!("{{\"errors\":[{{\"error_code\":\"{code}\"}}]}}");
    let mut words = head[0].split(' ').skip(1);
    match words.next().unwrap_or_default() {
        "/integration/v1/authz/token" => {
            if header("x-clear-client-secret").as_deref() != Some(&shared.secret) {
                return (401, error("CLIENT_SECRET_INVALID"));
            }
            let mut live = shared.live.lock().unwrap();
            let nth = shared.made.fetch_add(1, Ordering::SeqCst) + 1;
            if nth > QUOTA {
                return (429, error("QUOTA_EXCEEDED"));
            }
            let life = shared.lifetime.as_secs();
            let token = format!("1.{nth}-{life}-opaque$of'another\"shape");
            let end = shared.now() + shared.lifetime;
            *live = Some((token.clone(), end));
            if let Some(trap) = shared.trap.lock().unwrap().take() {
                trap();
                shared.trapped.fetch_add(1, Ordering::SeqCst);
            }
            let token = token.replace('"', "\\\"");
            let till = iso(end);
            (
                200,
                format!("{{\"access_token\":\"{token}\",\"valid_till\":\"{till}\"}}"),
            )
        }
        "/product" => {
            let live = shared.live.lock().unwrap();
            let presented = header("x-cleartax-auth-token");
            let good = live.as_ref().is_some_and(|(token, end)| {
                presented.as_ref() == Some(token) && shared.now() < *end
            });
            if good {
                (200, String::new())
            } else {
                (401, error("UNAUTHORIZED"))
            }
        }
        _ => (404, error("NOT_FOUND")),
    }
}

/// Ends the process that the kernel names as holder of the lock on a file.
pub(crate) fn kill_holder(lock: &Path) {
    let inode = std::fs::metadata(lock).unwrap().ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let holder = locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let held = words.get(5)?.rsplit(':').next()? == inode;
        held.then(|| words[4].parse::<i32>().unwrap())
    });
    let pid = Pid::from_raw(holder.expect("a holder of the lock")).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

fn iso(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    tokenward_core::Timestamp(i64::try_from(since.as_micros()).unwrap()).iso()
}

fn httpdate(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}
