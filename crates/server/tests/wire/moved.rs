//! `tokenward move`: the same clients and tokens on the other database, and never two servers for them.

use crate::command::run;
use crate::house::{House, LIMIT};
use std::path::Path;
use std::process::{Command, Stdio};
use tokenward_testkit::{
    PROGRAM_LIMIT, PgCluster, Ran, Server, assert_lacks, ended, text, wait_until, words,
};

/// The command line of a move.
fn line(to: &str, data: &Path, url: &Path) -> String {
    let (data, url) = (data.display(), url.display());
    format!("move --to {to} --data-dir {data} --database-url-file {url}")
}

fn moving(to: &str, data: &Path, url: &Path) -> Ran {
    run(&line(to, data, url))
}

#[tokio::test]
async fn a_store_moves_to_postgresql_and_back_with_its_tokens() {
    let cluster = PgCluster::start();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut house = House::of(Server::builder().data_dir(&data)).await;
    let (erp, token) = house.erp().await;
    let url = folder.path().join("url");
    std::fs::write(&url, cluster.url()).unwrap();
    moving("postgresql", &data, &url).fails("in use by another tokenward process");
    assert!(house.server.terminate().success());

    let told = run(&format!("{} --json", line("postgresql", &data, &url))).json();
    let place = "the database tokenward of PostgreSQL at ";
    assert!(text(&told, "/to").starts_with(place), "{told}");
    // No password is shown.
    assert_lacks(&told.to_string(), "postgres://");
    assert_eq!(told["clients"], 1);
    assert_eq!(told["changes_folded"], told["change_number"]);
    let tables = told["tables"].as_array().unwrap().iter();
    let rows = tables.map(|table| table["rows"].as_u64().unwrap());
    assert_eq!(told["rows"], rows.sum::<u64>());

    // The file is refused by servers and by the backup.
    let on_file = Server::builder().data_dir(&data);
    on_file.refused(&["was moved to the database tokenward"]);
    let (at, folder_at) = (data.display(), folder.path().display());
    run(&format!("backup --data-dir {at} {folder_at}/copy")).fails("was moved to");
    house.start(Server::builder().data_dir(&data).database(&cluster.url()));
    house.permits(&token).await;
    let newer = house.token(&erp).await.access_token;

    let back = folder.path().join("back");
    std::fs::create_dir(&back).unwrap();
    moving("sqlite", &back, &url).fails("put the store's digest keys there");
    for file in ["digest-keys", "admin-key"] {
        std::fs::copy(data.join(file), back.join(file)).unwrap();
    }
    moving("sqlite", &data, &url).fails("in use by another tokenward process");
    moving("sqlite", &back, &url).fails("in use by another Tokenward process");
    assert!(house.server.terminate().success());
    moving("sqlite", &data, &url).fails("already holds a store");
    let said = moving("sqlite", &back, &url);
    said.says("The two are equal");
    said.says("rows and digest of every table");
    said.says("audit chain up to entry");
    said.refused(0, &["copying client\n", "comparing client\n"]);
    let on_database = Server::builder().data_dir(&data).database(&cluster.url());
    on_database.refused(&["was moved to the file"]);
    house.start(Server::builder().data_dir(&back));
    house.permits(&newer).await;
    house.token(&erp).await;
}

#[tokio::test]
async fn a_move_that_is_killed_is_refused_by_the_server_and_made_again() {
    let cluster = PgCluster::start();
    let data = tempfile::tempdir().unwrap();
    let builder = Server::builder().data_dir(data.path());
    let mut house = House::of(builder.database(&cluster.url())).await;
    let (_, token) = house.erp().await;
    assert!(house.server.terminate().success());
    let url = data.path().join("url");
    std::fs::write(&url, cluster.url()).unwrap();

    // Somebody else holds a table, so that the copy stands still in the middle.
    let mut holder = Command::new("psql");
    holder.arg(cluster.url()).stdin(Stdio::piped());
    holder.stdout(Stdio::null()).stderr(Stdio::null());
    let mut holder = holder.spawn().expect("psql");
    use std::io::Write as _;
    let lock = b"BEGIN; LOCK TABLE webhook IN ACCESS EXCLUSIVE MODE;\n";
    holder.stdin.as_mut().unwrap().write_all(lock).unwrap();
    wait_until("the lock", LIMIT, || {
        let held = "SELECT 1 FROM pg_locks WHERE relation = 'webhook'::regclass AND mode = 'AccessExclusiveLock' AND granted";
        cluster.sql("tokenward", held).trim() == "1"
    });
    let log = data.path().join("log");
    let mut move_on = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    move_on.args(words(&line("sqlite", data.path(), &url)));
    move_on.stdin(Stdio::null()).stdout(Stdio::null());
    move_on.stderr(std::fs::File::create(&log).unwrap());
    let mut move_on = move_on.spawn().unwrap();
    wait_until("the copy to stand still", LIMIT, || {
        let said = std::fs::read_to_string(&log).unwrap();
        said.contains("copying webhook")
    });
    move_on.kill().unwrap();
    ended(&mut move_on, "tokenward move", PROGRAM_LIMIT);
    drop(holder.stdin.take());
    ended(&mut holder, "psql", PROGRAM_LIMIT);

    let on_file = Server::builder().data_dir(data.path());
    on_file.refused(&["is an unfinished copy of the database tokenward"]);
    house.start_again();
    house.permits(&token).await;
    assert!(house.server.terminate().success());
    moving("sqlite", data.path(), &url).expect(0);
    house.start(Server::builder().data_dir(data.path()));
    house.permits(&token).await;
}
