//! Letters: they arrive, they wait for a mail server that is away, and no caller ever waits for one.

use crate::world::{MailServer, World, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::TcpListener;
use tokenward_testkit::{PROGRAM_LIMIT, accept, assert_contains, assert_lacks, free_port, text};

#[tokio::test]
async fn each_address_gets_a_letter_that_holds_no_secret() {
    let port = free_port();
    let server = MailServer::on(port);
    let world = World::mailing(port, &[]).await;
    let emails = ["a@example.com", "b@example.com"];
    let erp = world.confirmed(&server, "erp", &emails).await;
    let silent = world.client("silent").await;
    world.generate(&silent).await;
    let token = world.generate(&erp).await;
    let letters = server.letters_about("access token generated", 2);
    let mut to: Vec<_> = letters.iter().map(|letter| text(letter, "/to/0")).collect();
    to.sort_unstable();
    assert_eq!(to, emails);
    for letter in server.letters() {
        assert_eq!(letter["from"], "tokens@example.com");
        assert_eq!(letter["auto_submitted"], "auto-generated");
        let hello = letter["hello"].as_str().unwrap();
        assert!(!hello.is_empty() && !hello.starts_with('['), "{hello}");
        let text = letter["text"].as_str().unwrap();
        assert_lacks(text, &token);
        assert_lacks(text, &erp.secret);
    }
    let subject = "[Tokenward sandbox] erp: access token generated";
    assert_eq!(letters[0]["subject"], subject);
    assert_contains(&text(&letters[0], "/text"), "generation: 1");
}

#[tokio::test]
async fn letters_wait_for_a_mail_server_that_is_away() {
    let port = free_port();
    let server = MailServer::on(port);
    let world = World::mailing(port, &[]).await;
    let erp = world.confirmed(&server, "erp", &["a@example.com"]).await;
    drop(server);
    for _ in 0..3 {
        world.generate(&erp).await;
    }
    let generated = |notices: &[Value]| -> Vec<Value> {
        let kind = |one: &&Value| one["type"] == "token.generated";
        notices.iter().filter(kind).cloned().collect()
    };
    let failed = |notices: &[Value]| {
        let notices = generated(notices);
        let failed = |one: &Value| one["attempts"] != 0 && one["state"] == "waiting";
        notices.len() == 3 && notices.iter().all(failed)
    };
    let notices = generated(&world.outbox("three attempts in vain", failed).await);
    let why = "the mail server could not be reached";
    assert_eq!(notices[0]["last_error"], why);
    assert_eq!(notices[0]["email"], "a@example.com");
    let server = MailServer::on(port);
    let delivered = |notices: &[Value]| notices.iter().all(|one| one["state"] == "delivered");
    world.outbox("all to be delivered", delivered).await;
    let letters = server.letters_about("access token generated", 3);
    let texts: BTreeSet<_> = letters.iter().map(|letter| text(letter, "/text")).collect();
    assert_eq!((letters.len(), texts.len()), (3, 3));
}

#[tokio::test]
async fn a_mail_server_that_hangs_keeps_no_caller_waiting() {
    // It takes connections and never says a word.
    let port = free_port();
    let server = MailServer::on(port);
    let world = World::mailing(port, &[]).await;
    let erp = world.confirmed(&server, "erp", &["a@example.com"]).await;
    drop(server);
    let listener = until("the port to be free", async || {
        TcpListener::bind(("127.0.0.1", port)).ok()
    })
    .await;
    world.generate(&erp).await;
    let hanging = tokio::task::spawn_blocking(move || {
        let connection = accept(&listener, "the server to connect", PROGRAM_LIMIT);
        (listener, connection)
    });
    let _hanging = hanging.await.unwrap();
    for _ in 0..20 {
        world.generate(&erp).await;
    }
    let waiting = |notices: &[Value]| {
        let kind = |one: &&Value| one["type"] == "token.generated" && one["state"] == "waiting";
        notices.iter().filter(kind).count() == 21
    };
    world.outbox("a notice each", waiting).await;
}

#[tokio::test]
async fn without_a_mail_server_no_letter_is_written() {
    let mut world = World::with(&[]).await;
    let erp = world.mailed("erp", &["a@example.com"]).await;
    world.generate(&erp).await;
    assert!(world.server.terminate().success());
    world.start_again();
    world.generate(&erp).await;
    assert_eq!(world.notices().await, Vec::<Value>::new());
}

#[tokio::test]
async fn the_mail_server_is_told_the_name_that_is_set_and_labels_stay_as_written() {
    let port = free_port();
    let server = MailServer::on(port);
    let world = World::mailing(port, &["--mail-hello-name=tokens.example.com"]).await;
    let label = "=?utf-8?q?Bcc:_e@f?=";
    let odd = world.confirmed(&server, label, &["a@example.com"]).await;
    world.generate(&odd).await;
    let letters = server.letters_about("access token generated", 1);
    assert_eq!(letters[0]["hello"], "tokens.example.com");
    assert_contains(&text(&letters[0], "/subject"), "utf-8?q?Bcc:_e@f");
}
