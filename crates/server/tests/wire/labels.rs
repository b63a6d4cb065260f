//! Labels and names over the wire: what is refused, what counts as the same, and that no race makes two of one.

use crate::house::House;
use reqwest::Method;
use serde_json::json;
use tokenward_testkit::{
    Answer, NewClient, assert_contains, assert_contains_all, expect_error, expect_status, text,
};

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
    let label = json!({ "label": "BILLING" });
    let renamed = house.api.patch_client(&other.id, &label);
    expect_error(renamed, 409, "LABEL_TAKEN").await;
    // A client may change the case of its own label.
    house.patch(&billing, json!({ "label": "Billing" })).await;
    for label in "हिन्दी தமிழ் 請求書 חשבוניות 👩\u{200d}💻".split(' ')
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
    assert_contains_all(&text(&refused.json(), "/detail"), &["label", "U+00AD"]);
    let mixed = create(&house, "bill\u{456}ng").await.json();
    assert_contains_all(&text(&mixed, "/detail"), &["Latin", "Cyrillic"]);
    // Typed back by a keyboard that decomposes.
    let path = format!("/clients/{}", text(&made, "/client/id"));
    let label = json!({ "label": "cafe\u{301}" });
    expect_status(house.admin(Method::DELETE, &path, &label), 200).await;
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
        let answer = house.admin(method, path, &body);
        let told = expect_error(answer, 400, "INVALID_REQUEST").await.json();
        assert_eq!(told["field"], "name", "{path}: {told}");
        assert_contains(&text(&told, "/detail"), "U+00AD");
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
