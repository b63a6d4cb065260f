//! Introspection on the internal listener: open to whoever reaches it, until a bearer token is
//! configured with `--internal-auth-file`.

use crate::introspection::inactive;
use crate::world::{INTROSPECT, World};
use reqwest::{Method, RequestBuilder};
use std::time::Duration;
use tokenward_testkit::{
    Answer, NewClient, Server, assert_lacks, expect_error, expect_json, wait_until, write_with_mode,
};

const BEARER: &str = "a-token-of-the-gateways-own";

fn ask(world: &World, token: &str) -> RequestBuilder {
    let request = world.api.internal(Method::POST, INTROSPECT);
    request.form(&[("token", token)])
}

#[track_caller]
fn unauthorized(answer: &Answer) {
    answer.clone().expect_error(401, "invalid_client");
    let challenge = "Bearer realm=\"tokenward-internal\"";
    assert_eq!(answer.header("www-authenticate"), challenge);
    assert_lacks(&answer.body, "active");
}

#[tokio::test]
async fn rfc7662_on_internal_tells_of_any_clients_token() {
    let world = World::new().await;
    for client in [&world.client, &world.other] {
        let token = world.generate(client).await;
        let body = world.send(ask(&world, &token)).await.expect(200).json();
        assert_eq!(body["active"], true);
        assert_eq!(body["client_id"], client.id);
        let next = world.generate(client).await;
        inactive(&world.send(ask(&world, &token)).await);
        world.disable(client).await;
        inactive(&world.send(ask(&world, &next)).await);
    }
    for text in ["x", world.client.secret.as_str(), "%ff"] {
        inactive(&world.send(ask(&world, text)).await);
    }
}

#[tokio::test]
async fn internal_introspection_refuses_what_is_no_form() {
    let world = World::new().await;
    let check = async |request: RequestBuilder, status| {
        expect_error(world.send(request), status, "invalid_request").await;
    };
    let post = || world.api.internal(Method::POST, INTROSPECT);
    check(post(), 400).await;
    check(post().form(&[("x", "y")]), 400).await;
    check(post().form(&[("token", "a"), ("token", "b")]), 400).await;
    check(post().json(&serde_json::json!({ "token": "x" })), 400).await;
    check(post().form(&[("token", "x".repeat(100_000))]), 413).await;
    let raw = post().header("content-type", "application/x-www-form-urlencoded");
    check(raw.body("token=%ff"), 400).await;
    let got = world.api.internal(Method::GET, INTROSPECT);
    let answer = world.send(got).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn with_internal_auth_only_the_bearer_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("internal-auth");
    write_with_mode(&path, &format!("{BEARER}\n"), 0o600);
    let file = format!("--internal-auth-file={}", path.display());
    let world = World::of(Server::builder().arg(&file)).await;
    let token = world.generate(&world.client).await;

    let asked = || ask(&world, &token);
    for request in [
        asked(),
        // A caller that may not ask does not learn what is wrong with its request, either.
        world.api.internal(Method::POST, INTROSPECT),
        asked().basic_auth("x", Some(BEARER)),
        asked().bearer_auth(BEARER).bearer_auth(BEARER),
        asked().basic_auth(&world.client.id, Some(&world.client.secret)),
    ] {
        unauthorized(&world.send(request).await);
    }
    for wrong in ["x", "", &BEARER[1..], &format!("{BEARER}x"), &token] {
        unauthorized(&world.send(asked().bearer_auth(wrong)).await);
    }

    let body = expect_json(world.send(ask(&world, &token).bearer_auth(BEARER)), 200).await;
    assert_eq!(body["active"], true);
    let log = wait_until("a line", Duration::from_secs(20), || {
        let log = world.server.output();
        log.contains("internal_bearer").then_some(log)
    });
    let mut refused = log.lines().filter(|line| line.contains("internal_bearer"));
    assert!(refused.all(|line| line.contains("127.0.0.1")), "{log}");
    // Checks are the gateways' own and ask for nothing more.
    world.permits(&token).await;
}

/// Asks on the internal listener; `suffix` follows the path, `more` are parameters beside the token.
async fn stated(world: &World, suffix: &str, token: &str, more: &[(&str, &str)]) -> Answer {
    let form = [&[("token", token)], more].concat();
    let path = format!("{INTROSPECT}{suffix}");
    let asked = world.api.internal(Method::POST, &path).form(&form);
    world.send(asked).await
}

#[tokio::test]
async fn a_token_that_is_not_good_for_what_is_stated_is_inactive() {
    let world = World::new().await;
    world.product("gst").await;
    let only = NewClient::sandbox("only").products(&["gst"]);
    let only = world.make(only).await;
    let token = world.generate(&only).await;
    let active = async |suffix: &str, more: &[(&str, &str)]| {
        let answer = stated(&world, suffix, &token, more).await.expect(200);
        let active = answer.json()["active"].as_bool().expect("a word");
        if !active {
            inactive(&answer);
        }
        active
    };
    assert!(active("", &[]).await);
    assert!(active("/sandbox/gst", &[]).await);
    assert!(active("/sandbox/gst", &[("product", "gst")]).await);
    assert!(active("", &[("environment", "sandbox"), ("product", "gst")]).await);
    assert!(active("", &[("environment", "sandbox")]).await);
    assert!(active("", &[("product", "gst")]).await);
    for suffix in "/production/gst /sandbox/e-invoice /sandbox/none /x/gst".split(' ') {
        assert!(!active(suffix, &[]).await, "{suffix}");
    }
    assert!(!active("", &[("environment", "production")]).await);
    assert!(!active("", &[("product", "e-invoice")]).await);
    // What can be read in two ways is refused, and no path is cut.
    for (suffix, more) in [
        ("/sandbox/gst", &[("product", "e-invoice")][..]),
        ("", &[("product", "")]),
        ("", &[("environment", "")]),
        ("", &[("client_ip", "")]),
        ("", &[("client_ip", "10.0.0.0/8")]),
        ("/sandbox/", &[]),
    ] {
        expect_error(stated(&world, suffix, &token, more), 400, "invalid_request").await;
    }
    for suffix in ["/sandbox", "/sandbox/gst/x"] {
        let answer = stated(&world, suffix, &token, &[]).await;
        assert_eq!(answer.status, 404, "{suffix}");
    }
    // The same on the public listener, for the client's own tokens.
    let own = async |path: &str| {
        let path = format!("{INTROSPECT}{path}");
        let answer = world.form(&path, &only, &[("token", &token)]).await;
        answer.expect(200).json()["active"].clone()
    };
    assert_eq!(own("/sandbox/gst").await, true);
    assert_eq!(own("/sandbox/e-invoice").await, false);
}

#[tokio::test]
async fn a_token_in_the_place_of_a_product_is_not_logged() {
    let world = World::new().await;
    let token = world.generate(&world.client).await;
    for _ in 0..20 {
        let answer = stated(&world, "", &token, &[("product", &token)]).await;
        inactive(&answer);
    }
    let warning = "names a product that does not exist";
    let log = wait_until("the warning", Duration::from_secs(40), || {
        let log = world.server.output();
        log.contains(warning).then_some(log)
    });
    assert_lacks(&log, &token);
    // A resource server that is set up wrongly does so at each request.
    assert!(log.matches(warning).count() <= 10, "{log}");
}

#[tokio::test]
async fn networks_are_honoured_where_the_callers_address_is_given() {
    let world = World::new().await;
    let near = NewClient::sandbox("near").token_networks(&["10.0.0.0/8"]);
    let near = world.make(near).await;
    let token = world.generate(&near).await;
    for (suffix, address, expect) in [
        ("", None, true),
        ("", Some("10.1.2.3"), true),
        ("", Some("::ffff:10.1.2.3"), true),
        ("", Some("192.0.2.1"), false),
        ("/sandbox/e-invoice", Some("10.1.2.3"), true),
        ("/sandbox/e-invoice", Some("192.0.2.1"), false),
        // The check of a product knows no caller without an address.
        ("/sandbox/e-invoice", None, false),
    ] {
        let more = address.map(|address| ("client_ip", address));
        let more = more.as_slice();
        let body = expect_json(stated(&world, suffix, &token, more), 200).await;
        assert_eq!(body["active"], expect, "{suffix} {address:?}");
    }
    let body = stated(&world, "", &token, &[]).await.expect(200).json();
    assert_eq!(body["token_networks"], serde_json::json!(["10.0.0.0/8"]));
}

#[tokio::test]
async fn scope_and_aud_name_the_products_of_unrestricted_clients_too() {
    let world = World::new().await;
    world.product("gst").await;
    let token = world.generate(&world.client).await;
    let body = stated(&world, "", &token, &[]).await.expect(200).json();
    assert_eq!(body["scope"], "e-invoice gst");
    assert_eq!(body["aud"], serde_json::json!(["e-invoice", "gst"]));
}

#[tokio::test]
async fn an_introspection_for_a_product_counts_as_a_use() {
    let world = World::new().await;
    let token = world.generate(&world.client).await;
    stated(&world, "", &token, &[]).await.expect(200);
    let from = [("client_ip", "192.0.2.7")];
    let used = stated(&world, "/sandbox/e-invoice", &token, &from);
    used.await.expect(200);
    let path = format!("/clients/{}/usage", world.client.id);
    let usage = expect_json(world.send(world.api.admin(Method::GET, &path)), 200).await;
    let counts = usage["counts"].as_array().expect("counts").iter();
    let permits: Vec<_> = counts.filter(|one| one["outcome"] == "PERMIT").collect();
    assert_eq!(permits.len(), 1, "{usage}");
    assert_eq!(permits[0]["count"], 1);
    let client = expect_json(world.api.read_client(&world.client.id), 200).await;
    assert_eq!(client["last_used_from"], "192.0.2.7");
}
