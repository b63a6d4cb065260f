//! Each address and webhook is notified of the events that were chosen for it, at the time that was chosen.

use crate::world::{CONFIRM, MailServer, Receiver, World, machine_seconds, mailing, until};
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{assert_contains, expect_status, faketime, free_port};

const OPS: &str = "ops@example.com";

#[tokio::test]
async fn renewals_come_in_one_mail_a_day_and_misuse_at_once() {
    const DAY: i64 = 86_400;
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    // At noon of the server's clock, so that no mail of the day is due while notices are made.
    let noon = DAY + DAY / 2 - machine_seconds() % DAY;
    faketime::set(&clock, noon);
    let port = free_port();
    let mails = MailServer::on(port);
    let world = World::of(mailing(port).clock(&clock)).await;
    let erp = world.mailed("erp", &[OPS]).await;
    let link = mails.link(OPS, CONFIRM, 1);
    assert_eq!(world.open(Method::POST, &link).await.0, 200);
    for _ in 0..3 {
        world.generate(&erp).await;
    }
    expect_status(world.choose(OPS, "token.revoked", "immediate"), 200).await;
    let token = format!("/clients/{}/token", erp.id);
    world.call(Method::DELETE, &token, None).await.expect(200);
    mails.letters_about("access token revoked", 1);
    let waiting = world.notices_of("token.generated").await;
    assert_eq!(waiting.len(), 3, "{waiting:?}");
    for one in &waiting {
        let due = one["next_attempt_at"].as_str().unwrap();
        let waits = one["state"] == "waiting" && one["attempts"] == 0;
        assert!(waits && due.ends_with("T06:00:00+00:00"), "{one}");
    }
    assert_eq!(mails.letters_to(OPS).len(), 2, "with the confirmation mail");
    faketime::set(&clock, noon + DAY);
    let all = |notices: &[Value]| notices.iter().all(|one| one["state"] == "delivered");
    world.outbox("the mail of the day", all).await;
    let letters = mails.letters_to(OPS);
    let last = letters.last().unwrap();
    assert_eq!(letters.len(), 3);
    assert_eq!(last["subject"], "[Tokenward] 3 notifications");
    let text = last["text"].as_str().unwrap();
    assert_contains(
        text,
        "[sandbox] erp: access token generated, 3 times, last ",
    );
}

#[tokio::test]
async fn nobody_is_told_what_was_turned_off() {
    let receiver = Receiver::start();
    let world = World::on_loopback(&[]).await;
    let (hook, secret) = world.webhook(&receiver.at("/")).await;
    receiver.knows(&[&secret]).await;
    let path = format!("/webhooks/{hook}");
    let choose = async |event: &str, delivery: &str| {
        let preferences = json!([{ "event": event, "delivery": delivery }]);
        let body = json!({ "preferences": preferences });
        world.call(Method::PATCH, &path, Some(body)).await
    };
    for (event, delivery, says) in [
        ("token.generated", "daily", "must be immediate or off"),
        ("token.generated", "often", "must be immediate or off"),
        ("token.unheard_of", "off", "there is no event"),
    ] {
        let refused = choose(event, delivery).await.expect(400);
        assert!(refused.body.contains(says), "{}", refused.body);
    }
    let set = choose("token.generated", "off").await.expect(200).json();
    let off = json!({ "event": "token.generated", "delivery": "off" });
    let preferences = set["preferences"].as_array().unwrap();
    assert!(preferences.contains(&off), "{set}");
    let off = preferences.iter().filter(|one| one["delivery"] == "off");
    assert_eq!((preferences.len(), off.count()), (13, 1), "{set}");
    let erp = world.client("erp").await;
    world.generate(&erp).await;
    let token = format!("/clients/{}/token", erp.id);
    world.call(Method::DELETE, &token, None).await.expect(200);
    receiver.messages("token.revoked", 1).await;
    assert_eq!(world.notices_of("token.generated").await.len(), 0);
    choose("token.generated", "immediate").await.expect(200);
    world.generate(&erp).await;
    receiver.messages("token.generated", 1).await;

    let mut entries = world.api.items("/audit?limit=1000").await;
    entries.retain(|entry| entry["action"] == "webhook.preferences");
    let [off, on] = &entries[..] else {
        panic!("{entries:?}");
    };
    let [as_off, as_on] =
        ["off", "immediate"].map(|delivery| json!({ "token.generated": delivery }));
    assert_eq!(
        (&off["detail"]["from"], &off["detail"]["to"]),
        (&as_on, &as_off)
    );
    assert_eq!(
        (&on["detail"]["from"], &on["detail"]["to"]),
        (&as_off, &as_on)
    );
}

#[tokio::test]
async fn preferences_belong_to_addresses_that_clients_name() {
    let world = World::with(&[]).await;
    world.mailed("erp", &["Ops@Example.com"]).await;
    let path = format!("/workspaces/{}/notification-addresses", world.acme);
    let set = world.choose(OPS, "client.unused", "off").await.expect(200);
    assert_eq!(set.json()["email"], OPS);
    expect_status(world.choose("x@example.com", "client.unused", "off"), 400).await;
    // A stop and a confirmation keep what was chosen; a client that names the address again does, too.
    world.mailed("pos", &[OPS]).await;
    let listed = until("the list", async || {
        let listed = world.api.items(&path).await;
        (listed.len() == 1).then_some(listed)
    })
    .await;
    let one = &listed[0];
    assert_eq!(one["email"], json!(OPS));
    assert_eq!(one["state"], "pending");
    let of = |event: &str| {
        let all = one["preferences"].as_array().unwrap().iter();
        let mut found = all.filter(|one| one["event"] == event);
        found.next().unwrap()["delivery"].clone()
    };
    assert_eq!(of("client.unused"), "off");
    assert_eq!(of("token.generated"), "daily");
    assert_eq!(of("token.superseded_in_use"), "immediate");
}
