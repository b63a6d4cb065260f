//! Digest keys: a start with a missing or another key changes nothing and says so, and what replacing them ends.

use crate::command::{run, text};
use crate::house::House;
use reqwest::Method;
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use tokenward_testkit::{
    PgCluster, Ran, Server, ServerBuilder, assert_contains, expect_error, expect_json,
    expect_status, text as text_of,
};

/// A refusal that names the file and says that nothing was changed.
#[track_caller]
fn refused(builder: ServerBuilder, file: &Path, words: &str) {
    builder.refused(&[
        text(file),
        words,
        "Nothing was changed",
        "--new-digest-keys",
    ]);
}

#[tokio::test]
async fn missing_digest_keys_are_never_made_beside_a_store() {
    let cluster = PgCluster::start();
    let other = tempfile::tempdir().unwrap();
    for on_sqlite in [true, false] {
        let at = |data: &Path| match on_sqlite {
            true => Server::builder().data_dir(data),
            false => Server::builder().data_dir(data).database(&cluster.url()),
        };
        let data = tempfile::tempdir().unwrap();
        let mut house = House::of(at(data.path())).await;
        let (erp, token) = house.erp().await;
        assert!(house.server.terminate().success());
        let file = data.path().join("digest-keys");
        let keys = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let missing = "the file is missing, but the database was written with digest key 1";
        refused(at(data.path()), &file, missing);
        assert!(!file.exists(), "no key may be made");
        // A folder that a mount would have covered.
        let elsewhere = other.path().join("digest-keys");
        let again = at(data.path()).env("TOKENWARD_DIGEST_KEYS", text(&elsewhere));
        refused(again, &elsewhere, "the file is missing");
        assert!(!elsewhere.exists());
        if !on_sqlite {
            // A container without its volume, beside the used database.
            let empty = tempfile::tempdir().unwrap();
            let made = empty.path().join("digest-keys");
            refused(at(empty.path()), &made, "the file is missing");
            assert!(!made.exists() && !empty.path().join("admin-key").exists());
        }
        std::fs::write(&file, keys).unwrap();
        house.start_again();
        house.permits(&token).await;
        house.token(&erp).await;
    }
}

#[tokio::test]
async fn another_key_with_the_same_id_is_noticed() {
    let (mut house, _, token) = House::with_token().await;
    assert!(house.server.terminate().success());
    let data = house.server.data_dir().to_owned();
    let file = data.join("digest-keys");
    let keys = std::fs::read_to_string(&file).unwrap();
    let other = format!("1:{}\n", "ab".repeat(32));
    std::fs::write(&file, &other).unwrap();
    let words = "digest key 1 is not the one that the database was written with (fingerprint ";
    refused(Server::builder().data_dir(&data), &file, words);
    let listed = run(&format!("digest-key list --data-dir {}", data.display()));
    assert_contains(&listed.stdout, "not the key of the database");
    // A key that is needed may not leave the file either.
    std::fs::write(&file, format!("2:{}\n", "cd".repeat(32))).unwrap();
    let words = "digest key 1 is missing, and 1 client secrets, 1 access tokens, 1 admin keys in the database need it";
    refused(Server::builder().data_dir(&data), &file, words);
    std::fs::write(&file, keys).unwrap();
    house.start_again();
    house.permits(&token).await;
}

#[tokio::test]
async fn a_restore_beside_other_digest_keys_is_refused_before_it_copies() {
    let house = House::new().await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.sqlite");
    let data = house.server.data_dir().to_owned();
    run(&format!(
        "backup --data-dir {} {}",
        data.display(),
        copy.display()
    ))
    .expect(0);
    let to = folder.path().join("restored");
    std::fs::create_dir(&to).unwrap();
    std::fs::write(to.join("digest-keys"), format!("1:{}\n", "ab".repeat(32))).unwrap();
    let restore = format!(
        "restore --data-dir {} --from {}",
        to.display(),
        copy.display()
    );
    run(&restore).fails("digest key 1 is not the one that the database was written with");
    assert!(!to.join("tokenward.sqlite").exists());
    std::fs::remove_file(to.join("digest-keys")).unwrap();
    let words = ["refuses to start without them", "fingerprint"];
    run(&restore).refused(0, &words);
    let keys = to.join("digest-keys");
    refused(
        Server::builder().data_dir(&to),
        &keys,
        "the file is missing",
    );
    std::fs::copy(data.join("digest-keys"), keys).unwrap();
    drop(Server::builder().data_dir(&to).start());
}

#[tokio::test]
async fn new_digest_keys_end_everything_made_with_the_lost_ones() {
    let (mut house, erp, token) = House::with_token().await;
    let old_admin = house.server.admin_key();
    assert!(house.server.terminate().success());
    let data = house.server.data_dir().to_owned();
    let file = data.join("digest-keys");
    let lost = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let start = || {
        let builder = Server::builder().data_dir(&data);
        builder.arg("--new-digest-keys").start()
    };
    let server = start();
    let made = std::fs::read_to_string(&file).unwrap();
    assert!(made.starts_with("2:"), "an id of its own");
    let api = server.api();
    assert_ne!(server.admin_key(), old_admin);
    let ended = api.check("sandbox", "gst", &token).await.unwrap();
    ended.expect_error(401, "ACCESS_TOKEN_UNKNOWN");
    expect_error(api.generate(&erp.secret), 401, "CLIENT_SECRET_INVALID").await;
    let old = api.with_admin_key(&old_admin);
    expect_error(old.read_client(&erp.id), 401, "ADMIN_KEY_INVALID").await;
    let shown = api.read_client(&erp.id).await.unwrap().expect(200).json();
    assert_eq!(shown["secrets"], json!([]));
    assert_eq!(api.verify_audit().await.unwrap().json()["ok"], true);
    let path = format!("/clients/{}/secrets", erp.id);
    let secret = expect_json(api.ask(Method::POST, &path), 201).await;
    let secret = text_of(&secret, "/client_secret");
    let fresh = api.generate(&secret).await.unwrap().token().access_token;
    drop(server);
    // Left in a service's command line it ends nothing more.
    let server = start();
    let api = server.api();
    expect_status(api.check("sandbox", "gst", &fresh), 200).await;
    api.generate(&secret).await.unwrap().expect(200);
    drop(server);
    // Even with the lost file found again nothing of the old lives: the database no longer knows that key.
    std::fs::write(&file, format!("{lost}{made}")).unwrap();
    let server = Server::builder().data_dir(&data).start();
    let api = server.api();
    let ended = api.check("sandbox", "gst", &token).await.unwrap();
    assert_eq!(ended.status, 401);
    expect_error(api.generate(&erp.secret), 401, "CLIENT_SECRET_INVALID").await;
}

#[tokio::test]
async fn a_digest_key_that_nothing_needs_can_be_removed() {
    let (mut house, erp) = House::with_erp().await;
    house.token(&erp).await;
    let data = house.server.data_dir().to_owned();
    let file = data.join("digest-keys");
    let keys = |line: &str| run(&format!("digest-key {line} --data-dir {}", data.display()));
    keys("add").expect(0);
    keys("remove 2").fails("in use for new digests");
    keys("remove 1").fails("restart the server first");
    house.restart();
    let needed = "digest key 1 is needed by 1 client secrets, 1 access tokens, 1 admin keys";
    keys("remove 1").fails(needed);
    let listed = keys("list");
    listed.says("1 (kept for older digests), fingerprint ");
    listed.says("needed by 1 client secrets");
    let next = house.token(&erp).await.access_token;
    let all = house.api.items("/admin-keys").await;
    let first = format!("/admin-keys/{}", text_of(&all[0], "/id"));
    let operator = json!({ "name": "next", "role": "operator" });
    let (_, api) = house.key(operator).await;
    expect_status(api.ask(Method::DELETE, &first), 200).await;
    let listed = keys("list --json").json();
    assert_eq!(listed[0]["state"], "needed by nothing: can be removed");
    assert!(listed[0]["first_used_at"].is_string(), "{listed}");
    assert_eq!(listed[1]["needed_by"]["client_secrets"], 1);
    keys("remove 1").fails("nothing was done");
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("1:"));
    keys("remove 1 --yes").expect(0);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("2:"));
    house.server.restart();
    let api = house.server.api();
    expect_status(api.check("sandbox", "gst", &next), 200).await;
    api.generate(&erp.secret).await.unwrap().expect(200);
}

#[tokio::test]
async fn a_changed_bootstrap_key_is_said_to_be_unused() {
    let data = tempfile::tempdir().unwrap();
    let given = |key: &str| {
        let builder = Server::builder().data_dir(data.path());
        builder.env("TOKENWARD_BOOTSTRAP_ADMIN_KEY", key).start()
    };
    let words = "TOKENWARD_BOOTSTRAP_ADMIN_KEY was not used";
    for (key, warned) in [
        ("a".repeat(32), false),
        ("a".repeat(32), false),
        ("b".repeat(32), true),
    ] {
        let said = given(&key).output();
        assert_eq!(said.contains(words), warned, "{said}");
    }
}

#[test]
fn an_unnamed_data_directory_is_not_made_without_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    command.stdin(Stdio::null()).current_dir(folder.path());
    command.env_remove("TOKENWARD_DATA_DIR");
    Ran::of(&mut command, "serve").fails("no data directory is named");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
