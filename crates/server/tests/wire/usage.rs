//! What a client's tokens were used for: each check of a real token counted once, for its own client, and
//! not lost by a stop.

use crate::house::{House, until};
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{Answer, ApiClient, NewClient, expect_error, expect_json, text};

/// Outcome, product and count of each line, without the days.
fn lines(answer: &Answer) -> Vec<(String, Option<String>, u64)> {
    let body = answer.json();
    let line = |line: &Value| {
        let product = line["product"].as_str().map(str::to_owned);
        (
            text(line, "/outcome"),
            product,
            line["count"].as_u64().unwrap(),
        )
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
    let (mut house, erp) = House::with_erp().await;
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
    let second = text(&second, "/access_token");
    house.denies(&first, "TOKEN_SUPERSEDED").await;
    house.denies(&first, "TOKEN_SUPERSEDED").await;
    // Nobody's: an unknown product, a token of that client's name that never was, none at all.
    house.check("nothing", &second).await.expect(404);
    let forged = format!("{}{}", &first[..first.len() - 64], "0".repeat(64));
    house.check("gst", &forged).await.expect(401);
    let mut expected = [
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
    expected[1] = line("PERMIT", Some("gst"), 4);
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
    expect_error(house.check("e-invoice", &token), 403, "PRODUCT_NOT_ALLOWED").await;
    let elsewhere = house.api.check("production", "gst", &token).await.unwrap();
    elsewhere.expect_error(401, "ENVIRONMENT_MISMATCH");
    let change = json!({ "token_networks": ["192.0.2.0/24"] });
    house.patch(&erp, change).await;
    expect_error(house.check("gst", &token), 403, "ADDRESS_NOT_ALLOWED").await;
    house.disable_workspace(true).await;
    house.denies(&token, "CLIENT_DISABLED").await;
    house.disable_workspace(false).await;
    house.api.revoke(&erp.id).await.unwrap().expect(200);
    house.denies(&token, "TOKEN_REVOKED").await;
    house.api.delete(&erp).await.unwrap().expect(200);
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
    let (house, erp) = House::with_erp().await;
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

impl House {
    /// A permitted check that a trusted proxy passes on for this address.
    async fn called_from(&self, address: &str, token: &str) {
        let request = self.api.internal(Method::GET, "/check/sandbox/gst");
        let request = request
            .header("x-cleartax-auth-token", token)
            .header("x-forwarded-for", address);
        self.send(request).await.expect(200);
    }

    async fn shown(&self, client: &ApiClient) -> Value {
        expect_json(self.api.read_client(&client.id), 200).await
    }
}

#[tokio::test]
async fn sources_of_permitted_calls_are_told_the_first_sixteen_by_address() {
    let mut house = House::with(&["--trusted-proxy=127.0.0.1"]).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    house.away_from_midnight(&erp.secret).await;
    let token = house.token(&erp).await.access_token;
    for n in 1..=18 {
        house.called_from(&format!("198.51.100.{n}"), &token).await;
    }
    house.called_from("198.51.100.3", &token).await;
    let counts = [line("GENERATED", None, 1), line("PERMIT", Some("gst"), 19)];
    house.counts(&erp, &counts).await;
    let path = format!("/clients/{}/usage", erp.id);
    let sum = |answer: &Answer| {
        let figures = answer.json();
        let sources = figures["sources"].as_array().unwrap().iter();
        sources.filter_map(|one| one["count"].as_u64()).sum::<u64>()
    };
    let usage = || house.ask(Method::GET, &path);
    let told = until("all sources", usage, |told| sum(told) == 19).await;
    let told = told.json();
    let sources = told["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 17, "{told}");
    let of = |address: &str| sources.iter().find(|one| one["source"] == address);
    let named = of("198.51.100.3").map_or(2, |one| one["count"].as_u64().unwrap());
    assert_eq!(named, 2, "{told}");
    for one in sources {
        assert!(one["last_at"].is_string() && one["day"] == told["to"]);
    }
    let others = of("others").and_then(|one| one["count"].as_u64());
    assert!(others >= Some(2), "{told}");
    assert_eq!(told["stale_uses"], json!([]));
    house.restart();
    let kept = house.ask(Method::GET, &path).await.expect(200).json();
    assert_eq!(kept["sources"], told["sources"], "a stop loses none");
}

#[tokio::test]
async fn last_use_is_told_of_each_token_generation() {
    let mut house = House::new().await;
    let new = NewClient::sandbox("erp").handover(600);
    let erp = house.client(new).await;
    let first = house.token(&erp).await.access_token;
    let shown = house.shown(&erp).await;
    assert_eq!(shown["token"]["last_used_at"], Value::Null, "not used yet");
    house.permits(&first).await;
    let shown = house.shown(&erp).await;
    assert_eq!(shown["token"]["last_used_from"], "127.0.0.1");
    assert_eq!(shown["token"]["last_used_at"], shown["last_used_at"]);
    // A new token has not been used, though its client has, and though the token before is still used.
    let second = house.handover(&erp, 600).await.token().access_token;
    house.permits(&first).await;
    let shown = house.shown(&erp).await;
    assert_eq!(shown["token"]["last_used_at"], Value::Null);
    assert!(shown["last_used_at"].is_string());
    // Its first use is noted at once, less than a minute after the last one of the token before.
    house.permits(&second).await;
    let shown = house.shown(&erp).await;
    assert!(shown["token"]["last_used_at"].is_string(), "{shown}");
    house.restart();
    let kept = house.shown(&erp).await;
    let last = &shown["token"]["last_used_at"];
    assert_eq!(&kept["token"]["last_used_at"], last);
}

#[tokio::test]
async fn token_of_a_disabled_or_deleted_client_is_not_live() {
    let (house, erp) = House::with_erp().await;
    house.token(&erp).await;
    let state = async || house.shown(&erp).await["token"]["state"].clone();
    assert_eq!(state().await, "live");
    house.api.disable(&erp.id).await.unwrap().expect(200);
    assert_eq!(state().await, "disabled");
    house.api.enable(&erp.id).await.unwrap().expect(200);
    assert_eq!(state().await, "live");
    house.disable_workspace(true).await;
    assert_eq!(state().await, "disabled");
    house.disable_workspace(false).await;
    let gone = expect_json(house.api.delete(&erp), 200).await;
    assert_eq!(gone["token"]["state"], "revoked");
    assert!(gone["token"]["ended_at"].is_string(), "{gone}");
    assert_eq!(gone["token"]["ended_at"], gone["deleted_at"]);
}

#[tokio::test]
async fn admin_keys_tell_their_last_use() {
    let mut house = House::new().await;
    let new = json!({ "name": "night job", "role": "auditor" });
    let made = expect_json(house.admin(Method::POST, "/admin-keys", &new), 201).await;
    assert_eq!(made["admin_key"]["last_used_at"], Value::Null);
    let id = made["admin_key"]["id"].clone();
    let listed = async |house: &House| {
        let all = house.api.items("/admin-keys").await;
        all.into_iter().find(|one| one["id"] == id).unwrap()
    };
    assert_eq!(listed(&house).await["last_used_at"], Value::Null);
    let api = house.api.with_admin_key(&text(&made, "/key"));
    let status = expect_json(api.ask(Method::GET, "/status"), 200).await;
    assert_eq!(status["role"], "auditor");
    let used = listed(&house).await;
    assert!(used["last_used_at"].is_string(), "{used}");
    assert_eq!(used["last_used_from"], "127.0.0.1");
    house.restart();
    assert_eq!(listed(&house).await["last_used_at"], used["last_used_at"]);
}
