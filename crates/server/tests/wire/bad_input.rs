//! Whatever is sent, the answer is a clear 4xx in the dialect of its address: never a 5xx, never a panic
//! (every [`House`] looks for one in the log when it ends).

use crate::house::House;
use crate::seen::seen;
use insta::assert_snapshot;
use reqwest::Method;
use tokenward_testkit::{Answer, NewClient, assert_contains, exchange, expect_error, status_of};

/// A request by hand, ended by the server.
fn request(line: &str, headers: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n").into_bytes()
}

impl House {
    /// `POST` of bytes to the admin API.
    async fn post(&self, path: &str, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
        let request = self.api.admin(Method::POST, path);
        let request = request.header("content-type", kind).body(body.into());
        self.send(request).await
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_a_problem_of_its_own_kind() {
    let house = House::new().await;
    let json = "application/json";
    let broken = house.post("/workspaces", json, "{\"name\":").await;
    assert_snapshot!(seen(&broken), @"400 INVALID_REQUEST (The request can't be taken): name: EOF while parsing a value");
    let good = "{\"name\":\"x\"}";
    let kind = house.post("/workspaces", "text/plain", good).await;
    assert_snapshot!(seen(&kind), @"415 UNSUPPORTED_MEDIA_TYPE (The body is not JSON): Send Content-Type: application/json.");
    let large = house.post("/workspaces", json, vec![b' '; 1_000_000]).await;
    assert_snapshot!(seen(&large), @"413 BODY_TOO_LARGE (The body is too large): The body may have at most 64 KiB.");
    let deep = "[".repeat(30_000);
    let duplicated = r#"{"name":"a","name":"b"}"#;
    for body in [
        b"".to_vec(),
        b"{\"name\":\"\xff\xfe\"}".to_vec(),
        deep.into_bytes(),
        duplicated.as_bytes().to_vec(),
        br#"{"name":"\ud800"}"#.to_vec(),
        br#"{"name":1e999}"#.to_vec(),
        br#"{"name":"x"} trailing"#.to_vec(),
        b"NaN".to_vec(),
    ] {
        let refused = house.post("/workspaces", json, body).await;
        refused.expect_error(400, "INVALID_REQUEST");
    }
    assert_eq!(house.api.items("/workspaces").await.len(), 1);
}

#[tokio::test]
async fn a_body_too_large_is_refused_however_its_length_is_told() {
    let house = House::new().await;
    let key = house.server.admin_key();
    let head = |more: &str| {
        let headers =
            format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\n{more}");
        request("POST /admin/v1/workspaces", &headers)
    };
    let mut chunked = head("transfer-encoding: chunked\r\n");
    for _ in 0..100 {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend_from_slice(&[b' '; 4096]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = exchange(house.server.public(), chunked);
    assert_eq!(status_of(&answer), 413, "{answer}");
    let answer = exchange(house.server.public(), head("content-length: 10000000\r\n"));
    assert_eq!(status_of(&answer), 413, "{answer}");
    assert_contains(&answer, "BODY_TOO_LARGE");
    let path = format!("/clients/{}?label=x", house.acme);
    let large = house.api.admin(Method::DELETE, &path);
    let large = large.body(vec![b'x'; 100_000]);
    expect_error(house.send(large), 413, "BODY_TOO_LARGE").await;
    // The token API needs no body and reads none.
    let erp = house.client(NewClient::sandbox("erp")).await;
    let large = house.api.authz(Method::POST, "", &erp.secret);
    let answer = house.api.send(large.body(vec![b'x'; 10_000_000])).await;
    // It may close while the body still comes, but it never faults.
    assert!(answer.map_or(true, |answer| answer.status == 200));
    house.generate(&erp.secret).await.expect(200);
    let form = house.api.public(Method::POST, "/oauth2/token");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let large = house.send(form.body(vec![b'x'; 1_000_000])).await;
    large.expect_error(413, "invalid_request");
}

#[tokio::test]
async fn heads_too_large_or_broken_never_become_a_fault() {
    let house = House::new().await;
    let megabyte = "x".repeat(1 << 20);
    let many: String = (0..5_000).map(|n| format!("x-{n}: y\r\n")).collect();
    for base in [house.server.public(), house.server.internal()] {
        let token = format!("x-cleartax-auth-token: {megabyte}\r\n");
        let secret = format!("x-clear-client-secret: {megabyte}\r\n");
        let two_lengths = "content-length: 4\r\ntransfer-encoding: chunked\r\n";
        for bytes in [
            request("GET /check/sandbox/gst", &token),
            request("GET /integration/v1/authz/token", &secret),
            request(&format!("GET /{megabyte}"), ""),
            request("GET /", &many),
            request("GET /", "x-forwarded-for\r\n"),
            request("GET /", "x y: z\r\n"),
            request("GET /", "a: b\r\n c: folded\r\n"),
            request("GET /", "content-length: 1\r\ncontent-length: 2\r\n"),
            request("GET /", "content-length: -1\r\n"),
            request("POST /", two_lengths),
            request("GET /\u{0}", ""),
            request("GET check", ""),
            request("", ""),
            b"GET / HTTP/9.9\r\n\r\n".to_vec(),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense that is no frame at all........".to_vec(),
        ] {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            let answer = exchange(base, bytes);
            let status = status_of(&answer);
            assert!(status < 500 && status != 200, "{shown:?}: {answer}");
        }
    }
    let large = request("GET /", &format!("x: {megabyte}\r\n"));
    let status = status_of(&exchange(house.server.public(), large));
    assert!(matches!(status, 431 | 0), "{status}");
}

#[tokio::test]
async fn a_path_is_taken_as_it_is_written() {
    let (house, _, token) = House::with_token().await;
    let header = format!("x-cleartax-auth-token: {token}\r\n");
    for (path, expected) in [
        ("/check/sandbox/gst/../../production/gst", 200),
        ("/check/sandbox/gst/%2e%2e/%ff%00", 200),
        ("/check/production/../sandbox/gst", 404),
        ("/check/../check/sandbox/gst", 404),
        ("//check/sandbox/gst", 404),
        ("/CHECK/sandbox/gst", 404),
    ] {
        let request = request(&format!("GET {path}"), &header);
        let answer = exchange(house.server.internal(), request);
        assert_eq!(status_of(&answer), expected, "{path}: {answer}");
    }
}

#[tokio::test]
async fn ids_that_are_none_are_not_found_in_the_dialect_of_the_address() {
    let house = House::new().await;
    let path = "/clients/00000000-0000-4000-8000-000000000000";
    let unknown = house.ask(Method::GET, path).await;
    assert_snapshot!(seen(&unknown), @"404 NOT_FOUND (Not found): There is no such client.");
    for id in "x %00 %ff %ff%fe ..%2f.. 00000000000040008000000000000000 %F0%9F%98%80".split(' ') {
        for (method, path) in [
            (Method::GET, format!("/clients/{id}")),
            (Method::GET, format!("/workspaces/{id}")),
            (Method::DELETE, format!("/clients/{id}/secrets/{id}")),
        ] {
            let answer = house.ask(method, &path).await;
            let is_told = matches!(answer.status, 400 | 404) && answer.code().is_some();
            assert!(is_told, "{path}: {} {}", answer.status, answer.body);
        }
    }
    // A real client, spelled in another way, is not the same address.
    let erp = house.client(NewClient::sandbox("erp")).await.id;
    let path = |id: &str| format!("/clients/{id}");
    house.ask(Method::GET, &path(&erp)).await.expect(200);
    for other in [erp.replace('-', ""), format!("urn:uuid:{erp}")] {
        expect_error(house.ask(Method::GET, &path(&other)), 404, "NOT_FOUND").await;
    }
    for query in "?limit=%ff ?limit=%00 ?%ff=1 ?limit=1&limit=1 ?cursor=%F0%9F%98%80".split(' ') {
        let refused = house.ask(Method::GET, &format!("/workspaces{query}")).await;
        refused.expect_error(400, "INVALID_REQUEST");
    }
    let nowhere = house.ask(Method::GET, "/nowhere").await;
    assert_snapshot!(seen(&nowhere), @"404 NOT_FOUND (Not found): There is nothing at this address.");
    let method = house.ask(Method::DELETE, "/workspaces").await;
    assert_snapshot!(seen(&method), @"405 [allow: GET,HEAD,POST] METHOD_NOT_ALLOWED (Method not allowed): This address takes other methods; see the header Allow.");
}

#[tokio::test]
async fn every_address_answers_every_method_without_a_fault() {
    let (house, erp) = House::with_erp().await;
    let client = format!("/admin/v1/clients/{}", erp.id);
    let acme = format!("/admin/v1/workspaces/{}", house.acme);
    let public = "
        / /integration/v1/authz/token /integration/v1/authz/token/ /integration/v1/authz/token/status
        /integration/v1/authz/token/previous /oauth2/token /oauth2/revoke /oauth2/introspect
        /.well-known/oauth-authorization-server /admin/v1 /admin/v1/ /admin/v1/workspaces
        /admin/v1/products /admin/v1/products/tds /admin/v1/audit /admin/v1/audit/verify
        /admin/v1/admin-keys /admin/v1/status /check/sandbox/gst /metrics";
    let internal = "
        / /check /check/sandbox/gst /deny /metrics /health/live /health/ready /oauth2/introspect
        /oauth2/token /admin/v1/workspaces";
    let public = public.split_whitespace().chain([&*acme, &client]);
    let public = public.map(|path| (true, path));
    let internal = internal.split_whitespace().map(|path| (false, path));
    for (is_public, path) in public.chain(internal) {
        for method in "GET HEAD POST PUT PATCH DELETE OPTIONS TRACE BREW".split(' ') {
            let parsed = method.parse().unwrap();
            let request = match is_public {
                true => house.api.public(parsed, path),
                false => house.api.internal(parsed, path),
            };
            let request = request.header("content-type", "application/json");
            let answer = house.send(request.body("{}")).await;
            let Answer { status, body, .. } = &answer;
            let expects_503 = !is_public && path == "/deny";
            assert!(*status < 500 || expects_503, "{method} {path}: {body}");
            let has_code = method == "HEAD" || *status < 400 || answer.code().is_some();
            assert!(has_code, "{method} {path}: {status} {body:?}");
            if *status == 405 {
                assert!(answer.headers.contains_key("allow"), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn oauth_refuses_in_its_own_form() {
    let (house, erp, token) = House::with_token().await;
    let form = async |pairs: &[(&str, &str)]| {
        let request = house.api.public(Method::POST, "/oauth2/token");
        house.send(request.form(pairs)).await
    };
    let grant = ("grant_type", "client_credentials");
    let id = ("client_id", erp.id.as_str());
    let secret = ("client_secret", erp.secret.as_str());
    let missing = form(&[grant]).await;
    assert_snapshot!(seen(&missing), @r#"401 [www-authenticate: Basic realm="tokenward"] invalid_client: no client credentials were sent"#);
    let no_grant = form(&[id, secret]).await;
    assert_snapshot!(seen(&no_grant), @"400 invalid_request: grant_type is missing");
    let other_grant = form(&[("grant_type", "password"), id, secret]).await;
    assert_snapshot!(seen(&other_grant), @"400 unsupported_grant_type: only client_credentials is supported");
    let scope = form(&[grant, id, secret, ("scope", "all")]).await;
    assert_snapshot!(seen(&scope), @"400 invalid_scope: scope or resource names a product that this API client may not open; leave both out, or name its products");
    let wrong = form(&[grant, id, ("client_secret", &token)]).await;
    assert_snapshot!(seen(&wrong), @r#"401 [www-authenticate: Basic realm="tokenward"] invalid_client: an access token was sent where the client secret belongs"#);
    let got = house.api.public(Method::GET, "/oauth2/token");
    let got = house.send(got).await;
    assert_snapshot!(seen(&got), @"405 [allow: POST] invalid_request: this address takes other methods; see the header Allow");
    let far = NewClient::sandbox("far").secret_networks(&["203.0.113.0/24"]);
    let far = house.client(far).await;
    let far = house
        .api
        .oauth("/oauth2/token", &far, &[grant])
        .await
        .unwrap();
    assert_snapshot!(seen(&far), @"403 unauthorized_client: the secret may not be used from this address");
    house.permits(&token).await;
    let good = form(&[grant, id, secret]).await;
    assert_snapshot!(seen(&good), @r#"200 {"access_token":"[access token]","expires_in":3600,"generation":2,"token_type":"Bearer","valid_till":"[time]"}"#);
    house.denies(&token, "TOKEN_SUPERSEDED").await;
    house.api.disable(&erp.id).await.unwrap().expect(200);
    let disabled = form(&[grant, id, secret]).await;
    assert_snapshot!(seen(&disabled), @r#"401 [www-authenticate: Basic realm="tokenward"] invalid_client: the API client is disabled"#);
}
