//! The alert rules and the dashboard, evaluated by Prometheus' own promtool on what a running server answers at
//! `/metrics`. No series is invented here: a case may change the values of a series that was scraped, so a rule, a panel
//! or a page of the guide that names a series the server no longer has fails.

use crate::run;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use tokenward_testkit::{Authority, NewClient, Server};

const MONITORING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/monitoring");
const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide");

/// Pages that name series of the server.
const PAGES: [&str; 5] = [
    "monitoring.md",
    "operate.md",
    "several-nodes.md",
    "integrate-rust.md",
    "gateways/README.md",
];

/// Words of those pages that begin like a series and are none of the server's: a log filter, the canary's own figures.
const OTHERS: [&str; 3] = [
    "tokenward_server",
    "tokenward_canary_alarms_total",
    "tokenward_canary_last_round_timestamp_seconds",
];

/// The series of a running server, as `name{labels}`, with their values.
struct Scrape(BTreeMap<String, String>);

impl Scrape {
    /// Starts a server with TLS at its public listener and a short history, and reads its figures.
    async fn take() -> Scrape {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = Authority::new("monitoring").issue(&["localhost"], (2000, 2100));
        let place = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let certificate = place("certificate.pem", certificate);
        let key = place("key.pem", key);
        let server = Server::builder()
            .arg("--public-tls-certificate")
            .arg(certificate.to_str().unwrap())
            .arg("--public-tls-key")
            .arg(key.to_str().unwrap())
            .start();
        run(&server.binary().to_string_lossy(), |backup| {
            backup.args(["backup", "--data-dir"]);
            backup.arg(server.data_dir()).arg(folder.path());
        });
        let text = server.api().metrics().await.unwrap().expect(200).body;
        Scrape(
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .map(|line| line.rsplit_once(' ').expect("a series and its value"))
                .map(|(series, value)| (series.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    /// Whether this is the name of a series, or of a histogram.
    fn has(&self, name: &str) -> bool {
        let mut names = self.0.keys().map(|series| name_of(series));
        names.any(|known| known == name || known.strip_suffix("_bucket") == Some(name))
    }

    /// Only the series with these names.
    fn only(&self, names: &BTreeSet<&str>) -> Scrape {
        let named = self
            .0
            .iter()
            .filter(|(series, _)| names.contains(name_of(series)));
        Scrape(
            named
                .map(|(series, value)| (series.clone(), value.clone()))
                .collect(),
        )
    }

    /// The series of two nodes that stay as they are, as Prometheus stores them, with the changes of a case.
    fn input(&self, changes: &[Change]) -> Vec<Value> {
        let mut values = BTreeMap::new();
        for instance in ["a", "b"] {
            values.insert(placed("up", instance), "1+0x120".to_owned());
            for (series, value) in &self.0 {
                values.insert(placed(series, instance), format!("{value}+0x120"));
            }
        }
        for change in changes {
            let (Change::Set(instance, series, value) | Change::Add(instance, series, value)) =
                change;
            let before = values.insert(placed(series, instance), (*value).to_owned());
            let is_known = before.is_some() || matches!(change, Change::Add(..));
            assert!(is_known, "the server has no series {series}");
        }
        let input = values.into_iter();
        input
            .map(|(series, values)| json!({ "series": series, "values": values }))
            .collect()
    }
}

/// The name before the labels.
fn name_of(series: &str) -> &str {
    series.split('{').next().unwrap_or(series)
}

/// A series as Prometheus stores it: with its job and the node it came from.
fn placed(series: &str, instance: &str) -> String {
    let own = format!("job=\"tokenward\",instance=\"{instance}\"");
    match series.split_once('{') {
        Some((name, labels)) => format!("{name}{{{own},{labels}"),
        None => format!("{series}{{{own}}}"),
    }
}

/// A difference from two nodes that stay as they are, for two hours of a value each minute; values as promtool reads them.
enum Change {
    /// Other values of a series that was scraped.
    Set(&'static str, &'static str, &'static str),
    /// A series with a value of a label that this server does not have.
    Add(&'static str, &'static str, &'static str),
}
use Change::{Add, Set};

/// What lets each alert fire, a case a line: the alert, the node, a series of it, and its values; behind `+` stands another
/// series of the same case. The clock of promtool begins in 1970.
const CASES: &str = r#"
TokenwardBackupOld a tokenward_last_backup_timestamp_seconds -200000+0x120
TokenwardDown a up 0+0x120
TokenwardChecksUnavailable a tokenward_vouching 0+0x120
TokenwardReadOnly a tokenward_writable 0+0x120
TokenwardNodeNotScraped a tokenward_nodes 3+0x120
TokenwardLeaseShort a tokenward_lease_seconds_left 3+0x120
TokenwardRestarts a process_start_time_seconds 0+1x120
TokenwardWritesWaiting a tokenward_writes_waiting 2000+0x120
TokenwardNodeBehind a tokenward_node_changes_behind 500+0x120
TokenwardFailures a tokenward_failures_total 0+1x120
TokenwardFailures a tokenward_admin_calls_total{outcome="FAILED"} 0+1x120
TokenwardTokensSuperseded a tokenward_checks_total{outcome="TOKEN_SUPERSEDED"} 0+5x120
TokenwardUnknownTokens a tokenward_checks_total{outcome="ACCESS_TOKEN_UNKNOWN"} 0+50x120
TokenwardCredentialsRefused a tokenward_credentials_refused_total{kind="admin_key"} 0+50x120
TokenwardAdminCallsRefused a tokenward_admin_calls_total{outcome="REFUSED"} 0+50x120
TokenwardQuotaExceeded a tokenward_generate_calls_total{outcome="QUOTA_EXCEEDED"} 0x100 1+0x20
TokenwardPublicConnectionsRefused a tokenward_public_connections_refused_total 0+5x120
TokenwardNoticesGivenUp a tokenward_notices_total{outcome="GIVEN_UP"} 0x100 1+0x20
TokenwardCertificateExpiresSoon a tokenward_certificate_expiry_timestamp_seconds{listener="public"} 700000+0x120
TokenwardAuditLogBroken a tokenward_audit_verified 0+0x120
TokenwardCoherenceWeak a tokenward_coherence_level{level="weak"} 1+0x120
TokenwardClockAhead a tokenward_clock_ahead_seconds 30+0x120
TokenwardClockDiffers a tokenward_clock_difference_seconds -2+0x120
TokenwardDigestKeysDiffer a tokenward_digest_key 2+0x120
TokenwardReplicaGivenUp a tokenward_replicas_given_up_total 0+1x120
TokenwardFewFilesLeft a process_max_fds 10+0x120
TokenwardLogLinesDropped a tokenward_log_lines_dropped_total 0+1x120
TokenwardCountsLost a tokenward_counts_lost_total 0+1x120
TokenwardNotScraped a up _x120
+ b up _x120
TokenwardChecksSlow a tokenward_check_seconds_bucket{le="0.016384"} 0+60x120
+ a tokenward_check_seconds_bucket{le="+Inf"} 0+60x120
TokenwardCommitsSlow b tokenward_commit_seconds_bucket{le="3.2768"} 0+60x120
+ b tokenward_commit_seconds_bucket{le="+Inf"} 0+60x120
TokenwardGatewayReconnects a tokenward_checks_total{outcome="PERMIT"} 0+1200x120
+ a tokenward_internal_connections_total 0+1200x120
TokenwardCertificateExpiresNow a tokenward_certificate_expiry_timestamp_seconds{listener="public"} 90000+0x120
"#;

/// What lets each alert fire, and which others fire with it.
fn cases() -> Vec<(&'static str, Vec<Change>, &'static [&'static str])> {
    let version = "tokenward_build_info{version=\"0.0.1\"}";
    let added = vec![Add("b", version, "1+0x120")];
    let mut cases: Vec<(_, _, &[_])> = vec![("TokenwardVersionsDiffer", added, &[])];
    for line in CASES.trim().lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let &[alert, node, series, values] = &words[..] else {
            panic!("{line}")
        };
        let change = Set(node, series, values);
        match alert {
            "+" => cases.last_mut().unwrap().1.push(change),
            "TokenwardCertificateExpiresNow" => {
                cases.push((alert, vec![change], &["TokenwardCertificateExpiresSoon"]));
            }
            _ => cases.push((alert, vec![change], &[])),
        }
    }
    cases
}

/// Runs `promtool COMMAND FILE`, which must succeed.
fn promtool(command: &[&str], file: &Path) {
    let there = Command::new("promtool").arg("--version").output().is_ok();
    assert!(
        there,
        "promtool is missing: xtask/setup.sh test installs it (Debian: prometheus)"
    );
    run("promtool", |promtool| {
        promtool.args(command).arg(file);
    });
}

/// Evaluates the rules over each input for two hours and expects these samples of these expressions at the end. promtool
/// reads YAML, of which JSON is a part.
fn evaluate(tests: &[(String, Vec<Value>, Vec<Value>)]) {
    let folder = tempfile::tempdir().unwrap();
    let tests: Vec<Value> = tests
        .iter()
        .map(|(name, input, expected)| {
            json!({ "name": name, "interval": "1m", "input_series": input, "promql_expr_test": expected })
        })
        .collect();
    let file = json!({
        "rule_files": [format!("{MONITORING}/alerts.yml")],
        "evaluation_interval": "1m",
        "tests": tests,
    });
    let path = folder.path().join("tests.yml");
    std::fs::write(&path, file.to_string()).unwrap();
    promtool(&["test", "rules"], &path);
}

/// The alerts that must fire in the last minute, and no others.
fn firing(alerts: &BTreeSet<&str>) -> Value {
    let samples: Vec<Value> = alerts
        .iter()
        .map(|alert| json!({ "labels": format!("{{alertname=\"{alert}\"}}"), "value": 1 }))
        .collect();
    json!({
        "expr": "count by (alertname) (ALERTS{alertstate=\"firing\"}) > bool 0",
        "eval_time": "1h59m",
        "exp_samples": samples,
    })
}

/// The names of all alerts.
fn alerts() -> BTreeSet<String> {
    let rules = read(Path::new(MONITORING).join("alerts.yml"));
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test]
async fn every_alert_fires_and_healthy_nodes_fire_none() {
    promtool(
        &["check", "rules"],
        &Path::new(MONITORING).join("alerts.yml"),
    );
    let scrape = Scrape::take().await;
    let mut tests = vec![(
        "healthy".to_owned(),
        scrape.input(&[]),
        vec![firing(&BTreeSet::new())],
    )];
    let rules = read(Path::new(MONITORING).join("alerts.yml"));
    // The others change nothing, and promtool would take half a minute for them.
    let scrape = scrape.only(&names(&rules));
    let mut tried = BTreeSet::new();
    for (alert, changes, others) in cases() {
        let mut expected: BTreeSet<&str> = others.iter().copied().collect();
        expected.insert(alert);
        tests.push((
            alert.to_owned(),
            scrape.input(&changes),
            vec![firing(&expected)],
        ));
        tried.insert(alert.to_owned());
    }
    assert_eq!(tried, alerts(), "each alert has a case");
    evaluate(&tests);
}

/// Every query of the dashboard, with its variables as Grafana fills them in.
fn queries(dashboard: &Value) -> Vec<String> {
    let mut found = Vec::new();
    match dashboard {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(query) if name == "expr" => found.push(query.clone()),
                    _ => found.extend(queries(value)),
                }
            }
        }
        Value::Array(items) => found.extend(items.iter().flat_map(queries)),
        _ => {}
    }
    let filled = found.into_iter().map(|query| {
        query
            .replace("$__rate_interval", "5m")
            .replace("$job", "tokenward")
            .replace("$instance", ".+")
    });
    filled.collect()
}

#[tokio::test]
async fn every_query_of_the_dashboard_finds_series() {
    let dashboard = read(Path::new(MONITORING).join("dashboard.json"));
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let scrape = Scrape::take().await;
    // So that the marks of alerts and starts have something to show.
    let seen = [
        Set("a", "tokenward_vouching", "0+0x120"),
        Set("a", "process_start_time_seconds", "0+1x120"),
    ];
    let queries = queries(&dashboard);
    assert!(queries.len() > 40, "{}", queries.len());
    let expected = queries.iter().map(|query| {
        json!({
            "expr": format!("count({query}) > bool 0"),
            "eval_time": "1h59m",
            "exp_samples": [{ "labels": "{}", "value": 1 }],
        })
    });
    evaluate(&[(
        "dashboard".to_owned(),
        scrape.input(&seen),
        expected.collect(),
    )]);
}

/// The words of a text that are named like series of a Tokenward server or of its process.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let prefixes = ["tokenward_", "process_"];
    words
        .filter(|word| {
            prefixes
                .iter()
                .any(|prefix| word.starts_with(prefix) && word != prefix)
        })
        .collect()
}

#[tokio::test]
async fn every_series_that_rules_dashboard_and_guide_name_is_in_a_scrape() {
    let scrape = Scrape::take().await;
    let guide = PAGES.map(|page| Path::new(GUIDE).join(page));
    let own = ["alerts.yml", "dashboard.json"].map(|file| Path::new(MONITORING).join(file));
    for path in own.into_iter().chain(guide) {
        let text = read(path.clone());
        let found = names(&text);
        assert!(!found.is_empty(), "{}", path.display());
        for name in found.into_iter().filter(|name| !OTHERS.contains(name)) {
            assert!(
                scrape.has(name),
                "{}: the server has no series {name}",
                path.display()
            );
        }
    }
    let page = read(Path::new(GUIDE).join("monitoring.md"));
    for alert in alerts() {
        assert!(
            page.contains(&format!("`{alert}`")),
            "the guide does not explain {alert}"
        );
    }
    for series in scrape.0.keys() {
        let name = name_of(series);
        let family = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let is_told = page.contains(name) || family.is_some_and(|family| page.contains(family));
        assert!(is_told, "the guide does not explain {name}");
    }
}

#[tokio::test]
async fn a_first_event_is_a_rise_from_zero() {
    let server = Server::start();
    let api = server.api();
    let scrape = async || api.metrics().await.unwrap().expect(200).body;
    let before = scrape().await;
    let workspace = api.workspace("acme").await.unwrap();
    api.product("gst", "GST").await.unwrap();
    let erp = api
        .client(&workspace, NewClient::sandbox("erp"))
        .await
        .unwrap();
    let old = api
        .generate(&erp.secret)
        .await
        .unwrap()
        .token()
        .access_token;
    api.generate(&erp.secret).await.unwrap().expect(200);
    api.check("sandbox", "gst", &old).await.unwrap().expect(401);
    api.generate("no secret").await.unwrap().expect(401);
    let after = scrape().await;
    for series in [
        "tokenward_checks_total{outcome=\"TOKEN_SUPERSEDED\"}",
        "tokenward_generate_calls_total{outcome=\"CLIENT_SECRET_INVALID\"}",
        "tokenward_credentials_refused_total{kind=\"client_secret\"}",
    ] {
        assert!(
            before.contains(&format!("{series} 0\n")),
            "{series}: {before}"
        );
        assert!(
            after.contains(&format!("{series} 1\n")),
            "{series}: {after}"
        );
    }
    let count = |text: &str| -> u64 {
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix("tokenward_commit_seconds_count "));
        found.expect("the figure").parse().unwrap()
    };
    assert!(count(&after) >= count(&before) + 5);
}
