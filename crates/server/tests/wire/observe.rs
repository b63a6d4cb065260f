//! What an operator sees: metrics, health, logs; and what the logs never hold.

use crate::house::House;
use reqwest::Method;
use serde_json::Value;
use tokenward_testkit::{
    NewClient, SelfSigned, Server, assert_contains, expect_error, expect_status,
};

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
        let seen = house.api.figure(series).await;
        assert_eq!(seen, Some(expected), "{series}");
    }
    let before = house.api.figure("tokenward_change_number").await.unwrap();
    let entries = house.api.figure("tokenward_audit_seq").await.unwrap();
    house.api.revoke(&erp.id).await.unwrap().expect(200);
    assert!(house.api.figure("tokenward_change_number").await > Some(before));
    let now = house.api.figure("tokenward_audit_seq").await;
    assert_eq!(now, Some(entries + 1.0));
    // No id, label or address of a caller's choosing becomes a series.
    let text = house.api.metrics().await.unwrap().body;
    assert!(!text.contains(&erp.id) && !text.contains("erp") && !text.contains(&token));
}

#[tokio::test]
async fn health_is_told_on_the_internal_listener_only() {
    let house = House::new().await;
    for (path, word) in [("/health/live", "live\n"), ("/health/ready", "ready\n")] {
        let answer = expect_status(house.send(house.api.internal(Method::GET, path)), 200).await;
        let seen = (&*answer.body, answer.header("cache-control"));
        assert_eq!(seen, (word, "no-store"));
    }
    for path in "/health/live /health/ready /metrics /check/sandbox/gst /deny".split(' ') {
        let answer = house.send(house.api.public(Method::GET, path));
        expect_error(answer, 404, "NOT_FOUND").await;
    }
    for path in "/admin/v1/workspaces /integration/v1/authz/token /oauth2/token".split(' ') {
        let answer = house.send(house.api.internal(Method::GET, path));
        expect_error(answer, 404, "NOT_FOUND").await;
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
        let path = format!("/check/sandbox/gst/{text}?{text}");
        let request = house.api.internal(Method::GET, &path);
        house.send(request.bearer_auth(text)).await;
        let request = house.api.internal(Method::GET, &format!("/{text}"));
        house.send(request).await;
    }
    assert!(house.server.terminate().success());
    let log = house.server.output();
    for id in &ids {
        assert!(uuid::Uuid::try_parse(id).is_ok(), "{id}");
        assert!(log.contains(id.as_str()), "{id}");
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
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let mine = lines
        .iter()
        .filter(|line| line["span"]["id"] == id.as_str());
    let mine: Vec<_> = mine.collect();
    assert_eq!(mine.len(), 1, "{log}");
    assert_eq!(mine[0]["fields"]["status"], 404);
    assert!(lines.iter().all(|line| line["level"] != "ERROR"));
    assert!(!log.contains('\u{1b}'));
    house.start_again();
}

#[tokio::test]
async fn metrics_tell_of_process_build_certificates_checks_and_verification() {
    let folder = tempfile::tempdir().unwrap();
    let own = SelfSigned::new(folder.path(), &["localhost"]);
    let (house, _, token) = House::with_token().await;
    for _ in 0..200 {
        house.permits(&token).await;
    }
    let value = async |series: &str| house.api.figure(series).await.expect(series);
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("tokenward_build_info{{version=\"{version}\"}}");
    for (series, least, most) in [
        (&*build, 1.0, 1.0),
        ("process_resident_memory_bytes", 1e6, f64::MAX),
        ("process_cpu_seconds_total", f64::MIN_POSITIVE, f64::MAX),
        ("process_open_fds", 6.0, value("process_max_fds").await),
        ("process_threads", 2.0, f64::MAX),
        ("process_start_time_seconds", 1.7e9, f64::MAX),
        ("tokenward_check_seconds_count", 1.0, f64::MAX),
        ("tokenward_admin_calls_total{outcome=\"OK\"}", 5.0, f64::MAX),
        ("tokenward_groups_committed_total", 1.0, f64::MAX),
        // Not verified yet.
        ("tokenward_audit_verified", -1.0, -1.0),
    ] {
        let seen = value(series).await;
        assert!((least..=most).contains(&seen), "{series}: {seen}");
    }
    let groups = value("tokenward_groups_committed_total").await;
    assert_eq!(
        value("tokenward_commit_groups").await.to_bits(),
        groups.to_bits()
    );
    let text = house.api.metrics().await.unwrap().expect(200).body;
    assert_contains(&text, "# TYPE tokenward_groups_committed_total counter");
    house.api.verify_audit().await.unwrap().expect(200);
    house.ask(Method::GET, "/no/such/path").await.expect(404);
    let text = house.api.metrics().await.unwrap().expect(200).body;
    assert_contains(&text, "tokenward_audit_verified 1\n");
    assert_contains(
        &text,
        "tokenward_admin_calls_total{outcome=\"REFUSED\"} 1\n",
    );
    let server = Server::builder().args(&own.arguments("public")).start();
    let series = "tokenward_certificate_expiry_timestamp_seconds{listener=\"public\"}";
    let ends = server.api().figure(series).await;
    // As the certificate's maker sets it: the year 4096.
    assert!(ends > Some(4e9), "{ends:?}");
}
