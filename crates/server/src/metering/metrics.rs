//! What is counted, for Prometheus. Labels hold fixed words only: never an id, a label or an address
//! that a caller chooses.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};
use std::cell::Cell;
use tokenward_core::Timestamp;
use tokenward_core::time::MICROS_PER_SECOND;
use tokenward_store::{AttachmentCounts, Coherence, Nodes};

/// Outcome of a check or a call, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// `PERMIT`, or the error code.
    pub outcome: &'static str,
}

/// Kind of a credential, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// How a member signed in, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

/// The server's counters.
pub struct Metrics {
    registry: Registry,
    permits: Counter,
    checks: Family<Outcome, Counter>,
    generates: Family<Outcome, Counter>,
    /// How long generating took, in seconds.
    pub generate_seconds: Histogram,
    failures: Counter,
    internal_connections: Counter,
    connections_refused: Counter,
    credentials_refused: Family<Kind, Counter>,
    counts_lost: Counter,
    notices: Family<Outcome, Counter>,
    /// How long deciding a check took, in seconds; of one check in [`CHECKS_A_SAMPLE`].
    check_seconds: Histogram,
    /// How long a decision took from its submission to its answer, in seconds.
    commit_seconds: Histogram,
    admin_calls: Family<Outcome, Counter>,
    sign_ins: Family<Method, Counter>,
    audit_verified: Gauge,
    audit_verified_at: Gauge,
    started: Gauge,
    spans: Spans,
}

/// A listener, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ListenerName {
    /// `public` or `internal`.
    pub listener: &'static str,
}

/// The version, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// Label values that every scrape shows from the start, so that a rate sees the first event as a rise from 0. What is
/// not listed here appears with its first event.
const CHECK_OUTCOMES: [&str; 15] = [
    "ACCESS_TOKEN_MISSING",
    "ACCESS_TOKEN_MALFORMED",
    "CLIENT_SECRET_USED_AS_TOKEN",
    "ENVIRONMENT_MISMATCH",
    "ACCESS_TOKEN_UNKNOWN",
    "TOKEN_SUPERSEDED",
    "TOKEN_EXPIRED",
    "TOKEN_REVOKED",
    "CLIENT_DISABLED",
    "CLIENT_DELETED",
    "PRODUCT_NOT_ALLOWED",
    "ADDRESS_NOT_ALLOWED",
    "PRODUCT_UNKNOWN",
    "CALLER_NOT_ALLOWED",
    "CANNOT_VOUCH",
];
const GENERATE_OUTCOMES: [&str; 14] = [
    "GENERATED",
    "RETURNED",
    "CLIENT_SECRET_MISSING",
    "CLIENT_SECRET_INVALID",
    "ACCESS_TOKEN_USED_AS_SECRET",
    "ENVIRONMENT_MISMATCH",
    "CLIENT_DISABLED",
    "CLIENT_DELETED",
    "ADDRESS_NOT_ALLOWED",
    "GENERATION_MISMATCH",
    "QUOTA_EXCEEDED",
    "TOO_MANY_ATTEMPTS",
    "TOO_MANY_REQUESTS",
    "TEMPORARILY_UNAVAILABLE",
];
const ADMIN_OUTCOMES: [&str; 3] = ["OK", "REFUSED", "FAILED"];
const NOTICE_OUTCOMES: [&str; 3] = ["DELIVERED", "FAILED", "GIVEN_UP"];
const CREDENTIAL_KINDS: [&str; 7] = [
    "client_secret",
    "admin_key",
    "internal_bearer",
    "password",
    "code",
    "passkey",
    "single_sign_on",
];
const SIGN_IN_METHODS: [&str; 4] = [
    "password",
    "password and code",
    "password and passkey",
    "single sign-on",
];

/// Checks of which one is timed: reading the clock twice is a good part of what a check costs.
const CHECKS_A_SAMPLE: u32 = 64;

/// What is read at each scrape rather than counted.
pub struct Reading {
    /// Clients in the replica, deleted ones included.
    pub clients: usize,
    /// The last change's number and the last audit entry's.
    pub numbers: (u64, u64),
    /// Groups and changes committed.
    pub committed: (u64, u64),
    /// Writes waiting.
    pub waiting: usize,
    /// Attached replicas.
    pub replicas: AttachmentCounts,
    /// Whether checks are answered.
    pub vouching: bool,
    /// Whether writes are taken.
    pub writable: bool,
    /// When the certificates in use end, in seconds since 1970.
    pub certificates: Vec<(ListenerName, i64)>,
    /// When the last backup of this node's store was made, in seconds since 1970; 0 when none is known.
    pub backed_up: i64,
    /// How far Tokenward's time is ahead of the machine's clock.
    pub clock_ahead: std::time::Duration,
    /// Nanoseconds left of the lease; none when it has no end.
    pub lease_left: Option<u64>,
    /// The key that makes new digests.
    pub digest_key: u8,
    /// All nodes of the database.
    pub nodes: Nodes,
}

/// A family with a series at 0 for each of these values of its label.
fn from_zero<L>(values: &[&'static str], label: impl Fn(&'static str) -> L) -> Family<L, Counter>
where
    L: Clone + std::hash::Hash + Eq,
{
    let family = Family::default();
    for value in values {
        drop(family.get_or_create(&label(value)));
    }
    family
}

/// A metric, registered.
fn with<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// A metric at zero, registered.
fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    with(registry, name, help, M::default())
}

/// Registers gauges with the values that they have now: name, help and value.
macro_rules! gauges {
    ($registry:expr; $($name:literal, $help:literal, $value:expr;)*) => {
        $($registry.register($name, $help, ConstGauge::new($value));)*
    };
}

/// The same for counters.
macro_rules! counters {
    ($registry:expr; $($name:literal, $help:literal, $value:expr;)*) => {
        $($registry.register($name, $help, ConstCounter::new($value));)*
    };
}

impl Metrics {
    /// All counters, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut all = Registry::default();
        let started = add(
            &mut all,
            "process_start_time_seconds",
            "When the process started, in seconds since 1970",
        );
        let registry = all.sub_registry_with_prefix("tokenward");
        let build = Family::<Build, Gauge>::default();
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&Build { version }).set(1);
        registry.register("build_info", "1, labelled with the version", build);
        let checks = from_zero(&CHECK_OUTCOMES, |outcome| Outcome { outcome });
        let permits = checks.get_or_create(&Outcome { outcome: "PERMIT" }).clone();
        let audit_verified = Gauge::default();
        audit_verified.set(-1);
        Self {
            started,
            credentials_refused: with(
                registry,
                "credentials_refused",
                "Credentials refused by kind",
                from_zero(&CREDENTIAL_KINDS, |kind| Kind { kind }),
            ),
            permits,
            checks: with(registry, "checks", "Checks by outcome", checks),
            generates: with(
                registry,
                "generate_calls",
                "Calls of the token API by outcome",
                from_zero(&GENERATE_OUTCOMES, |outcome| Outcome { outcome }),
            ),
            // 0.1 ms to 26 s.
            generate_seconds: with(
                registry,
                "generate_seconds",
                "Time a successful generate took",
                Histogram::new(exponential_buckets(0.000_1, 2.0, 19)),
            ),
            failures: add(registry, "failures", "Faults answered with a 5xx"),
            internal_connections: add(
                registry,
                "internal_connections",
                "Connections to the internal listener",
            ),
            connections_refused: add(
                registry,
                "public_connections_refused",
                "Connections to the public listener closed because their source had too many: a new one, or one of its idle ones to make room for it",
            ),
            counts_lost: add(
                registry,
                "counts_lost",
                "Checks not counted for their clients because there was no room",
            ),
            notices: with(
                registry,
                "notices",
                "Attempts to deliver a notice by outcome",
                from_zero(&NOTICE_OUTCOMES, |outcome| Outcome { outcome }),
            ),
            // 1 µs to 0.5 s.
            check_seconds: with(
                registry,
                "check_seconds",
                "Time deciding a check took, of one check in 64",
                Histogram::new(exponential_buckets(0.000_001, 2.0, 20)),
            ),
            // 0.1 ms to 26 s.
            commit_seconds: with(
                registry,
                "commit_seconds",
                "Time a decision took from its submission to its answer: the wait for the writer, the commit, and the acknowledgements of nodes and replicas",
                Histogram::new(exponential_buckets(0.000_1, 2.0, 19)),
            ),
            admin_calls: with(
                registry,
                "admin_calls",
                "Calls of the admin API by outcome: OK, or REFUSED (4xx) or FAILED (5xx)",
                from_zero(&ADMIN_OUTCOMES, |outcome| Outcome { outcome }),
            ),
            sign_ins: with(
                registry,
                "sign_ins",
                "Sign-ins to the console by method; refused ones are in tokenward_credentials_refused_total",
                from_zero(&SIGN_IN_METHODS, |method| Method { method }),
            ),
            audit_verified: with(
                registry,
                "audit_verified",
                "Result of the last verification of the audit log: 1 whole, 0 broken, -1 none since the start",
                audit_verified,
            ),
            audit_verified_at: add(
                registry,
                "audit_verified_timestamp_seconds",
                "When the audit log was last verified, in seconds since 1970; 0: not since the start",
            ),
            spans: Spans {
                exported: add(
                    registry,
                    "spans_exported",
                    "Spans of traces that the collector took",
                ),
                lost: add(
                    registry,
                    "spans_lost",
                    "Spans of traces, and traced requests, that were not sent: too many at once, or the collector did not take them",
                ),
            },
            registry: all,
        }
    }

    /// Keeps what a verification of the audit log found, and when.
    pub fn audit_verified(&self, whole: bool, at: Timestamp) {
        self.audit_verified.set(whole.into());
        self.audit_verified_at.set(at.unix_seconds());
    }

    /// Counts a permit: one atomic addition.
    pub fn permitted(&self) {
        self.permits.inc();
    }

    /// Counts a check that was not permitted.
    pub fn checked(&self, outcome: &'static str) {
        self.checks.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a call of the token API.
    pub fn generated(&self, outcome: &'static str) {
        self.generates.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a connection to the internal listener: beside the checks it tells whether gateways keep
    /// theirs.
    pub fn connected(&self) {
        self.internal_connections.inc();
    }

    /// Counts a refused credential.
    pub(crate) fn credential_refused(&self, kind: &'static str) {
        self.credentials_refused.get_or_create(&Kind { kind }).inc();
    }

    /// Counts a sign-in to the console by `method`, as the audit log names it.
    pub(crate) fn signed_in(&self, method: &'static str) {
        self.sign_ins.get_or_create(&Method { method }).inc();
    }

    /// Counts a connection to the public listener that was closed because its source had too many: a new one, or an idle
    /// one that made room for it.
    pub fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    /// Counts what could not be counted for a client.
    pub fn counts_lost(&self, n: u64) {
        self.counts_lost.inc_by(n);
    }

    /// Counts an attempt to deliver a notice.
    pub fn notice(&self, outcome: &'static str) {
        self.notices.get_or_create(&Outcome { outcome }).inc();
    }

    /// Keeps how long a decision that was committed took, in seconds.
    pub(crate) fn committed(&self, seconds: f64) {
        self.commit_seconds.observe(seconds);
    }

    /// The counts of spans.
    pub(crate) fn spans(&self) -> &Spans {
        &self.spans
    }

    /// Counts a fault.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// Whether this check is one that is timed.
    #[must_use]
    pub fn times_check(&self) -> bool {
        thread_local!(static CHECKS: Cell<u32> = const { Cell::new(0) });
        CHECKS.with(|checks| {
            let n = checks.get().wrapping_add(1);
            checks.set(n);
            n % CHECKS_A_SAMPLE == 1
        })
    }

    /// Keeps how long a check that was timed took.
    pub fn check_took(&self, seconds: f64) {
        self.check_seconds.observe(seconds);
    }

    /// Counts a call of the admin API.
    pub fn administered(&self, outcome: &'static str) {
        self.admin_calls.get_or_create(&Outcome { outcome }).inc();
    }

    /// Keeps when the process started.
    pub fn started(&self, at: Timestamp) {
        self.started.set(at.unix_seconds());
    }

    /// The text Prometheus reads.
    #[must_use]
    pub fn text(&self, now: &Reading) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode_registry(&mut text, &process())
            .and_then(|()| encode_registry(&mut text, &self.registry))
            .and_then(|()| encode_registry(&mut text, &now.registry()))
            .and_then(|()| encode_eof(&mut text));
        text
    }
}

/// A coherence level, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Level {
    level: &'static str,
}

impl Reading {
    /// All of it, as metrics.
    fn registry(&self) -> Registry {
        let mut all = Registry::with_prefix("tokenward");
        let (changes, audit_entries) = self.numbers;
        let (groups, committed) = self.committed;
        let nodes = &self.nodes;
        let own = nodes.nodes.iter().find(|node| node.own);
        let applied = own.map_or(nodes.change, |node| node.acknowledged);
        let lease_left = self.lease_left.map(std::time::Duration::from_nanos);
        counters! { all;
            "log_lines_dropped", "Log lines dropped because they were not read in time", crate::logs::dropped();
            "groups_committed", "Groups of changes committed", groups;
            "changes_committed", "Changes committed", committed;
            "replicas_given_up", "Replicas given up because they did not keep up", self.replicas.expelled;
        }
        // Gauges that only rise are kept under their old names for those who read them, beside counters.
        gauges! { all;
            "clients", "API clients in the replica, deleted ones included", self.clients as u64;
            "change_number", "Number of the last change", changes;
            "audit_seq", "Number of the last audit entry", audit_entries;
            "commit_groups", "Groups committed since the start; see tokenward_groups_committed_total", groups;
            "commit_changes", "Changes committed since the start; see tokenward_changes_committed_total", committed;
            "writes_waiting", "Writes waiting for the writer", self.waiting as u64;
            "replicas", "Attached replicas, those cut off that may still vouch included", self.replicas.attached as u64;
            "replicas_expelled", "Replicas given up since the start; see tokenward_replicas_given_up_total", self.replicas.expelled;
            "answers_held", "Decisions whose answers wait for attached replicas", self.replicas.held as u64;
            "vouching", "1 while checks are answered", u32::from(self.vouching);
            "writable", "1 while the store takes writes", u32::from(self.writable);
            "clock_ahead_seconds", "How far Tokenward's time, which never goes back, is ahead of the system clock", self.clock_ahead.as_secs_f64();
            "nodes", "Nodes that use the database, this one included", nodes.nodes.len() as u64;
            "node_changes_behind", "Changes that were in the database and not applied here at the last renewal", nodes.change.saturating_sub(applied);
            "lease_seconds_left", "Seconds for which checks are answered if the lease is not renewed; +Inf on SQLite", lease_left.map_or(f64::INFINITY, |left| left.as_secs_f64());
            "clock_difference_seconds", "How far this machine's clock is ahead of the database's; negative: behind", nodes.clock_ahead as f64 / MICROS_PER_SECOND as f64;
            "digest_key", "Id of the digest key that makes new digests", u32::from(self.digest_key);
            "last_backup_timestamp_seconds", "When `tokenward backup` last made a copy of the SQLite store, in seconds since 1970; 0: never, or with PostgreSQL", self.backed_up;
        }
        let coherence: Family<Level, Gauge> = add(
            &mut all,
            "coherence_level",
            "1 at what can be lost when the database fails: strict (nothing), single_server, weak",
        );
        for one in [Coherence::Strict, Coherence::SingleServer, Coherence::Weak] {
            let level = one.as_str();
            let level = coherence.get_or_create(&Level { level });
            level.set(i64::from(one == nodes.coherence));
        }
        let certificates: Family<ListenerName, Gauge> = add(
            &mut all,
            "certificate_expiry_timestamp_seconds",
            "When the certificate in use ends, in seconds since 1970",
        );
        for (listener, end) in &self.certificates {
            certificates.get_or_create(listener).set(*end);
        }
        all
    }
}

/// Counts of spans of traces.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    /// Sent to the collector.
    pub exported: Counter,
    /// Not sent: too many at once, or the collector did not take them.
    pub lost: Counter,
}

/// Figures of the process under the names that Prometheus' own client libraries use, but for what can't be read.
fn process() -> Registry {
    let mut all = Registry::default();
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = most.map_or(-1, |most| i64::try_from(most).unwrap_or(i64::MAX));
    gauges! { all; "process_max_fds", "Most file descriptors", most; }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        // The folder itself is one of them.
        let open = files.count().saturating_sub(1) as u64;
        gauges! { all; "process_open_fds", "Open file descriptors", open; }
    }
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name stands in parentheses and may hold anything; fields are counted behind it (proc(5)).
    let fields: Vec<&str> = stat
        .rsplit_once(") ")
        .map_or_else(Vec::new, |(_, rest)| rest.split(' ').collect());
    let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
    if let (Some(user), Some(system)) = (field(14), field(15)) {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let seconds = (f64::from(user) + f64::from(system)) / ticks;
        counters! { all; "process_cpu_seconds", "User and system time spent", seconds; }
    }
    if let Some(threads) = field(20) {
        gauges! { all; "process_threads", "Threads", threads; }
    }
    if let Some(pages) = field(24) {
        let bytes = u64::from(pages) * rustix::param::page_size() as u64;
        gauges! { all; "process_resident_memory_bytes", "Resident memory", bytes; }
    }
    all
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// OpenMetrics text as Prometheus' older text format (version 0.0.4): there a counter's family is named as its samples
/// are, and there are no units and no end mark.
#[must_use]
pub fn prometheus_text(open_metrics: &str) -> String {
    let counters: std::collections::HashSet<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len() + 1_024);
    for line in open_metrics.lines() {
        let described = ["# HELP ", "# TYPE "].into_iter().find_map(|mark| {
            let (name, rest) = line.strip_prefix(mark)?.split_once(' ')?;
            counters.contains(name).then_some((mark, name, rest))
        });
        match described {
            Some((mark, name, rest)) => {
                text.extend([mark, name, "_total ", rest]);
            }
            None if line == "# EOF" || line.starts_with("# UNIT ") => continue,
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_text_format_names_counters_as_their_samples() {
        let open = "# HELP a Some.\n# TYPE a counter\na_total{x=\"a b\"} 1\n# HELP b More.\n# TYPE b gauge\n# UNIT b bytes\nb 2\n# EOF\n";
        let text = "# HELP a_total Some.\n# TYPE a_total counter\na_total{x=\"a b\"} 1\n# HELP b More.\n# TYPE b gauge\nb 2\n";
        assert_eq!(prometheus_text(open), text);
    }
}
