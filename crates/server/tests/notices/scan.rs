//! What time brings is told once, however often it is looked for.

use crate::world::{Receiver, World};
use serde_json::{Value, json};

fn percents(messages: &[Value]) -> Vec<u64> {
    let percent = |one: &Value| one["body"]["data"]["percent"].as_u64().unwrap();
    messages.iter().map(percent).collect()
}

#[tokio::test]
async fn a_quota_is_told_of_at_each_of_its_marks_and_once() {
    let receiver = Receiver::start();
    let world = World::on_loopback(&["--notice-scan-seconds", "1", "--quota-per-day", "5"]).await;
    world.webhook(&receiver.at("/ok")).await;
    let erp = world.client("erp").await;
    for mark in 1..=3 {
        let already = if mark == 1 { 3 } else { 1 };
        for _ in 0..already {
            world.generate(&erp).await;
        }
        receiver.messages("quota.reached", mark).await;
    }
    // It was looked for again for every mark; the marks before were not told again.
    let told = receiver.messages("quota.reached", 3).await;
    assert_eq!(percents(&told), [60, 80, 100]);
    assert_eq!(told[0]["body"]["data"]["used"], json!(3));
}

#[tokio::test]
async fn a_superseded_token_that_keeps_arriving_is_told_of() {
    let receiver = Receiver::start();
    let world = World::on_loopback(&["--notice-scan-seconds", "1"]).await;
    world.webhook(&receiver.at("/ok")).await;
    let erp = world.client("erp").await;
    let former = world.generate(&erp).await;
    world.generate(&erp).await;
    for _ in 0..20 {
        let check = world.api.check("sandbox", "gst", &former).await.unwrap();
        check.expect_error(401, "TOKEN_SUPERSEDED");
    }
    let told = receiver.messages("token.superseded_in_use", 1).await;
    assert_eq!(told[0]["body"]["data"]["sources"], json!(["127.0.0.1"]));
    assert_eq!(told[0]["body"]["data"]["client_id"], erp.id.as_str());
}
