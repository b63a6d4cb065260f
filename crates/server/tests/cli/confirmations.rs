//! Every command that ends something asks first, and a program has to say `--yes`. The list of these commands is held
//! complete by a unit test of the command line; `digest-key remove` is tried in `wire/keys.rs`.

use crate::members::join;
use crate::run::{erp, program, run, server};
use serde_json::Value;
use tokenward_testkit::{Ran, Server, text};

/// A server where each of the acts has something to end; the webhook's id.
fn furnished() -> (Server, String) {
    let server = server();
    erp(&server);
    for made in [
        "secret rotate @erp",
        "token generate @erp",
        "webhook create -w acme https://hooks.example.com/tokenward",
        "admin-key create --role auditor spare",
        "member invite --role auditor --email pending@example.com",
    ] {
        run(&server, made).expect(0);
    }
    let listed = run(&server, "webhook list -w acme --json").json();
    (server, text(&listed, "/items/0/id"))
}

#[tokio::test]
async fn every_act_that_ends_something_wants_yes_from_a_program() {
    let (server, webhook) = furnished();
    // A member, who joins by the link.
    let link = run(
        &server,
        "member invite --role auditor --email asha@example.com",
    );
    assert!(join(&server, link.expect(0)).await < 400);
    let acts = [
        "workspace disable acme",
        "product delete gst",
        "client disable @erp",
        "client delete @erp",
        "secret delete @erp 1",
        "token generate @erp",
        "token revoke @erp",
        "admin-key revoke spare",
        "member invite --role auditor --email Pending@example.com",
        "member change asha@example.com --disable",
        "member change asha@example.com --role operator",
        "member remove asha@example.com",
        "member withdraw pending@example.com",
        &format!("webhook rotate {webhook}"),
        &format!("webhook disable {webhook}"),
        &format!("webhook delete {webhook}"),
    ];
    let head = || run(&server, "audit verify --json").json()["head"]["seq"].clone();
    let before: Value = head();
    for words in acts {
        let refused = run(&server, words);
        refused.refused(1, &["nothing was done", "not a terminal", "--yes"]);
        assert_eq!(refused.stdout, "", "{words}");
        assert_eq!(head(), before, "{words} wrote an audit entry");
    }
    // With the word each is done; those that end the client, its workspace or the member come last.
    let order = [5, 6, 4, 8, 12, 13, 14, 15, 9, 10, 11, 7, 2, 3, 1, 0];
    for at in order {
        run(&server, &format!("{} --yes", acts[at])).expect(0);
    }
}

#[test]
fn a_restored_postgresql_database_gets_a_new_epoch_only_when_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("url");
    std::fs::write(&url, "postgres://127.0.0.1:1/none\n").unwrap();
    let data = folder.path().join("data");
    let restore = |more: &str| {
        let (url, data) = (url.display(), data.display());
        let line = format!("restore --database-url-file {url} --data-dir {data} {more}");
        Ran::of(&mut program(), &line)
    };
    restore("").refused(1, &["every access token", "nothing was done", "--yes"]);
    assert!(!data.exists(), "nothing was made either");
    // With the word it goes on to the database, which is not there.
    restore("--yes").refused(1, &["127.0.0.1:1"]);
    // Who proves that nothing was lost ends no token.
    restore(&format!("--complete-to 1:{}", "0".repeat(64))).refused(1, &["127.0.0.1:1"]);
}
