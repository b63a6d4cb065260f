//! After a busy run no token and no client secret stands in anything the server wrote, at the most
//! talkative log level.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use tokenward_proof::secrets::{Form, Hit, Scanner, Seen, run};
use tokenward_testkit::{PgCluster, Server, ServerBuilder};

/// Holds the first admin key by design, and nothing else.
const ADMIN_KEY_FILE: &str = "admin-key";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stay_out_of_sqlite_and_all_else() {
    let mut server = talkative(Server::builder());
    let (seen, scanner) = keep_busy(&server).await;
    // While it runs, with the write-ahead log beside the database; and when all has been written.
    let store = server.data_dir().to_owned();
    nowhere_in_files(&scanner, &store);
    nowhere_in_backup(&scanner, &server);
    assert!(server.terminate().success(), "{}", server.output());
    nowhere_in_files(&scanner, &store);
    nowhere_in_logs(&scanner, &server);
    canaries_are_found(&scanner, &seen, &store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stay_out_of_postgres_and_all_else() {
    let mut cluster = PgCluster::start();
    let url = cluster.url();
    let mut server = talkative(Server::builder().database(&url));
    let (seen, scanner) = keep_busy(&server).await;
    // PostgreSQL is backed up by its own tools.
    none(scanner.scan("pg_dump", &cluster.dump("tokenward")));
    nowhere_in_files(&scanner, server.data_dir());
    assert!(server.terminate().success(), "{}", server.output());
    nowhere_in_logs(&scanner, &server);
    // Its last checkpoint writes every page.
    cluster.stop();
    none(scanner.scan("the log of PostgreSQL", cluster.log().as_bytes()));
    nowhere_in_files(&scanner, &cluster.data_folder());
    canaries_are_found(&scanner, &seen, &cluster.data_folder());
}

fn talkative(builder: ServerBuilder) -> Server {
    builder.env("TOKENWARD_LOG", "trace").start()
}

async fn keep_busy(server: &Server) -> (Seen, Scanner) {
    let api = server.api();
    let mut seen = run(&api).await.unwrap();
    seen.secrets.push(server.admin_key());
    assert!(
        seen.tokens.len() > 100 && seen.secrets.len() > 10,
        "the run was not busy"
    );
    let scanner = Scanner::new(&seen.all());
    none(scanner.scan(
        "/metrics",
        api.metrics().await.unwrap().expect(200).body.as_bytes(),
    ));
    (seen, scanner)
}

fn nowhere_in_files(scanner: &Scanner, folder: &Path) {
    let is_admin_key = |path: &Path| path.ends_with(ADMIN_KEY_FILE);
    none(scanner.scan_path(folder, &is_admin_key).unwrap());
}

fn nowhere_in_logs(scanner: &Scanner, server: &Server) {
    let log = server.output();
    assert!(
        log.contains("DEBUG"),
        "nothing below the usual level was logged:\n{log}"
    );
    none(scanner.scan("the server's output", log.as_bytes()));
}

fn nowhere_in_backup(scanner: &Scanner, server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let target: PathBuf = folder.path().join("backup");
    let mut backup = Command::new(server.binary());
    backup
        .arg("backup")
        .arg("--data-dir")
        .arg(server.data_dir())
        .arg(&target);
    let output = tokenward_testkit::finish(&mut backup, tokenward_testkit::PROGRAM_LIMIT);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(target.exists(), "a backup is where it was asked for");
    none(scanner.scan_path(folder.path(), &|_| false).unwrap());
    none(scanner.scan("the words of tokenward backup", &output.stdout));
    none(scanner.scan("the words of tokenward backup", &output.stderr));
}

/// The positive control: planted in the same folder, every form of each kind is found.
fn canaries_are_found(scanner: &Scanner, seen: &Seen, folder: &Path) {
    let canaries = [seen.tokens.last(), seen.secrets.first()];
    for plaintext in canaries.into_iter().flatten() {
        for form in Form::value_variants() {
            std::fs::write(folder.join("canary"), form.write(plaintext)).unwrap();
            let hits = scanner
                .scan_path(folder, &|path| path.ends_with(ADMIN_KEY_FILE))
                .unwrap();
            assert!(
                hits.iter().any(|hit| hit.form == *form),
                "{form:?} was not found"
            );
        }
    }
}

#[track_caller]
fn none(hits: Vec<Hit>) {
    assert!(
        hits.is_empty(),
        "{} hits, the first: {:?}",
        hits.len(),
        hits[0]
    );
}
