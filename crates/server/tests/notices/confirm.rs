//! An address gets notices when its owner has confirmed it, until its owner stops them, and never many in an hour.

use crate::world::{CONFIRM, MailServer, STOP, World, link_in, machine_seconds, mailing, until};
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::{
    ApiClient, NewClient, assert_contains, assert_contains_all, assert_lacks, expect_status,
    faketime, free_port, text,
};

const VICTIM: &str = "victim@third.example";

async fn world() -> (World, MailServer) {
    let port = free_port();
    let server = MailServer::on(port);
    (World::mailing(port, &[]).await, server)
}

async fn set_emails(world: &World, client: &ApiClient, emails: &[&str]) {
    let path = format!("/clients/{}", client.id);
    let body = json!({ "notification_emails": emails });
    expect_status(world.call(Method::PATCH, &path, Some(body)), 200).await;
}

/// The actions on addresses in the audit log.
async fn acts(world: &World) -> Vec<String> {
    let entries = world.api.items("/audit?limit=1000").await;
    let mut actions: Vec<String> = entries.iter().map(|one| text(one, "/action")).collect();
    actions.retain(|action| action.starts_with("notice_address."));
    actions
}

#[tokio::test]
async fn an_address_gets_no_notice_until_its_owner_confirms_it() {
    let (mut world, mails) = world().await;
    let erp = world.mailed("erp <b>1", &[VICTIM]).await;
    let link = mails.link(VICTIM, CONFIRM, 1);
    for _ in 0..5 {
        world.generate(&erp).await;
    }
    // Mail programs open links by themselves: that changes nothing.
    for _ in 0..2 {
        let (status, page) = world.open(Method::GET, &link).await;
        assert_eq!(status, 200);
        assert_contains(&page, "acme");
        assert_contains(&page, "erp &#60;b&#62;1");
        assert!(!page.contains(VICTIM) && !page.contains(&erp.id), "{page}");
    }
    assert_eq!(world.states(&erp).await, ["pending"]);
    world.kill_and_start();
    assert_eq!(world.open(Method::POST, &link).await.0, 200);
    assert_eq!(world.states(&erp).await, ["confirmed"]);
    // The link works once.
    for method in [Method::GET, Method::POST] {
        assert_eq!(world.open(method, &link).await.0, 404);
    }
    assert_eq!(acts(&world).await, ["notice_address.confirm"]);
    expect_status(world.choose(VICTIM, "token.generated", "immediate"), 200).await;
    world.generate(&erp).await;
    let told = mails.letters_about("access token generated", 1);
    assert_contains(&text(&told[0], "/text"), "generation: 6");
    assert_eq!(mails.letters_to(VICTIM).len(), 2);
}

#[tokio::test]
async fn a_link_does_not_outlive_the_address_and_many_clients_send_one_mail() {
    let (world, mails) = world().await;
    let erp = world.mailed("erp", &[VICTIM]).await;
    let first = mails.link(VICTIM, CONFIRM, 1);
    // Other clients, cases and a second mention make no further mail.
    let crm = world.mailed("crm", &["Victim@Third.Example", VICTIM]).await;
    assert_eq!(world.states(&crm).await, ["pending"]);
    set_emails(&world, &erp, &[]).await;
    assert_eq!(world.open(Method::GET, &first).await.0, 200, "crm names it");
    let path = format!("/clients/{}?label=crm", crm.id);
    world.call(Method::DELETE, &path, None).await.expect(200);
    assert_eq!(world.open(Method::POST, &first).await.0, 404);
    assert_eq!(mails.letters().len(), 1);
    set_emails(&world, &erp, &[VICTIM]).await;
    let second = mails.link(VICTIM, CONFIRM, 2);
    assert_eq!(world.open(Method::POST, &first).await.0, 404);
    assert_eq!(world.open(Method::POST, &second).await.0, 200);
    assert_eq!(world.states(&erp).await, ["confirmed"]);
    // Confirmed for the workspace, and asked again after nobody named it.
    let hr = world.mailed("hr", &[VICTIM]).await;
    assert_eq!(world.states(&hr).await, ["confirmed"]);
    set_emails(&world, &hr, &[]).await;
    set_emails(&world, &erp, &[]).await;
    set_emails(&world, &erp, &[VICTIM]).await;
    assert_eq!(world.states(&erp).await, ["pending"]);
    mails.link(VICTIM, CONFIRM, 3);
}

#[tokio::test]
async fn confirmation_mails_are_limited_per_mailbox_across_workspaces() {
    let (world, mails) = world().await;
    let erp = world.mailed("erp", &["ops+1@third.example"]).await;
    let first = mails.link("ops+1@third.example", CONFIRM, 1);
    let path = format!("/clients/{}/confirmation-mails", erp.id);
    let again = || world.call(Method::POST, &path, None);
    again().await.expect(200);
    let second = mails.link("ops+1@third.example", CONFIRM, 2);
    assert_eq!(world.open(Method::POST, &first).await.0, 404, "replaced");
    let other = world.api.workspace("other").await.unwrap();
    let new = NewClient::sandbox("far").emails(&["OPS+2@third.example"]);
    world.api.client(&other, new).await.unwrap();
    let far = mails.link("OPS+2@third.example", CONFIRM, 1);
    let refused = again().await.expect_error(429, "TOO_MANY_ATTEMPTS");
    assert!(!refused.header("retry-after").is_empty());
    // A further address of the mailbox stays pending without a mail.
    let further = ["ops+1@third.example", "ops+3@third.example"];
    set_emails(&world, &erp, &further).await;
    assert_eq!(world.states(&erp).await, ["pending", "pending"]);
    // Each link is for its own workspace and address.
    assert_eq!(world.open(Method::POST, &far).await.0, 200);
    assert_eq!(world.states(&erp).await, ["pending", "pending"]);
    assert_eq!(world.open(Method::POST, &second).await.0, 200);
    assert_eq!(world.states(&erp).await, ["confirmed", "pending"]);
    let one = json!({ "email": "ops+1@third.example" });
    let answer = world.call(Method::POST, &path, Some(one)).await;
    answer.expect_error(409, "ADDRESS_CONFIRMED");
    let none = json!({ "email": "x@third.example" });
    let answer = world.call(Method::POST, &path, Some(none)).await;
    answer.expect_error(404, "NOT_FOUND");
    assert!(mails.letters_to("ops+3@third.example").is_empty());
}

#[tokio::test]
async fn links_cannot_be_guessed() {
    let (world, mails) = world().await;
    let erp = world.confirmed(&mails, "erp", &[VICTIM]).await;
    world.generate(&erp).await;
    let stop = mails.link(VICTIM, STOP, 2);
    let guess = |n: usize| format!("{CONFIRM}{n:A>43}");
    let mut statuses = Vec::new();
    for n in 0..30 {
        statuses.push(world.open(Method::POST, &guess(n)).await.0);
    }
    assert_eq!(statuses[..15], [404; 15]);
    assert_eq!(*statuses.last().unwrap(), 429);
    // A stranger's form is refused, whatever it holds.
    let foreign = world.api.public(Method::POST, &stop);
    let foreign = foreign.header("origin", "https://evil.example");
    let foreign = foreign.header("sec-fetch-site", "cross-site");
    expect_status(world.api.send(foreign), 403).await;
    assert_eq!(world.states(&erp).await, ["confirmed"]);
}

#[tokio::test]
async fn no_link_of_a_mail_is_logged_at_any_level() {
    let port = free_port();
    let mails = MailServer::on(port);
    let world = World::mailing(port, &["--log=trace"]).await;
    world.mailed("erp", &[VICTIM]).await;
    let confirm = mails.link(VICTIM, CONFIRM, 1);
    let stop = mails.link(VICTIM, STOP, 1);
    for link in [&confirm, &stop] {
        assert_eq!(world.open(Method::GET, link).await.0, 200);
        assert_eq!(world.open(Method::POST, link).await.0, 200);
        // A mistyped address holds the secret all the same.
        let mistyped = link.replace("/email/", "/emails/");
        assert_eq!(world.open(Method::GET, &mistyped).await.0, 404);
    }
    let log = until("the lines of all requests", async || {
        let log = world.server.output();
        (log.matches("(link)").count() >= 6).then_some(log)
    });
    let log = log.await;
    for link in [&confirm, &stop] {
        let (_, secret) = link.rsplit_once('/').unwrap();
        assert_lacks(&log, &secret[..20]);
    }
}

#[tokio::test]
async fn the_link_in_a_notice_stops_notices_of_that_workspace() {
    let (world, mails) = world().await;
    let erp = world.confirmed(&mails, "erp", &[VICTIM]).await;
    let other = world.api.workspace("other").await.unwrap();
    let new = NewClient::sandbox("far").emails(&[VICTIM]);
    let far = world.api.client(&other, new).await.unwrap();
    let link = mails.link(VICTIM, CONFIRM, 2);
    assert_eq!(world.open(Method::POST, &link).await.0, 200);
    world.generate(&erp).await;
    let letter = &mails.letters_about("erp: access token generated", 1)[0];
    assert_eq!(letter["one_click"], "List-Unsubscribe=One-Click");
    let stop = link_in(letter, STOP).unwrap();
    assert_contains(&text(letter, "/unsubscribe"), STOP);
    assert_eq!(world.open(Method::GET, &stop).await.0, 200);
    // Opening it changes nothing.
    assert_eq!(world.states(&erp).await, ["confirmed"]);
    for _ in 0..2 {
        assert_eq!(world.open(Method::POST, &stop).await.0, 200);
    }
    assert_eq!(world.states(&erp).await, ["stopped"]);
    let before = mails.letters_about("erp: ", 1).len();
    world.generate(&erp).await;
    world.generate(&far).await;
    let token = format!("/clients/{}/token", far.id);
    world.call(Method::DELETE, &token, None).await.expect(200);
    mails.letters_about("far: access token revoked", 1);
    assert_eq!(mails.letters_about("erp: ", 1).len(), before);
    // Naming it again changes nothing for its owner, and asking is refused for a month.
    set_emails(&world, &erp, &[]).await;
    set_emails(&world, &erp, &[VICTIM]).await;
    assert_eq!(world.states(&erp).await, ["stopped"]);
    let path = format!("/clients/{}/confirmation-mails", erp.id);
    let one = json!({ "email": VICTIM });
    let answer = world.call(Method::POST, &path, Some(one)).await;
    answer.expect_error(409, "ADDRESS_STOPPED");
    let expected = ["confirm", "preferences", "confirm", "stop"];
    let expected = expected.map(|act| format!("notice_address.{act}"));
    assert_eq!(acts(&world).await, expected);
    let broken = format!("{stop}A");
    assert_eq!(world.open(Method::POST, &broken).await.0, 404);
}

#[tokio::test]
async fn without_a_public_url_addresses_stay_pending_and_the_answer_says_why() {
    let port = free_port();
    let mails = MailServer::on(port);
    let url = format!("--mail-url=smtp://127.0.0.1:{port}");
    let world = World::with(&[&url, "--mail-from=tokens@example.com"]).await;
    let erp = world.mailed("erp", &[VICTIM]).await;
    world.generate(&erp).await;
    let path = format!("/clients/{}/confirmation-mails", erp.id);
    let answer = world.call(Method::POST, &path, None).await;
    let answer = answer.expect_error(409, "CONFIRMATION_UNAVAILABLE");
    assert_contains(&text(&answer.json(), "/detail"), "public_url");
    assert_eq!(world.states(&erp).await, ["pending"]);
    assert_eq!(world.notices().await, Vec::<Value>::new());
    assert!(mails.letters().is_empty());
    assert_contains(&world.server.output(), "no confirmation link can be sent");
}

#[tokio::test]
async fn what_is_beyond_the_limit_of_an_hour_comes_in_one_mail_in_the_next() {
    const HOUR: i64 = 3_600;
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    // Early in an hour of the server's clock, so that none ends while it is being filled.
    let offset = HOUR - machine_seconds() % HOUR;
    faketime::set(&clock, offset);
    let port = free_port();
    let mails = MailServer::on(port);
    let mut world = World::of(mailing(port).clock(&clock)).await;
    let erp = world.confirmed(&mails, "erp", &[VICTIM]).await;
    for _ in 0..32 {
        world.generate(&erp).await;
    }
    let held = |notices: &[Value]| {
        let told = |one: &&Value| one["type"] != "address.confirm";
        let state = |state: &str| {
            let told = notices.iter().filter(told);
            told.filter(|one| one["state"] == state).count()
        };
        // Held back: they wait for the next hour.
        let next = |one: &Value| one["next_attempt_at"].as_str().unwrap_or("").to_owned();
        let waiting = notices.iter().filter(|one| one["state"] == "waiting");
        let held = waiting.filter(|one| next(one).ends_with(":00:00+00:00"));
        state("delivered") == 20 && state("waiting") >= 12 && held.count() == state("waiting")
    };
    world.outbox("twenty mails and no more", held).await;
    // Also after a restart.
    world.kill_and_start();
    world.generate(&erp).await;
    until("the last to be made", async || {
        let made = world.notices_of("token.generated").await;
        (made.len() == 33).then_some(())
    })
    .await;
    world.outbox("twenty mails and no more", held).await;
    // With the confirmation mail.
    assert_eq!(mails.letters_to(VICTIM).len(), 21);
    faketime::set(&clock, offset + HOUR);
    let all = |notices: &[Value]| notices.iter().all(|one| one["state"] == "delivered");
    world.outbox("the rest to be delivered", all).await;
    let letters = mails.letters_to(VICTIM);
    assert_eq!(letters.len(), 22, "one more");
    let last = letters.last().unwrap();
    let subject = text(last, "/subject");
    assert!(subject.starts_with("[Tokenward] 1"), "{subject}");
    assert!(subject.ends_with(" notifications"), "{subject}");
    assert_contains_all(&text(last, "/text"), &["erp: access token generated", STOP]);
}
