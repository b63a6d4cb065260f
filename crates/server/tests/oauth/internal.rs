//! Introspection on the internal listener: open to whoever reaches it, until a bearer token is
//! configured with `--internal-auth-file`.

use crate::world::{INTROSPECT, World};
use reqwest::{Method, RequestBuilder};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;
use tokenward_testkit::{Answer, Server, wait_until};

const BEARER: &str = "a-token-of-the-gateways-own";

fn ask(world: &World, token: &str) -> RequestBuilder {
    world
        .api
        .internal(Method::POST, INTROSPECT)
        .form(&[("token", token)])
}

#[track_caller]
fn unauthorized(answer: &Answer) {
    answer.clone().expect_error(401, "invalid_client");
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer realm=\"tokenward-internal\""
    );
    assert!(!answer.body.contains("active"), "{}", answer.body);
}

#[tokio::test]
async fn rfc7662_on_internal_tells_of_any_clients_token() {
    let world = World::new().await;
    for client in [&world.client, &world.other] {
        let token = world.generate(client).await;
        let body = world.send(ask(&world, &token)).await.expect(200).json();
        assert_eq!(
            (&body["active"], &body["client_id"]),
            (&true.into(), &client.id.as_str().into())
        );
        let next = world.generate(client).await;
        assert_eq!(
            world.send(ask(&world, &token)).await.expect(200).body,
            "{\"active\":false}"
        );
        world
            .api
            .disable(&client.id)
            .await
            .expect("an answer")
            .expect(200);
        assert_eq!(
            world.send(ask(&world, &next)).await.expect(200).body,
            "{\"active\":false}"
        );
    }
    for text in ["x", world.client.secret.as_str(), "%ff"] {
        assert_eq!(
            world.send(ask(&world, text)).await.expect(200).body,
            "{\"active\":false}"
        );
    }
}

#[tokio::test]
async fn internal_introspection_refuses_what_is_no_form() {
    let world = World::new().await;
    let check = async |request: RequestBuilder, status| {
        world
            .send(request)
            .await
            .expect_error(status, "invalid_request");
    };
    let post = || world.api.internal(Method::POST, INTROSPECT);
    check(post(), 400).await;
    check(post().form(&[("x", "y")]), 400).await;
    check(post().form(&[("token", "a"), ("token", "b")]), 400).await;
    check(post().json(&serde_json::json!({ "token": "x" })), 400).await;
    check(post().form(&[("token", "x".repeat(100_000))]), 413).await;
    let raw = post()
        .header("content-type", "application/x-www-form-urlencoded")
        .body("token=%ff");
    check(raw, 400).await;
    let answer = world
        .send(world.api.internal(Method::GET, INTROSPECT))
        .await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn with_internal_auth_only_the_bearer_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("internal-auth");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .expect("a file");
    std::io::Write::write_all(&mut file, format!("{BEARER}\n").as_bytes()).expect("a written file");
    let builder = Server::builder()
        .arg("--internal-auth-file")
        .arg(path.to_str().expect("a path"));
    let world = World::of(builder).await;
    let token = world.generate(&world.client).await;

    unauthorized(&world.send(ask(&world, &token)).await);
    // Whoever may not ask is not told either what is wrong with its question.
    unauthorized(
        &world
            .send(world.api.internal(Method::POST, INTROSPECT))
            .await,
    );
    for wrong in ["x", "", &BEARER[1..], &format!("{BEARER}x"), &token] {
        unauthorized(&world.send(ask(&world, &token).bearer_auth(wrong)).await);
    }
    unauthorized(
        &world
            .send(ask(&world, &token).basic_auth("x", Some(BEARER)))
            .await,
    );
    unauthorized(
        &world
            .send(ask(&world, &token).bearer_auth(BEARER).bearer_auth(BEARER))
            .await,
    );
    let owner = ask(&world, &token).basic_auth(&world.client.id, Some(&world.client.secret));
    unauthorized(&world.send(owner).await);

    let body = world
        .send(ask(&world, &token).bearer_auth(BEARER))
        .await
        .expect(200)
        .json();
    assert_eq!(body["active"], true);
    let log = wait_until("a line", Duration::from_secs(20), || {
        let log = world.server.output();
        log.contains("internal_bearer").then_some(log)
    });
    let mut refused = log.lines().filter(|line| line.contains("internal_bearer"));
    assert!(refused.all(|line| line.contains("127.0.0.1")), "{log}");
    // Checks are the gateways' own and ask for nothing more.
    world
        .api
        .check("sandbox", "e-invoice", &token)
        .await
        .expect("an answer")
        .expect(200);
}
