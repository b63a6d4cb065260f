//! Secrets, tokens and admin keys: shown once, kept private, ended.

use crate::run::{at, erp, run, server};
use tokenward_testkit::{
    PROGRAM_LIMIT, Ran, assert_contains, assert_lacks, expect_error, expect_status, finish_child,
    mode_of,
};

#[tokio::test]
async fn a_secret_is_rotated_into_a_private_file_and_the_old_one_deleted() {
    let server = server();
    let first = erp(&server);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("erp.secret");
    let rotate = format!("secret rotate @erp --json --secret-file {}", path.display());
    assert_lacks(run(&server, &rotate).expect(0), "tw-secret.");
    let second = std::fs::read_to_string(&path).unwrap();
    let second = second.trim_end();
    assert!(second.starts_with("tw-secret.sandbox.") && second != first);
    assert_eq!(mode_of(&path), 0o600);

    let api = server.api();
    for secret in [first.as_str(), second] {
        api.generate(secret).await.unwrap().expect(200);
    }
    // A file that is there is neither overwritten nor is a secret made for it.
    run(&server, &rotate).refused(1, &["nothing was asked of the server"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap().trim_end(), second);

    // A third is refused by the server, and no empty file stays behind.
    let third = folder.path().join("third");
    let rotate = format!(
        "secret rotate @erp --json --secret-file {}",
        third.display()
    );
    run(&server, &rotate).refused(1, &["code"]);
    assert!(!third.exists());

    run(&server, "secret delete @erp --json 7 --yes").refused(1, &["no secret 7"]);
    run(&server, "secret delete @erp --json 1 --yes").expect(0);
    expect_error(api.generate(&first), 401, "CLIENT_SECRET_INVALID").await;
    api.generate(second).await.unwrap().expect(200);
}

#[tokio::test]
async fn a_token_is_made_replaced_and_revoked() {
    let server = server();
    erp(&server);
    // Nothing is live yet, so nothing is asked.
    let made = run(&server, "token generate @erp");
    let first = made.expect(0).to_owned();
    assert!(first.starts_with("sandbox.1."), "{made:?}");
    made.warns("never be shown again");
    let api = server.api();
    expect_status(api.check("sandbox", "gst", &first), 200).await;

    let second = run(&server, "token generate @erp --yes");
    let second = second.expect(0).to_owned();
    expect_error(api.check("sandbox", "gst", &first), 401, "TOKEN_SUPERSEDED").await;
    expect_status(api.check("sandbox", "gst", &second), 200).await;

    run(&server, "token revoke @erp --json --yes").expect(0);
    expect_error(api.check("sandbox", "gst", &second), 401, "TOKEN_REVOKED").await;
}

#[test]
fn a_token_that_could_not_be_delivered_is_not_passed_over_in_silence() {
    let server = server();
    erp(&server);
    let full = std::fs::File::create("/dev/full").unwrap();
    let mut command = at(&server);
    command
        .args(["token", "generate", "-w", "acme", "-e", "sandbox", "erp"])
        .stdout(full)
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let output = finish_child(child, "tokenward", PROGRAM_LIMIT);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_contains(&told, "could not be delivered");
    assert_contains(&told, "make another");
    assert_lacks(&told, "keep it now");
}

#[test]
fn an_admin_key_opens_what_its_role_allows_until_it_is_revoked() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auditor.key");
    let file = path.display();
    let create = "admin-key create --role auditor --expires-in 30d 'yearly audit'";
    let made = run(&server, &format!("{create} --key-file {file}"));
    assert_eq!(made.expect(0), "");
    let auditor = |line: &str| run(&server, &format!("{line} --admin-key-file {file}"));
    auditor("workspace list").expect(0);
    auditor("workspace create other").refused(1, &["status    403"]);

    // The same key by the environment.
    let key = std::fs::read_to_string(&path).unwrap();
    let by_environment =
        |line| Ran::of(at(&server).env("TOKENWARD_ADMIN_KEY", key.trim_end()), line);
    by_environment("workspace list").expect(0);
    by_environment("workspace create other").refused(1, &["status    403"]);

    let listed = run(&server, "admin-key list");
    assert_contains(listed.expect(0), "yearly audit");
    assert_lacks(&listed.stdout, "tw-admin.");
    run(&server, "admin-key revoke 'yearly audit'")
        .refused(1, &["\"yearly audit\"", "not a terminal"]);
    run(&server, "admin-key revoke 'yearly audit' --yes").expect(0);
    auditor("workspace list").refused(1, &["status    401", "--admin-key-file"]);
}

#[test]
fn first_admin_key_is_pointed_out_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let server = server();
    let listed = run(&server, "admin-key list");
    assert_contains(listed.expect(0), "LAST USED");
    assert_contains(&listed.stdout, "20");
    assert!(listed.stderr.contains("is still active"), "{listed:?}");
    let key = folder.path().join("own.key");
    let key = key.display();
    let create = format!("admin-key create --role operator --key-file {key} mine");
    run(&server, &create).expect(0);
    let revoke = format!("admin-key revoke 'First operator' --yes --admin-key-file {key}");
    run(&server, &revoke).expect(0);
    let listed = run(&server, &format!("admin-key list --admin-key-file {key}"));
    listed.expect(0);
    assert_eq!(listed.stderr, "");
}
