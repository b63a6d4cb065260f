//! Labels and names over the wire: what is refused, what counts as the same, and that no race makes two of one.

use crate::house::House;
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{Answer, NewClient, assert_contains, expect_error};

async fn create(house: &House, label: &str) -> Answer {
    let new = NewClient::sandbox(label);
    house.api.create_client(&house.acme, &new).await.unwrap()
}

#[tokio::test]
async fn labels_that_look_alike_are_taken() {
    let house = House::new().await;
    let billing = house.client(NewClient::sandbox("billing")).await;
    house.client(NewClient::sandbox("SAP ERP")).await;
    house.client(NewClient::sandbox("cafe\u{301}")).await;
    for label in [
        "billing",
        "Billing",
        "ＢＩＬＬＩＮＧ",
        "SAP\u{a0}ERP",
        "SAP  ERP",
        "caf\u{e9}",
        "CAF\u{c9}",
    ] {
        create(&house, label).await.expect_error(409, "LABEL_TAKEN");
    }
    for label in [
        "bil\u{ad}ling",
        "bil\u{34f}ling",
        "billing\u{fe0f}",
        "bill\u{456}ng",
        "bil\u{e000}ling",
        "bil\u{378}ling",
        "bil\u{2800}ling",
    ] {
        expect_error(create(&house, label), 400, "INVALID_REQUEST").await;
    }
    let other = house.client(NewClient::sandbox("other")).await;
    let renamed = house
        .api
        .patch_client(&other.id, &json!({ "label": "BILLING" }))
        .await
        .unwrap();
    renamed.expect_error(409, "LABEL_TAKEN");
    // A client may change the case of its own label.
    house.patch(&billing, json!({ "label": "Billing" })).await;
    for label in ["हिन्दी", "தமிழ்", "請求書", "חשבוניות", "👩\u{200d}💻"]
    {
        create(&house, label).await.expect(201);
    }
}

#[tokio::test]
async fn a_label_is_stored_composed_and_the_refusal_names_the_code_point() {
    let house = House::new().await;
    let made = create(&house, "cafe\u{301}").await.expect(201).json();
    assert_eq!(made["client"]["label"], "caf\u{e9}");
    let refused = create(&house, "bil\u{ad}ling").await;
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert_contains(&detail, "label");
    assert_contains(&detail, "U+00AD");
    let mixed = create(&house, "bill\u{456}ng").await.json();
    let detail = mixed["detail"].as_str().unwrap().to_owned();
    assert_contains(&detail, "Latin");
    assert_contains(&detail, "Cyrillic");
    // Typed back by a keyboard that decomposes.
    let id = made["client"]["id"].as_str().unwrap();
    let deleted = house
        .send(
            house
                .api
                .admin(Method::DELETE, &format!("/clients/{id}"))
                .json(&json!({ "label": "cafe\u{301}" })),
        )
        .await;
    deleted.expect(200);
}

#[tokio::test]
async fn every_name_that_is_given_over_the_wire_follows_the_rule() {
    let house = House::new().await;
    let bad = "bil\u{ad}ling";
    let workspace = format!("/workspaces/{}", house.acme);
    for (method, path, body) in [
        (Method::POST, "/workspaces", json!({ "name": bad })),
        (Method::PATCH, &workspace, json!({ "name": bad })),
        (Method::PUT, "/products/gst", json!({ "name": bad })),
        (
            Method::POST,
            "/admin-keys",
            json!({ "name": bad, "role": "operator" }),
        ),
    ] {
        let request = house.api.admin(method.clone(), path).json(&body);
        let answer = expect_error(house.send(request), 400, "INVALID_REQUEST").await;
        let told: Value = answer.json();
        assert_eq!(told["field"], "name", "{method} {path}: {told}");
        let detail = told["detail"].as_str().unwrap_or("");
        assert!(detail.contains("U+00AD"), "{method} {path}: {told}");
    }
}

#[tokio::test]
async fn of_two_at_once_one_gets_the_label() {
    let house = House::new().await;
    for round in 0..10 {
        let (upper, lower) = (format!("RACE {round}"), format!("race\u{a0}{round}"));
        let (one, other) = tokio::join!(create(&house, &upper), create(&house, &lower));
        let mut both = [one.status, other.status];
        both.sort_unstable();
        assert_eq!(both, [201, 409], "round {round}");
    }
}
