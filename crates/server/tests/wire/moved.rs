//! `tokenward move`: the same clients and tokens on the other database, and never two servers for them.

use crate::command::{Ran, run, text};
use crate::house::{House, LIMIT};
use std::path::Path;
use std::process::{Command, Stdio};
use tokenward_testkit::{
    NewClient, PROGRAM_LIMIT, PgCluster, Server, assert_contains, ended, wait_until,
};

/// The words of a move.
fn words<'a>(to: &'a str, data: &'a Path, url: &'a Path) -> [&'a str; 7] {
    let (data, url) = (text(data), text(url));
    [
        "move",
        "--to",
        to,
        "--data-dir",
        data,
        "--database-url-file",
        url,
    ]
}

fn moving(to: &str, data: &Path, url: &Path, more: &[&str]) -> Ran {
    run(&[&words(to, data, url)[..], more].concat())
}

#[track_caller]
fn does_not_start(builder: tokenward_testkit::ServerBuilder, words: &str) {
    match builder.try_start() {
        Ok(_) => panic!("it started on a store that was moved away"),
        Err(refused) => assert!(refused.output.contains(words), "{refused}"),
    }
}

#[tokio::test]
async fn a_store_moves_to_postgresql_and_back_with_its_tokens() {
    let cluster = PgCluster::start();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut house = House::of(Server::builder().data_dir(&data)).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let token = house.token(&erp).await.access_token;
    let url = folder.path().join("url");
    std::fs::write(&url, cluster.url()).unwrap();
    moving("postgresql", &data, &url, &[]).refused("in use by another tokenward process");
    assert!(house.server.terminate().success());

    let told = moving("postgresql", &data, &url, &["--json"]).json();
    assert!(
        told["to"]
            .as_str()
            .unwrap()
            .starts_with("the database tokenward of PostgreSQL at ")
    );
    assert!(
        !told.to_string().contains("postgres://"),
        "no password is shown"
    );
    assert_eq!(
        (&told["clients"], &told["changes_folded"]),
        (&1.into(), &told["change_number"])
    );
    let tables = told["tables"].as_array().unwrap();
    let rows: u64 = tables
        .iter()
        .map(|table| table["rows"].as_u64().unwrap())
        .sum();
    assert_eq!(told["rows"], rows);

    // The file is refused by servers and by the backup.
    does_not_start(
        Server::builder().data_dir(&data),
        "was moved to the database tokenward",
    );
    run(&[
        "backup",
        "--data-dir",
        text(&data),
        text(&folder.path().join("copy")),
    ])
    .refused("was moved to");
    house.server = Server::builder()
        .data_dir(&data)
        .database(&cluster.url())
        .start();
    house.api = house.server.api();
    house.permits(&token).await;
    let newer = house.token(&erp).await.access_token;

    let back = folder.path().join("back");
    std::fs::create_dir(&back).unwrap();
    moving("sqlite", &back, &url, &[]).refused("put the store's digest keys there");
    for file in ["digest-keys", "admin-key"] {
        std::fs::copy(data.join(file), back.join(file)).unwrap();
    }
    moving("sqlite", &data, &url, &[]).refused("in use by another tokenward process");
    moving("sqlite", &back, &url, &[]).refused("in use by another Tokenward process");
    assert!(house.server.terminate().success());
    moving("sqlite", &data, &url, &[]).refused("already holds a store");
    let said = moving("sqlite", &back, &url, &[]);
    for part in [
        "The two are equal",
        "rows and digest of every table",
        "audit chain up to entry",
    ] {
        assert!(said.good && said.stdout.contains(part), "{said:?}");
    }
    assert_contains(&said.stderr, "copying client\n");
    assert_contains(&said.stderr, "comparing client\n");
    does_not_start(
        Server::builder().data_dir(&data).database(&cluster.url()),
        "was moved to the file",
    );
    house.server = Server::builder().data_dir(&back).start();
    house.api = house.server.api();
    house.permits(&newer).await;
    house.token(&erp).await;
}

#[tokio::test]
async fn a_move_that_is_killed_is_refused_by_the_server_and_made_again() {
    let cluster = PgCluster::start();
    let data = tempfile::tempdir().unwrap();
    let builder = Server::builder()
        .data_dir(data.path())
        .database(&cluster.url());
    let mut house = House::of(builder).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let token = house.token(&erp).await.access_token;
    assert!(house.server.terminate().success());
    let url = data.path().join("url");
    std::fs::write(&url, cluster.url()).unwrap();

    // Somebody else holds a table, so that the copy stands still in the middle.
    let mut holder = Command::new("psql");
    holder
        .arg(cluster.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut holder = holder.spawn().expect("psql");
    use std::io::Write as _;
    let lock = "BEGIN; LOCK TABLE webhook IN ACCESS EXCLUSIVE MODE;\n";
    holder
        .stdin
        .as_mut()
        .unwrap()
        .write_all(lock.as_bytes())
        .unwrap();
    wait_until("the lock", LIMIT, || {
        let held = "SELECT 1 FROM pg_locks WHERE relation = 'webhook'::regclass AND mode = 'AccessExclusiveLock' AND granted";
        cluster.sql("tokenward", held).trim() == "1"
    });
    let log = data.path().join("log");
    let mut move_on = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    move_on
        .args(words("sqlite", data.path(), &url))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let mut move_on = move_on
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    wait_until("the copy to stand still", LIMIT, || {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("copying webhook")
    });
    move_on.kill().unwrap();
    ended(&mut move_on, "tokenward move", PROGRAM_LIMIT);
    drop(holder.stdin.take());
    ended(&mut holder, "psql", PROGRAM_LIMIT);

    does_not_start(
        Server::builder().data_dir(data.path()),
        "is an unfinished copy of the database tokenward",
    );
    house.start_again();
    house.permits(&token).await;
    assert!(house.server.terminate().success());
    moving("sqlite", data.path(), &url, &["--json"]).json();
    house.server = Server::builder().data_dir(data.path()).start();
    house.api = house.server.api();
    house.permits(&token).await;
}
