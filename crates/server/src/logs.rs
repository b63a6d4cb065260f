//! Log lines: structured, with a request id, never a secret. Writing them never holds up who logs: when nobody reads
//! them, lines are dropped and counted, and floods of lines of one kind are cut off.

use crate::clock::SystemClock;
use crate::config::{Config, LogFormat};
use percent_encoding::percent_decode_str;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tokenward_core::time::{BootInstant, Clock};
use tracing::Level;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Lines that may wait to be written.
const LINES_WAITING: usize = 2_048;

static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Lines dropped since the start because they were not read in time.
#[must_use]
pub fn dropped() -> u64 {
    DROPPED
        .get()
        .map_or(0, |counter| counter.dropped_lines() as u64)
}

/// Writes log lines until dropped; then what waits is written, for about a second at most.
#[must_use]
pub struct Logging(#[expect(dead_code, reason = "its drop writes what waits")] WorkerGuard);

/// Starts logging to standard error. Asked for twice (in tests), the first stands.
pub fn start(config: &Config) -> Logging {
    let targets: Targets = config
        .log
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(Level::INFO));
    // Others print whole request heads, addresses and statements with their parameters at their lower levels.
    let ours =
        filter_fn(|about| about.target().starts_with("tokenward") || *about.level() <= Level::WARN);
    // Not `stderr()`: its lock, held by a write that waits, would stop whoever else writes there.
    let output = std::io::stderr().as_fd().try_clone_to_owned();
    let builder = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_WAITING)
        .thread_name("log");
    let (writer, guard) = match output {
        Ok(output) => builder.finish(File::from(output)),
        Err(_) => builder.finish(std::io::stderr()),
    };
    let counter = writer.error_counter();
    let registry = tracing_subscriber::registry().with(targets).with(ours);
    let begun = match config.log_format {
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer().json();
            registry.with(lines.with_writer(writer)).try_init()
        }
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let lines = tracing_subscriber::fmt::layer().with_ansi(colour);
            registry.with(lines.with_writer(writer)).try_init()
        }
    };
    if begun.is_ok() {
        let _ = DROPPED.set(counter);
    }
    Logging(guard)
}

/// How many lines of one kind are written in a period; the rest is counted and told with the next line.
#[derive(Debug)]
pub struct Limit {
    lines: u64,
    seconds: u64,
    /// The period, and the lines written in it in the lower half.
    state: AtomicU64,
    left_out: AtomicU64,
}

impl Limit {
    /// At most `lines` in each period of `seconds`.
    #[must_use]
    pub const fn new(lines: u32, seconds: u32) -> Self {
        Self {
            lines: lines as u64,
            seconds: seconds as u64,
            state: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    /// Whether a line may be written at `now`: the lines left out since the last one, or none if it may not.
    pub fn admit(&self, now: BootInstant) -> Option<u64> {
        // From 1, so that a period is never that of the beginning.
        let period = (now.0 / 1_000_000_000 / self.seconds + 1) & u64::from(u32::MAX);
        let next = |state: u64| match (state >> 32 == period, state & u64::from(u32::MAX)) {
            (true, count) if count >= self.lines => None,
            (true, _) => Some(state + 1),
            (false, _) => Some((period << 32) + 1),
        };
        let admitted = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        match admitted {
            Ok(_) => Some(self.left_out.swap(0, Ordering::Relaxed)),
            Err(_) => {
                self.left_out.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

/// Lines about failed reads in a minute: during an outage each request would write one.
static FAILED_READS: Limit = Limit::new(5, 60);

/// Notes that the store could not be read. Requests that failed for it are counted and have their own lines.
pub(crate) fn read_failed(error: &tokenward_store::StoreError) {
    if let Some(left_out) = FAILED_READS.admit(SystemClock.boot()) {
        let left_out = (left_out > 0).then_some(left_out);
        tracing::error!(left_out, "a read failed: {error}");
    }
}

/// Hex digits in a row from which on they may be the better part of a secret, and are cut out.
const HEX_RUN: usize = 40;

/// The pages behind links that are sent or handed over: the rest of their address is a secret.
const LINKS: [&str; 3] = ["/join/", "/email/confirm/", "/email/stop/"];
/// Characters in a row from which on letters of both cases may be such a secret in another place.
const LINK_RUN: usize = 40;

/// A path as it may be logged: a credential or a link's secret in it, whole, maimed or percent-encoded, is cut out, and
/// no control character reaches a terminal.
#[must_use]
pub fn safe(path: &str) -> String {
    let path = decoded(path);
    if let Some(link) = LINKS.iter().find(|link| path.contains(*link)) {
        return format!("/console{link}(link)");
    }
    let is_secret = |part: &str| {
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        part.len() >= LINK_RUN
            && part.bytes().all(sign)
            && part.bytes().any(|byte| byte.is_ascii_uppercase())
            && part.bytes().any(|byte| byte.is_ascii_lowercase())
    };
    let path = match path.split('/').any(is_secret) {
        true => {
            let parts = path.split('/');
            let shown = parts.map(|part| if is_secret(part) { "(link)" } else { part });
            shown.collect::<Vec<_>>().join("/")
        }
        false => path,
    };
    let finds = tokenward_core::scan::scan(path.as_bytes());
    let mut out = String::with_capacity(path.len().min(256));
    let mut at = 0;
    for find in finds {
        push_without_hex(&mut out, &path[at..find.start]);
        out.push_str("(credential)");
        at = find.end;
    }
    push_without_hex(&mut out, &path[at..]);
    let plain = |c: char| if c.is_control() { '?' } else { c };
    out.chars().map(plain).take(256).collect()
}

/// The path without percent-encoding, even if that was done twice.
fn decoded(path: &str) -> String {
    let once = percent_decode_str(path).decode_utf8_lossy();
    percent_decode_str(&once).decode_utf8_lossy().into_owned()
}

fn push_without_hex(out: &mut String, text: &str) {
    let is_hex = |c: char| c.is_ascii_hexdigit();
    let mut rest = text;
    while let Some(start) = rest.find(is_hex) {
        let (before, from) = rest.split_at(start);
        let (run, after) = from.split_at(from.find(|c| !is_hex(c)).unwrap_or(from.len()));
        out.push_str(before);
        out.push_str(if run.len() < HEX_RUN { run } else { "(hex)" });
        rest = after;
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_limit_are_counted_and_told_with_the_next() {
        let limit = Limit::new(2, 10);
        let at = |seconds: u64| limit.admit(BootInstant(seconds * 1_000_000_000));
        assert_eq!([at(1), at(2), at(3), at(9)], [Some(0), Some(0), None, None]);
        assert_eq!([at(10), at(11), at(12)], [Some(2), Some(0), None]);
        assert_eq!(at(40), Some(1));
    }

    #[test]
    fn a_path_shows_everything_but_secrets() {
        let check = |path: &str, expect: &str| assert_eq!(safe(path), expect);
        check("/admin/v1/clients/0123-ab", "/admin/v1/clients/0123-ab");
        check("/a%20b%zz%", "/a b%zz%");
        check("/x\u{1b}%0a", "/x??");
        let run = "0123456789abcdef".repeat(3);
        check(&format!("/x/{run}/y"), "/x/(hex)/y");
        check(&format!("/{}", run.to_uppercase()), "/(hex)");
        let twice: String = run.bytes().map(|byte| format!("%25{byte:02x}")).collect();
        check(&format!("/{twice}"), "/(hex)");
        let link = "wv_XYyO1zjiRVGCZkOmQWhXfrzordzpLK3Y_uX4lSws";
        check(&format!("/console/join/{link}"), "/console/join/(link)");
        check(&format!("/console//join/{link}/"), "/console/join/(link)");
        check(&format!("/console%2fjoin%2F{link}"), "/console/join/(link)");
        for page in ["confirm", "stop"] {
            let expect = format!("/console/email/{page}/(link)");
            check(&format!("/console/email/{page}/{link}"), &expect);
            check(&format!("/console/email/{page}/{}", &link[..9]), &expect);
            let moved = format!("/console/email//{page}/{link}/x");
            check(&moved, &format!("/console/email//{page}/(link)/x"));
        }
        let slug = "a-product-whose-slug-is-longer-than-most-of-the-others";
        check(&format!("/products/{slug}"), &format!("/products/{slug}"));
        check(&format!("/{}ü", &run[..39]), &format!("/{}ü", &run[..39]));
    }
}
