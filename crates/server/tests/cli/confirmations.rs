//! Every command that ends something asks first, and a program has to say `--yes`. The list of these commands is held
//! complete by a unit test of the command line; `digest-key remove` is tried in `wire/keys.rs`.

use crate::run::{erp, program, ran, run, server, word, words};
use serde_json::Value;
use tokenward_testkit::Server;

/// The words that name the client, without `--json`.
const CLIENT: [&str; 5] = ["-w", "acme", "-e", "sandbox", "erp"];

/// A server where each of the acts has something to end; the webhook's id.
fn furnished() -> (Server, String) {
    let server = server();
    erp(&server);
    let of_client = |words: &[&str]| {
        run(&server, &[words, &CLIENT].concat())
            .expect(0)
            .to_owned()
    };
    of_client(&["secret", "rotate"]);
    of_client(&["token", "generate"]);
    let url = "https://hooks.example.com/tokenward";
    run(&server, &["webhook", "create", "-w", "acme", url]).expect(0);
    run(
        &server,
        &["admin-key", "create", "--role", "auditor", "spare"],
    )
    .expect(0);
    let invite = ["member", "invite", "--role", "auditor", "--email"];
    run(&server, &[&invite[..], &["pending@example.com"]].concat()).expect(0);
    let listed = run(&server, &["webhook", "list", "-w", "acme", "--json"]).json();
    let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
    (server, id)
}

#[tokio::test]
async fn every_act_that_ends_something_wants_yes_from_a_program() {
    let (server, webhook) = furnished();
    // A member, who joins by the link.
    let words = words("member invite --role auditor --email asha@example.com");
    let link = run(&server, &words).expect(0).to_owned();
    let path = link
        .strip_prefix(server.public().trim_end_matches('/'))
        .expect("a link of this server");
    let api = server.api();
    let form = "name=Asha&password=plum-tractor-7-galaxy&password_again=plum-tractor-7-galaxy";
    let join = api.public(reqwest::Method::POST, path);
    let join = join.header("content-type", "application/x-www-form-urlencoded");
    let join = join.header("sec-fetch-site", "same-origin").body(form);
    assert!(api.send(join).await.unwrap().status < 400);

    let acts: &[&[&str]] = &[
        &["workspace", "disable", "acme"],
        &["product", "delete", "gst"],
        &["client", "disable", "-w", "acme", "-e", "sandbox", "erp"],
        &["client", "delete", "-w", "acme", "-e", "sandbox", "erp"],
        &[
            "secret", "delete", "-w", "acme", "-e", "sandbox", "erp", "1",
        ],
        &["token", "generate", "-w", "acme", "-e", "sandbox", "erp"],
        &["token", "revoke", "-w", "acme", "-e", "sandbox", "erp"],
        &["admin-key", "revoke", "spare"],
        &[
            "member",
            "invite",
            "--role",
            "auditor",
            "--email",
            "Pending@example.com",
        ],
        &["member", "change", "asha@example.com", "--disable"],
        &["member", "change", "asha@example.com", "--role", "operator"],
        &["member", "remove", "asha@example.com"],
        &["member", "withdraw", "pending@example.com"],
        &["webhook", "rotate", &webhook],
        &["webhook", "disable", &webhook],
        &["webhook", "delete", &webhook],
    ];
    let head = || run(&server, &["audit", "verify", "--json"]).json()["head"]["seq"].clone();
    let before: Value = head();
    for words in acts {
        let refused = run(&server, words);
        refused.refused(1, &["nothing was done", "not a terminal", "--yes"]);
        assert_eq!(refused.stdout, "", "{words:?}");
        assert_eq!(head(), before, "{words:?} wrote an audit entry");
    }
    // With the word each is done; those that end the client, its workspace or the member come last.
    let order = [5, 6, 4, 8, 12, 13, 14, 15, 9, 10, 11, 7, 2, 3, 1, 0];
    for at in order {
        run(&server, &[acts[at], &["--yes"]].concat()).expect(0);
    }
}

#[test]
fn a_restored_postgresql_database_gets_a_new_epoch_only_when_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("url");
    std::fs::write(&url, "postgres://127.0.0.1:1/none\n").unwrap();
    let data = folder.path().join("data");
    let words = [
        "restore",
        "--database-url-file",
        word(&url),
        "--data-dir",
        word(&data),
    ];
    let refused = ran(&mut program(), &words);
    refused.refused(1, &["every access token", "nothing was done", "--yes"]);
    assert!(!data.exists(), "nothing was made either");
    // With the word it goes on to the database, which is not there.
    ran(&mut program(), &[&words[..], &["--yes"]].concat()).refused(1, &["127.0.0.1:1"]);
    // Who proves that nothing was lost ends no token.
    let proof = format!("1:{}", "0".repeat(64));
    let proved = [&words[..], &["--complete-to", &proof]].concat();
    ran(&mut program(), &proved).refused(1, &["127.0.0.1:1"]);
}
