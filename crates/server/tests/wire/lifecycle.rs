//! The server as a process: what survives a restart, what it refuses to start on, how it stops, what a
//! backup is worth, how its keys change.

use crate::command::{run, text};
use crate::house::{House, LIMIT};
use reqwest::Method;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokenward_testkit::{
    Api, NewClient, PgCluster, Ran, SelfSigned, Server, Signal, address_of, assert_contains,
    assert_lacks, change_mode, connect, expect_error, expect_status, mode_of, wait_until,
};

#[tokio::test]
async fn a_restart_forgets_nothing_that_was_answered() {
    let mut house = House::new().await;
    let erp = NewClient::sandbox("erp").products(&["gst"]).handover(600);
    let erp = house.client(erp).await;
    let first = house.token(&erp).await;
    let second = house.token(&erp).await;
    let third = house.handover(&erp, 600).await.token();
    let gone = house.client(NewClient::sandbox("gone")).await;
    let lost = house.token(&gone).await;
    house.api.delete(&gone).await.unwrap().expect(200);
    for end in ["stop", "kill -9"] {
        if end == "stop" {
            house.restart();
        } else {
            house.server.kill9();
            house.start_again();
        }
        let denied = house.denies(&first.access_token, "TOKEN_SUPERSEDED").await;
        assert_eq!(denied.json()["errors"][0]["superseded_by_generation"], 3);
        house.permits(&second.access_token).await;
        house.permits(&third.access_token).await;
        let other = house.check("max-itc", &third.access_token);
        expect_error(other, 403, "PRODUCT_NOT_ALLOWED").await;
        house.denies(&lost.access_token, "CLIENT_DELETED").await;
        expect_error(house.generate(&gone.secret), 401, "CLIENT_DELETED").await;
        assert_eq!(house.status(&erp.secret).await["quota_left"], 285);
        house.verifies().await;
    }
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_takes_nothing_new() {
    let mut house = House::new().await;
    let address = address_of(house.server.public()).to_owned();
    let mut call = connect(&address);
    let body = r#"{"name":"late"}"#;
    let head = format!(
        "POST /admin/v1/workspaces HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        house.server.admin_key(),
        body.len()
    );
    call.write_all(head.as_bytes()).unwrap();
    // It asks for the body, so the request is under way.
    let mut line = [0; 25];
    call.read_exact(&mut line).unwrap();
    assert!(line.starts_with(b"HTTP/1.1 100"));
    house.server.signal(Signal::TERM);
    wait_until("the server to take no new connection", LIMIT, || {
        TcpStream::connect(&address).is_err()
    });
    call.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    call.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(house.server.terminate().success());
    assert!(!house.server.data_dir().join("listening.json").exists());
    house.start_again();
    let listed = house.ask(Method::GET, "/workspaces").await.json();
    assert_eq!(listed["items"][1]["name"], "late");
}

/// A load balancer that has connected can't know that the server stops at that moment, and may not send a POST twice.
#[tokio::test]
async fn connections_made_before_a_stop_are_answered() {
    const EACH: usize = 40;
    let (mut house, erp, token) = House::with_token().await;
    let generate = format!(
        "GET /integration/v1/authz/token/status HTTP/1.1\r\nhost: x\r\nx-clear-client-secret: {}\r\n\r\n",
        erp.secret
    );
    let check = format!(
        "GET /check/sandbox/gst HTTP/1.1\r\nhost: x\r\nx-cleartax-auth-token: {token}\r\n\r\n"
    );
    // It stands still, so that the kernel takes the connections and the server meets them together with the signal.
    house.server.freeze();
    let mut calls = Vec::new();
    for (base, request) in [
        (house.server.public(), &generate),
        (house.server.internal(), &check),
    ] {
        for _ in 0..EACH {
            let mut call = connect(base);
            call.write_all(request.as_bytes()).unwrap();
            calls.push(call);
        }
    }
    house.server.signal(Signal::TERM);
    house.server.thaw();
    for (number, call) in calls.iter_mut().enumerate() {
        let mut answer = String::new();
        let read = call.read_to_string(&mut answer);
        assert!(
            read.is_ok() && answer.starts_with("HTTP/1.1 200"),
            "call {number}: {read:?} {answer:?}"
        );
    }
    assert!(house.server.terminate().success());
}

#[tokio::test]
async fn one_process_has_the_data_directory() {
    let house = House::new().await;
    let second = Server::builder().data_dir(house.server.data_dir());
    second.refused(&["is in use by another tokenward process"]);
    let erp = house.client(NewClient::sandbox("erp")).await;
    house.permits(&house.token(&erp).await.access_token).await;
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("file");
    std::fs::write(&taken, "").unwrap();
    let serve = "serve --public 127.0.0.1:0 --internal 127.0.0.1:0 --data-dir";
    run(&format!("{serve} {}/data", taken.display())).fails("cannot");
    let read_only = folder.path().join("read-only");
    std::fs::create_dir(&read_only).unwrap();
    change_mode(&read_only, 0o555);
    // Root may write everywhere unless that right is taken away.
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    let program = env!("CARGO_BIN_EXE_tokenward");
    let mut command = Command::new(if owner == 0 { "setpriv" } else { program });
    if owner == 0 {
        let without = "--bounding-set -dac_override,-dac_read_search --";
        command.args(without.split(' ')).arg(program);
    }
    let ran = Ran::of(&mut command, &format!("{serve} {}", read_only.display()));
    ran.fails("Permission denied");
    ran.fails(text(&read_only));
}

#[tokio::test]
async fn a_damaged_database_is_not_started_on() {
    let mut house = House::new().await;
    assert!(house.server.terminate().success());
    let path = house.server.data_dir().join("tokenward.sqlite");
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[..100].fill(0x5a);
    std::fs::write(&path, &damaged).unwrap();
    house.server.refused_again(&["damaged"]);
    std::fs::write(&path, b"").unwrap();
    house.server.refused_again(&["is missing or empty"]);
    std::fs::remove_file(&path).unwrap();
    house.server.refused_again(&["is missing or empty"]);
    assert!(!path.exists());
    std::fs::write(&path, &whole).unwrap();
    house.start_again();
}

#[tokio::test]
async fn an_older_copy_of_the_database_is_not_started_on() {
    let (mut house, erp, token) = House::with_token().await;
    assert!(house.server.terminate().success());
    let path = house.server.data_dir().join("tokenward.sqlite");
    let old = std::fs::read(&path).unwrap();
    house.start_again();
    house.api.revoke(&erp.id).await.unwrap().expect(200);
    house.denies(&token, "TOKEN_REVOKED").await;
    assert!(house.server.terminate().success());
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
    let new = std::fs::read(&path).unwrap();
    std::fs::write(&path, old).unwrap();
    let parts = ["older than this data directory", "tokenward restore"];
    house.server.refused_again(&parts);
    std::fs::write(&path, new).unwrap();
    house.start_again();
    house.denies(&token, "TOKEN_REVOKED").await;
}

#[tokio::test]
async fn what_needs_the_database_alone_is_refused_beside_a_server() {
    let cluster = PgCluster::start();
    let mut house = House::of(Server::builder().database(&cluster.url())).await;
    let (_, token) = house.erp().await;
    let second = Server::builder().database(&cluster.url());
    let second = second.arg("--new-digest-keys");
    second.refused(&["the database is in use by another Tokenward process"]);
    let (url, data) = (cluster.url(), house.server.data_dir().display());
    let restore = format!("restore --data-dir {data} --database-url {url} --yes");
    run(&restore).fails("in use by another");
    house.permits(&token).await;
    house.restart();
    house.permits(&token).await;
    house.verifies().await;
}

#[tokio::test]
async fn backups_in_a_folder_are_named_by_time_and_the_oldest_removed() {
    let house = House::new().await;
    let folder = tempfile::tempdir().unwrap();
    let data = house.server.data_dir().to_owned();
    let old = folder.path().join("tokenward-20200131T235959Z.sqlite");
    let older = folder.path().join("tokenward-20191231T000000Z.sqlite.age");
    let others = [
        "tokenward-notes.sqlite",
        "tokenward-20200131T235959Z.sqlite.part",
    ];
    let others = others.map(|name| folder.path().join(name));
    for path in [&old, &older].into_iter().chain(&others) {
        std::fs::write(path, "").unwrap();
    }
    let metric = "tokenward_last_backup_timestamp_seconds";
    assert_eq!(house.api.figure(metric).await, Some(0.0));
    let into = |place: &Path| {
        let (data, place) = (data.display(), place.display());
        run(&format!("backup --data-dir {data} --json --keep 2 {place}"))
    };
    into(&others[0]).fails("is not a folder");
    let told = into(folder.path()).json();
    let made = Path::new(told["file"].as_str().unwrap());
    assert!(made.exists() && old.exists() && !older.exists());
    assert!(others.iter().all(|path| path.exists()));
    assert!(house.api.figure(metric).await > Some(1.7e9));
    let new = folder.path().join("new");
    run(&format!(
        "restore --yes --data-dir {} --from {}",
        new.display(),
        made.display()
    ));
}

/// Restores a backup into a data directory, with a private key if it is encrypted.
fn restore(from: &Path, to: &Path, key: Option<&PathBuf>) -> Ran {
    let (from, to) = (from.display(), to.display());
    let key = key.map(|key| format!("--identity {}", key.display()));
    let key = key.unwrap_or_default();
    run(&format!(
        "restore --yes --json --data-dir {to} --from {from} {key}"
    ))
}

#[tokio::test]
async fn an_encrypted_backup_is_tried_and_restored_with_any_of_its_private_keys() {
    let (house, erp) = House::with_erp().await;
    let folder = tempfile::tempdir().unwrap();
    let data = house.server.data_dir();
    let keys = [(); 3].map(|()| age::x25519::Identity::generate());
    let public = keys.each_ref().map(|key| key.to_public().to_string());
    let files = keys.each_ref().map(|key| {
        use age::secrecy::ExposeSecret as _;
        let path = folder.path().join(format!("{}.key", key.to_public()));
        let text = format!("# a comment\n{}\n", key.to_string().expose_secret());
        std::fs::write(&path, text).unwrap();
        path
    });
    let file = folder.path().join("tokenward.toml");
    let recipients = &public[..2];
    let settings = format!("data_dir = {data:?}\nbackup_recipients = {recipients:?}\n");
    std::fs::write(&file, settings).unwrap();
    let backups = folder.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    let backup = |more: &str| run(&format!("backup --config {} --json {more}", file.display()));
    let told = backup(&format!("--keep 2 {}", backups.display())).json();
    assert_eq!(told["encrypted"], true);
    assert_eq!(told["clients"], 1);
    let made = Path::new(told["file"].as_str().unwrap());
    assert!(text(made).ends_with(".sqlite.age"));
    let bytes = std::fs::read(made).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
    for plain in [&b"SQLite format 3"[..], erp.id.as_bytes()] {
        assert!(!bytes.windows(plain.len()).any(|part| part == plain));
    }
    // No copy in plain text is left.
    for folder in [data, &backups] {
        assert!(!folder.join(".tokenward-backup").exists());
    }

    let to = |name: &str| folder.path().join(name);
    restore(made, &to("closed"), None).fails("name the file with its private key with --identity");
    restore(made, &to("strange"), Some(&files[2])).fails("cannot decrypt");
    let empty = restore(made, &to("no-key"), Some(&file));
    empty.fails("It must hold private keys as age-keygen writes them");
    for (name, key) in [("first", &files[0]), ("second", &files[1])] {
        let back = restore(made, &to(name), Some(key)).json();
        assert_eq!(back["audit_hash"], told["audit_hash"]);
        assert!(to(name).join("tokenward.sqlite").exists());
        assert!(!to(name).join(".tokenward-backup").exists());
    }
    let mut damaged = bytes;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let other = to("damaged.age");
    std::fs::write(&other, damaged).unwrap();
    restore(&other, &to("damaged"), Some(&files[0])).fails("cannot decrypt");
    for name in ["closed", "strange", "no-key", "damaged"] {
        assert!(!to(name).join("tokenward.sqlite").exists(), "{name}");
    }

    let with = |key: &str| backup(&format!("--recipient {key} {}", to("x.age").display()));
    with("age1xyz").fails("isn't an age public key");
    let secret = std::fs::read_to_string(&files[0]).unwrap();
    let secret = secret.lines().last().unwrap();
    let refused = with(secret);
    refused.fails("a recipient of backups is a private key");
    assert!(!refused.stderr.contains(secret));
    std::fs::write(&file, "backup_recipients = [\"age1xyz\"]").unwrap();
    run(&format!("config check --config {}", file.display())).fails("backup_recipients: ");
}

#[tokio::test]
async fn backups_are_read_and_written_by_the_program_age_too() {
    let house = House::new().await;
    house.client(NewClient::sandbox("erp")).await;
    let folder = tempfile::tempdir().unwrap();
    let to = |name: &str| folder.path().join(name);
    let data = house.server.data_dir();
    let program = |name: &str, line: &str| {
        let ran = Ran::of(Command::new(name).stdin(Stdio::null()), line);
        ran.expect(0).to_owned()
    };
    let key = to("backup.key");
    program("age-keygen", &format!("-o {}", key.display()));
    let public = program("age-keygen", &format!("-y {}", key.display()));

    let (ours, plain) = (to("ours.sqlite.age"), to("plain.sqlite"));
    let (data, to_ours) = (data.display(), ours.display());
    let backup = format!("backup --data-dir {data} --json {to_ours} --recipient {public}");
    let told = run(&backup).json();
    let (identity, to_plain) = (key.display(), plain.display());
    let decrypt = format!("--decrypt --identity {identity} --output {to_plain} {to_ours}");
    program("age", &decrypt);
    let back = restore(&plain, &to("from-plain"), None).json();
    assert_eq!(back["audit_hash"], told["audit_hash"]);

    for (name, more) in [("binary", ""), ("text", "--armor")] {
        let theirs = to(&format!("{name}.age"));
        let output = theirs.display();
        program(
            "age",
            &format!("--recipient {public} --output {output} {more} {to_plain}"),
        );
        let back = restore(&theirs, &to(name), Some(&key)).json();
        assert_eq!(back["audit_hash"], told["audit_hash"]);
    }
}

#[tokio::test]
async fn a_backup_that_cannot_be_restored_is_no_backup() {
    let (mut house, erp) = House::with_erp().await;
    house.token(&erp).await;
    let data = house.server.data_dir().to_owned();
    assert!(house.server.terminate().success());
    let connection = rusqlite::Connection::open(data.join("tokenward.sqlite")).unwrap();
    let altered = "UPDATE audit SET detail = '{}' WHERE seq = 2";
    assert_eq!(connection.execute(altered, []).unwrap(), 1);
    drop(connection);
    let folder = tempfile::tempdir().unwrap();
    let key = age::x25519::Identity::generate().to_public().to_string();
    for more in ["", &format!("--recipient {key}")] {
        let (from, to) = (data.display(), folder.path().display());
        let ran = run(&format!("backup --data-dir {from} {to}/copy {more}"));
        ran.fails("it can't be restored, so it was removed: ");
        ran.fails("the audit log does not verify");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(!data.join("last-backup").exists());
    }
}

#[tokio::test]
async fn health_is_asked_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let own = SelfSigned::new(folder.path(), &["gateway.example"]);
    let with_tls = Server::builder().args(&own.arguments("internal"));
    let on_all_addresses = Server::builder().internal("0.0.0.0:0".parse().unwrap());
    for builder in [with_tls, on_all_addresses] {
        let mut server = builder.start();
        let data = server.data_dir().to_owned();
        let health = |more: &str| run(&format!("health --data-dir {} {more}", data.display()));
        assert_eq!(health("").expect(0), "ready");
        assert_eq!(health("--live").expect(0), "live");
        assert!(server.terminate().success());
        health("").fails("no server runs on this data directory");
        let gone = "{\"public\":\"http://127.0.0.1:1\",\"internal\":\"http://127.0.0.1:1\"}";
        std::fs::write(data.join("listening.json"), gone).unwrap();
        health("").fails("does not answer");
    }
}

#[tokio::test]
async fn systemd_is_told_when_the_server_is_ready_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let next = || {
        let mut bytes = [0; 256];
        let count = socket.recv(&mut bytes).expect("a message to systemd");
        String::from_utf8_lossy(&bytes[..count]).trim().to_owned()
    };
    let mut house = House::of(Server::builder().env("NOTIFY_SOCKET", text(&path))).await;
    assert_eq!(next(), "READY=1");
    assert!(house.server.terminate().success());
    assert_eq!(next(), "STOPPING=1");
}

#[tokio::test]
async fn a_restore_ends_every_token_unless_the_copy_is_proved_complete() {
    let (mut house, erp) = House::with_erp().await;
    let before = house.token(&erp).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.sqlite");
    let data = house.server.data_dir().to_owned();
    let backup = format!(
        "backup --data-dir {} {} --json",
        data.display(),
        copy.display()
    );
    let told = run(&backup).json();
    let hash = told["audit_hash"].as_str().unwrap();
    let proof = format!("{}:{hash}", told["audit_seq"]);
    run(&backup).fails("copy.sqlite");

    let place = |name: &str| {
        let to = folder.path().join(name);
        std::fs::create_dir(&to).unwrap();
        for file in ["digest-keys", "admin-key"] {
            std::fs::copy(data.join(file), to.join(file)).unwrap();
        }
        to
    };
    let restore = |to: &Path, more: &str| {
        let (to, from) = (to.display(), copy.display());
        run(&format!(
            "restore --data-dir {to} --from {from} --json {more}"
        ))
    };
    let open = async |to: &Path| {
        let server = Server::builder().data_dir(to).start();
        let api = server.api();
        (server, api)
    };

    // Nothing was lost: tokens stay good.
    let complete = place("complete");
    let told = restore(&complete, &format!("--complete-to {proof}")).json();
    assert_eq!(told["tokens_ended"], false);
    let (_server, api) = open(&complete).await;
    expect_status(api.check("sandbox", "gst", &before.access_token), 200).await;

    // Something was done after the copy was made, so it proves nothing.
    let after = house.token(&erp).await;
    house.api.revoke(&erp.id).await.unwrap().expect(200);
    let verified = house.api.verify_audit().await.unwrap().json();
    let head = &verified["head"];
    let real = format!("{}:{}", head["seq"], head["hash"].as_str().unwrap());
    let incomplete = place("incomplete");
    let forged = proof.replace(hash, &"0".repeat(64));
    for (proof, words) in [
        (real, "not complete"),
        (forged, "not complete"),
        ("7".into(), "SEQ:HASH"),
    ] {
        restore(&incomplete, &format!("--complete-to {proof}")).fails(words);
    }
    assert!(!incomplete.join("tokenward.sqlite").exists());

    assert_eq!(restore(&incomplete, "").json()["tokens_ended"], true);
    restore(&incomplete, "").fails("exists");
    let (_server, api) = open(&incomplete).await;
    let check = async |token: &str| api.check("sandbox", "gst", token).await.unwrap();
    expect_error(check(&before.access_token), 401, "TOKEN_REVOKED").await;
    // Made after the copy: this store never knew it.
    assert_eq!(check(&after.access_token).await.status, 401);
    let fresh = api.generate(&erp.secret).await.unwrap().token();
    assert!(fresh.generation > after.generation, "{}", fresh.generation);
    check(&fresh.access_token).await.expect(200);
    expect_error(check(&before.access_token), 401, "TOKEN_REVOKED").await;
    assert_eq!(api.verify_audit().await.unwrap().json()["ok"], true);
    house.restart();
    house.denies(&after.access_token, "TOKEN_REVOKED").await;
}

#[tokio::test]
async fn a_new_digest_key_takes_over_without_ending_anything() {
    let (mut house, erp, token) = House::with_token().await;
    let data = house.server.data_dir().to_owned();
    let keys = |verb: &str| run(&format!("digest-key {verb} --data-dir {}", data.display()));
    keys("add").expect(0);
    let listed = keys("list").stdout;
    assert_contains(&listed, "1 (kept");
    assert_contains(&listed, "2 (in use");
    house.restart();
    house.permits(&token).await;
    let next = house.token(&erp).await.access_token;
    house.denies(&token, "TOKEN_SUPERSEDED").await;
    // Token and secret have moved to the new key: only the admin key needs the old one.
    let listed = keys("list").stdout;
    assert_contains(&listed, "needed by 1 admin keys\n");
    house.restart();
    house.permits(&next).await;
    house.verifies().await;
}

#[tokio::test]
async fn the_first_admin_key_may_be_given_to_an_empty_store_only() {
    let chosen = "a-key-of-the-operators-own-choice-0123456789";
    let name = "TOKENWARD_BOOTSTRAP_ADMIN_KEY";
    let folder = tempfile::tempdir().unwrap();
    let start = |key: &str| {
        let builder = Server::builder().data_dir(folder.path());
        builder.env(name, key).start()
    };
    let mut server = start(chosen);
    let with = |server: &Server, key: &str| Api::new(server.public(), server.internal(), key);
    with(&server, chosen).workspace("acme").await.unwrap();
    assert!(!folder.path().join("admin-key").exists());
    assert!(!server.output().contains(chosen));
    assert!(server.terminate().success());
    let other = "another-key-that-comes-too-late-0123456789";
    let server = start(other);
    let api = with(&server, other);
    expect_error(
        api.ask(Method::GET, "/workspaces"),
        401,
        "ADMIN_KEY_INVALID",
    )
    .await;
    let api = with(&server, chosen);
    expect_status(api.ask(Method::GET, "/workspaces"), 200).await;
    Server::builder().env(name, "short").refused(&[name]);

    // Without one the server makes it, for its owner only.
    let own = Server::start();
    assert_eq!(mode_of(&own.data_dir().join("admin-key")), 0o600);
    assert_contains(&own.output(), "admin-key");
    assert_lacks(&own.output(), &own.admin_key());
}
