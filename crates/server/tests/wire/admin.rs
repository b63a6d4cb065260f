//! The admin API: what it answers, what it refuses, and what a change does at once.

use crate::house::House;
use crate::seen::seen;
use insta::assert_snapshot;
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{Answer, NewClient, expect_error, expect_json, expect_status, text};

impl House {
    async fn create(&self, body: &Value) -> Answer {
        let path = format!("/workspaces/{}/clients", self.acme);
        self.admin(Method::POST, &path, body).await
    }
}

#[tokio::test]
async fn workspaces_are_made_read_and_changed() {
    let house = House::new().await;
    let name = json!({ "name": "Zweitwerk" });
    let made = house.admin(Method::POST, "/workspaces", &name).await;
    assert_snapshot!(seen(&made), @r#"201 {"created_at":"[time]","disabled":false,"disabled_at":null,"id":"[uuid]","name":"Zweitwerk"}"#);
    let path = format!("/workspaces/{}", made.json()["id"].as_str().unwrap());
    let read = expect_json(house.ask(Method::GET, &path), 200).await;
    assert_eq!(read, made.json());
    let change = json!({ "name": "Drittwerk", "disabled": true });
    let changed = house.admin(Method::PATCH, &path, &change).await;
    assert_snapshot!(seen(&changed), @r#"200 {"created_at":"[time]","disabled":true,"disabled_at":"[time]","id":"[uuid]","name":"Drittwerk"}"#);
    let listed = house.ask(Method::GET, "/workspaces").await;
    assert_snapshot!(seen(&listed), @r#"200 {"items":[{"created_at":"[time]","disabled":false,"disabled_at":null,"id":"[uuid]","name":"acme"},{"created_at":"[time]","disabled":true,"disabled_at":"[time]","id":"[uuid]","name":"Drittwerk"}],"next_cursor":null}"#);
    let path = "/workspaces/00000000-0000-4000-8000-000000000000";
    let unknown = house.ask(Method::GET, path).await;
    assert_snapshot!(seen(&unknown), @"404 NOT_FOUND (Not found): There is no such workspace.");
    let odd = json!({ "name": "x", "owner": "y" });
    let refused = house.admin(Method::POST, "/workspaces", &odd).await;
    assert_snapshot!(seen(&refused), @"400 INVALID_REQUEST (The request can't be taken): owner: unknown field `owner`, expected `name`");
}

#[tokio::test]
async fn products_are_put_and_deleted_unless_in_use() {
    let house = House::new().await;
    let put = async |slug: &str, name: &str| {
        let path = format!("/products/{slug}");
        house
            .admin(Method::PUT, &path, &json!({ "name": name }))
            .await
    };
    let made = put("tds", "TDS").await;
    assert_snapshot!(seen(&made), @r#"201 {"created_at":"[time]","name":"TDS","slug":"tds"}"#);
    let renamed = expect_json(put("tds", "TDS 2"), 200).await;
    assert_eq!(renamed["name"], "TDS 2");
    let erp = NewClient::sandbox("erp").products(&["tds", "gst"]);
    let erp = house.client(erp).await;
    let used = house.ask(Method::DELETE, "/products/tds").await;
    assert_snapshot!(seen(&used), @"409 PRODUCT_IN_USE (The state does not allow this): Not done: 1 API clients are restricted to this product.");
    let token = house.token(&erp).await.access_token;
    house.check("tds", &token).await.expect(200);
    house.patch(&erp, json!({ "products": ["gst"] })).await;
    let gone = house.ask(Method::DELETE, "/products/tds").await;
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    for path in ["/products/tds", "/products/Not%20One"] {
        expect_error(house.ask(Method::DELETE, path), 404, "NOT_FOUND").await;
    }
    for slug in ["GST", "a_b", "-a", "a%20b", "%C3%BC"] {
        expect_error(put(slug, "x"), 400, "INVALID_REQUEST").await;
    }
    assert_eq!(house.api.items("/products").await.len(), 3);
}

#[tokio::test]
async fn a_client_is_made_with_the_defaults_of_the_contract() {
    let house = House::new().await;
    let least = json!({ "label": "erp", "environment": "sandbox" });
    let made = house.create(&least).await;
    assert_snapshot!(seen(&made), @r#"201 {"client":{"created_at":"[time]","deleted_at":null,"disabled_at":null,"environment":"sandbox","handover_max_seconds":0,"id":"[uuid]","label":"erp","last_used_at":null,"last_used_from":null,"last_used_product":null,"notification_addresses":[],"notification_emails":[],"on_repeat":"replace","products":null,"renew_before_seconds":600,"secret_networks":[],"secrets":[{"created_at":"[time]","n":1,"note":"","quota_left_today":288,"quota_used_today":0}],"state":"enabled","tags":[],"token":{"ended_at":null,"generation":0,"issued_at":null,"last_used_at":null,"last_used_from":null,"previous_valid_till":null,"state":"none","valid_till":null},"token_lifetime_seconds":3600,"token_networks":[],"workspace_id":"[uuid]"},"client_secret":"[client secret]"}"#);
    let id = made.json()["client"]["id"].as_str().unwrap().to_owned();
    let shown = house.api.read_client(&id).await.unwrap().expect(200);
    assert_eq!(shown.json(), made.json()["client"]);
    assert!(!shown.body.contains("tw-secret"));

    let full = json!({
        "label": "full", "environment": "production", "products": ["gst", "e-invoice"],
        "token_lifetime_seconds": null, "secret_networks": ["10.0.0.0/8", "2001:db8::1"],
        "token_networks": ["::ffff:192.0.2.0/120"], "notification_emails": ["a@example.com"],
        "on_repeat": "return", "renew_before_seconds": 0, "handover_max_seconds": 60,
    });
    let made = house.create(&full).await;
    assert_snapshot!(seen(&made), @r#"201 {"client":{"created_at":"[time]","deleted_at":null,"disabled_at":null,"environment":"production","handover_max_seconds":60,"id":"[uuid]","label":"full","last_used_at":null,"last_used_from":null,"last_used_product":null,"notification_addresses":[{"confirmed_at":null,"email":"a@example.com","link_expires_at":null,"state":"pending","stopped_at":null}],"notification_emails":["a@example.com"],"on_repeat":"return","products":["e-invoice","gst"],"renew_before_seconds":0,"secret_networks":["10.0.0.0/8","2001:db8::1/128"],"secrets":[{"created_at":"[time]","n":1,"note":"","quota_left_today":288,"quota_used_today":0}],"state":"enabled","tags":[],"token":{"ended_at":null,"generation":0,"issued_at":null,"last_used_at":null,"last_used_from":null,"previous_valid_till":null,"state":"none","valid_till":null},"token_lifetime_seconds":null,"token_networks":["192.0.2.0/24"],"workspace_id":"[uuid]"},"client_secret":"[client secret]"}"#);
}

#[tokio::test]
async fn a_client_shows_its_token_and_who_uses_it() {
    let (house, erp) = House::with_erp().await;
    let token = house.token(&erp).await;
    let shown = house.api.read_client(&erp.id).await.unwrap().json();
    assert_eq!(shown["token"]["state"], "live");
    assert_eq!(shown["token"]["generation"], 1);
    assert_eq!(shown["token"]["valid_till"], token.valid_till.unwrap());
    assert_eq!(shown["secrets"][0]["quota_used_today"], 1);
    assert_eq!(shown["last_used_at"], Value::Null);
    house.permits(&token.access_token).await;
    let shown = house.api.read_client(&erp.id).await.unwrap().json();
    assert!(shown["last_used_at"].is_string());
    assert_eq!(shown["last_used_from"], "127.0.0.1");
    assert_eq!(shown["last_used_product"], "gst");
    let revoked = house.api.revoke(&erp.id).await.unwrap().expect(200).json();
    assert_eq!(revoked["token"]["state"], "revoked");
    house.denies(&token.access_token, "TOKEN_REVOKED").await;
    // Nothing live is no error.
    house.api.revoke(&erp.id).await.unwrap().expect(200);
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_and_named() {
    let (house, erp) = House::with_erp().await;
    let long = "x".repeat(65);
    let many: Vec<_> = (0..65).map(|n| format!("10.0.{n}.0/24")).collect();
    for (field, value) in [
        ("label", json!("")),
        ("label", json!("a\nb")),
        ("label", json!("a\u{0}b")),
        ("label", json!("a\u{202e}b")),
        ("label", json!(" a")),
        ("label", json!(long)),
        ("products", json!([])),
        ("products", json!(["nothing"])),
        ("token_lifetime_seconds", json!(0)),
        ("token_lifetime_seconds", json!(315_360_001)),
        ("token_lifetime_seconds", json!(u64::MAX)),
        ("secret_networks", json!(["10.0.0.1/8"])),
        ("token_networks", json!(["10.0.0.0/33"])),
        ("token_networks", json!(["everywhere"])),
        ("token_networks", json!(many)),
        ("notification_emails", json!(["nobody"])),
        ("on_repeat", json!("keep")),
        ("renew_before_seconds", json!(u32::MAX)),
        ("handover_max_seconds", json!(u32::MAX)),
    ] {
        let mut body = json!({ "label": "new", "environment": "sandbox" });
        body[field] = value.clone();
        let refused = expect_error(house.create(&body), 400, "INVALID_REQUEST").await;
        assert_eq!(refused.json()["field"], field, "{value} {}", refused.body);
        let change = json!({ field: value });
        let refused = house.api.patch_client(&erp.id, &change);
        let refused = expect_error(refused, 400, "INVALID_REQUEST").await;
        assert_eq!(refused.json()["field"], field);
    }
    // Refused by type, so the sentence names the field.
    for body in [
        json!({ "label": "new", "environment": "sandbox", "colour": "red" }),
        json!({ "label": "new", "environment": "sandbox", "token_lifetime_seconds": -1 }),
        json!({ "label": "new", "environment": "sandbox", "token_lifetime_seconds": 1.5 }),
        json!({ "label": "new", "environment": "sandbox", "token_lifetime_seconds": "1h" }),
        json!({ "label": ["new"], "environment": "sandbox" }),
        json!({ "label": "new", "environment": "staging" }),
        json!({ "label": "new" }),
        json!({ "environment": "sandbox" }),
        json!([]),
        json!(null),
        json!("x"),
    ] {
        expect_error(house.create(&body), 400, "INVALID_REQUEST").await;
    }
    let odd = json!({ "label": "new", "environment": "sandbox", "colour": "red" });
    let unknown = house.create(&odd).await;
    assert_snapshot!(seen(&unknown), @"400 INVALID_REQUEST (The request can't be taken): colour: unknown field `colour`, expected one of `label`, `environment`, `products`, `token_lifetime_seconds`, `secret_networks`, `token_networks`, `notification_emails`, `on_repeat`, `renew_before_seconds`, `handover_max_seconds`");
    let bits =
        json!({ "label": "new", "environment": "sandbox", "secret_networks": ["10.0.0.1/8"] });
    let bits = house.create(&bits).await;
    assert_snapshot!(seen(&bits), @r#"400 INVALID_REQUEST (The request can't be taken): secret_networks: "10.0.0.1/8": has host bits set; did you mean 10.0.0.0/8? {"field":"secret_networks"}"#);
    let production = json!({ "environment": "production" });
    let moved = house.api.patch_client(&erp.id, &production).await.unwrap();
    assert_snapshot!(seen(&moved), @r#"400 INVALID_REQUEST (The request can't be taken): environment: an API client belongs to one environment for good; create another client. {"field":"environment"}"#);
    let good = house.create(&json!({ "label": "ten years", "environment": "sandbox", "token_lifetime_seconds": 315_360_000 })).await;
    good.expect(201);
}

#[tokio::test]
async fn a_label_is_unique_in_its_workspace_and_environment() {
    let (house, erp) = House::with_erp().await;
    let same = NewClient::sandbox("erp");
    let taken = house.api.create_client(&house.acme, &same).await.unwrap();
    assert_snapshot!(seen(&taken), @"409 LABEL_TAKEN (The state does not allow this): Not done: another API client of this workspace and environment has this label, or one that looks like it.");
    house.client(NewClient::production("erp")).await;
    let other = house.api.workspace("other").await.unwrap();
    house.api.client(&other, same).await.unwrap();
    let second = house.client(NewClient::sandbox("second")).await;
    let label = json!({ "label": "erp" });
    let renamed = house.api.patch_client(&second.id, &label);
    expect_error(renamed, 409, "LABEL_TAKEN").await;
    house.api.delete(&erp).await.unwrap().expect(200);
    house.patch(&second, label).await;
    let token = house.token(&second).await.access_token;
    let permitted = house.permits(&token).await;
    assert_eq!(permitted.header("x-tokenward-client-label"), "erp");
}

#[tokio::test]
async fn deleting_wants_the_label_and_is_for_good() {
    let (house, erp) = House::with_erp().await;
    let path = format!("/clients/{}", erp.id);
    let bare = house.ask(Method::DELETE, &path).await;
    assert_snapshot!(seen(&bare), @"409 LABEL_MISMATCH (The state does not allow this): Not done: type the API client's label back to delete it for good.");
    let delete = async |path: &str, body| house.admin(Method::DELETE, path, &body).await;
    let right = || json!({ "label": "erp" });
    let wrong = json!({ "label": "ERP" });
    expect_error(delete(&path, wrong), 409, "LABEL_MISMATCH").await;
    let both = format!("{path}?label=erp");
    for (path, odd) in [
        (&both, right()),
        (&path, json!({})),
        (&path, json!({ "label": "erp", "sure": true })),
        (&path, json!("erp")),
    ] {
        expect_error(delete(path, odd), 400, "INVALID_REQUEST").await;
    }
    let token = house.token(&erp).await.access_token;
    let deleted = expect_json(delete(&path, right()), 200).await;
    assert_eq!(deleted["state"], "deleted");
    house.denies(&token, "CLIENT_DELETED").await;
    expect_error(house.generate(&erp.secret), 401, "CLIENT_DELETED").await;
    // Nothing wakes it again.
    for (method, suffix) in [
        (Method::POST, "/enable"),
        (Method::POST, "/disable"),
        (Method::POST, "/secrets"),
        (Method::POST, "/token"),
        (Method::DELETE, "/token"),
        (Method::DELETE, "/secrets/1"),
        (Method::PUT, "/tags/south"),
        (Method::DELETE, "/tags/south"),
        (Method::DELETE, "?label=erp"),
    ] {
        let refused = house.ask(method, &format!("{path}{suffix}")).await;
        refused.expect_error(409, "CLIENT_DELETED");
    }
    let label = json!({ "label": "x" });
    let refused = house.api.patch_client(&erp.id, &label).await.unwrap();
    assert_snapshot!(seen(&refused), @"409 CLIENT_DELETED (The state does not allow this): Not done: the API client was deleted for good.");
    house.denies(&token, "CLIENT_DELETED").await;
}

#[tokio::test]
async fn there_are_two_secrets_at_most() {
    let (house, erp) = House::with_erp().await;
    let path = format!("/clients/{}/secrets", erp.id);
    let made = house.ask(Method::POST, &path).await;
    assert_eq!(made.json()["n"], 2);
    let secret = text(&made.json(), "/client_secret");
    let token = house.generate(&secret).await.token();
    let refused = house.ask(Method::POST, &path).await;
    assert_snapshot!(seen(&refused), @"409 TOO_MANY_SECRETS (The state does not allow this): Not done: the API client has two secrets already; delete one first.");
    for n in ["0", "3", "x", "-1", "99999999999"] {
        let refused = house.ask(Method::DELETE, &format!("{path}/{n}")).await;
        refused.expect_error(404, "NOT_FOUND");
    }
    let second = format!("{path}/2");
    expect_status(house.ask(Method::DELETE, &second), 200).await;
    // The token it bought lives on.
    house.permits(&token.access_token).await;
    let again = house.ask(Method::DELETE, &second);
    expect_error(again, 404, "NOT_FOUND").await;
}

#[tokio::test]
async fn the_console_generates_and_is_told_once() {
    let (house, erp) = House::with_erp().await;
    let path = format!("/clients/{}/token", erp.id);
    let old = house.token(&erp).await.access_token;
    let made = house.ask(Method::POST, &path).await;
    assert_snapshot!(seen(&made), @r#"201 {"access_token":"[access token]","expires_in":3600,"generation":2,"valid_till":"[time]"}"#);
    house.denies(&old, "TOKEN_SUPERSEDED").await;
    house.permits(&text(&made.json(), "/access_token")).await;
    house.api.disable(&erp.id).await.unwrap().expect(200);
    let refused = house.ask(Method::POST, &path).await;
    assert_snapshot!(seen(&refused), @"409 CLIENT_DISABLED (The state does not allow this): Not done: the API client, or its workspace, is disabled.");
}

#[tokio::test]
async fn lists_are_paged_by_cursor_and_filtered() {
    let house = House::new().await;
    for n in 0..7 {
        house.client(NewClient::sandbox(&format!("c{n}"))).await;
    }
    let production = house.client(NewClient::production("p")).await;
    let base = format!("/workspaces/{}/clients", house.acme);
    let page = async |query: &str| house.ask(Method::GET, &format!("{base}{query}")).await;
    let labels = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| text(item, "/label")).collect()
    };
    let mut seen_labels = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let page = page(&query).await.expect(200).json();
        seen_labels.extend(labels(&page));
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        query = format!("?limit=3&cursor={next}");
    }
    assert_eq!(seen_labels, ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "p"]);
    assert_eq!(labels(&page("?environment=production").await.json()), ["p"]);
    assert_eq!(labels(&page("?label=c4").await.json()), ["c4"]);
    house.api.delete(&production).await.unwrap().expect(200);
    assert!(labels(&page("?environment=production").await.json()).is_empty());
    let deleted = page("?environment=production&deleted=true").await;
    assert_eq!(labels(&deleted.json()), ["p"]);
    let words = "
        ?limit=0 ?limit=1001 ?limit=99999999999999999999 ?limit=-1 ?limit=x ?cursor=x ?cursor=c-1
        ?cursor=c99999999999 ?limit=1&limit=2 ?page=2 ?environment=staging";
    for query in words.split_whitespace() {
        page(query).await.expect_error(400, "INVALID_REQUEST");
    }
    assert_snapshot!(seen(&page("?limit=100000").await), @r#"400 INVALID_REQUEST (The request can't be taken): limit must be 1 to 1000. {"field":"limit"}"#);
    for query in "?limit=100000 ?limit=0 ?after=x ?after=-1 ?client_id=x ?order=desc".split(' ') {
        let refused = house.ask(Method::GET, &format!("/audit{query}")).await;
        refused.expect_error(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn the_audit_log_is_paged_filtered_and_verified() {
    let (house, erp) = House::with_erp().await;
    let before = house.actions().await.len();
    house.token(&erp).await;
    house.api.revoke(&erp.id).await.unwrap().expect(200);
    let path = format!("/audit?after={before}&limit=1");
    let page = expect_json(house.ask(Method::GET, &path), 200).await;
    let entry = &page["items"][0];
    assert_eq!(page["next_after"], entry["seq"]);
    assert_eq!(entry["client_id"], erp.id);
    assert_eq!(entry["source"], "127.0.0.1");
    let path = format!("/audit?client_id={}", erp.id);
    assert_eq!(house.api.items(&path).await.len(), 3);
    let verified = expect_json(house.api.verify_audit(), 200).await;
    assert_eq!(verified["ok"], true);
    assert_eq!(verified["entries"], before + 2);
}

#[tokio::test]
async fn a_change_lifts_limits_only_when_it_says_so() {
    let house = House::new().await;
    let erp = NewClient::sandbox("erp").products(&["gst"]).lifetime(60);
    let erp = house.client(erp).await;
    // As tools send values that are not set.
    let unset = json!({ "label": null, "products": null, "token_lifetime_seconds": null });
    let answer = house.api.patch_client(&erp.id, &unset).await.unwrap();
    assert_eq!(answer.expect(400).json()["field"], "products");
    let path = format!("/clients/{}", erp.id);
    let kept = house.ask(Method::GET, &path).await.expect(200).json();
    assert_eq!(kept["products"], json!(["gst"]));
    assert_eq!(kept["token_lifetime_seconds"], 60);
    for change in [
        json!({ "products": "never" }),
        json!({ "token_lifetime_seconds": "all" }),
    ] {
        let answer = house.api.patch_client(&erp.id, &change).await.unwrap();
        assert_eq!(answer.status, 400, "{change}");
    }
    let lifted = json!({ "products": "all", "token_lifetime_seconds": "never" });
    let lifted = house.patch(&erp, lifted).await;
    assert_eq!(lifted["products"], json!(null));
    assert_eq!(lifted["token_lifetime_seconds"], json!(null));
}

#[tokio::test]
async fn a_change_of_settings_that_were_changed_meanwhile_is_refused() {
    let (house, erp) = House::with_erp().await;
    let path = format!("/clients/{}", erp.id);
    let etag = |answer: &Answer| answer.headers["etag"].to_str().unwrap().to_owned();
    let first = house.ask(Method::GET, &path).await.expect(200);
    let seen = etag(&first);
    let change = async |body: Value, if_match: &str| {
        let request = house.api.admin(Method::PATCH, &path).json(&body);
        let request = match if_match {
            "" => request,
            tag => request.header("if-match", tag),
        };
        house.api.send(request).await.unwrap()
    };
    let narrow = expect_status(change(json!({ "products": ["gst"] }), &seen), 200).await;
    assert_ne!(etag(&narrow), seen);
    assert_eq!(etag(&house.ask(Method::GET, &path).await), etag(&narrow));
    // The old version undoes nothing, however it is written.
    let wide = || json!({ "products": null });
    let several = format!("\"{}\", {seen}", "0".repeat(32));
    for old in [seen.as_str(), &format!("W/{seen}"), &several] {
        expect_error(change(wide(), old), 412, "VERSION_MISMATCH").await;
    }
    change(wide(), "abc").await.expect(400);
    let now = house.ask(Method::GET, &path).await.expect(200);
    assert_eq!(now.json()["products"], json!(["gst"]));
    // A change that changes nothing keeps the version; a use of the client does too.
    let same = change(json!({ "products": ["gst"] }), &etag(&now)).await;
    assert_eq!(etag(&same.expect(200)), etag(&now));
    expect_status(house.ask(Method::POST, &format!("{path}/disable")), 200).await;
    assert_eq!(etag(&house.ask(Method::GET, &path).await), etag(&now));
    // A proxy that compresses weakens the tag; the new one is good all the same, and so is none.
    let new = change(json!({ "label": "new" }), &format!("W/{}", etag(&now))).await;
    new.expect(200);
    change(json!({ "label": "newer" }), "*").await.expect(200);
    change(wide(), "").await.expect(200);
}
