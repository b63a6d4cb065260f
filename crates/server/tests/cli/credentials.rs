//! Secrets, tokens and admin keys: shown once, kept private, ended.

use crate::run::{at, erp, on_erp, ran, run, server, word};
use std::os::unix::fs::PermissionsExt as _;
use tokenward_testkit::{assert_contains, assert_lacks, expect_error, expect_status};

#[tokio::test]
async fn a_secret_is_rotated_into_a_private_file_and_the_old_one_deleted() {
    let server = server();
    let first = erp(&server);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("erp.secret");
    let file = ["--secret-file", word(&path)];

    let rotated = on_erp(&server, "secret", "rotate", &file);
    assert!(!rotated.expect(0).contains("tw-secret."), "{rotated:?}");
    let second = std::fs::read_to_string(&path).unwrap();
    let second = second.trim_end();
    assert!(second.starts_with("tw-secret.sandbox.") && second != first);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let api = server.api();
    for secret in [first.as_str(), second] {
        api.generate(secret).await.unwrap().expect(200);
    }
    // A file that is there is neither overwritten nor is a secret made for it.
    on_erp(&server, "secret", "rotate", &file).refused(1, &["nothing was asked of the server"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap().trim_end(), second);

    // A third is refused by the server, and no empty file stays behind.
    let third = folder.path().join("third");
    on_erp(
        &server,
        "secret",
        "rotate",
        &["--secret-file", word(&third)],
    )
    .refused(1, &["code"]);
    assert!(!third.exists());

    on_erp(&server, "secret", "delete", &["7", "--yes"]).refused(1, &["no secret 7"]);
    on_erp(&server, "secret", "delete", &["1", "--yes"]).expect(0);
    expect_error(api.generate(&first), 401, "CLIENT_SECRET_INVALID").await;
    api.generate(second).await.unwrap().expect(200);
}

#[tokio::test]
async fn a_token_is_made_replaced_and_revoked() {
    let server = server();
    erp(&server);
    let words = ["token", "generate", "-w", "acme", "-e", "sandbox", "erp"];
    // Nothing is live yet, so nothing is asked.
    let made = run(&server, &words);
    let first = made.expect(0).to_owned();
    assert!(
        first.starts_with("sandbox.1.") && made.stderr.contains("never be shown again"),
        "{made:?}"
    );
    let api = server.api();
    expect_status(api.check("sandbox", "gst", &first), 200).await;

    let second = run(&server, &[&words[..], &["--yes"]].concat())
        .expect(0)
        .to_owned();
    expect_error(api.check("sandbox", "gst", &first), 401, "TOKEN_SUPERSEDED").await;
    expect_status(api.check("sandbox", "gst", &second), 200).await;

    on_erp(&server, "token", "revoke", &["--yes"]).expect(0);
    expect_error(api.check("sandbox", "gst", &second), 401, "TOKEN_REVOKED").await;
}

#[test]
fn a_token_that_could_not_be_delivered_is_not_passed_over_in_silence() {
    let server = server();
    erp(&server);
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = at(&server);
    command
        .args(["token", "generate", "-w", "acme", "-e", "sandbox", "erp"])
        .stdout(full)
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let output =
        tokenward_testkit::finish_child(child, "tokenward", tokenward_testkit::PROGRAM_LIMIT);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_contains(&told, "could not be delivered");
    assert_contains(&told, "make another");
    assert!(!told.contains("keep it now"), "{told}");
}

#[test]
fn an_admin_key_opens_what_its_role_allows_until_it_is_revoked() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auditor.key");
    let made = run(
        &server,
        &[
            "admin-key",
            "create",
            "--role",
            "auditor",
            "--expires-in",
            "30d",
            "--key-file",
            word(&path),
            "yearly audit",
        ],
    );
    assert_eq!(made.expect(0), "");
    let auditor = |words: &[&str]| {
        run(
            &server,
            &[words, &["--admin-key-file", word(&path)]].concat(),
        )
    };
    auditor(&["workspace", "list"]).expect(0);
    auditor(&["workspace", "create", "other"]).refused(1, &["status    403"]);

    // The same key by the environment.
    let text = std::fs::read_to_string(&path).unwrap();
    let by_environment = |words: &[&str]| {
        ran(
            at(&server).env("TOKENWARD_ADMIN_KEY", text.trim_end()),
            words,
        )
    };
    by_environment(&["workspace", "list"]).expect(0);
    by_environment(&["workspace", "create", "other"]).refused(1, &["status    403"]);

    let listed = run(&server, &["admin-key", "list"]);
    assert_contains(listed.expect(0), "yearly audit");
    assert_lacks(&listed.stdout, "tw-admin.");
    run(&server, &["admin-key", "revoke", "yearly audit"])
        .refused(1, &["\"yearly audit\"", "not a terminal"]);
    run(&server, &["admin-key", "revoke", "yearly audit", "--yes"]).expect(0);
    auditor(&["workspace", "list"]).refused(1, &["status    401", "--admin-key-file"]);
}

#[test]
fn first_admin_key_is_pointed_out_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let server = server();
    let listed = run(&server, &["admin-key", "list"]);
    assert_contains(listed.expect(0), "LAST USED");
    assert_contains(&listed.stdout, "20");
    assert!(listed.stderr.contains("is still active"), "{listed:?}");
    let key = folder.path().join("own.key");
    let key = key.to_str().unwrap();
    run(
        &server,
        &[
            "admin-key",
            "create",
            "--role",
            "operator",
            "--key-file",
            key,
            "mine",
        ],
    )
    .expect(0);
    run(
        &server,
        &[
            "admin-key",
            "revoke",
            "First operator",
            "--yes",
            "--admin-key-file",
            key,
        ],
    )
    .expect(0);
    let listed = run(&server, &["admin-key", "list", "--admin-key-file", key]);
    listed.expect(0);
    assert_eq!(listed.stderr, "");
}
