//! Webhooks: signed, tried again, never into networks that are not meant, and never in each other's way.

use crate::world::{Receiver, World, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::net::TcpListener;
use tokenward_testkit::{
    NewClient, Server, assert_contains, assert_lacks, expect_error, expect_json, free_port, text,
};

impl World {
    /// Has a webhook tried.
    async fn tries(&self, id: &str) {
        let path = format!("/webhooks/{id}/test");
        self.call(Method::POST, &path, None).await.expect(202);
    }
}

#[tokio::test]
async fn what_happens_is_told_once_signed_and_without_a_secret() {
    let receiver = Receiver::start();
    let world = World::on_loopback(&["--public-url", "https://auth.example.com/"]).await;
    let (id, secret) = world.webhook(&receiver.at("/ok?key=hidden")).await;
    receiver.knows(&[&secret, "whsec_AAAA"]).await;
    let erp = world.client("erp").await;
    let token = world.generate(&erp).await;
    world.generate(&erp).await;
    world.api.revoke(&erp.id).await.unwrap().expect(200);
    let revoked = receiver.messages("token.revoked", 1).await;
    let all = receiver.received().await;
    let mut kinds: Vec<_> = all.iter().map(|one| text(one, "/body/type")).collect();
    kinds.sort_unstable();
    let expected = "client.created token.generated token.generated token.revoked";
    assert_eq!(kinds.join(" "), expected);
    for one in &all {
        assert_eq!(one["verified"], json!([true, false]));
        assert_eq!(one["headers"]["content-type"], "application/json");
        let text = one["text"].as_str().unwrap();
        for hidden in [&token, &erp.secret, &secret] {
            assert_lacks(text, hidden);
        }
    }
    let data = &revoked[0]["body"]["data"];
    assert_eq!(data["client_id"], erp.id.as_str());
    assert_eq!(data["workspace_id"], world.acme.as_str());
    assert_eq!(data["label"], "erp");
    assert_eq!(data["environment"], "sandbox");
    assert_eq!(data["generation"], 2);
    let url = format!("https://auth.example.com/console/clients/{}", erp.id);
    assert_eq!(data["url"], url.as_str());
    let delivered = |notices: &[Value]| notices.iter().all(|one| one["state"] == "delivered");
    let notices = world
        .outbox("every notice to be delivered", delivered)
        .await;
    assert_eq!(notices.len(), 4);
    for one in &notices {
        assert!(one["webhook_id"] == id.as_str() && one["attempts"] == 1);
    }
    // The log knows neither the secret nor the address, whose query is its receiver's affair.
    let log = world.server.output();
    assert!(!log.contains(&secret) && !log.contains("hidden"));
    let kept = std::fs::read(world.server.data_dir().join("tokenward.sqlite")).unwrap();
    let plain = secret.strip_prefix("whsec_").unwrap().as_bytes();
    assert!(!kept.windows(plain.len()).any(|window| window == plain));
}

#[tokio::test]
async fn both_secrets_sign_while_one_follows_the_other() {
    let receiver = Receiver::start();
    let world = World::on_loopback(&[]).await;
    let (id, first) = world.webhook(&receiver.at("/ok")).await;
    let path = format!("/webhooks/{id}/secret");
    let rotated = expect_json(world.call(Method::POST, &path, None), 201).await;
    let second = rotated["secret"].as_str().unwrap();
    assert_ne!(first, second);
    receiver.knows(&[&first, second]).await;
    let path = format!("/webhooks/{id}/test");
    let made = expect_json(world.call(Method::POST, &path, None), 202).await;
    let message = &receiver.messages("webhook.test", 1).await[0];
    assert_eq!(message["verified"], json!([true, true]));
    let notice = made["notice_id"].as_str().unwrap().replace('-', "");
    assert_eq!(message["id"], format!("msg_{notice}").as_str());
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_with_the_same_id() {
    let receiver = Receiver::start();
    let world = World::on_loopback(&[]).await;
    let (id, secret) = world.webhook(&receiver.at("/fail/1/x")).await;
    receiver.knows(&[&secret]).await;
    world.tries(&id).await;
    let failed = |notices: &[Value]| notices.len() == 1 && notices[0]["attempts"] == 1;
    let notices = world.outbox("the first attempt", failed).await;
    assert_eq!(notices[0]["state"], "waiting");
    assert_eq!(notices[0]["last_error"], "it answered 500");
    let messages = receiver.messages("webhook.test", 2).await;
    assert_eq!(messages[0]["id"], messages[1]["id"]);
    assert!(messages.iter().all(|one| one["verified"] == json!([true])));
    let done = |notices: &[Value]| notices[0]["state"] == "delivered";
    let notices = world.outbox("the delivery", done).await;
    assert_eq!(notices[0]["attempts"], 2);
    assert_eq!(notices[0]["last_error"], Value::Null);
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_nobody_else() {
    let receiver = Receiver::start();
    let world = World::on_loopback(&[]).await;
    // More than there are places for deliveries in all.
    let generates = 80;
    world.webhook(&receiver.at("/hang/x")).await;
    let (good, _) = world.webhook(&receiver.at("/ok")).await;
    let erp = world.client("erp").await;
    for _ in 0..generates {
        world.generate(&erp).await;
    }
    let delivered =
        |one: &&Value| one["webhook_id"] == good.as_str() && one["state"] == "delivered";
    let all = |notices: &[Value]| notices.iter().filter(delivered).count() == generates + 1;
    world.outbox("the good receiver to have all", all).await;
    // Each of its few places is kept for ten seconds: to get this far it would need longer than a test waits.
    let received = receiver.received().await;
    let hanging = received.iter().filter(|one| one["path"] == "/hang/x");
    let hanging = hanging.count();
    assert!((1..=generates / 2).contains(&hanging), "{hanging}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let receiver = Receiver::start();
    let world = World::on_loopback(&[]).await;
    let (id, _) = world.webhook(&receiver.at("/redirect")).await;
    world.tries(&id).await;
    let refused = |one: &Value| one["last_error"] == "it answered 302";
    let failed = |notices: &[Value]| notices.iter().any(refused);
    world.outbox("the refusal", failed).await;
    let paths = receiver.received().await;
    assert!(paths.iter().all(|one| one["path"] == "/redirect"));
}

/// Whether nobody has connected.
fn untouched(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    matches!(listener.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[tokio::test]
async fn nothing_leads_into_a_network_that_is_not_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::with(&[]).await;
    let path = format!("/workspaces/{}/webhooks", world.acme);
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://example.com:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("https://0x7f.1:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://[fd00:ec2::254]/".to_owned(),
    ] {
        let refused = world.call(Method::POST, &path, Some(json!({ "url": url })));
        let refused = expect_json(refused, 400).await;
        assert_eq!(refused["field"], "url", "{url}");
    }
    // A name is judged by what it resolves to, when it is connected to.
    let (id, _) = world.webhook(&format!("https://localhost:{port}/")).await;
    world.tries(&id).await;
    let tried = |notices: &[Value]| notices.len() == 1 && notices[0]["attempts"] == 2;
    let notices = world.outbox("two attempts", tried).await;
    let why = notices[0]["last_error"].as_str().unwrap();
    // What a name resolves to inside is for the log: workspace admins and auditors read this.
    assert_contains(why, "no public address");
    assert_lacks(why, "127.0.0.1");
    assert_lacks(why, "::1");
    assert_contains(&world.server.output(), "127.0.0.1");
    assert!(untouched(&listener));
}

#[tokio::test]
async fn a_network_no_longer_named_is_closed_to_webhooks_that_are_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let first = tempfile::tempdir().unwrap();
    let open = Server::builder().data_dir(first.path());
    let open = open.arg("--webhook-allow-network=127.0.0.0/8");
    let mut world = World::of(open).await;
    let (id, _) = world.webhook(&format!("https://127.0.0.1:{port}/")).await;
    world.server.terminate();
    world.server = Server::builder().data_dir(first.path()).start();
    world.api = world.server.api();
    world.tries(&id).await;
    let tried = |notices: &[Value]| notices.len() == 1 && notices[0]["attempts"] == 1;
    let notices = world.outbox("an attempt", tried).await;
    assert_contains(&text(&notices[0], "/last_error"), "is not a public address");
    assert!(untouched(&listener));
}

#[tokio::test]
async fn what_was_done_before_a_kill_is_told_after_it() {
    let port = free_port();
    let mut world = World::on_loopback(&[]).await;
    let (_, secret) = world.webhook(&format!("http://127.0.0.1:{port}/ok")).await;
    let erp = world.client("erp").await;
    world.generate(&erp).await;
    world.kill_and_start();
    // Some are in the outbox by now and tried in vain, the last one not even looked at.
    let failed = |notices: &[Value]| notices.iter().any(|one| one["attempts"] != 0);
    world.outbox("an attempt in vain", failed).await;
    world.generate(&erp).await;
    world.server.kill9();
    let receiver = Receiver::on(port);
    receiver.knows(&[&secret]).await;
    world.start_again();
    let messages = receiver.messages("token.generated", 2).await;
    let generations = messages
        .iter()
        .map(|one| one["body"]["data"]["generation"].as_u64());
    let mut generations: Vec<_> = generations.collect();
    generations.sort_unstable();
    assert_eq!(generations, [Some(1), Some(2)]);
    assert!(messages.iter().all(|one| one["verified"] == json!([true])));
    let delivered = |notices: &[Value]| notices.iter().all(|one| one["state"] == "delivered");
    let notices = world.outbox("all to be delivered", delivered).await;
    assert_eq!(notices.len(), 3);
}

#[tokio::test]
async fn a_webhook_is_told_of_its_own_workspace_only_and_not_while_it_is_disabled() {
    let receiver = Receiver::start();
    let world = World::on_loopback(&[]).await;
    let (id, _) = world.webhook(&receiver.at("/ok")).await;
    let other = world.api.workspace("other").await.unwrap();
    let far = NewClient::sandbox("far");
    let far = world.api.client(&other, far).await.unwrap();
    world.generate(&far).await;
    let path = format!("/webhooks/{id}");
    let switch = |disabled: bool| {
        let body = json!({ "disabled": disabled });
        world.call(Method::PATCH, &path, Some(body))
    };
    let changed = expect_json(switch(true), 200).await;
    assert_eq!(changed["disabled"], true);
    let test = format!("{path}/test");
    let refused = world.call(Method::POST, &test, None);
    expect_error(refused, 409, "WEBHOOK_DISABLED").await;
    let erp = world.client("while disabled").await;
    world.generate(&erp).await;
    switch(false).await.expect(200);
    world.client("enabled again").await;
    let told = until("the client made last", async || {
        let told = receiver.received().await;
        let last = |one: &Value| one["body"]["data"]["label"] == "enabled again";
        told.iter().any(last).then_some(told)
    })
    .await;
    // What happened while it was disabled may be told after it was enabled again, but never another's.
    for one in &told {
        assert_eq!(one["body"]["data"]["workspace_id"], world.acme);
    }
    world.call(Method::DELETE, &path, None).await.expect(204);
    world.call(Method::DELETE, &path, None).await.expect(404);
}
