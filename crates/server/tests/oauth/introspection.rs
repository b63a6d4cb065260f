//! RFC 7662 on the public listener, and the challenges of RFC 6750 at the check.

use crate::world::{INTROSPECT, World};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use tokenward_testkit::{Answer, NewClient, assert_lacks};

/// Exactly this and nothing more, whatever the reason.
#[track_caller]
pub(crate) fn inactive(answer: &Answer) {
    let seen = (answer.status, &*answer.body);
    assert_eq!(seen, (200, "{\"active\":false}"));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn rfc7662_2_2_an_active_token_is_described() {
    let world = World::new().await;
    let only = NewClient::production("only").products(&["e-invoice"]);
    let only = world.make(only.lifetime(60)).await;
    let token = world.generate(&only).await;
    let answer = world.told(&only, &token).await;
    let body = answer.json();
    let expected = json!({
        "active": true, "token_type": "Bearer", "client_id": only.id, "sub": only.id, "scope": "e-invoice",
        "environment": "production", "workspace": world.workspace, "generation": 1,
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&body[name], value, "{name}");
    }
    let seconds = |name: &str| body[name].as_i64().expect("a number of seconds");
    assert_eq!(seconds("exp") - seconds("iat"), 60);
    // The token itself is not repeated.
    assert_lacks(&answer.body, &token);
    // A hint changes nothing, right or wrong.
    for hint in ["access_token", "refresh_token", "x"] {
        let form = [("token", token.as_str()), ("token_type_hint", hint)];
        let told = world.form(INTROSPECT, &only, &form).await.json();
        assert_eq!(told["active"], true);
    }
}

#[tokio::test]
async fn rfc7662_2_2_an_inactive_token_is_exactly_that_whatever_the_reason() {
    let world = World::new().await;
    let (client, other) = (&world.client, &world.other);
    let first = world.generate(client).await;
    let second = world.generate(client).await;
    inactive(&world.told(client, &first).await);
    assert!(world.is_active(client, &second).await);
    // Another client's live token, shapes that are none, the secret itself.
    inactive(&world.told(other, &second).await);
    for text in [
        "x",
        "1.2_3",
        client.secret.as_str(),
        "\u{fffd}",
        &"x".repeat(10_000),
    ] {
        inactive(&world.told(client, text).await);
    }
    let last = if second.ends_with('0') { "1" } else { "0" };
    let wrong = format!("{}{last}", &second[..second.len() - 1]);
    inactive(&world.told(client, &wrong).await);
    world.revoke(client).await;
    inactive(&world.told(client, &second).await);
}

#[tokio::test]
async fn rfc7662_2_2_an_expired_token_is_inactive() {
    let world = World::new().await;
    let short = world.make(NewClient::sandbox("short").lifetime(1)).await;
    let token = world.generate(&short).await;
    let expired = async { while world.is_active(&short, &token).await {} };
    let expired = tokio::time::timeout(Duration::from_secs(10), expired).await;
    expired.expect("the token expires");
    inactive(&world.told(&short, &token).await);
}

#[tokio::test]
async fn rfc7662_2_1_the_caller_proves_itself_and_names_a_token() {
    let world = World::new().await;
    let token = world.generate(&world.client).await;
    let form = [("token", token.as_str())];
    let unsigned = world.post(INTROSPECT).form(&form);
    world.invalid_client(unsigned).await;
    // A token is no proof of a client here.
    let bearer = world.post(INTROSPECT).bearer_auth(&token).form(&form);
    world.invalid_client(bearer).await;
    let signed = || world.signed(INTROSPECT, &world.client);
    world.invalid_request(signed().form(&[("", ""); 0])).await;
    world.invalid_request(signed().form(&[("token", "")])).await;
    world.disable(&world.client).await;
    world.invalid_client(signed().form(&form)).await;
}

#[tokio::test]
async fn rfc6750_3_the_check_challenges_as_a_resource_server_does() {
    let world = World::new().await;
    let only = NewClient::sandbox("only").products(&["e-invoice"]);
    let only = world.make(only).await;
    world.product("gst").await;
    let live = world.generate(&only).await;
    let check = async |product: &str, authorization: &str| {
        let path = format!("/check/sandbox/{product}");
        let mut request = world.api.internal(Method::GET, &path);
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        let answer = world.send(request).await;
        (answer.status, answer.header("www-authenticate").to_owned())
    };
    // No credentials: no error attribute.
    let bare = (401, "Bearer realm=\"tokenward\"".to_owned());
    assert_eq!(check("e-invoice", "").await, bare);
    assert_eq!(check("e-invoice", "Basic eDp5").await, bare);
    let invalid = "Bearer realm=\"tokenward\", error=\"invalid_token\"";
    let invalid = (401, invalid.to_owned());
    let (token, secret) = (format!("Bearer {live}"), format!("Bearer {}", only.secret));
    assert_eq!(check("e-invoice", "Bearer x").await, invalid);
    assert_eq!(check("e-invoice", &secret).await, invalid);
    assert_eq!(check("e-invoice", &format!("bearer {live}")).await.0, 200);
    assert_eq!(check("gst", &token).await.0, 403);
    world.generate(&only).await;
    assert_eq!(check("e-invoice", &token).await, invalid);
}
