//! Digest keys: a start with a missing or another key changes nothing and says so, and what replacing them ends.

use crate::command::{run, text};
use crate::house::House;
use std::path::Path;
use tokenward_testkit::{
    NewClient, PgCluster, Refused, Server, ServerBuilder, assert_contains, expect_error,
    expect_json, expect_status,
};

/// A refusal that names the file and says that nothing was changed.
#[track_caller]
fn refused(builder: ServerBuilder, file: &Path, words: &str) {
    let refused: Refused = match builder.try_start() {
        Ok(_) => panic!("it started without its digest keys"),
        Err(refused) => refused,
    };
    for part in [
        text(file),
        words,
        "Nothing was changed",
        "--new-digest-keys",
    ] {
        assert!(refused.output.contains(part), "{part:?}: {refused}");
    }
}

#[tokio::test]
async fn missing_digest_keys_are_never_made_beside_a_store() {
    let cluster = PgCluster::start();
    let other = tempfile::tempdir().unwrap();
    for builder in [
        Server::builder(),
        Server::builder().database(&cluster.url()),
    ] {
        let data = tempfile::tempdir().unwrap();
        let mut house = House::of(builder.data_dir(data.path())).await;
        let erp = house.client(NewClient::sandbox("erp")).await;
        let token = house.token(&erp).await.access_token;
        assert!(house.server.terminate().success());
        let file = data.path().join("digest-keys");
        let keys = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let again = || match data.path().join("tokenward.sqlite").exists() {
            true => Server::builder().data_dir(data.path()),
            false => Server::builder()
                .data_dir(data.path())
                .database(&cluster.url()),
        };
        refused(
            again(),
            &file,
            "the file is missing, but the database was written with digest key 1",
        );
        assert!(!file.exists(), "no key may be made");
        // A folder that a mount would have covered.
        let elsewhere = other.path().join("digest-keys");
        refused(
            again().env("TOKENWARD_DIGEST_KEYS", text(&elsewhere)),
            &elsewhere,
            "the file is missing",
        );
        assert!(!elsewhere.exists());
        if !data.path().join("tokenward.sqlite").exists() {
            // A container without its volume, beside the used database.
            let empty = tempfile::tempdir().unwrap();
            let made = empty.path().join("digest-keys");
            refused(
                Server::builder()
                    .data_dir(empty.path())
                    .database(&cluster.url()),
                &made,
                "the file is missing",
            );
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
    let mut house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let token = house.token(&erp).await.access_token;
    assert!(house.server.terminate().success());
    let data = house.server.data_dir().to_owned();
    let file = data.join("digest-keys");
    let keys = std::fs::read_to_string(&file).unwrap();
    let other = format!("1:{}\n", "ab".repeat(32));
    std::fs::write(&file, &other).unwrap();
    refused(
        Server::builder().data_dir(&data),
        &file,
        "digest key 1 is not the one that the database was written with (fingerprint ",
    );
    let listed = run(&["digest-key", "list", "--data-dir", text(&data)]).stdout;
    assert!(listed.contains("not the key of the database"), "{listed}");
    // A key that is needed may not leave the file either.
    std::fs::write(&file, format!("2:{}\n", "cd".repeat(32))).unwrap();
    refused(
        Server::builder().data_dir(&data),
        &file,
        "digest key 1 is missing, and 1 client secrets, 1 access tokens, 1 admin keys in the database need it",
    );
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
    assert!(run(&["backup", "--data-dir", text(&data), text(&copy)]).good);
    let to = folder.path().join("restored");
    std::fs::create_dir(&to).unwrap();
    std::fs::write(to.join("digest-keys"), format!("1:{}\n", "ab".repeat(32))).unwrap();
    let words = ["restore", "--data-dir", text(&to), "--from", text(&copy)];
    run(&words).refused("digest key 1 is not the one that the database was written with");
    assert!(!to.join("tokenward.sqlite").exists());
    std::fs::remove_file(to.join("digest-keys")).unwrap();
    let restored = run(&words);
    assert!(
        restored.good
            && restored.stderr.contains("refuses to start without them")
            && restored.stderr.contains("fingerprint"),
        "{restored:?}"
    );
    refused(
        Server::builder().data_dir(&to),
        &to.join("digest-keys"),
        "the file is missing",
    );
    std::fs::copy(data.join("digest-keys"), to.join("digest-keys")).unwrap();
    drop(Server::builder().data_dir(&to).start());
}

#[tokio::test]
async fn new_digest_keys_end_everything_made_with_the_lost_ones() {
    let mut house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let token = house.token(&erp).await.access_token;
    let old_admin = house.server.admin_key();
    assert!(house.server.terminate().success());
    let data = house.server.data_dir().to_owned();
    let file = data.join("digest-keys");
    let lost = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let start = || {
        Server::builder()
            .data_dir(&data)
            .arg("--new-digest-keys")
            .start()
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
    assert_eq!(
        shown["secrets"].as_array().map(Vec::len),
        Some(0),
        "{shown}"
    );
    assert_eq!(api.verify_audit().await.unwrap().json()["ok"], true);
    let path = format!("/clients/{}/secrets", erp.id);
    let secret = expect_json(api.send(api.admin(reqwest::Method::POST, &path)), 201).await;
    let secret = secret["client_secret"].as_str().unwrap().to_owned();
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
    let mut house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    house.token(&erp).await;
    let data = house.server.data_dir().to_owned();
    let file = data.join("digest-keys");
    let keys =
        |words: &[&str]| run(&[&["digest-key"], words, &["--data-dir", text(&data)]].concat());
    assert!(keys(&["add"]).good);
    keys(&["remove", "2"]).refused("in use for new digests");
    keys(&["remove", "1"]).refused("restart the server first");
    house.restart();
    keys(&["remove", "1"])
        .refused("digest key 1 is needed by 1 client secrets, 1 access tokens, 1 admin keys");
    let listed = keys(&["list"]).stdout;
    assert_contains(&listed, "1 (kept for older digests), fingerprint ");
    assert_contains(&listed, "needed by 1 client secrets");
    let next = house.token(&erp).await.access_token;
    let made = house
        .admin(
            reqwest::Method::POST,
            "/admin-keys",
            &serde_json::json!({ "name": "next", "role": "operator" }),
        )
        .await
        .expect(201)
        .json();
    let new_key = made["key"].as_str().unwrap().to_owned();
    let all = expect_json(house.ask(reqwest::Method::GET, "/admin-keys"), 200).await;
    let first = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["name"] == "First operator")
        .unwrap();
    let api = house.api.with_admin_key(&new_key);
    let path = format!("/admin-keys/{}", first["id"].as_str().unwrap());
    expect_status(api.send(api.admin(reqwest::Method::DELETE, &path)), 200).await;
    let listed = keys(&["list", "--json"]).json();
    assert_eq!(
        listed[0]["state"], "needed by nothing: can be removed",
        "{listed}"
    );
    assert!(
        listed[0]["first_used_at"].is_string() && listed[1]["needed_by"]["client_secrets"] == 1,
        "{listed}"
    );
    keys(&["remove", "1"]).refused("nothing was done");
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("1:"));
    let removed = keys(&["remove", "1", "--yes"]);
    assert!(removed.good, "{removed:?}");
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
        Server::builder()
            .data_dir(data.path())
            .env("TOKENWARD_BOOTSTRAP_ADMIN_KEY", key)
            .start()
    };
    let words = "TOKENWARD_BOOTSTRAP_ADMIN_KEY was not used";
    for (key, warned) in [
        ("a".repeat(32), false),
        ("a".repeat(32), false),
        ("b".repeat(32), true),
    ] {
        let server = given(&key);
        assert_eq!(
            server.output().contains(words),
            warned,
            "{}",
            server.output()
        );
    }
}

#[test]
fn an_unnamed_data_directory_is_not_made_without_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tokenward"));
    command
        .arg("serve")
        .current_dir(folder.path())
        .env_remove("TOKENWARD_DATA_DIR");
    let ran = crate::command::finish(command);
    ran.refused("no data directory is named");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
