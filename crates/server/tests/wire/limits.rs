//! How much of anything there may be: the last that fits is taken, the next one is refused and told why.

use crate::house::House;
use crate::seen::seen;
use insta::assert_snapshot;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_workspace_has_ten_webhooks_at_most() {
    let house = House::new().await;
    let path = format!("/workspaces/{}/webhooks", house.acme);
    let body = json!({ "url": "https://hook.invalid/" });
    for _ in 0..10 {
        house.admin(Method::POST, &path, &body).await.expect(201);
    }
    let refused = house.admin(Method::POST, &path, &body).await;
    assert_snapshot!(seen(&refused), @r#"
    409
    cache-control: no-store
    content-type: application/problem+json
    {"code":"TOO_MANY_WEBHOOKS","detail":"Not done: a workspace has at most 10 webhooks; delete one first.","error_id":"[uuid]","status":409,"title":"The state does not allow this","type":"urn:tokenward:problem:too-many-webhooks"}
    "#);
    let listed = house.ask(Method::GET, &path).await.json();
    let first = &listed["items"][0]["id"];
    let first = format!("/webhooks/{}", first.as_str().unwrap());
    house.ask(Method::DELETE, &first).await.expect(204);
    house.admin(Method::POST, &path, &body).await.expect(201);
}

#[tokio::test]
async fn a_disabled_webhook_is_sent_nothing_to_try_it() {
    let house = House::new().await;
    let path = format!("/workspaces/{}/webhooks", house.acme);
    let body = json!({ "url": "https://hook.invalid/" });
    let made = house.admin(Method::POST, &path, &body).await.expect(201);
    let made = made.json()["webhook"]["id"].take();
    let path = format!("/webhooks/{}", made.as_str().unwrap());
    let disabled = json!({ "disabled": true });
    house
        .admin(Method::PATCH, &path, &disabled)
        .await
        .expect(200);
    let refused = house.ask(Method::POST, &format!("{path}/test")).await;
    assert_snapshot!(seen(&refused), @r#"
    409
    cache-control: no-store
    content-type: application/problem+json
    {"code":"WEBHOOK_DISABLED","detail":"Not done: nothing is sent to a disabled webhook; enable it first.","error_id":"[uuid]","status":409,"title":"The state does not allow this","type":"urn:tokenward:problem:webhook-disabled"}
    "#);
}

#[tokio::test]
async fn there_are_ten_thousand_members_and_invitations_at_most() {
    let house = House::new().await;
    house.invited("first@example.com", &house.acme).await;
    // Nearly all of them at once, behind the server's back.
    let database = house.server.data_dir().join("tokenward.sqlite");
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.busy_timeout(crate::house::LIMIT).unwrap();
    let more = "
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT
            9999 - (SELECT COUNT(*) FROM invitation) - (SELECT COUNT(*) FROM member))
        INSERT INTO invitation SELECT randomblob(16), randomblob(length(digest)), 'n' || i || '@example.com', role,
            created_at, expires_at, invited_by FROM n, invitation WHERE email = 'first@example.com'";
    assert!(connection.execute(more, []).unwrap() > 9_000);
    house.invited("last@example.com", &house.acme).await;
    let body = json!({ "email": "more@example.com", "role": "operator" });
    let refused = house.admin(Method::POST, "/members", &body).await;
    assert_snapshot!(seen(&refused), @r#"
    409
    cache-control: no-store
    content-type: application/problem+json
    {"code":"TOO_MANY_MEMBERS","detail":"Not done: there are 10000 members and invitations; remove some first.","error_id":"[uuid]","status":409,"title":"The state does not allow this","type":"urn:tokenward:problem:too-many-members"}
    "#);
}
