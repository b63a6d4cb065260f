//! Which host a request is for, who made a browser send it, and what every answer of the public listener has.

use crate::house::House;
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{
    ApiClient, NewClient, assert_contains, assert_lacks, exchange, expect_error, expect_status,
    status_of,
};

const PATH: &str = "/integration/v1/authz/token";

/// What is answered to a request that is written by hand, and its status.
fn raw(base: &str, head: &str) -> (u16, String) {
    let answer = exchange(base, format!("{head}connection: close\r\n\r\n"));
    (status_of(&answer), answer)
}

#[tokio::test]
async fn a_host_that_is_missing_doubled_or_odd_is_refused_and_escapes_no_mapping() {
    let house = House::with(&["--environment-host", "sandbox=api-sandbox.example.com"]).await;
    let production = house.client(NewClient::production("erp")).await;
    let public = house.server.public();
    let at = |target: &str, hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| format!("host: {host}\r\n"));
        let (hosts, secret) = (hosts.collect::<String>(), &production.secret);
        let head = format!("GET {target} HTTP/1.1\r\n{hosts}x-clear-client-secret: {secret}\r\n");
        raw(public, &head)
    };
    let name = "api-sandbox.example.com";
    let absolute = format!("http://{name}{PATH}");
    // The mapped host, however it is written, and in an absolute address: the other environment's secret is refused.
    for (target, host) in [
        (PATH, name.to_owned()),
        (PATH, name.to_uppercase()),
        (PATH, format!("{name}.")),
        (PATH, format!("{name}:80")),
        (PATH, format!("{name}.:8443")),
        (absolute.as_str(), name.to_owned()),
    ] {
        let (status, answer) = at(target, &[&host]);
        assert_eq!(status, 401, "{target} {host}");
        assert_contains(&answer, "ENVIRONMENT_MISMATCH");
    }
    for hosts in [
        &[][..],
        &["other.example.com", "other.example.com"],
        &[name, name],
        &[""],
        &["x@api-sandbox.example.com"],
        &["api-sandbox.example.com:80:80"],
        &["api-sandbox.example.com, x"],
        &["api-sandbox.example.com/"],
        &["api-sandbox.example.com.."],
        &["evil.example\"}<script>"],
    ] {
        let (status, answer) = at(PATH, hosts);
        assert_eq!(status, 400, "{hosts:?}");
        assert_contains(&answer, "INVALID_REQUEST");
    }
    // An absolute address and another Host: neither is chosen.
    assert_eq!(at(&absolute, &["other.example.com"]).0, 400);
    assert_eq!(at("http://x@api-sandbox.example.com/", &[name]).0, 400);
    // Everything else on the listener, too.
    for path in ["/console/sign-in", "/admin/v1/status", "/oauth2/token", "/"] {
        assert_eq!(raw(public, &format!("GET {path} HTTP/1.1\r\n")).0, 400);
    }
    // Another host serves both.
    assert_eq!(at(PATH, &["other.example.com"]).0, 200);
}

#[tokio::test]
async fn metadata_names_the_configured_address_and_else_what_a_trusted_proxy_says() {
    let issuer = async |house: &House, headers: &[(&str, &str)]| -> (Value, String) {
        let path = "/.well-known/oauth-authorization-server";
        let mut request = house.api.public(Method::GET, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = house.send(request).await.expect(200);
        let cached = answer.header("cache-control").to_owned();
        assert!(answer.headers.get("pragma").is_none());
        (answer.json()["issuer"].clone(), cached)
    };
    let forwarded = [
        ("host", "inner:8080"),
        ("x-forwarded-host", "tokens.example.com"),
        ("x-forwarded-proto", "https"),
    ];
    let house = House::with(&["--public-url", "https://known.example.com/"]).await;
    let (seen, cached) = issuer(&house, &forwarded).await;
    assert_eq!(seen, "https://known.example.com");
    assert_eq!(cached, "public, max-age=3600");
    assert!(!house.server.output().contains("public_url"));
    let house = House::new().await;
    let (seen, cached) = issuer(&house, &forwarded).await;
    assert_eq!(seen, "https://inner:8080");
    assert_eq!(cached, "private, max-age=3600");
    assert!(house.server.output().contains("set public_url"));
    let house = House::with(&["--trusted-proxy", "127.0.0.1/32"]).await;
    let (seen, _) = issuer(&house, &forwarded).await;
    assert_eq!(seen, "https://tokens.example.com");
    let twice = [forwarded[1], forwarded[1]];
    let (seen, _) = issuer(&house, &twice).await;
    assert_eq!(seen, house.server.public());
}

#[tokio::test]
async fn a_page_of_another_site_generates_and_ends_nothing() {
    let (house, erp) = House::with_erp().await;
    let basic = crate::house::basic(&erp.id, &erp.secret);
    let token = house.token(&erp).await.access_token;
    for site in ["cross-site", "same-site"] {
        for (method, path) in [
            (Method::GET, PATH),
            (Method::GET, "/integration/v1/authz/token/status"),
            (Method::DELETE, "/integration/v1/authz/token/previous"),
            (Method::POST, "/oauth2/token"),
            (Method::POST, "/oauth2/revoke"),
            (Method::POST, "/oauth2/introspect"),
        ] {
            let request = house.api.public(method, path);
            let request = request
                .header("sec-fetch-site", site)
                .header("authorization", &basic)
                .form(&[("grant_type", "client_credentials"), ("token", &token)]);
            expect_error(house.send(request), 403, "CROSS_SITE_REQUEST").await;
        }
    }
    house.permits(&token).await;
    for site in ["same-origin", "none"] {
        let request = house.api.public(Method::GET, PATH);
        let request = request.header("sec-fetch-site", site);
        expect_status(house.send(request.header("authorization", &basic)), 200).await;
    }
}

#[tokio::test]
async fn a_browser_at_the_bare_address_is_led_to_the_console_and_a_program_is_not() {
    let house = House::new().await;
    let at = async |accept: &str| {
        let request = house.api.public(Method::GET, "/");
        house.send(request.header("accept", accept)).await
    };
    let led = expect_status(at("text/html,application/xhtml+xml,*/*;q=0.8"), 303).await;
    assert_eq!(led.header("location"), "/console");
    assert_eq!(led.header("vary"), "accept");
    let told = expect_status(at("*/*"), 404).await;
    assert_eq!(told.header("content-type"), "application/json");
    assert_eq!(told.header("vary"), "accept");
}

#[tokio::test]
async fn every_public_answer_keeps_browsers_from_guessing_its_type() {
    let house = House::new().await;
    for path in [
        "/",
        PATH,
        "/admin/v1/status",
        "/oauth2/token",
        "/console/sign-in",
        "/console/assets/console.css",
    ] {
        let answer = house.send(house.api.public(Method::GET, path)).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        // Without TLS of its own the server knows of none.
        assert!(answer.headers.get("strict-transport-security").is_none());
    }
}

#[tokio::test]
async fn figures_come_in_the_format_asked_for() {
    let house = House::new().await;
    let asked = async |accept: Option<&str>| {
        let mut request = house.api.internal(Method::GET, "/metrics");
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let answer = house.send(request).await.expect(200);
        assert_eq!(answer.header("cache-control"), "no-store");
        (answer.header("content-type").to_owned(), answer.body)
    };
    let openmetrics = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5";
    let (kind, text) = asked(Some(openmetrics)).await;
    assert_contains(&kind, "application/openmetrics-text; version=1.0.0");
    assert!(text.ends_with("# EOF\n"));
    assert_contains(&text, "\n# TYPE tokenward_failures counter\n");
    for accept in [None, Some("text/plain;version=0.0.4"), Some("*/*")] {
        let (kind, text) = asked(accept).await;
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        assert_lacks(&text, "# EOF");
        assert_contains(
            &text,
            "\n# TYPE tokenward_failures_total counter\ntokenward_failures_total 0\n",
        );
    }
}

impl House {
    /// Makes entries, so that a verification of the audit log takes a while.
    async fn audit_many(&self, erp: &ApiClient) {
        for n in 0..200 {
            let label = format!("erp {n}");
            self.patch(erp, json!({ "label": label })).await;
        }
    }
}

#[tokio::test]
async fn one_verification_of_the_audit_log_runs_at_a_time() {
    let (house, erp) = House::with_erp().await;
    house.audit_many(&erp).await;
    let asking = (0..64).map(|_| house.ask(Method::GET, "/audit/verify"));
    let answers = futures_util::future::join_all(asking).await;
    let answers = answers.into_iter();
    let (done, refused): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status == 200);
    assert!(!done.is_empty() && !refused.is_empty(), "{}", done.len());
    for answer in done {
        assert_eq!(answer.json()["ok"], true);
    }
    for answer in refused {
        assert_eq!(answer.status, 429, "{answer:?}");
        assert_eq!(answer.json()["code"], "BUSY");
        assert_eq!(answer.header("retry-after"), "5");
    }
    house.ask(Method::GET, "/audit/verify").await.expect(200);
}

#[tokio::test]
async fn an_auditor_who_always_verifies_keeps_no_other_from_it() {
    let (house, erp) = House::with_erp().await;
    house.audit_many(&erp).await;
    let auditor = json!({ "name": "auditor", "role": "auditor" });
    let (_, auditor) = house.key(auditor).await;
    let (done, mut verified) = tokio::sync::mpsc::unbounded_channel();
    let busy = (0..8).map(|_| {
        let (auditor, done) = (auditor.clone(), done.clone());
        tokio::spawn(async move {
            loop {
                let answer = auditor.verify_audit().await.unwrap();
                if answer.status == 200 && done.send(()).is_err() {
                    break;
                }
            }
        })
    });
    let busy: Vec<_> = busy.collect();
    for _ in 0..20 {
        house.ask(Method::GET, "/audit/verify").await.expect(200);
    }
    let some = verified.try_recv();
    assert!(some.is_ok(), "the auditor verified nothing");
    busy.iter().for_each(tokio::task::JoinHandle::abort);
}
