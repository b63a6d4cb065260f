//! Tags of API clients and notes of credentials: what administrators write to find and recognise them.

use crate::authority::webhook;
use crate::house::House;
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{NewClient, expect_error, expect_json, expect_status};

async fn listed(house: &House, query: &str) -> Vec<Value> {
    let path = format!("/workspaces/{}/clients{query}", house.acme);
    house.api.items(&path).await
}

async fn last_entry(house: &House) -> Value {
    house.entries().await.pop().unwrap()
}

#[tokio::test]
async fn tags_are_added_removed_and_filtered_by() {
    let (house, erp) = House::with_erp().await;
    let billing = house.client(NewClient::sandbox("billing")).await;
    let tag = |id: &str, tag: &str| format!("/clients/{id}/tags/{tag}");
    for name in ["south", "north", "south"] {
        expect_status(house.ask(Method::PUT, &tag(&erp.id, name)), 200).await;
    }
    let tagged = house.ask(Method::PUT, &tag(&billing.id, "south")).await;
    assert_eq!(tagged.expect(200).json()["tags"], json!(["south"]));
    let shown = expect_json(house.api.read_client(&erp.id), 200).await;
    assert_eq!(shown["tags"], json!(["north", "south"]));
    // Adding the tag again changed nothing, so the audit log has no entry for it.
    let actions = house.actions().await;
    let told = actions.iter().filter(|action| *action == "client.tag");
    assert_eq!(told.count(), 3);

    let north = listed(&house, "?tag=north").await;
    assert_eq!((north.len(), &north[0]["label"]), (1, &json!("erp")));
    assert_eq!(north[0]["tags"], json!(["north", "south"]));
    assert_eq!(listed(&house, "?tag=south").await.len(), 2);
    assert_eq!(listed(&house, "?tag=nowhere").await.len(), 0);
    for wrong in ["?tag=South!", "?tag=%00", "?label=%00"] {
        let path = format!("/workspaces/{}/clients{wrong}", house.acme);
        expect_error(house.ask(Method::GET, &path), 400, "INVALID_REQUEST").await;
    }

    let untagged = house.ask(Method::DELETE, &tag(&erp.id, "south")).await;
    assert_eq!(untagged.expect(200).json()["tags"], json!(["north"]));
    expect_status(house.ask(Method::DELETE, &tag(&erp.id, "south")), 200).await;
    assert_eq!(listed(&house, "?tag=south").await.len(), 1);
    let entry = last_entry(&house).await;
    assert_eq!(entry["action"], "client.untag");
    assert_eq!(entry["detail"]["tag"], "south");
}

#[tokio::test]
async fn tag_that_cannot_be_taken_is_refused() {
    let (house, erp) = House::with_erp().await;
    let tag = |tag: &str| format!("/clients/{}/tags/{tag}", erp.id);
    for wrong in ["South", "-south", "s%C3%BCd", "a%20b", &"x".repeat(33)] {
        expect_error(house.ask(Method::PUT, &tag(wrong)), 400, "INVALID_REQUEST").await;
    }
    for n in 0..10 {
        expect_status(house.ask(Method::PUT, &tag(&format!("t{n}"))), 200).await;
    }
    let refused = house.ask(Method::PUT, &tag("one-more")).await;
    refused.expect_error(400, "INVALID_REQUEST");
    // One that it has is no further one.
    house.ask(Method::PUT, &tag("t3")).await.expect(200);
}

#[tokio::test]
async fn notes_and_creators_of_credentials_are_shown_and_changed() {
    let (house, erp) = House::with_erp().await;
    let client = format!("/clients/{}", erp.id);
    let note = |text: &str| Some(json!({ "note": text }));
    let send = async |method, path: String, body: Option<Value>| match body {
        Some(body) => house.admin(method, &path, &body).await,
        None => house.ask(method, &path).await,
    };
    let made = send(Method::POST, format!("{client}/secrets"), note(" plant 2 ")).await;
    let made = made.expect(201).json();
    let secrets = made["client"]["secrets"].as_array().unwrap();
    // Who may not read the audit log does not learn of the makers of secrets.
    assert!(!made["client"].to_string().contains("created_by"), "{made}");
    assert_eq!(secrets[0]["note"], "");
    assert_eq!(secrets[1]["note"], "plant 2");
    let second = format!("{client}/secrets/2");
    let changed = send(Method::PATCH, second.clone(), note("plant 3")).await;
    let changed = changed.expect(200).json();
    assert_eq!(changed["secrets"][1]["note"], "plant 3");
    assert_eq!(listed(&house, "").await[0]["secrets"], changed["secrets"]);
    let entry = last_entry(&house).await;
    assert_eq!(entry["action"], "secret.note");
    assert_eq!(entry["detail"]["note"], "plant 3");
    for (path, body, status) in [
        (format!("{client}/secrets/9"), note("x"), 404),
        (format!("{client}/secrets/x"), note("x"), 404),
        (format!("{client}/secrets/2"), note("a\u{7}b"), 400),
        (format!("{client}/secrets/2"), note(&"x".repeat(1_000)), 400),
        (format!("{client}/secrets/2"), Some(json!({})), 400),
    ] {
        send(Method::PATCH, path, body).await.expect(status);
    }
    house.ask(Method::DELETE, &second).await.expect(200);
    let again = expect_json(send(Method::POST, format!("{client}/secrets"), None), 201).await;
    // A note ends with its secret.
    assert_eq!(again["client"]["secrets"][1]["note"], "");

    let key = json!({ "name": "portal", "role": "auditor", "note": "in the vault" });
    let key = send(Method::POST, "/admin-keys".into(), Some(key)).await;
    let key = key.expect(201).json()["admin_key"].clone();
    assert_eq!(key["note"], "in the vault");
    let creator = key["created_by"].as_str().unwrap();
    assert!(creator.starts_with("admin-key:"), "{creator}");
    let path = format!("/admin-keys/{}", key["id"].as_str().unwrap());
    let changed = send(Method::PATCH, path.clone(), note("")).await;
    assert_eq!(changed.expect(200).json()["note"], "");
    let mut keys = house.api.items("/admin-keys").await;
    keys.retain(|one| one["id"] == key["id"]);
    assert_eq!(keys[0]["note"], "");
    assert_eq!(keys[0]["created_by"], key["created_by"]);

    let hook = format!("/webhooks/{}", webhook(&house, &house.acme).await);
    let changed = send(Method::PATCH, hook.clone(), note("to the chat")).await;
    assert_eq!(changed.expect(200).json()["note"], "to the chat");
    let both = json!({ "note": "to the desk", "disabled": true });
    let changed = expect_json(send(Method::PATCH, hook, Some(both)), 200).await;
    assert_eq!(changed["note"], "to the desk");
    assert_eq!(changed["disabled"], true);
    assert_eq!(changed["created_by"], creator);
}
