//! Generating: what a client secret buys, for how long, and what becomes of the token before.

use crate::house::House;
use crate::seen::{is_time, seen};
use insta::assert_snapshot;
use reqwest::Method;
use serde_json::json;
use std::collections::HashSet;
use tokenward_testkit::{Answer, NewClient, expect_error};
use tokio::task::JoinSet;

#[tokio::test]
async fn a_secret_buys_a_token_by_get_and_by_post() {
    let (house, erp) = House::with_erp().await;
    let first = house.authz(Method::GET, "", &erp.secret).await;
    assert_snapshot!(seen(&first), @r#"200 [etag: "1", ratelimit: "generate";r=287;t=[to midnight], ratelimit-policy: "generate";q=288;w=86400] {"access_token":"[access token]","expires_in":3600,"generation":1,"valid_till":"[time]"}"#);
    let second = house.authz(Method::POST, "", &erp.secret).await;
    assert_snapshot!(seen(&second), @r#"200 [etag: "2", ratelimit: "generate";r=286;t=[to midnight], ratelimit-policy: "generate";q=288;w=86400] {"access_token":"[access token]","expires_in":3600,"generation":2,"valid_till":"[time]"}"#);
    let token = second.token();
    let parts = token.access_token.strip_prefix("sandbox.1.").unwrap();
    let (client, random) = parts.split_once('_').unwrap();
    assert_eq!((client, random.len()), (erp.id.as_str(), 64));
    let production = house.client(NewClient::production("erp")).await;
    let token = house.token(&production).await.access_token;
    assert!(token.starts_with(&format!("1.{}_", production.id)));
    assert!(token.len() <= 128 && production.secret.len() <= 128);
}

#[tokio::test]
async fn generating_again_revokes_the_token_before_at_once() {
    let (house, erp) = House::with_erp().await;
    let mut old = house.token(&erp).await;
    for _ in 0..5 {
        house.permits(&old.access_token).await;
        let new = house.token(&erp).await;
        assert_eq!(new.generation, old.generation + 1);
        house.permits(&new.access_token).await;
        let denied = house.denies(&old.access_token, "TOKEN_SUPERSEDED").await;
        let error = &denied.json()["errors"][0];
        assert_eq!(error["superseded_by_generation"], new.generation);
        old = new;
    }
    let mut made = house.actions().await;
    made.retain(|action| action == "token.generate");
    assert_eq!(made.len(), 6);
}

#[tokio::test]
async fn tokens_expire_when_they_say_or_never() {
    let house = House::new().await;
    let short = house.client(NewClient::sandbox("short").lifetime(1)).await;
    let token = house.token(&short).await;
    assert_eq!(token.expires_in, Some(1));
    assert!(is_time(token.valid_till.as_deref().unwrap()));
    let permitted = house.check("gst", &token.access_token).await;
    if permitted.status == 200 {
        let till = permitted.header("x-tokenward-valid-till");
        assert_eq!(Some(till), token.valid_till.as_deref());
    }
    let ended = house.until_ended(&token.access_token).await;
    assert_snapshot!(seen(&ended), @r#"401 [www-authenticate: Bearer realm="tokenward", error="invalid_token"] TOKEN_EXPIRED: The access token has expired. Generate a new one. {"expired_at":"[time]"}"#);
    // Regenerating is generating again.
    let renewed = house.token(&short).await;
    assert_eq!(renewed.generation, 2);

    let lasting = house.client(NewClient::sandbox("lasting")).await;
    let forever = json!({ "token_lifetime_seconds": null });
    house.patch(&lasting, forever).await;
    let answer = house.generate(&lasting.secret).await;
    assert_snapshot!(seen(&answer), @r#"200 [etag: "1", ratelimit: "generate";r=287;t=[to midnight], ratelimit-policy: "generate";q=288;w=86400] {"access_token":"[access token]","expires_in":null,"generation":1,"valid_till":null}"#);
    let permitted = house.permits(&answer.token().access_token).await;
    assert_eq!(permitted.headers["x-tokenward-valid-till"], "");
}

#[tokio::test]
async fn the_quota_of_the_day_is_the_secrets_own_and_survives_a_restart() {
    let mut house = House::with(&["--quota-per-day", "3"]).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    house.away_from_midnight(&erp.secret).await;
    house.generate(&erp.secret).await.expect(200);
    // Only calls that made a token count.
    house.generate_if(&erp.secret, "\"7\"").await.expect(412);
    let path = format!("/clients/{}/token", erp.id);
    house.ask(Method::POST, &path).await.expect(201);
    assert_eq!(house.status(&erp.secret).await["quota_left"], 2);
    house.generate(&erp.secret).await.expect(200);
    house.restart();
    let last = house.generate(&erp.secret).await;
    assert_snapshot!(seen(&last), @r#"200 [etag: "4", ratelimit: "generate";r=0;t=[to midnight], ratelimit-policy: "generate";q=3;w=86400] {"access_token":"[access token]","expires_in":3600,"generation":4,"valid_till":"[time]"}"#);
    let refused = house.generate(&erp.secret).await;
    assert_snapshot!(seen(&refused), @r#"429 [retry-after: [to midnight]] QUOTA_EXCEEDED: This client secret has made all its tokens of the day. Keep and use a token until it expires. {"quota":3}"#);
    let token = last.token().access_token;
    house.permits(&token).await;

    let (n, second) = house.rotate(&erp).await;
    let left = async |secret: &str| house.status(secret).await["quota_left"].clone();
    assert_eq!((n, left(&second).await), (2, json!(3)));
    house.generate(&second).await.expect(200);
    house.denies(&token, "TOKEN_SUPERSEDED").await;
    let path = format!("/clients/{}/secrets/1", erp.id);
    house.ask(Method::DELETE, &path).await.expect(200);
    expect_error(house.generate(&erp.secret), 401, "CLIENT_SECRET_INVALID").await;
    assert_eq!(left(&second).await, 2);
    // A third secret takes the place of the first with its count, so that making secrets makes no tokens.
    let (n, third) = house.rotate(&erp).await;
    assert_eq!((n, left(&third).await), (3, json!(0)));
    expect_error(house.generate(&third), 429, "QUOTA_EXCEEDED").await;
    let shown = house.api.read_client(&erp.id).await.unwrap().json();
    let figures = shown["secrets"].as_array().unwrap();
    for (n, used, left) in [(2, 1, 2), (3, 3, 0)] {
        let one = figures.iter().find(|one| one["n"] == n).unwrap();
        assert_eq!(one["quota_used_today"], used);
        assert_eq!(one["quota_left_today"], left);
    }
}

/// Calls at once, each on a connection of its own; the answers.
async fn at_once(house: &House, count: usize, secret: &str, tag: Option<&str>) -> Vec<Answer> {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let api = house.api.with_new_connections();
        let mut request = api.authz(Method::POST, "", secret);
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        calls.spawn(async move { api.send(request).await.unwrap() });
    }
    calls.join_all().await
}

fn count(answers: &[Answer], status: u16) -> usize {
    let of_status = |answer: &&Answer| answer.status == status;
    answers.iter().filter(of_status).count()
}

#[tokio::test]
async fn at_the_border_of_the_quota_exactly_one_of_many_wins() {
    let house = House::with(&["--quota-per-day", "4"]).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    house.away_from_midnight(&erp.secret).await;
    for _ in 0..3 {
        house.generate(&erp.secret).await.expect(200);
    }
    let answers = at_once(&house, 50, &erp.secret, None).await;
    assert_eq!((count(&answers, 200), count(&answers, 429)), (1, 49));
}

#[tokio::test]
async fn of_many_callers_at_once_one_token_lives() {
    let (house, erp) = House::with_erp().await;
    let answers = at_once(&house, 50, &erp.secret, None).await;
    assert_eq!(count(&answers, 200), 50);
    let tokens: Vec<_> = answers.into_iter().map(Answer::token).collect();
    let generations: HashSet<_> = tokens.iter().map(|token| token.generation).collect();
    assert_eq!(generations, (1..=50).collect());
    for token in &tokens {
        let checked = house.check("gst", &token.access_token).await;
        let expected = if token.generation == 50 { 200 } else { 401 };
        assert_eq!(checked.status, expected, "{}", checked.body);
    }
}

#[tokio::test]
async fn of_many_that_name_one_generation_one_wins_and_no_other_gets_a_token() {
    let (house, erp) = House::with_erp().await;
    for (generation, tag) in [(1, "\"0\""), (2, "\"1\"")] {
        let answers = at_once(&house, 50, &erp.secret, Some(tag)).await;
        assert_eq!((count(&answers, 200), count(&answers, 412)), (1, 49));
        for answer in &answers {
            assert_eq!(answer.header("etag"), format!("\"{generation}\""));
            assert_eq!(answer.body.contains("access_token"), answer.status == 200);
        }
    }
}

#[tokio::test]
async fn if_match_names_the_live_tokens_generation() {
    let (house, erp) = House::with_erp().await;
    let early = house.generate_if(&erp.secret, "\"1\"").await;
    assert_snapshot!(seen(&early), @r#"412 [etag: "0"] GENERATION_MISMATCH: Another token was generated meanwhile; nothing was changed. Use that one, or name its generation. {"generation":0,"valid_till":null}"#);
    house.generate_if(&erp.secret, "\"0\"").await.expect(200);
    let late = house.generate_if(&erp.secret, "\"0\"").await;
    assert_snapshot!(seen(&late), @r#"412 [etag: "1"] GENERATION_MISMATCH: Another token was generated meanwhile; nothing was changed. Use that one, or name its generation. {"generation":1,"valid_till":"[time]"}"#);
    house.generate_if(&erp.secret, "\"1\"").await.expect(200);
    let tags = r#"1|*|W/"2|w/"2"|"+2"|"02"|"2 "|"2", "3"|"-1"|""|"99999999999""#;
    for tag in tags.split('|') {
        expect_error(house.generate_if(&erp.secret, tag), 400, "INVALID_REQUEST").await;
    }
    let request = house.api.authz(Method::POST, "", &erp.secret);
    let request = request.header("if-match", "\"2\"");
    let twice = request.header("if-match", "\"2\"");
    let refused = house.send(twice).await;
    assert_snapshot!(seen(&refused), @r#"400 INVALID_REQUEST: If-Match must name one generation in quotes, such as "7"."#);
    assert_eq!(house.status(&erp.secret).await["generation"], 2);
}

#[tokio::test]
async fn a_tag_that_a_compressing_proxy_weakened_is_accepted() {
    let (house, erp) = House::with_erp().await;
    house.token(&erp).await;
    let made = house.generate_if(&erp.secret, "W/\"1\"").await.token();
    assert_eq!(made.generation, 2);
    let old = house.generate_if(&erp.secret, "W/\"1\"").await;
    old.expect_error(412, "GENERATION_MISMATCH");
}
