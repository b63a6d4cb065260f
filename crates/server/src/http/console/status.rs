//! What runs here, and with which settings: for those who keep it running.

use super::prelude::*;
use super::shown::span;
use crate::net::Tls;
use crate::verbs::nodes;
use tokenward_core::time::MICROS_PER_SECOND;
use tokenward_store::{Coherence, Node, Nodes};

/// Seconds by which this machine's clock may differ from the database's without a mark on the page.
const CLOCK_GOOD: f64 = 2.0;

struct Fact {
    name: &'static str,
    value: String,
    tone: &'static str,
}

impl Fact {
    fn new(name: &'static str, value: impl Into<String>, tone: &'static str) -> Self {
        let value = value.into();
        Self { name, value, tone }
    }
}

#[derive(Template)]
#[template(path = "console/status.html")]
struct StatusPage {
    frame: Frame,
    facts: Vec<Fact>,
    attached: Vec<Fact>,
    coherence: Option<Fact>,
    nodes: Vec<NodeRow>,
}

/// A node in the table.
struct NodeRow {
    name: String,
    own: bool,
    silent: bool,
    silent_for: String,
    version: String,
    behind: String,
    replicas: String,
    key: String,
    joined: Moment,
    differing: Vec<String>,
}

#[derive(Template)]
#[template(path = "console/settings.html")]
struct SettingsPage {
    frame: Frame,
    groups: Vec<(&'static str, Vec<(String, String)>)>,
}

/// `GET /console/status`
pub(super) async fn show(Member(app, person): Member) -> Reply {
    let fact = |name, value: String| Fact::new(name, value, "");
    let judged = |name, good: bool, yes: &str, no: &str| match good {
        true => Fact::new(name, yes, "good"),
        false => Fact::new(name, no, "bad"),
    };
    let mut facts = vec![
        judged(
            "Token checks",
            app.is_ready(),
            "Operational",
            "Unavailable (CANNOT_VOUCH)",
        ),
        judged(
            "Writes",
            app.data.store.is_writable(),
            "Operational",
            "Unavailable: the database is not writable",
        ),
        fact("Version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let mut attached = Vec::new();
    if person.admin().own_workspace().is_none() {
        let (change, audit) = app.data.store.numbers();
        let (groups, changes) = app.data.store.committed();
        let engine = match app.data.config.database_url {
            Some(_) => "PostgreSQL",
            None => "SQLite",
        };
        facts.extend([
            fact("Database", engine.to_owned()),
            fact(
                "API clients in memory",
                count(app.data.replica().client_count() as u64),
            ),
            fact("Last change", count(change)),
            fact("Audit entries", count(audit)),
            fact("Epoch", app.data.store.head_at_open().epoch.to_string()),
            fact(
                "Changes since start",
                format!("{} in {} commits", count(changes), count(groups)),
            ),
            fact("Pending writes", count(app.data.store.waiting() as u64)),
            fact(
                "Data directory",
                app.data.config.data_dir.display().to_string(),
            ),
        ]);
        let tls = app.tls.get().map_or(&[][..], |tls| &tls[..]);
        facts.extend(certificates(tls, app.data.clock().wall().unix_seconds()));
        let counts = app.data.store.attachments().counts();
        attached = vec![
            fact("Connected", count(counts.attached as u64)),
            fact("Disconnected (lease pending)", count(counts.expelled)),
            fact("Pending acknowledgements", count(counts.held as u64)),
        ];
    }
    let (mut nodes, mut coherence) = (Vec::new(), None);
    if let Ok(seen) = nodes::list(&app.data, &person.admin()) {
        if app.data.config.database_url.is_some() {
            coherence = Some(what_can_be_lost(seen.coherence));
            facts.push(clock(seen.clock_ahead));
        }
        facts.push(fact(
            "Digest key for new digests",
            app.data.keyring.current().0.to_string(),
        ));
        let now = app.data.clock().wall();
        let rows = seen.nodes.iter().map(|node| row(&seen, node, now));
        nodes = rows.collect();
    }
    page(&StatusPage {
        frame: Frame::new(&person, "Status", "status"),
        facts,
        attached,
        coherence,
        nodes,
    })
}

fn row(seen: &Nodes, node: &Node, now: Timestamp) -> NodeRow {
    NodeRow {
        name: node.about.name.clone(),
        own: node.own,
        silent: nodes::is_silent(node),
        silent_for: span(node.silent_for.as_secs()),
        version: node.about.version.clone(),
        behind: count(seen.change.saturating_sub(node.acknowledged)),
        replicas: count(node.replicas),
        key: node
            .newest_key
            .map_or_else(|| "unknown".to_owned(), |key| key.0.to_string()),
        joined: Moment::new(node.joined_at, now),
        differing: seen
            .differing(node)
            .map(|(name, value, _)| format!("{name} = {value}"))
            .collect(),
    }
}

/// What can be lost when the database fails, in words.
fn what_can_be_lost(coherence: Coherence) -> Fact {
    let (value, tone) = match coherence {
        Coherence::Strict => (
            "Strict: a synchronous standby has every confirmed change, so a failover loses none",
            "good",
        ),
        Coherence::SingleServer => (
            "Single server: confirmed changes survive a crash of the database, but a failover to a copy can lose the latest ones. \
             Treat a failover as a restore",
            "",
        ),
        Coherence::Weak => (
            "Weak: fsync or full_page_writes is off, so a crash of the database can lose confirmed changes",
            "bad",
        ),
    };
    Fact::new("If the database fails", value, tone)
}

fn clock(ahead: i64) -> Fact {
    let seconds = ahead.unsigned_abs() as f64 / MICROS_PER_SECOND as f64;
    let side = if ahead < 0 { "behind" } else { "ahead of" };
    let tone = if seconds < CLOCK_GOOD { "" } else { "bad" };
    let value = format!("{seconds:.1} s {side} the database's");
    Fact::new("Clock", value, tone)
}

/// Until when the certificates of the public and the internal listener are valid; `now` is in seconds since 1970.
fn certificates(tls: &[Option<Arc<Tls>>], now: i64) -> Vec<Fact> {
    let names = [
        "Certificate, public listener",
        "Certificate, internal listener",
    ];
    let fact = |(name, tls): (&'static str, &Option<Arc<Tls>>)| {
        let tls = tls.as_ref()?;
        let Some(till) = tls.valid_till_iso() else {
            let value = "None yet: ordered by ACME, TLS connections are refused";
            return Some(Fact::new(name, value, "bad"));
        };
        let when = format!("{} {} UTC", &till[..10], &till[11..16]);
        let (value, tone) = match (tls.out_of_time(now), tls.ends_soon(now)) {
            (Some(_), _) => (format!("Not valid now; expires {when}"), "bad"),
            (None, Some(_)) => (format!("Expires soon: {when}"), "warn"),
            (None, None) => (format!("Expires {when}"), ""),
        };
        Some(Fact::new(name, value, tone))
    };
    names.into_iter().zip(tls).filter_map(fact).collect()
}

/// `GET /console/settings`
pub(super) async fn settings(Member(app, person): Member) -> Reply {
    person.admin().must_see_settings()?;
    let written = serde_json::to_value(&app.data.config).unwrap_or_default();
    let groups = [
        (
            "Addresses",
            "public internal internal_unix issuer environment_hosts trusted_proxies",
        ),
        ("Tokens", "quota_per_day error_source ratelimit_headers"),
        ("Single sign-on", "sso"),
        (
            "Notifications",
            "public_url mail_from webhook_allow_networks notice_scan_seconds",
        ),
        ("Storage and keys", "data_dir digest_keys"),
        ("TLS", "public_tls acme internal_tls internal_callers"),
        ("Process", "check_threads drain_seconds log log_format"),
    ];
    let value = |name: &str| match &written[name] {
        serde_json::Value::Null => "not set".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(list) if list.is_empty() => "none".to_owned(),
        serde_json::Value::Object(map) if map.is_empty() => "none".to_owned(),
        other => other.to_string(),
    };
    let mut shown: Vec<(&'static str, Vec<(String, String)>)> = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    for (group, names) in groups {
        let names = names.split(' ');
        named.extend(names.clone());
        let rows = names.map(|name| (name.to_owned(), value(name)));
        shown.push((group, rows.collect()));
    }
    // A key that no group names is shown all the same.
    let rest = written.as_object().into_iter().flat_map(|all| all.keys());
    let rest = rest.filter(|name| !named.contains(&name.as_str()));
    let rest: Vec<(String, String)> = rest.map(|name| (name.clone(), value(name))).collect();
    if !rest.is_empty() {
        shown.push(("Other", rest));
    }
    let config = &app.data.config;
    let secrets = [
        ("mail_url", config.mail_url.is_some()),
        ("database_url", config.database_url.is_some()),
        ("internal_auth", config.internal_auth.is_some()),
    ];
    let secrets = secrets
        .map(|(name, is)| (name.to_owned(), set(is)))
        .to_vec();
    shown.push(("Secrets (never shown)", secrets));
    page(&SettingsPage {
        frame: Frame::new(&person, "Settings", "settings"),
        groups: shown,
    })
}

fn set(is: bool) -> String {
    if is { "set" } else { "not set" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::certificate_for_tests;

    #[test]
    fn end_of_each_certificate_is_shown_and_marked_when_it_is_near() {
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls::open(certificate_for_tests(folder.path(), 2030)).unwrap();
        let tls = [None, Some(Arc::new(tls))];
        let end = tls[1].as_ref().unwrap().valid_till().unwrap();
        for (now, shown) in [
            (end - 15 * 86_400, ("Expires 2030-01-01 00:00 UTC", "")),
            (
                end - 13 * 86_400,
                ("Expires soon: 2030-01-01 00:00 UTC", "warn"),
            ),
            (
                end + 1,
                ("Not valid now; expires 2030-01-01 00:00 UTC", "bad"),
            ),
        ] {
            let facts = certificates(&tls, now);
            assert_eq!(facts.len(), 1);
            assert_eq!(facts[0].name, "Certificate, internal listener");
            assert_eq!((facts[0].value.as_str(), facts[0].tone), shown);
        }
    }
}
