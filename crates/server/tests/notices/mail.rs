//! Letters: they arrive, they wait for a mail server that is away, and no caller ever waits for one.

use crate::world::{MailServer, World, until};
use serde_json::Value;
use std::net::TcpListener;
use tokenward_testkit::{PROGRAM_LIMIT, accept, assert_lacks};
use tokenward_testkit::{assert_contains, free_port};

const FROM: [&str; 2] = ["--mail-from", "Tokenward <tokens@example.com>"];

/// Links in mails lead there; the tests follow them on the server's own address.
const PUBLIC: [&str; 2] = ["--public-url", "https://tokens.example.com"];

fn url(port: u16) -> String {
    format!("smtp://127.0.0.1:{port}")
}

async fn mailing(port: u16) -> World {
    World::with(&[
        "--mail-url",
        &url(port),
        FROM[0],
        FROM[1],
        PUBLIC[0],
        PUBLIC[1],
    ])
    .await
}

#[tokio::test]
async fn each_address_gets_a_letter_that_holds_no_secret() {
    let port = free_port();
    let server = MailServer::on(port);
    let world = mailing(port).await;
    let erp = world
        .confirmed(&server, "erp", &["a@example.com", "b@example.com"])
        .await;
    let silent = world.client("silent").await;
    world.generate(&silent).await;
    let token = world.generate(&erp).await;
    let letters = server.letters_about("access token generated", 2);
    let mut to: Vec<_> = letters
        .iter()
        .map(|letter| letter["to"][0].as_str().unwrap())
        .collect();
    to.sort_unstable();
    assert_eq!(to, ["a@example.com", "b@example.com"]);
    for letter in server.letters() {
        assert_eq!(letter["from"], "tokens@example.com");
        assert_eq!(letter["auto_submitted"], "auto-generated");
        let hello = letter["hello"].as_str().unwrap();
        assert!(!hello.is_empty() && !hello.starts_with('['), "{hello}");
        let text = letter["text"].as_str().unwrap();
        assert_lacks(text, &token);
        assert_lacks(text, &erp.secret);
    }
    assert_eq!(
        letters[0]["subject"],
        "[Tokenward sandbox] erp: access token generated"
    );
    assert_contains(letters[0]["text"].as_str().unwrap(), "generation: 1");
}

#[tokio::test]
async fn letters_wait_for_a_mail_server_that_is_away() {
    let port = free_port();
    let server = MailServer::on(port);
    let world = mailing(port).await;
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
        notices.len() == 3
            && notices
                .iter()
                .all(|one| one["attempts"] != 0 && one["state"] == "waiting")
    };
    let notices = generated(&world.outbox("three attempts in vain", failed).await);
    assert_eq!(
        notices[0]["last_error"],
        "the mail server could not be reached"
    );
    assert_eq!(notices[0]["email"], "a@example.com");
    let server = MailServer::on(port);
    let delivered = |notices: &[Value]| notices.iter().all(|one| one["state"] == "delivered");
    world.outbox("all to be delivered", delivered).await;
    let letters = server.letters_about("access token generated", 3);
    let mut texts: Vec<_> = letters
        .iter()
        .map(|letter| letter["text"].as_str().unwrap())
        .collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!((letters.len(), texts.len()), (3, 3));
}

#[tokio::test]
async fn a_mail_server_that_hangs_keeps_no_caller_waiting() {
    // It takes connections and never says a word.
    let port = free_port();
    let server = MailServer::on(port);
    let world = mailing(port).await;
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
    let url = url(port);
    let hello = ["--mail-hello-name", "tokens.example.com"];
    let [from, public] = [FROM, PUBLIC];
    let world = World::with(&[
        "--mail-url",
        &url,
        from[0],
        from[1],
        hello[0],
        hello[1],
        public[0],
        public[1],
    ])
    .await;
    let label = "=?utf-8?q?Bcc:_e@f?=";
    let odd = world.confirmed(&server, label, &["a@example.com"]).await;
    world.generate(&odd).await;
    let letters = server.letters_about("access token generated", 1);
    assert_eq!(letters[0]["hello"], "tokens.example.com");
    let subject = letters[0]["subject"].as_str().unwrap();
    assert!(subject.contains("utf-8?q?Bcc:_e@f"), "{subject}");
}
