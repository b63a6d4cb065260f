//! Every way the Generate Access Token API says no, with its whole answer.

use crate::check::{forge, forge_at};
use crate::house::{House, basic, cut, slowed};
use crate::late::Stall;
use crate::seen::seen;
use insta::assert_snapshot;
use reqwest::Method;
use reqwest::header::HeaderValue;
use tokenward_testkit::{Answer, NewClient, expect_error, expect_status};

const PATH: &str = "/integration/v1/authz/token";

/// The API with these headers.
async fn with(house: &House, headers: &[(&str, &str)]) -> Answer {
    let mut request = house.api.public(Method::POST, PATH);
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    house.send(request).await
}

#[tokio::test]
async fn a_secret_must_be_there_whole_and_once() {
    let (house, erp) = House::with_erp().await;
    let own = "x-clear-client-secret";
    let secret = erp.secret.as_str();
    let missing = with(&house, &[]).await;
    assert_snapshot!(seen(&missing), @r#"401 [www-authenticate: Basic realm="tokenward"] CLIENT_SECRET_MISSING: No client secret was sent. Send it in the header x-clear-client-secret."#);
    expect_error(with(&house, &[(own, "")]), 401, "CLIENT_SECRET_MISSING").await;
    let invalid = with(&house, &[(own, &cut(secret))]).await;
    assert_snapshot!(seen(&invalid), @r#"401 [www-authenticate: Basic realm="tokenward"] CLIENT_SECRET_INVALID: The client secret is not valid. Check that it was copied whole; if it is lost, create another."#);
    let repeated = with(&house, &[(own, secret), (own, secret)]).await;
    assert_snapshot!(seen(&repeated), @r#"401 [www-authenticate: Basic realm="tokenward"] CLIENT_SECRET_INVALID: More than one client secret was sent. Send exactly one."#);
    let upper = secret.to_uppercase();
    let wrong_id = basic("00000000-0000-4000-8000-000000000000", secret);
    let stranger = house.client(NewClient::sandbox("stranger")).await;
    let differing = basic(&erp.id, &stranger.secret);
    let strangers = basic(&stranger.id, &stranger.secret);
    let swapped = secret.replace("sandbox", "production");
    let mixed = format!("{secret}, {secret}");
    let no_colon = "Basic bm9jb2xvbg==";
    for headers in [
        vec![(own, "x")],
        vec![(own, "tw-secret.sandbox.")],
        vec![(own, upper.as_str())],
        vec![(own, swapped.as_str())],
        vec![(own, mixed.as_str())],
        vec![(own, "söcret")],
        vec![("authorization", wrong_id.as_str())],
        vec![(own, secret), ("authorization", differing.as_str())],
        vec![(own, secret), ("authorization", strangers.as_str())],
        vec![("authorization", "Basic !!!")],
        vec![("authorization", no_colon)],
        vec![
            ("authorization", &*differing),
            ("authorization", &differing),
        ],
    ] {
        expect_error(with(&house, &headers), 401, "CLIENT_SECRET_INVALID").await;
    }
    // Another scheme is none of ours.
    let bearer = with(&house, &[("authorization", "Bearer x")]).await;
    bearer.expect_error(401, "CLIENT_SECRET_MISSING");
    assert_eq!(house.status(secret).await["generation"], 0);
}

#[tokio::test]
async fn http_basic_carries_the_secret_too() {
    let (house, erp) = House::with_erp().await;
    let own = basic(&erp.id, &erp.secret);
    with(&house, &[("authorization", &own)]).await.expect(200);
    let lower = own.replacen("Basic", "basic", 1);
    with(&house, &[("authorization", &lower)]).await.expect(200);
    let secret = ("x-clear-client-secret", &*erp.secret);
    let both = [("authorization", &*own), secret];
    with(&house, &both).await.expect(200);
    assert_eq!(house.status(&erp.secret).await["generation"], 3);
}

#[tokio::test]
async fn a_proxys_own_basic_beside_the_secret_is_no_second_secret() {
    let (house, erp) = House::with_erp().await;
    let other = house.client(NewClient::sandbox("other")).await;
    let own = ("x-clear-client-secret", erp.secret.as_str());
    for proxys in [
        basic("proxyuser", "proxypass"),
        "Basic !!!".to_owned(),
        "Basic cHJveHk=".to_owned(),
    ] {
        expect_status(with(&house, &[("authorization", &proxys), own]), 200).await;
    }
    for second in [
        basic("proxyuser", &other.secret),
        basic(&other.id, &other.secret),
        basic(&other.id, "proxypass"),
    ] {
        let refused = with(&house, &[("authorization", &second), own]).await;
        refused.expect_error(401, "CLIENT_SECRET_INVALID");
    }
}

#[tokio::test]
async fn an_access_token_never_generates() {
    let (house, erp, token) = House::with_token().await;
    let refused = with(&house, &[("x-clear-client-secret", &token)]).await;
    assert_snapshot!(seen(&refused), @r#"401 [www-authenticate: Basic realm="tokenward"] ACCESS_TOKEN_USED_AS_SECRET: An access token was sent where a client secret belongs. Only a client secret generates tokens."#);
    let as_basic = basic(&erp.id, &token);
    let refused = with(&house, &[("authorization", &as_basic)]).await;
    refused.expect_error(401, "ACCESS_TOKEN_USED_AS_SECRET");
    house.permits(&token).await;
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let (house, erp) = House::with_erp().await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let refused = house.authz(method, "", &erp.secret).await;
        assert_eq!(refused.header("allow"), "GET, POST");
        refused.expect_error(405, "METHOD_NOT_ALLOWED");
    }
    let refused = house.authz(Method::PUT, "", &erp.secret).await;
    assert_snapshot!(seen(&refused), @"405 [allow: GET, POST] METHOD_NOT_ALLOWED: This address takes GET, POST only.");
    let head = expect_status(house.authz(Method::HEAD, "", &erp.secret), 405).await;
    assert_eq!((head.header("allow"), &*head.body), ("GET, POST", ""));
    let posted = house.authz(Method::POST, "/status", &erp.secret).await;
    assert_snapshot!(seen(&posted), @"405 [allow: GET] METHOD_NOT_ALLOWED: This address takes GET only.");
    let got = house.authz(Method::GET, "/previous", &erp.secret).await;
    assert_snapshot!(seen(&got), @"405 [allow: DELETE] METHOD_NOT_ALLOWED: This address takes DELETE only.");
    let nowhere = house.authz(Method::GET, "/nowhere", &erp.secret).await;
    assert_snapshot!(seen(&nowhere), @"404 NOT_FOUND: There is nothing at this address.");
    assert_eq!(house.status(&erp.secret).await["generation"], 0);
}

#[tokio::test]
async fn why_a_client_sleeps_or_is_gone_is_told_to_the_secrets_holder_only() {
    let (house, erp, token) = House::with_token().await;
    // A secret that this client had once: well-formed, its own, and no longer real.
    let (n, former) = house.rotate(&erp).await;
    let path = format!("/clients/{}/secrets/{n}", erp.id);
    house.ask(Method::DELETE, &path).await.expect(200);
    let told = async |code: &str| {
        for (method, suffix) in [
            (Method::POST, ""),
            (Method::GET, ""),
            (Method::GET, "/status"),
            (Method::DELETE, "/previous"),
        ] {
            let holder = house.authz(method.clone(), suffix, &erp.secret).await;
            assert_eq!(holder.code().as_deref(), Some(code));
            let stranger = house.authz(method, suffix, &former).await;
            stranger.expect_error(401, "CLIENT_SECRET_INVALID");
        }
    };
    house.api.disable(&erp.id).await.unwrap().expect(200);
    told("CLIENT_DISABLED").await;
    let disabled = house.generate(&erp.secret).await;
    assert_snapshot!(seen(&disabled), @r#"401 [www-authenticate: Basic realm="tokenward"] CLIENT_DISABLED: The API client, or its workspace, is disabled. An administrator can enable it again."#);
    house.denies(&token, "CLIENT_DISABLED").await;
    house.api.enable(&erp.id).await.unwrap().expect(200);
    house.permits(&token).await;

    house.disable_workspace(true).await;
    told("CLIENT_DISABLED").await;
    house.denies(&token, "CLIENT_DISABLED").await;
    house.disable_workspace(false).await;
    house.permits(&token).await;

    house.api.delete(&erp).await.unwrap().expect(200);
    told("CLIENT_DELETED").await;
    let deleted = house.generate(&erp.secret).await;
    assert_snapshot!(seen(&deleted), @r#"401 [www-authenticate: Basic realm="tokenward"] CLIENT_DELETED: The API client was deleted for good. Create another."#);
    house.denies(&token, "CLIENT_DELETED").await;
}

#[tokio::test]
async fn a_mapped_host_serves_its_environment_only() {
    let house = House::with(&[
        "--environment-host=sandbox=api-sandbox.example.com",
        "--environment-host=production=api.example.com",
    ])
    .await;
    let sandbox = house.client(NewClient::sandbox("erp")).await;
    let production = house.client(NewClient::production("erp")).await;
    let at = async |host: &str, secret: &str| {
        let request = house.api.authz(Method::POST, "", secret);
        house.send(request.header("host", host)).await
    };
    expect_status(at("api-sandbox.example.com", &sandbox.secret), 200).await;
    expect_status(at("API-Sandbox.example.com.:8443", &sandbox.secret), 200).await;
    at("api.example.com", &production.secret).await.expect(200);
    let refused = at("api.example.com", &sandbox.secret).await;
    assert_snapshot!(seen(&refused), @r#"401 [www-authenticate: Basic realm="tokenward"] ENVIRONMENT_MISMATCH: The client secret belongs to another environment than this host."#);
    for host in ["api-sandbox.example.com", "API-SANDBOX.example.com:80"] {
        expect_error(at(host, &production.secret), 401, "ENVIRONMENT_MISMATCH").await;
    }
    // On an unmapped host the environment is the secret's own.
    at("localhost", &sandbox.secret).await.expect(200);
    at("localhost", &production.secret).await.expect(200);
    // Who does not hold the secret is not told where it belongs.
    let guessed = at("api.example.com", &cut(&sandbox.secret)).await;
    guessed.expect_error(401, "CLIENT_SECRET_INVALID");
}

#[tokio::test]
async fn a_secret_opens_from_its_networks_only() {
    let house = House::with(&["--trusted-proxy", "127.0.0.0/8"]).await;
    let fenced = NewClient::sandbox("erp").secret_networks(&["10.0.0.0/8", "2001:db8::/32"]);
    let erp = house.client(fenced).await;
    let from = async |lines: &[&str]| {
        let mut request = house.api.authz(Method::POST, "", &erp.secret);
        for line in lines {
            request = request.header("x-forwarded-for", *line);
        }
        house.send(request).await
    };
    let refused = from(&[]).await;
    assert_snapshot!(seen(&refused), @"403 ADDRESS_NOT_ALLOWED: The client secret may not be used from this address. An administrator can allow it.");
    for inside in [
        ["10.9.8.7"],
        ["::ffff:10.9.8.7"],
        ["203.0.113.1, 10.9.8.7"],
        ["[2001:db8::7]:443"],
    ] {
        from(&inside).await.expect(200);
    }
    for outside in [
        vec!["10.9.8.7, 203.0.113.1"],
        vec!["10.9.8.7", "203.0.113.1"],
        vec!["11.0.0.1"],
        vec!["10.9.8.7, x"],
        vec!["::ffff:203.0.113.1"],
    ] {
        expect_error(from(&outside), 403, "ADDRESS_NOT_ALLOWED").await;
    }
    // Behind no trusted proxy nobody is believed.
    let lonely = House::new().await;
    let fenced = NewClient::sandbox("erp").secret_networks(&["10.0.0.0/8"]);
    let erp = lonely.client(fenced).await;
    let request = lonely.api.authz(Method::POST, "", &erp.secret);
    let spoofed = lonely.send(request.header("x-forwarded-for", "10.9.8.7"));
    expect_error(spoofed, 403, "ADDRESS_NOT_ALLOWED").await;
}

#[tokio::test]
async fn guessing_is_slowed_and_the_owner_is_not() {
    let house = House::with(&["--trusted-proxy", "127.0.0.0/8"]).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let (n, former) = house.rotate(&erp).await;
    let path = format!("/clients/{}/secrets/{n}", erp.id);
    house.ask(Method::DELETE, &path).await.expect(200);
    let from = async |address: &str, secret: &str| house.generate_from(address, secret).await;
    let slowed = slowed(|| from("203.0.113.1", &former), "CLIENT_SECRET_INVALID").await;
    let seconds = format!("retry-after: {}", slowed.header("retry-after"));
    assert!(["retry-after: 1", "retry-after: 2"].contains(&seconds.as_str()));
    assert_snapshot!(seen(&slowed).replace(&seconds, "[soon]"), @"429 [[soon]] TOO_MANY_ATTEMPTS: Too many wrong client secrets came from this address. Wait, and check the secret.");
    // The right secret passes from the same address, and the wrong one still does not.
    from("203.0.113.1", &erp.secret).await.expect(200);
    expect_error(from("203.0.113.1", &former), 429, "TOO_MANY_ATTEMPTS").await;
    from("203.0.113.2", &erp.secret).await.expect(200);
}

#[tokio::test]
async fn after_a_wrong_secret_others_for_the_client_do_not_wait_for_the_writer() {
    let house = House::with(&["--trusted-proxy", "127.0.0.0/8"]).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let wrong = forge(&erp.secret);
    let from = async |address: &str, secret: &str| house.generate_from(address, secret).await;
    expect_error(from("203.0.113.1", &wrong), 401, "CLIENT_SECRET_INVALID").await;
    let stall = Stall::new(house.server.data_dir());
    let (api, secret) = (house.api.clone(), erp.secret.clone());
    let right = tokio::spawn(async move { api.generate(&secret).await.unwrap() });
    stall.until(&house.api, 1).await;
    for n in 2..40 {
        let guess = format!("203.0.113.{n}");
        expect_error(from(&guess, &wrong), 401, "CLIENT_SECRET_INVALID").await;
    }
    assert!(!right.is_finished());
    drop(stall);
    right.await.unwrap().expect(200);
}

impl House {
    /// Generates from an address that a trusted proxy tells.
    async fn generate_from(&self, address: &str, secret: &str) -> Answer {
        let request = self.api.authz(Method::POST, "", secret);
        self.send(request.header("x-forwarded-for", address)).await
    }

    /// The statuses and codes of 30 guesses from one address.
    async fn guesses(&self, source: &str, secret: &str) -> Vec<(u16, String)> {
        let mut seen = Vec::new();
        for _ in 0..30 {
            let answer = self.generate_from(source, secret).await;
            seen.push((answer.status, answer.code().unwrap()));
        }
        seen.dedup();
        seen
    }
}

#[tokio::test]
async fn throttling_does_not_tell_which_clients_exist() {
    let house = House::with(&["--trusted-proxy", "127.0.0.1"]).await;
    let live = house.client(NewClient::sandbox("live")).await;
    let gone = house.client(NewClient::sandbox("gone")).await;
    house.api.delete(&gone).await.unwrap().expect(200);
    let unknown = forge_at(&live.secret, 66);
    let expect = [
        (401, "CLIENT_SECRET_INVALID".to_owned()),
        (429, "TOO_MANY_ATTEMPTS".to_owned()),
    ];
    let all = [forge(&live.secret), forge(&gone.secret), unknown];
    for (n, secret) in all.iter().enumerate() {
        let source = format!("203.0.113.{n}");
        assert_eq!(house.guesses(&source, secret).await, expect, "{n}");
    }
}

#[tokio::test]
async fn ipv6_guessers_count_by_their_64() {
    let house = House::with(&["--trusted-proxy", "127.0.0.1"]).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let wrong = forge(&erp.secret);
    let mut refused = 0;
    for n in 0..30 {
        let source = format!("2001:db8:1:2::{n:x}");
        let answer = house.generate_from(&source, &wrong).await;
        refused += usize::from(answer.status == 429);
    }
    assert!((5..=10).contains(&refused), "{refused} of 30");
}

#[tokio::test]
async fn an_unknown_address_is_in_no_network() {
    let house = House::with(&["--trusted-proxy", "127.0.0.1"]).await;
    let fenced = NewClient::sandbox("erp").secret_networks(&["0.0.0.0/0", "::/0"]);
    let erp = house.client(fenced).await;
    for hop in ["garbage", "0.0.0.0", "2001:db8::1%eth0", ""] {
        let answer = house.generate_from(hop, &erp.secret);
        expect_error(answer, 403, "ADDRESS_NOT_ALLOWED").await;
    }
    let known = house.generate_from("203.0.113.9", &erp.secret);
    known.await.expect(200);
}

#[tokio::test]
async fn a_secret_that_calls_too_often_has_to_wait_and_others_do_not() {
    let house = House::with(&["--secret-calls-per-second", "1"]).await;
    let looping = NewClient::sandbox("looping").returns(600);
    let looping = house.client(looping).await;
    let other = house.client(NewClient::sandbox("other")).await;
    // One burst for all that a secret may call.
    let mut limited = 0;
    for n in 0..20 {
        let api = &house.api;
        let request = match n % 4 {
            0 => api.authz(Method::POST, "", &looping.secret),
            1 => api.authz(Method::GET, "/status", &looping.secret),
            2 => api.authz(Method::DELETE, "/previous", &looping.secret),
            _ => {
                let asked = api.public(Method::POST, "/oauth2/introspect");
                let asked = asked.basic_auth(&looping.id, Some(&looping.secret));
                asked.form(&[("token", "x")])
            }
        };
        let answer = house.send(request).await;
        if answer.status == 429 {
            assert!(matches!(answer.header("retry-after"), "1"), "{answer:?}");
            if n % 4 != 3 {
                answer.expect_error(429, "TOO_MANY_REQUESTS");
            }
            limited += 1;
        }
    }
    assert!(limited >= 5, "{limited} of 20");
    house.generate(&other.secret).await.expect(200);
    // Wrong secrets for the same client spend nothing of the right one's.
    let wrong = forge(&other.secret);
    for _ in 0..15 {
        expect_error(house.generate(&wrong), 401, "CLIENT_SECRET_INVALID").await;
    }
    house.generate(&other.secret).await.expect(200);
}

#[tokio::test]
async fn the_source_of_errors_can_be_named() {
    let house = House::with(&["--error-source", "ACME"]).await;
    let refused = with(&house, &[]).await;
    assert_eq!(refused.json()["errors"][0]["error_source"], "ACME");
}
