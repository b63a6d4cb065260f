//! The ways round the tug-of-war: returning the live token, and the hand-over; and the status.

use crate::house::{House, until};
use crate::seen::seen;
use insta::assert_snapshot;
use reqwest::Method;
use serde_json::json;
use tokenward_testkit::{Answer, NewClient, expect_error};

#[tokio::test]
async fn policy_return_gives_the_live_token_again() {
    let mut house = House::with(&["--quota-per-day", "5"]).await;
    let erp = house.client(NewClient::sandbox("erp").returns(600)).await;
    house.away_from_midnight(&erp.secret).await;
    let first = house.token(&erp).await;
    let again = house.generate(&erp.secret).await;
    let shown = seen(&again).replace(&format!("{}", again.json()["expires_in"]), "[left]");
    assert_snapshot!(shown, @r#"200 [etag: "1", ratelimit: "generate";r=4;t=[to midnight], ratelimit-policy: "generate";q=5;w=86400] {"access_token":"[access token]","expires_in":[left],"generation":1,"valid_till":"[time]"}"#);
    assert_eq!(again.token().access_token, first.access_token);
    house.restart();
    let returned = house.token(&erp).await;
    assert_eq!(returned.access_token, first.access_token);
    assert_eq!(returned.generation, 1);
    let actions = house.actions().await;
    let returns = actions.iter().filter(|action| *action == "token.return");
    assert_eq!(returns.count(), 2);

    // Further returns of the day are counted, not audited: nothing changes.
    for _ in 0..20 {
        house.token(&erp).await;
    }
    let entries = house.actions().await;
    assert_eq!(entries.len(), actions.len());
    let path = format!("/clients/{}/usage", erp.id);
    let counted = |answer: &Answer| {
        let figures = answer.json();
        let mut counts = figures["counts"].as_array().unwrap().iter();
        let returned = counts.find(|one| one["outcome"] == "RETURNED");
        returned.is_some_and(|one| one["count"] == 22)
    };
    let usage = || house.ask(Method::GET, &path);
    until("the returns to be counted", usage, counted).await;

    // A second secret does not open the first one's seal: it gets a token of its own.
    let (_, second) = house.rotate(&erp).await;
    let other = house.generate(&second).await.token();
    assert_eq!(other.generation, 2);
    house.denies(&first.access_token, "TOKEN_SUPERSEDED").await;

    let forced = house.authz(Method::POST, "?force=true", &second).await;
    let forced = forced.token();
    assert_eq!(forced.generation, 3);
    let gentle = house.authz(Method::POST, "?force=false", &second).await;
    assert_eq!(gentle.token().access_token, forced.access_token);
    let refused = house.authz(Method::POST, "?force=perhaps", &second).await;
    assert_snapshot!(seen(&refused), @"400 INVALID_REQUEST: force must be true or false.");

    // What an administrator made is nobody's to return.
    let path = format!("/clients/{}/token", erp.id);
    let made = house.ask(Method::POST, &path).await.expect(201).json();
    let next = house.generate(&second).await.token();
    assert_eq!((made["generation"].as_u64(), next.generation), (Some(4), 5));
}

#[tokio::test]
async fn a_token_that_ended_or_soon_ends_is_not_returned() {
    let house = House::new().await;
    // Made with less left than the margin from its first moment.
    let brief = NewClient::sandbox("brief").returns(600).lifetime(600);
    let brief = house.client(brief).await;
    assert_eq!(house.token(&brief).await.generation, 1);
    assert_eq!(house.token(&brief).await.generation, 2);

    let erp = house.client(NewClient::sandbox("erp").returns(600)).await;
    assert_eq!(house.token(&erp).await.generation, 1);
    house.api.revoke(&erp.id).await.unwrap().expect(200);
    assert_eq!(house.token(&erp).await.generation, 2);
    // A client that replaces keeps nothing to return, and finds nothing when it returns once more.
    house.patch(&erp, json!({ "on_repeat": "replace" })).await;
    house.patch(&erp, json!({ "on_repeat": "return" })).await;
    assert_eq!(house.token(&erp).await.generation, 3);
    assert_eq!(house.token(&erp).await.generation, 3);
    house.api.disable(&erp.id).await.unwrap().expect(200);
    expect_error(house.generate(&erp.secret), 401, "CLIENT_DISABLED").await;
}

#[tokio::test]
async fn in_a_hand_over_two_tokens_live_until_one_is_ended() {
    let house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp").handover(60)).await;
    let first = house.token(&erp).await;
    let answer = house.handover(&erp, 60).await;
    assert_snapshot!(seen(&answer), @r#"200 [etag: "2", ratelimit: "generate";r=286;t=[to midnight], ratelimit-policy: "generate";q=288;w=86400] {"access_token":"[access token]","expires_in":3600,"generation":2,"previous_valid_till":"[time]","valid_till":"[time]"}"#);
    let second = answer.token();
    house.permits(&second.access_token).await;
    let previous = house.permits(&first.access_token).await;
    assert_eq!(previous.header("x-tokenward-generation"), "1");
    let till = previous.header("x-tokenward-valid-till");
    assert_eq!(Some(till), second.previous_valid_till.as_deref());

    // Never more than two.
    let third = house.handover(&erp, 60).await.token();
    house.denies(&first.access_token, "TOKEN_SUPERSEDED").await;
    house.permits(&second.access_token).await;
    house.permits(&third.access_token).await;

    let ended = house.authz(Method::DELETE, "/previous", &erp.secret).await;
    assert_snapshot!(seen(&ended), @r#"200 {"ended":true}"#);
    house.denies(&second.access_token, "TOKEN_SUPERSEDED").await;
    house.permits(&third.access_token).await;
    let nothing = house.authz(Method::DELETE, "/previous", &erp.secret).await;
    assert_eq!(nothing.expect(200).json(), json!({ "ended": false }));

    // Without asking, or asking for none, the seed's rule holds; asking for too much gives nothing.
    let alone = house.handover(&erp, 0).await.token();
    house.denies(&third.access_token, "TOKEN_SUPERSEDED").await;
    let fourth = house.token(&erp).await;
    house.denies(&alone.access_token, "TOKEN_SUPERSEDED").await;
    let refused = house.handover(&erp, 61).await;
    assert_snapshot!(seen(&refused), @r#"400 HANDOVER_TOO_LONG: The hand-over is longer than this API client allows (handover_max_seconds). {"handover_max_seconds":60}"#);
    let words = "
        ?handover=x ?handover=-1 ?handover=+5 ?handover=05 ?handover=1&handover=2 ?handover=
        ?force=true&force=false ?force&force";
    for suffix in words.split_whitespace() {
        let refused = house.authz(Method::POST, suffix, &erp.secret);
        expect_error(refused, 400, "INVALID_REQUEST").await;
    }
    house.permits(&fourth.access_token).await;
}

#[tokio::test]
async fn a_hand_over_ends_in_time_and_with_the_client() {
    let house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp").handover(60)).await;
    let first = house.token(&erp).await;
    let second = house.handover(&erp, 1).await.token();
    let ended = house.until_ended(&first.access_token).await;
    assert_eq!(ended.code().as_deref(), Some("TOKEN_SUPERSEDED"));
    let third = house.handover(&erp, 60).await.token();
    house.permits(&second.access_token).await;
    house.api.revoke(&erp.id).await.unwrap().expect(200);
    house.denies(&third.access_token, "TOKEN_REVOKED").await;
    house.denies(&second.access_token, "TOKEN_SUPERSEDED").await;
    // Nobody asked this client's owner: the default is the seed's rule.
    let plain = house.client(NewClient::sandbox("plain")).await;
    house.token(&plain).await;
    let refused = house.handover(&plain, 1);
    expect_error(refused, 400, "HANDOVER_TOO_LONG").await;
    house.handover(&plain, 0).await.expect(200);
}

#[tokio::test]
async fn the_status_tells_everything_but_the_token_and_changes_nothing() {
    let house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp").handover(60)).await;
    let blank = house.authz(Method::GET, "/status", &erp.secret).await;
    assert_snapshot!(seen(&blank), @r#"200 [ratelimit: "generate";r=288;t=[to midnight], ratelimit-policy: "generate";q=288;w=86400] {"generation":0,"issued_at":null,"live":false,"previous_valid_till":null,"quota":288,"quota_left":288,"valid_till":null}"#);
    house.token(&erp).await;
    let token = house.handover(&erp, 60).await.token();
    let live = house.authz(Method::GET, "/status", &erp.secret).await;
    assert_snapshot!(seen(&live), @r#"200 [ratelimit: "generate";r=286;t=[to midnight], ratelimit-policy: "generate";q=288;w=86400] {"generation":2,"issued_at":"[time]","live":true,"previous_valid_till":"[time]","quota":288,"quota_left":286,"valid_till":"[time]"}"#);
    house.permits(&token.access_token).await;
    house.api.revoke(&erp.id).await.unwrap().expect(200);
    let revoked = house.authz(Method::GET, "/status", &erp.secret).await;
    assert_snapshot!(seen(&revoked), @r#"200 [ratelimit: "generate";r=286;t=[to midnight], ratelimit-policy: "generate";q=288;w=86400] {"generation":2,"issued_at":null,"live":false,"previous_valid_till":null,"quota":288,"quota_left":286,"valid_till":null}"#);
    let actions = house.actions().await;
    assert!(!actions.iter().any(|action| action.contains("status")));
}
