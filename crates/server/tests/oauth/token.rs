//! RFC 6749: the token endpoint.

use crate::world::{FORMS, GRANT, METADATA, TOKEN, World, refused};
use reqwest::Method;
use tokenward_testkit::{NewClient, Server, expect_json, expect_status};

#[tokio::test]
async fn rfc6749_5_1_a_token_answer_has_its_members_and_is_not_stored() {
    let world = World::new().await;
    let answer = world.form(TOKEN, &world.client, &GRANT).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3600);
    assert_eq!(body["generation"], 1);
    assert!(body.get("refresh_token").is_none(), "{body}");
    let token = body["access_token"].as_str().expect("a token");
    world.permits(token).await;
}

#[tokio::test]
async fn expires_in_is_there_and_below_2_to_the_31_ms_however_long_a_token_lives() {
    let world = World::new().await;
    for (lifetime, expect) in [
        (serde_json::json!("never"), 2_147_483),
        (serde_json::json!(315_360_000), 2_147_483),
        (serde_json::json!(3_600), 3_600),
    ] {
        let change = serde_json::json!({ "token_lifetime_seconds": lifetime });
        expect_status(world.api.patch_client(&world.client.id, &change), 200).await;
        let body = expect_json(world.form(TOKEN, &world.client, &GRANT), 200).await;
        assert_eq!(body["expires_in"], expect, "{lifetime}");
        assert_eq!(body["valid_till"].is_null(), lifetime == "never");
    }
}

#[tokio::test]
async fn rfc6749_5_2_each_error_has_its_code() {
    let world = World::new().await;
    let check = async |form: &[(&str, &str)], status, code| {
        refused(&world.form(TOKEN, &world.client, form).await, status, code);
    };
    check(&[], 400, "invalid_request").await;
    check(&[("grant_type", "")], 400, "invalid_request").await;
    for (grant, parameter) in [
        ("password", "username"),
        ("authorization_code", "code"),
        ("refresh_token", "refresh_token"),
    ] {
        let form = [("grant_type", grant), (parameter, "x")];
        check(&form, 400, "unsupported_grant_type").await;
    }
    for scope in ["gst", "e-invoice gst", "api://x/.default", "E-INVOICE"] {
        check(&[GRANT[0], ("scope", scope)], 400, "invalid_scope").await;
    }
    for resource in ["gst", "https://api.example.com/"] {
        check(&[GRANT[0], ("resource", resource)], 400, "invalid_target").await;
    }
    // A parameter without a value counts as left out, an unknown one is ignored (RFC 6749, section 3.2).
    let tolerated = [
        ("grant_type", "client_credentials"),
        ("scope", ""),
        ("audience", "x"),
    ];
    expect_status(world.form(TOKEN, &world.client, &tolerated), 200).await;
}

#[tokio::test]
async fn rfc6749_3_2_a_parameter_given_twice_is_an_invalid_request() {
    let world = World::new().await;
    let live = world.generate(&world.client).await;
    let check = async |path: &str, form: &[(&str, &str)]| {
        let request = world.signed(path, &world.client).form(form);
        world.invalid_request(request).await;
    };
    check(TOKEN, &[GRANT[0], GRANT[0]]).await;
    check(TOKEN, &[GRANT[0], ("x", "1"), ("x", "2")]).await;
    check("/oauth2/introspect", &[("token", &live), ("token", &live)]).await;
    check("/oauth2/revoke", &[("token", &live), ("token", "x")]).await;
    let secret = ("client_secret", &*world.client.secret);
    let twice = [GRANT[0], secret, secret];
    world.invalid_request(world.post(TOKEN).form(&twice)).await;
    assert!(world.is_active(&world.client, &live).await);
}

#[tokio::test]
async fn another_method_is_answered_405_with_allow() {
    let world = World::new().await;
    for path in FORMS {
        for method in "GET HEAD PUT PATCH DELETE OPTIONS".split(' ') {
            let request = world.api.public(method.parse().expect("a method"), path);
            let answer = expect_status(world.send(request), 405).await;
            assert_eq!(answer.header("allow"), "POST", "{method} {path}");
            if method != "HEAD" {
                refused(&answer, 405, "invalid_request");
            }
        }
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = world.send(world.api.public(method.clone(), METADATA)).await;
        refused(&answer, 405, "invalid_request");
        assert_eq!(answer.header("allow"), "GET, HEAD", "{method}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_form_is_an_invalid_request() {
    let world = World::new().await;
    for path in FORMS {
        let check = async |kind: Option<&str>| {
            let request = world.signed(path, &world.client);
            let mut request = request.body("grant_type=client_credentials&token=x");
            if let Some(kind) = kind {
                request = request.header("content-type", kind);
            }
            world.invalid_request(request).await;
        };
        check(None).await;
        check(Some("")).await;
        check(Some("application/json")).await;
        check(Some("text/plain")).await;
        check(Some("multipart/form-data; boundary=x")).await;
        check(Some("application/x-www-form-urlencodedx")).await;
    }
    // Parameters of the type, and its case, do not matter.
    let request = world.signed(TOKEN, &world.client);
    let request = request.body("grant_type=client_credentials");
    let kind = "Application/X-WWW-Form-Urlencoded ; charset=UTF-8";
    world
        .send(request.header("content-type", kind))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_form_that_is_too_long_is_refused_with_or_without_its_length() {
    let world = World::new().await;
    let long = format!("grant_type=client_credentials&pad={}", "x".repeat(100_000));
    for path in FORMS {
        let request = world.signed(path, &world.client);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let known = request.try_clone().expect("a request").body(long.clone());
        refused(&world.send(known).await, 413, "invalid_request");
        let chunked = request.body(reqwest::Body::wrap(Chunks::of(&long)));
        refused(&world.send(chunked).await, 413, "invalid_request");
    }
}

/// A body in pieces, whose length nobody says beforehand.
struct Chunks(Vec<bytes::Bytes>);

impl Chunks {
    fn of(text: &str) -> Chunks {
        let pieces = text.as_bytes().rchunks(10_000);
        Chunks(pieces.map(bytes::Bytes::copy_from_slice).collect())
    }
}

impl http_body::Body for Chunks {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(self.0.pop().map(|piece| Ok(http_body::Frame::data(piece))))
    }
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_refused_and_nothing_breaks() {
    let world = World::new().await;
    let live = world.generate(&world.client).await;
    for path in FORMS {
        let check = async |body: &[u8]| {
            let request = world.signed(path, &world.client).body(body.to_vec());
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            world.invalid_request(request).await;
        };
        check(b"grant_type=client_credentials%ff&token=%ff").await;
        check(b"grant_type=client_credentials&token=%c0%ae&x=%ff").await;
        check(b"grant_type=client_credentials&token=a&%ff=1").await;
        check(b"grant_type=client_credentials&token=a&x=\xff\xfe").await;
        check(b"grant_type=client_credentials&token=a&x=%ed%a0%80").await;
    }
    // A percent sign that encodes nothing stands for itself; NUL and the like are just no token.
    for text in "token=%zz token=% token=%00 token=%0d%0a token==&==&;=1 &&&&token=x&".split(' ') {
        for path in ["/oauth2/introspect", "/oauth2/revoke"] {
            let request = world.signed(path, &world.client).body(text);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            world.send(request).await;
        }
    }
    assert!(world.is_active(&world.client, &live).await);
}

#[tokio::test]
async fn a_spent_quota_says_when_to_come_back() {
    let world = World::of(Server::builder().arg("--quota-per-day=1")).await;
    world.generate(&world.client).await;
    let answer = world.form(TOKEN, &world.client, &GRANT).await;
    refused(&answer, 429, "temporarily_unavailable");
    let wait = answer.header("retry-after").parse();
    let wait: u32 = wait.expect("a number of seconds");
    assert!((1..=86_400).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_host_of_the_other_environment_and_a_foreign_address_are_refused() {
    let host = Server::builder().arg("--environment-host=production=127.0.0.1");
    let world = World::of(host).await;
    let signed = world.signed(TOKEN, &world.client).form(&GRANT);
    world.invalid_client(signed).await;
    let far = NewClient::production("far").secret_networks(&["203.0.113.0/24"]);
    let far = world.make(far).await;
    let answer = world.form(TOKEN, &far, &GRANT).await;
    refused(&answer, 403, "unauthorized_client");
}

#[tokio::test]
async fn scope_and_resource_within_the_clients_products_are_accepted_and_echoed() {
    let world = World::new().await;
    world.product("gst").await;
    let only = NewClient::sandbox("only").products(&["e-invoice"]);
    let only = world.make(only).await;
    let check = async |client, name: &str, value: &str| {
        let form = [GRANT[0], (name, value)];
        let body = world.form(TOKEN, client, &form).await.expect(200).json();
        assert_eq!(body[name], value, "{body}");
    };
    check(&only, "scope", "e-invoice").await;
    check(&only, "resource", "e-invoice").await;
    check(&only, "resource", "urn:tokenward:product:e-invoice").await;
    check(&world.client, "scope", "gst e-invoice").await;
    for (name, code) in [("scope", "invalid_scope"), ("resource", "invalid_target")] {
        let form = [GRANT[0], (name, "gst")];
        refused(&world.form(TOKEN, &only, &form).await, 400, code);
    }
    // A refusal makes no token, and a wrong secret is told nothing about products.
    let told = expect_json(world.api.read_client(&only.id), 200).await;
    assert_eq!(told["token"]["generation"], 3);
    let wrong = [
        GRANT[0],
        ("scope", "gst"),
        ("client_secret", &world.other.secret),
        ("client_id", &only.id),
    ];
    world.invalid_client(world.post(TOKEN).form(&wrong)).await;
}
