//! RFC 7009: a client ends its own token, and no other's.

use crate::introspection::inactive;
use crate::world::{REVOKE, World};
use reqwest::Method;
use tokenward_testkit::{NewClient, expect_error, expect_status};

#[tokio::test]
async fn rfc7009_2_a_client_revokes_its_own_token_at_once() {
    let world = World::new().await;
    let token = world.generate(&world.client).await;
    let form = [
        ("token", token.as_str()),
        ("token_type_hint", "access_token"),
    ];
    let answer = world.form(REVOKE, &world.client, &form).await.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    expect_error(world.check(&token), 401, "TOKEN_REVOKED").await;
    inactive(&world.told(&world.client, &token).await);
    // Again: it is already as the caller wants it.
    world.form(REVOKE, &world.client, &form).await.expect(200);
    // The client itself lives on.
    world.generate(&world.client).await;
}

#[tokio::test]
async fn rfc7009_2_2_an_unknown_token_is_200_and_ends_nothing() {
    let world = World::new().await;
    let superseded = world.generate(&world.client).await;
    let live = world.generate(&world.client).await;
    let unknown = format!("1.{}_{}", world.client.id, "0".repeat(64));
    for text in [
        "x",
        superseded.as_str(),
        &unknown,
        &world.client.secret,
        &"x".repeat(10_000),
    ] {
        expect_status(world.form(REVOKE, &world.client, &[("token", text)]), 200).await;
    }
    world.permits(&live).await;
}

#[tokio::test]
async fn rfc7009_2_1_another_clients_token_is_not_revoked() {
    let world = World::new().await;
    let theirs = world.generate(&world.other).await;
    let own = world.generate(&world.client).await;
    let form = [("token", theirs.as_str())];
    world.form(REVOKE, &world.client, &form).await.expect(200);
    for token in [&theirs, &own] {
        world.permits(token).await;
    }
}

#[tokio::test]
async fn rfc7009_2_1_a_caller_who_proves_nothing_revokes_nothing() {
    let world = World::new().await;
    let token = world.generate(&world.client).await;
    let form = [("token", token.as_str())];
    world.invalid_client(world.post(REVOKE).form(&form)).await;
    let bearer = world.post(REVOKE).bearer_auth(&token).form(&form);
    world.invalid_client(bearer).await;
    let named = [form[0], ("client_id", world.client.id.as_str())];
    world.invalid_client(world.post(REVOKE).form(&named)).await;
    let signed = || world.signed(REVOKE, &world.client);
    world.invalid_request(signed().form(&[("", ""); 0])).await;
    world.invalid_request(signed().form(&[("token", "")])).await;
    world.permits(&token).await;
}

#[tokio::test]
async fn revoking_the_previous_token_of_a_hand_over_leaves_the_newest() {
    let world = World::new().await;
    let slow = world.make(NewClient::sandbox("slow").handover(600)).await;
    let first = world.generate(&slow).await;
    let request = world.api.authz(Method::POST, "?handover=600", &slow.secret);
    let second = world.send(request).await.token().access_token;
    for token in [&first, &second] {
        world.permits(token).await;
    }
    expect_status(world.form(REVOKE, &slow, &[("token", &first)]), 200).await;
    expect_status(world.check(&first), 401).await;
    world.permits(&second).await;
}
