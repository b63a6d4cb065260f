//! What an operator sees: metrics, health, logs; and what the logs never hold.

use crate::house::House;
use reqwest::Method;
use serde_json::Value;
use tokenward_testkit::{NewClient, Server, assert_contains, expect_status};

impl House {
    /// The value of one series; 0 while it has none.
    async fn figure(&self, series: &str) -> f64 {
        let text = self.api.metrics().await.unwrap().expect(200).body;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp").returns(60)).await;
    let token = house.token(&erp).await.access_token;
    house.token(&erp).await;
    house.generate("x").await.expect(401);
    house.permits(&token).await;
    house.permits(&token).await;
    house.check("gst", "x").await.expect(401);
    let kind = house.api.metrics().await.unwrap();
    assert!(kind.header("content-type").starts_with("text/plain"));
    for (series, expected) in [
        ("tokenward_checks_total{outcome=\"PERMIT\"}", 2.0),
        (
            "tokenward_checks_total{outcome=\"ACCESS_TOKEN_MALFORMED\"}",
            1.0,
        ),
        ("tokenward_generate_calls_total{outcome=\"GENERATED\"}", 1.0),
        ("tokenward_generate_calls_total{outcome=\"RETURNED\"}", 1.0),
        (
            "tokenward_generate_calls_total{outcome=\"CLIENT_SECRET_INVALID\"}",
            1.0,
        ),
        ("tokenward_generate_seconds_count", 2.0),
        ("tokenward_clients", 1.0),
        ("tokenward_failures_total", 0.0),
        ("tokenward_vouching", 1.0),
        ("tokenward_writable", 1.0),
    ] {
        let seen = house.figure(series).await;
        assert!((seen - expected).abs() < 0.1, "{series} is {seen}");
    }
    let before = house.figure("tokenward_change_number").await;
    let entries = house.figure("tokenward_audit_seq").await;
    house.api.revoke(&erp.id).await.unwrap().expect(200);
    assert!(house.figure("tokenward_change_number").await > before);
    assert!((house.figure("tokenward_audit_seq").await - entries - 1.0).abs() < 0.1);
    // No id, label or address of a caller's choosing becomes a series.
    let text = house.api.metrics().await.unwrap().body;
    assert!(!text.contains(&erp.id) && !text.contains("erp") && !text.contains(&token));
}

#[tokio::test]
async fn health_is_told_on_the_internal_listener_only() {
    let house = House::new().await;
    for (path, word) in [("/health/live", "live\n"), ("/health/ready", "ready\n")] {
        let answer = expect_status(house.send(house.api.internal(Method::GET, path)), 200).await;
        assert_eq!(
            (answer.body.as_str(), answer.header("cache-control")),
            (word, "no-store")
        );
    }
    for path in "/health/live /health/ready /metrics /check/sandbox/gst /deny".split(' ') {
        house
            .send(house.api.public(Method::GET, path))
            .await
            .expect_error(404, "NOT_FOUND");
    }
    for path in "/admin/v1/workspaces /integration/v1/authz/token /oauth2/token".split(' ') {
        house
            .send(house.api.internal(Method::GET, path))
            .await
            .expect_error(404, "NOT_FOUND");
    }
}

/// Every character as `%xx`.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[tokio::test]
async fn every_request_has_an_id_and_no_credential_is_logged_wherever_it_was_put() {
    let mut house = House::of(Server::builder().env("TOKENWARD_LOG", "trace")).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let production = house.client(NewClient::production("erp")).await;
    let token = house.token(&erp).await.access_token;
    let key = house.server.admin_key();
    let credentials = [&token, &erp.secret, &production.secret, &key];
    let mut ids = Vec::new();
    for text in credentials {
        let cut = &text[..text.len() - 1];
        for path in [
            format!("/integration/v1/authz/token/{text}"),
            format!("/integration/v1/authz/token?secret={text}"),
            format!("/{text}/x?{text}"),
            format!("/x{text}x"),
            format!("/{}", encoded(text)),
            format!("/{}", text.replace('.', "%2E").replace('_', "%5f")),
            format!("/{}", text.to_uppercase()),
            format!("/{cut}"),
            format!("/admin/v1/clients/{text}"),
            format!("/admin/v1/clients?cursor={text}"),
            format!("/admin/v1/products/{text}"),
        ] {
            let request = house.api.public(Method::GET, &path).bearer_auth(text);
            let request = request
                .header("x-clear-client-secret", text)
                .header("x-request-id", text)
                .header("user-agent", text);
            let answer = house.send(request).await;
            ids.push(answer.header("x-request-id").to_owned());
        }
        house.check(text, text).await;
        let request = house
            .api
            .internal(Method::GET, &format!("/check/sandbox/gst/{text}?{text}"));
        house.send(request.bearer_auth(text)).await;
        house
            .send(house.api.internal(Method::GET, &format!("/{text}")))
            .await;
    }
    assert!(house.server.terminate().success());
    let log = house.server.output();
    for id in &ids {
        assert!(
            uuid::Uuid::try_parse(id).is_ok() && log.contains(id.as_str()),
            "{id}"
        );
    }
    let lower = log.to_lowercase();
    for text in credentials {
        // The random part is what must not be known.
        let random = &text[text.len() - 64..text.len() - 8];
        for part in [random.to_owned(), encoded(random)] {
            let line = lower.lines().find(|line| line.contains(&part));
            assert!(line.is_none(), "{line:?}");
        }
    }
    house.start_again();
}

#[tokio::test]
async fn log_lines_can_be_json_and_cannot_be_forged() {
    let mut house = House::with(&["--log-format", "json"]).await;
    let path = "/x%0a%7B%22level%22%3A%22ERROR%22%7D%1b[31m";
    let answer = house.send(house.api.public(Method::GET, path)).await;
    let id = answer.header("x-request-id").to_owned();
    assert!(house.server.terminate().success());
    let log = std::fs::read_to_string(house.server.stderr_file()).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mine: Vec<_> = lines
        .iter()
        .filter(|line| line["span"]["id"] == id.as_str())
        .collect();
    assert_eq!(mine.len(), 1, "{log}");
    assert_eq!(mine[0]["fields"]["status"], 404);
    assert!(lines.iter().all(|line| line["level"] != "ERROR"));
    assert!(!log.contains('\u{1b}'));
    house.start_again();
}

#[tokio::test]
async fn metrics_tell_of_process_build_certificates_checks_and_verification() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let token = house.token(&erp).await.access_token;
    for _ in 0..200 {
        house.permits(&token).await;
    }
    let text = house.api.metrics().await.unwrap().expect(200).body;
    let value = |line: &str| -> f64 {
        let found = text.lines().find_map(|one| one.strip_prefix(line));
        let found = found.unwrap_or_else(|| panic!("{line} is not in {text}"));
        found.trim().parse().unwrap()
    };
    let version = env!("CARGO_PKG_VERSION");
    assert!((value(&format!("tokenward_build_info{{version=\"{version}\"}}")) - 1.0).abs() < 0.1);
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_cpu_seconds_total") > 0.0);
    assert!(
        value("process_open_fds") > 5.0 && value("process_max_fds") >= value("process_open_fds")
    );
    assert!(value("process_threads") > 1.0 && value("process_start_time_seconds") > 1.7e9);
    assert!(value("tokenward_check_seconds_count") >= 1.0);
    assert!(value("tokenward_admin_calls_total{outcome=\"OK\"}") >= 5.0);
    let groups = value("tokenward_groups_committed_total");
    assert!(groups >= 1.0 && (groups - value("tokenward_commit_groups")).abs() < 0.1);
    assert_contains(&text, "# TYPE tokenward_groups_committed_total counter");
    assert!(
        (value("tokenward_audit_verified") + 1.0).abs() < 0.1,
        "not verified yet"
    );
    house.api.verify_audit().await.unwrap().expect(200);
    house.ask(Method::GET, "/no/such/path").await.expect(404);
    let text = house.api.metrics().await.unwrap().expect(200).body;
    assert!(text.contains("tokenward_audit_verified 1\n"), "{text}");
    assert!(
        text.contains("tokenward_admin_calls_total{outcome=\"REFUSED\"} 1\n"),
        "{text}"
    );
    let with = Server::builder()
        .arg("--public-tls-certificate")
        .arg(certificate.to_str().unwrap())
        .arg("--public-tls-key")
        .arg(key.to_str().unwrap());
    let server = with.start();
    let text = server.api().metrics().await.unwrap().expect(200).body;
    let line = "tokenward_certificate_expiry_timestamp_seconds{listener=\"public\"} ";
    let ends = text.lines().find_map(|one| one.strip_prefix(line));
    // As the certificate's maker sets it: the year 4096.
    assert!(
        ends.is_some_and(|ends| ends.parse::<i64>().unwrap() > 4_000_000_000),
        "{text}"
    );
}
