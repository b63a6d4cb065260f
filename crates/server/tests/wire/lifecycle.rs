//! The server as a process: what survives a restart, what it refuses to start on, how it stops, what a
//! backup is worth, how its keys change.

use crate::command::{finish, run, text};
use crate::house::{House, LIMIT};
use reqwest::Method;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use tokenward_testkit::{
    Api, NewClient, PgCluster, Server, assert_contains, expect_error, expect_status, wait_until,
};

#[tokio::test]
async fn a_restart_forgets_nothing_that_was_answered() {
    let mut house = House::new().await;
    let erp = house
        .client(NewClient::sandbox("erp").products(&["gst"]).handover(600))
        .await;
    let first = house.token(&erp).await;
    let second = house.token(&erp).await;
    let third = house
        .authz(Method::POST, "?handover=600", &erp.secret)
        .await
        .token();
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
        house
            .check("max-itc", &third.access_token)
            .await
            .expect_error(403, "PRODUCT_NOT_ALLOWED");
        house.denies(&lost.access_token, "CLIENT_DELETED").await;
        expect_error(house.generate(&gone.secret), 401, "CLIENT_DELETED").await;
        assert_eq!(house.status(&erp.secret).await["quota_left"], 285);
        let verified = house.api.verify_audit().await.unwrap().expect(200).json();
        assert_eq!(verified["ok"], true);
    }
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_takes_nothing_new() {
    let mut house = House::new().await;
    let address = house
        .server
        .public()
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    let mut call = TcpStream::connect(&address).unwrap();
    call.set_read_timeout(Some(LIMIT)).unwrap();
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
    assert!(
        line.starts_with(b"HTTP/1.1 100"),
        "{}",
        String::from_utf8_lossy(&line)
    );
    let id = house.server.process_id().to_string();
    let mut kill = Command::new("kill");
    kill.args(["-TERM", &id]);
    assert!(finish(kill).good);
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
    let mut house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let token = house.token(&erp).await.access_token;
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
            let mut call = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
            call.set_read_timeout(Some(LIMIT)).unwrap();
            call.write_all(request.as_bytes()).unwrap();
            calls.push(call);
        }
    }
    let id = house.server.process_id().to_string();
    for signal in ["-TERM", "-CONT"] {
        let mut kill = Command::new("kill");
        kill.args([signal, &id]);
        assert!(finish(kill).good);
    }
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
    let refused = Server::builder()
        .data_dir(house.server.data_dir())
        .try_start()
        .unwrap_err();
    assert!(!refused.status.success());
    assert_contains(&refused.output, "is in use by another tokenward process");
    let erp = house.client(NewClient::sandbox("erp")).await;
    house.permits(&house.token(&erp).await.access_token).await;
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("file");
    std::fs::write(&taken, "").unwrap();
    let data = taken.join("data");
    run(&[
        "serve",
        "--data-dir",
        text(&data),
        "--public",
        "127.0.0.1:0",
        "--internal",
        "127.0.0.1:0",
    ])
    .refused("cannot");
    let read_only = folder.path().join("read-only");
    std::fs::create_dir(&read_only).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o555);
    std::fs::set_permissions(&read_only, mode).unwrap();
    // Root may write everywhere unless that right is taken away.
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    let program = env!("CARGO_BIN_EXE_tokenward");
    let mut command = Command::new(if owner == 0 { "setpriv" } else { program });
    if owner == 0 {
        command.args([
            "--bounding-set",
            "-dac_override,-dac_read_search",
            "--",
            program,
        ]);
    }
    command.args([
        "serve",
        "--data-dir",
        text(&read_only),
        "--public",
        "127.0.0.1:0",
        "--internal",
        "127.0.0.1:0",
    ]);
    let ran = finish(command);
    ran.refused("Permission denied");
    ran.refused(text(&read_only));
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
    let refused = house.server.try_restart().unwrap_err();
    assert!(
        !refused.status.success() && refused.output.contains("damaged"),
        "{refused}"
    );
    std::fs::write(&path, b"").unwrap();
    let emptied = house.server.try_restart().unwrap_err();
    assert!(emptied.output.contains("is missing or empty"), "{emptied}");
    std::fs::remove_file(&path).unwrap();
    let missing = house.server.try_restart().unwrap_err();
    assert!(!missing.status.success() && !path.exists(), "{missing}");
    std::fs::write(&path, &whole).unwrap();
    house.start_again();
}

#[tokio::test]
async fn an_older_copy_of_the_database_is_not_started_on() {
    let mut house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let token = house.token(&erp).await.access_token;
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
    let refused = house.server.try_restart().unwrap_err();
    assert!(!refused.status.success());
    assert_contains(&refused.output, "older than this data directory");
    assert!(refused.output.contains("tokenward restore"), "{refused}");
    std::fs::write(&path, new).unwrap();
    house.start_again();
    house.denies(&token, "TOKEN_REVOKED").await;
}

#[tokio::test]
async fn what_needs_the_database_alone_is_refused_beside_a_server() {
    let cluster = PgCluster::start();
    let mut house = House::of(Server::builder().database(&cluster.url())).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let token = house.token(&erp).await.access_token;
    let refused = Server::builder()
        .database(&cluster.url())
        .arg("--new-digest-keys")
        .try_start()
        .unwrap_err();
    assert!(!refused.status.success());
    let alone = "the database is in use by another Tokenward process";
    assert!(refused.output.contains(alone), "{refused}");
    let (url, data) = (cluster.url(), house.server.data_dir().to_owned());
    run(&[
        "restore",
        "--data-dir",
        text(&data),
        "--database-url",
        &url,
        "--yes",
    ])
    .refused("in use by another");
    house.permits(&token).await;
    house.restart();
    house.permits(&token).await;
    assert_eq!(house.api.verify_audit().await.unwrap().json()["ok"], true);
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
    let metric = "tokenward_last_backup_timestamp_seconds ";
    let seconds = async || -> i64 {
        let text = house.api.metrics().await.unwrap().expect(200).body;
        let found = text.lines().find_map(|line| line.strip_prefix(metric));
        found.unwrap().parse().unwrap()
    };
    assert_eq!(seconds().await, 0);
    let keep = ["backup", "--data-dir", text(&data), "--json", "--keep"];
    let into =
        |place: &std::path::Path, count: &str| run(&[&keep[..], &[count, text(place)]].concat());
    into(&others[0], "2").refused("is not a folder");
    let told = into(folder.path(), "2").json();
    let made = std::path::PathBuf::from(told["file"].as_str().unwrap());
    assert!(made.exists() && old.exists() && !older.exists());
    assert!(others.iter().all(|path| path.exists()));
    assert!(seconds().await > 1_700_000_000);
    run(&[
        "restore",
        "--yes",
        "--data-dir",
        text(&folder.path().join("new")),
        "--from",
        text(&made),
    ]);
}

#[tokio::test]
async fn an_encrypted_backup_is_tried_and_restored_with_any_of_its_private_keys() {
    let house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp")).await;
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
    let settings = format!(
        "data_dir = {data:?}\nbackup_recipients = {:?}\n",
        &public[..2]
    );
    std::fs::write(&file, settings).unwrap();
    let backups = folder.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    let config = ["backup", "--config", text(&file), "--json"];
    let told = run(&[&config[..], &["--keep", "2", text(&backups)]].concat()).json();
    assert_eq!(told["encrypted"], true);
    assert_eq!(told["clients"], 1);
    let made = std::path::PathBuf::from(told["file"].as_str().unwrap());
    assert!(text(&made).ends_with(".sqlite.age"));
    let bytes = std::fs::read(&made).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
    for plain in [&b"SQLite format 3"[..], erp.id.as_bytes()] {
        assert!(!bytes.windows(plain.len()).any(|part| part == plain));
    }
    // No copy in plain text is left.
    for folder in [data, &backups] {
        assert!(!folder.join(".tokenward-backup").exists());
    }

    let to = |name: &str| folder.path().join(name);
    let restore = |from: &Path, name: &str, more: &[&str]| {
        let place = to(name);
        let words = ["restore", "--yes", "--json", "--data-dir", text(&place)];
        run(&[&words[..], &["--from", text(from)], more].concat())
    };
    restore(&made, "closed", &[]).refused("name the file with its private key with --identity");
    let strange = restore(&made, "strange", &["--identity", text(&files[2])]);
    strange.refused("cannot decrypt");
    let empty = restore(&made, "no-key", &["--identity", text(&file)]);
    empty.refused("It must hold private keys as age-keygen writes them");
    for (name, key) in [("first", &files[0]), ("second", &files[1])] {
        let back = restore(&made, name, &["--identity", text(key)]).json();
        assert_eq!(back["audit_hash"], told["audit_hash"]);
        assert!(to(name).join("tokenward.sqlite").exists());
        assert!(!to(name).join(".tokenward-backup").exists());
    }
    let mut damaged = bytes;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let other = to("damaged.age");
    std::fs::write(&other, damaged).unwrap();
    restore(&other, "damaged", &["--identity", text(&files[0])]).refused("cannot decrypt");
    for name in ["closed", "strange", "no-key", "damaged"] {
        assert!(!to(name).join("tokenward.sqlite").exists(), "{name}");
    }

    let with = |key: &str| run(&[&config[..], &["--recipient", key, text(&to("x.age"))]].concat());
    with("age1xyz").refused("isn't an age public key");
    let secret = std::fs::read_to_string(&files[0]).unwrap();
    let secret = secret.lines().last().unwrap();
    let refused = with(secret);
    refused.refused("a recipient of backups is a private key");
    assert!(!refused.stderr.contains(secret));
    std::fs::write(&file, "backup_recipients = [\"age1xyz\"]").unwrap();
    run(&["config", "check", "--config", text(&file)]).refused("backup_recipients: ");
}

#[tokio::test]
async fn backups_are_read_and_written_by_the_program_age_too() {
    let house = House::new().await;
    house.client(NewClient::sandbox("erp")).await;
    let folder = tempfile::tempdir().unwrap();
    let to = |name: &str| folder.path().join(name);
    let data = house.server.data_dir();
    let program = |name: &str, words: &[&str]| {
        let mut command = Command::new(name);
        command.args(words);
        let ran = finish(command);
        assert!(ran.good, "{name} {words:?}: {ran:?}");
        ran
    };
    let key = to("backup.key");
    program("age-keygen", &["-o", text(&key)]);
    let public = program("age-keygen", &["-y", text(&key)]).stdout;
    let restore = |from: &Path, name: &str, more: &[&str]| {
        let place = to(name);
        let words = ["restore", "--yes", "--json", "--data-dir", text(&place)];
        run(&[&words[..], &["--from", text(from)], more].concat()).json()
    };

    let ours = to("ours.sqlite.age");
    let words = ["backup", "--data-dir", text(data), "--json", text(&ours)];
    let told = run(&[&words[..], &["--recipient", public.trim()]].concat()).json();
    let plain = to("plain.sqlite");
    let decrypt = ["--decrypt", "--identity", text(&key), "--output"];
    program(
        "age",
        &[&decrypt[..], &[text(&plain), text(&ours)]].concat(),
    );
    let back = restore(&plain, "from-plain", &[]);
    assert_eq!(back["audit_hash"], told["audit_hash"]);

    for (name, more) in [("binary", &[][..]), ("text", &["--armor"])] {
        let theirs = to(&format!("{name}.age"));
        let encrypt = ["--recipient", public.trim(), "--output", text(&theirs)];
        program("age", &[&encrypt[..], more, &[text(&plain)]].concat());
        let back = restore(&theirs, name, &["--identity", text(&key)]);
        assert_eq!(back["audit_hash"], told["audit_hash"]);
    }
}

#[tokio::test]
async fn a_backup_that_cannot_be_restored_is_no_backup() {
    let mut house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    house.token(&erp).await;
    let data = house.server.data_dir().to_owned();
    assert!(house.server.terminate().success());
    let connection = rusqlite::Connection::open(data.join("tokenward.sqlite")).unwrap();
    let altered = "UPDATE audit SET detail = '{}' WHERE seq = 2";
    assert_eq!(connection.execute(altered, []).unwrap(), 1);
    drop(connection);
    let folder = tempfile::tempdir().unwrap();
    let key = age::x25519::Identity::generate().to_public().to_string();
    for more in [&[][..], &["--recipient", &key]] {
        let to = folder.path().join("copy");
        let ran = run(&[&["backup", "--data-dir", text(&data), text(&to)], more].concat());
        ran.refused("it can't be restored, so it was removed: ");
        ran.refused("the audit log does not verify");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(!data.join("last-backup").exists());
    }
}

#[tokio::test]
async fn health_is_asked_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["gateway.example".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let with_tls = Server::builder()
        .arg("--internal-tls-certificate")
        .arg(text(&certificate))
        .arg("--internal-tls-key")
        .arg(text(&key));
    let on_all_addresses = Server::builder().internal("0.0.0.0:0".parse().unwrap());
    for builder in [with_tls, on_all_addresses] {
        let mut server = builder.start();
        let data = server.data_dir().to_owned();
        let health = |more: &[&str]| run(&[&["health", "--data-dir", text(&data)], more].concat());
        assert_eq!(health(&[]).stdout.trim(), "ready");
        assert_eq!(health(&["--live"]).stdout.trim(), "live");
        assert!(server.terminate().success());
        health(&[]).refused("no server runs on this data directory");
        let gone = "{\"public\":\"http://127.0.0.1:1\",\"internal\":\"http://127.0.0.1:1\"}";
        std::fs::write(data.join("listening.json"), gone).unwrap();
        health(&[]).refused("does not answer");
    }
}

#[tokio::test]
async fn systemd_is_told_when_the_server_is_ready_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(crate::house::LIMIT)).unwrap();
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
    let mut house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let before = house.token(&erp).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.sqlite");
    let data = house.server.data_dir().to_owned();
    let told = run(&["backup", "--data-dir", text(&data), text(&copy), "--json"]).json();
    let proof = format!(
        "{}:{}",
        told["audit_seq"],
        told["audit_hash"].as_str().unwrap()
    );
    run(&["backup", "--data-dir", text(&data), text(&copy)]).refused("copy.sqlite");

    let place = |name: &str| {
        let to = folder.path().join(name);
        std::fs::create_dir(&to).unwrap();
        for file in ["digest-keys", "admin-key"] {
            std::fs::copy(data.join(file), to.join(file)).unwrap();
        }
        to
    };
    let restore = |to: &Path, more: &[&str]| {
        let words = [
            "restore",
            "--data-dir",
            text(to),
            "--from",
            text(&copy),
            "--json",
        ];
        run(&[&words[..], more].concat())
    };
    let open = async |to: &Path| {
        let server = Server::builder().data_dir(to).start();
        let api = server.api();
        (server, api)
    };

    // Nothing was lost: tokens stay good.
    let complete = place("complete");
    let told = restore(&complete, &["--complete-to", &proof]).json();
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
    restore(&incomplete, &["--complete-to", &real]).refused("not complete");
    let forged = format!("{}:{}", proof.split(':').next().unwrap(), "0".repeat(64));
    restore(&incomplete, &["--complete-to", &forged]).refused("not complete");
    restore(&incomplete, &["--complete-to", "7"]).refused("SEQ:HASH");
    assert!(!incomplete.join("tokenward.sqlite").exists());

    assert_eq!(restore(&incomplete, &[]).json()["tokens_ended"], true);
    restore(&incomplete, &[]).refused("exists");
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
    let mut house = House::new().await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let token = house.token(&erp).await.access_token;
    let data = house.server.data_dir().to_owned();
    let keys = |verb: &str| run(&["digest-key", verb, "--data-dir", text(&data)]);
    assert!(keys("add").good);
    let listed = keys("list").stdout;
    assert_contains(&listed, "1 (kept");
    assert_contains(&listed, "2 (in use");
    house.restart();
    house.permits(&token).await;
    let next = house.token(&erp).await.access_token;
    house.denies(&token, "TOKEN_SUPERSEDED").await;
    // Token and secret have moved to the new key: only the admin key needs the old one.
    let listed = keys("list").stdout;
    assert!(listed.contains("needed by 1 admin keys\n"), "{listed}");
    house.restart();
    house.permits(&next).await;
    assert_eq!(house.api.verify_audit().await.unwrap().json()["ok"], true);
}

#[tokio::test]
async fn the_first_admin_key_may_be_given_to_an_empty_store_only() {
    let chosen = "a-key-of-the-operators-own-choice-0123456789";
    let name = "TOKENWARD_BOOTSTRAP_ADMIN_KEY";
    let folder = tempfile::tempdir().unwrap();
    let start = |key: &str| {
        Server::builder()
            .data_dir(folder.path())
            .env(name, key)
            .start()
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
    let refused = api
        .send(api.admin(Method::GET, "/workspaces"))
        .await
        .unwrap();
    refused.expect_error(401, "ADMIN_KEY_INVALID");
    let api = with(&server, chosen);
    expect_status(api.send(api.admin(Method::GET, "/workspaces")), 200).await;
    let short = Server::builder()
        .env(name, "short")
        .try_start()
        .unwrap_err();
    assert!(short.output.contains(name), "{short}");

    // Without one the server makes it, for its owner only.
    let own = Server::start();
    let made = std::fs::metadata(own.data_dir().join("admin-key")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&made.permissions()) & 0o777,
        0o600
    );
    assert!(own.output().contains("admin-key") && !own.output().contains(&own.admin_key()));
}
