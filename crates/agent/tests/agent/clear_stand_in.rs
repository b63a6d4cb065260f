//! A stand-in for Clear's own token server and a product behind it, as its public reference describes them: a new
//! token ends the old one at once, 288 a day, no generations, no `If-Match`, no status call, tokens of another
//! shape than ours. It is not Clear's software; what it shows is that our side needs nothing more than this.

use crate::services::{Asked, bare_folder, stub};
use crate::world::write_config;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokenward_core::Timestamp;

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
        let base = stub(move |request| answer(&serving, request));
        ClearStandIn { shared, base }
    }

    /// A folder with a client of this server, whose secret must be `s3cret`, and these further lines of it.
    pub(crate) fn folder(&self, lines: &str) -> TempDir {
        let folder = bare_folder();
        let lines = format!("server_kind = \"clear\"\n{lines}");
        write_config(&folder.path().join("agent.toml"), &self.base, &lines);
        folder
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

fn answer(shared: &Shared, request: &Asked) -> Response {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let error = |code: &str| json!({"errors": [{"error_code": code}]}).to_string();
    // With its query: Clear's server knows none of our parameters.
    let target = request.uri().path_and_query();
    let (status, body) = match target.map_or("", |target| target.as_str()) {
        "/integration/v1/authz/token" => {
            if header("x-clear-client-secret") == Some(&*shared.secret) {
                generate(shared).unwrap_or_else(|code| (429, error(code)))
            } else {
                (401, error("CLIENT_SECRET_INVALID"))
            }
        }
        "/product" => {
            let live = shared.live.lock().unwrap();
            let presented = header("x-cleartax-auth-token");
            let good = live
                .as_ref()
                .is_some_and(|(token, end)| presented == Some(&**token) && shared.now() < *end);
            match good {
                true => (200, String::new()),
                false => (401, error("UNAUTHORIZED")),
            }
        }
        _ => (404, error("NOT_FOUND")),
    };
    let headers = [
        ("date", httpdate::fmt_http_date(shared.now())),
        ("content-type", "application/json".to_owned()),
    ];
    (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
}

fn generate(shared: &Shared) -> Result<(u16, String), &'static str> {
    let mut live = shared.live.lock().unwrap();
    let nth = shared.made.fetch_add(1, Ordering::SeqCst) + 1;
    if nth > QUOTA {
        return Err("QUOTA_EXCEEDED");
    }
    let life = shared.lifetime.as_secs();
    let token = format!("1.{nth}-{life}-opaque$of'another\"shape");
    let end = shared.now() + shared.lifetime;
    *live = Some((token.clone(), end));
    if let Some(trap) = shared.trap.lock().unwrap().take() {
        trap();
        shared.trapped.fetch_add(1, Ordering::SeqCst);
    }
    let since = end.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let till = Timestamp(i64::try_from(since.as_micros()).unwrap()).iso();
    let body = json!({"access_token": token, "valid_till": till});
    Ok((200, body.to_string()))
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
