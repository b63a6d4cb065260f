//! How much of anything there may be: the last that fits is taken, the next one is refused and told why.

use crate::authority::webhook;
use crate::house::{House, LIMIT};
use crate::seen::seen;
use insta::assert_snapshot;
use reqwest::Method;
use serde_json::json;
use tokenward_testkit::{expect_status, text, wait_until};

#[tokio::test]
async fn a_workspace_has_ten_webhooks_at_most() {
    let house = House::new().await;
    let path = format!("/workspaces/{}/webhooks", house.acme);
    let body = json!({ "url": "https://hook.invalid/" });
    for _ in 0..10 {
        house.admin(Method::POST, &path, &body).await.expect(201);
    }
    let refused = house.admin(Method::POST, &path, &body).await;
    assert_snapshot!(seen(&refused), @"409 TOO_MANY_WEBHOOKS (The state does not allow this): Not done: a workspace has at most 10 webhooks; delete one first.");
    let listed = house.api.items(&path).await;
    let first = format!("/webhooks/{}", text(&listed[0], "/id"));
    house.ask(Method::DELETE, &first).await.expect(204);
    house.admin(Method::POST, &path, &body).await.expect(201);
}

#[tokio::test]
async fn a_disabled_webhook_is_sent_nothing_to_try_it() {
    let house = House::new().await;
    let path = format!("/webhooks/{}", webhook(&house, &house.acme).await);
    let disabled = json!({ "disabled": true });
    expect_status(house.admin(Method::PATCH, &path, &disabled), 200).await;
    let refused = house.ask(Method::POST, &format!("{path}/test")).await;
    assert_snapshot!(seen(&refused), @"409 WEBHOOK_DISABLED (The state does not allow this): Not done: nothing is sent to a disabled webhook; enable it first.");
}

/// Copies the invitation of `first@example.com` as often as is needed for `count` members and invitations, behind the
/// server's back.
fn fill_invitations(house: &House, count: i64) {
    let connection = house.database();
    let more = "
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT
            ?1 - (SELECT COUNT(*) FROM invitation) - (SELECT COUNT(*) FROM member))
        INSERT INTO invitation SELECT randomblob(16), randomblob(length(digest)), 'n' || hex(randomblob(8)) || '@example.com', role,
            created_at, expires_at, invited_by FROM n, invitation WHERE email = 'first@example.com'";
    assert!(connection.execute(more, [count]).unwrap() > 0);
}

#[tokio::test]
async fn there_are_ten_thousand_members_and_invitations_at_most() {
    let house = House::new().await;
    let body = json!({ "email": "first@example.com", "role": "operator" });
    expect_status(house.admin(Method::POST, "/members", &body), 201).await;
    fill_invitations(&house, 9_999);
    house.invited("last@example.com", &house.acme).await;
    let body = json!({ "email": "more@example.com", "role": "operator" });
    let refused = house.admin(Method::POST, "/members", &body).await;
    assert_snapshot!(seen(&refused), @"409 TOO_MANY_MEMBERS (The state does not allow this): Not done: there are 10000 members and invitations; remove some first.");
}

#[tokio::test]
async fn there_are_a_thousand_members_and_invitations_of_a_workspace_at_most() {
    let house = House::new().await;
    house.invited("first@example.com", &house.acme).await;
    fill_invitations(&house, 1_000);
    let other = house.api.workspace("another").await.unwrap();
    house.invited("last@example.com", &house.acme).await;
    house.invited("other@example.com", &other).await;
    let body =
        json!({ "email": "more@example.com", "role": "auditor", "workspace_id": house.acme });
    let refused = house.admin(Method::POST, "/members", &body).await;
    assert_snapshot!(seen(&refused), @"409 TOO_MANY_MEMBERS (The state does not allow this): Not done: the workspace has 1000 members and invitations; remove some first.");
}

#[tokio::test]
async fn invitations_that_have_ended_do_not_count_and_are_forgotten() {
    let mut house = House::new().await;
    house.invited("first@example.com", &house.acme).await;
    fill_invitations(&house, 10_001);
    let connection = house.database();
    let ended = connection.execute("UPDATE invitation SET expires_at = created_at", []);
    assert!(ended.unwrap() > 9_000);
    house.invited("more@example.com", &house.acme).await;
    // Once a day, and soon after a start.
    house.restart();
    wait_until("the invitations to be forgotten", LIMIT, || {
        let count = connection.query_one("SELECT COUNT(*) FROM invitation", [], |row| row.get(0));
        count.is_ok_and(|count: i64| count <= 2)
    });
}
