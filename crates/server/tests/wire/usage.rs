//! What a client's tokens were used for: each check of a real token counted once, for its own client, and
//! not lost by a stop.

use crate::house::{House, until};
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{Answer, ApiClient, NewClient};

/// Outcome, product and count of each line, without the days.
fn lines(answer: &Answer) -> Vec<(String, Option<String>, u64)> {
    let body = answer.json();
    let line = |line: &Value| {
        let product = line["product"].as_str().map(str::to_owned);
        let outcome = line["outcome"].as_str().unwrap().to_owned();
        (outcome, product, line["count"].as_u64().unwrap())
    };
    body["counts"]
        .as_array()
        .unwrap()
        .iter()
        .map(line)
        .collect()
}

fn line(outcome: &str, product: Option<&str>, n: u64) -> (String, Option<String>, u64) {
    (outcome.to_owned(), product.map(str::to_owned), n)
}

impl House {
    /// The client's figures, once they hold these lines: those on their way to the store are missing for a
    /// moment.
    async fn counts(
        &self,
        client: &ApiClient,
        expected: &[(String, Option<String>, u64)],
    ) -> Answer {
        let path = format!("/clients/{}/usage", client.id);
        let fits = |answer: &Answer| answer.status == 200 && lines(answer) == expected;
        until("the counts", || self.ask(Method::GET, &path), fits).await
    }
}

#[tokio::test]
async fn what_is_checked_and_generated_is_counted_for_its_client() {
    let mut house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let other = house.client(NewClient::sandbox("other")).await;
    house.away_from_midnight(&erp.secret).await;
    let unused = house.counts(&other, &[]).await.json();
    assert_eq!(unused["stale_uses"], json!([]));
    let first = house.token(&erp).await.access_token;
    for _ in 0..3 {
        house.permits(&first).await;
    }
    house.check("e-invoice", &first).await.expect(200);
    let path = format!("/clients/{}/token", erp.id);
    let second = house.ask(Method::POST, &path).await.expect(201).json();
    let second = second["access_token"].as_str().unwrap().to_owned();
    house.denies(&first, "TOKEN_SUPERSEDED").await;
    house.denies(&first, "TOKEN_SUPERSEDED").await;
    // Nobody's: an unknown product, a token of that client's name that never was, none at all.
    house.check("nothing", &second).await.expect(404);
    let forged = format!("{}{}", &first[..first.len() - 64], "0".repeat(64));
    house.check("gst", &forged).await.expect(401);
    let expected = [
        line("GENERATED", None, 2),
        line("PERMIT", Some("gst"), 3),
        line("TOKEN_SUPERSEDED", Some("gst"), 2),
        line("PERMIT", Some("e-invoice"), 1),
    ];
    let told = house.counts(&erp, &expected).await.json();
    let stale = &told["stale_uses"];
    assert_eq!(stale.as_array().unwrap().len(), 1);
    assert_eq!(stale[0]["source"], "127.0.0.1");
    assert_eq!(stale[0]["outcome"], "TOKEN_SUPERSEDED");
    assert_eq!(stale[0]["count"], 2);
    assert_eq!(stale[0]["day"], told["to"]);
    house.counts(&other, &[]).await;
    // A stop writes what is still in memory: the last of these certainly is.
    house.permits(&second).await;
    house.restart();
    let expected = [
        line("GENERATED", None, 2),
        line("PERMIT", Some("gst"), 4),
        line("TOKEN_SUPERSEDED", Some("gst"), 2),
        line("PERMIT", Some("e-invoice"), 1),
    ];
    let again = house.counts(&erp, &expected).await.json();
    assert_eq!(again["stale_uses"], told["stale_uses"]);
}

#[tokio::test]
async fn every_denial_of_a_real_token_is_its_clients() {
    let house = House::new().await;
    let new = NewClient::sandbox("erp").products(&["gst"]);
    let erp = house.client(new).await;
    house.away_from_midnight(&erp.secret).await;
    let token = house.token(&erp).await.access_token;
    house
        .check("e-invoice", &token)
        .await
        .expect_error(403, "PRODUCT_NOT_ALLOWED");
    let elsewhere = house.api.check("production", "gst", &token).await.unwrap();
    elsewhere.expect_error(401, "ENVIRONMENT_MISMATCH");
    house
        .patch(&erp, json!({ "token_networks": ["192.0.2.0/24"] }))
        .await;
    house
        .check("gst", &token)
        .await
        .expect_error(403, "ADDRESS_NOT_ALLOWED");
    house.disable_workspace(true).await;
    house.denies(&token, "CLIENT_DISABLED").await;
    house.disable_workspace(false).await;
    house.api.revoke(&erp.id).await.unwrap().expect(200);
    house.denies(&token, "TOKEN_REVOKED").await;
    let path = format!("/clients/{}?label={}", erp.id, erp.label);
    house.ask(Method::DELETE, &path).await.expect(200);
    house.denies(&token, "CLIENT_DELETED").await;
    let gst = Some("gst");
    let expected = [
        line("GENERATED", None, 1),
        line("TOKEN_REVOKED", gst, 1),
        line("CLIENT_DISABLED", gst, 1),
        line("CLIENT_DELETED", gst, 1),
        line("ADDRESS_NOT_ALLOWED", gst, 1),
        line("ENVIRONMENT_MISMATCH", gst, 1),
        line("PRODUCT_NOT_ALLOWED", Some("e-invoice"), 1),
    ];
    house.counts(&erp, &expected).await;
}

#[tokio::test]
async fn days_are_those_asked_for_and_no_more_than_are_kept() {
    let house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let path = |query: &str| format!("/clients/{}/usage{query}", erp.id);
    for (query, status) in [
        ("", 200),
        ("?days=1", 200),
        ("?days=35", 200),
        ("?days=36", 400),
        ("?days=0", 400),
        ("?days=x", 400),
        ("?weeks=1", 400),
    ] {
        house.ask(Method::GET, &path(query)).await.expect(status);
    }
    let one = house.ask(Method::GET, &path("?days=1")).await.json();
    assert_eq!(one["from"], one["to"]);
}
