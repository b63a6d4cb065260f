//! RFC 8414: what the server says about itself is so.

use crate::world::{GRANT, METADATA, World};
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;
use tokenward_testkit::{Server, expect_json, expect_status, text};

#[tokio::test]
async fn rfc8414_3_3_the_issuer_is_the_address_it_was_asked_at() {
    let world = World::new().await;
    let answer = expect_status(world.send(world.api.public(Method::GET, METADATA)), 200).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json()["issuer"], world.server.public());
}

#[tokio::test]
async fn rfc8414_3_3_a_configured_issuer_is_said_to_the_letter_everywhere() {
    for issuer in [
        "https://auth.example.com",
        "https://auth.example.com/",
        "https://example.com/auth",
    ] {
        let world = World::of(Server::builder().arg("--issuer").arg(issuer)).await;
        let body = expect_json(world.send(world.api.public(Method::GET, METADATA)), 200).await;
        assert_eq!(body["issuer"], issuer);
        let base = issuer.trim_end_matches('/');
        for (member, path) in [
            ("token", "token"),
            ("introspection", "introspect"),
            ("revocation", "revoke"),
        ] {
            let endpoint = &body[format!("{member}_endpoint")];
            assert_eq!(*endpoint, format!("{base}/oauth2/{path}"));
        }
        let token = world.generate(&world.client).await;
        let told = world.told(&world.client, &token).await.json();
        assert_eq!(told["iss"], issuer);
    }
}

#[tokio::test]
async fn rfc8414_2_every_member_is_so() {
    let world = World::new().await;
    let body = expect_json(world.send(world.api.public(Method::GET, METADATA)), 200).await;
    assert_eq!(body["grant_types_supported"], json!(["client_credentials"]));
    assert_eq!(body["response_types_supported"], json!([]));
    for kind in ["token", "introspection", "revocation"] {
        let url = text(&body, &format!("/{kind}_endpoint"));
        let path = url.strip_prefix(world.server.public());
        let path = path.expect("an address of this server");
        let form = [GRANT[0], ("token", "x")];
        let methods = &body[format!("{kind}_endpoint_auth_methods_supported")];
        for method in methods.as_array().expect("a list") {
            let (id, secret) = (world.client.id.as_str(), world.client.secret.as_str());
            match method.as_str().expect("a word") {
                "client_secret_basic" => world.form(path, &world.client, &form).await.expect(200),
                "client_secret_post" => {
                    let own = [("client_id", id), ("client_secret", secret)];
                    let form = [form, own].concat();
                    world.send(world.post(path).form(&form)).await.expect(200)
                }
                other => panic!("{other} is said to be supported"),
            };
        }
    }
}

#[tokio::test]
async fn an_odd_host_header_breaks_nothing() {
    let world = World::new().await;
    for host in ["a b", "x\"y", "localhost:99999999", "", "\u{fc}"] {
        let value = HeaderValue::from_bytes(host.as_bytes()).expect("a header value");
        let request = world.api.public(Method::GET, METADATA);
        let answer = world.send(request.header("host", value)).await;
        let status = answer.status;
        assert!(matches!(status, 200 | 400), "{host:?}: {status}");
        if status == 200 {
            assert!(answer.json()["issuer"].is_string());
        }
    }
}
