//! The settings of TLS to PostgreSQL, by flag, environment and file, and what a start and `config check` say.

use crate::command::{run, text};
use crate::configuration::check;
use std::path::Path;
use tokenward_testkit::{Authority, Server, assert_lacks, change_mode, words, write_with_mode};

const PASSWORD: &str = "hunter2";

/// Writes a file that only its owner may read.
fn private(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    write_with_mode(&path, content, 0o600);
    text(&path).to_owned()
}

#[test]
fn settings_of_database_tls_work_from_flag_environment_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("the authority");
    let cluster = authority.cluster(PASSWORD);
    let (certificate, key) = authority.issue(&[], (2020, 2099));
    let file = |name: &str, text: &str| private(folder.path(), name, text);
    let ca = file("ca.pem", authority.pem());
    let other = file("other.pem", Authority::new("another").pem());
    let (certificate, key) = (file("client.pem", &certificate), file("client.key", &key));
    let port = cluster.port();
    let url = |role: &str| format!("postgres://{role}:{PASSWORD}@localhost:{port}/tokenward");

    // By the file, with a client certificate.
    let url_file = file("url", &url("certified"));
    let grant = "GRANT CREATE ON SCHEMA public TO certified";
    let _ = cluster.sql("tokenward", grant);
    let config = file(
        "tokenward.toml",
        &format!(
            "database_url_file = {url_file:?}\ndatabase_sslmode = \"verify-full\"\ndatabase_sslrootcert = {ca:?}\n\
             database_sslcert = {certificate:?}\ndatabase_sslkey = {key:?}\ndatabase_channel_binding = \"require\"\n"
        ),
    );
    let data = folder.path().join("data");
    let server = Server::builder().data_dir(&data);
    let mut server = server.arg(&format!("--config={config}")).start();
    let sessions = "SELECT bool_and(ssl AND client_dn IS NOT NULL) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE usename = 'certified'";
    assert_eq!(cluster.sql("postgres", sessions), "t");
    server.terminate();
    // Other commands read the same settings.
    let list = format!(
        "digest-key list --config {config} --data-dir {}",
        data.display()
    );
    run(&list).says("in use");
    let wrong = format!("{list} --database-sslrootcert {other}");
    run(&wrong).fails("other.pem (sslrootcert)");

    // By the environment; and with the system's authorities, which are the authority here.
    let owner = "REASSIGN OWNED BY certified TO app";
    let _ = cluster.sql("tokenward", owner);
    for name in ["TOKENWARD_DATABASE_SSLROOTCERT", "SSL_CERT_FILE"] {
        let server = Server::builder().database(&url("app")).data_dir(&data);
        let server = server.arg("--database-sslmode=verify-full");
        server.env(name, &ca).start().terminate();
    }

    // What is refused says why, and nothing secret.
    let named = format!("localhost:{port}");
    let cases = format!(
        "--database-sslrootcert={other} -> other.pem (sslrootcert)
         --database-sslmode=disable -> set sslmode=verify-full
         --database-sslmode=verify-full -> this system trusts"
    );
    for (more, said) in cases_of(&cases) {
        let server = Server::builder().database(&url("app"));
        let refused = server.args(&words(more)).refused(&[said, &named]);
        assert_lacks(&refused, "the database is not available");
        assert_lacks(&refused, PASSWORD);
    }
}

/// Cases, one a line: flags, and behind ` -> ` what is said.
fn cases_of(cases: &str) -> impl Iterator<Item = (&str, &str)> {
    cases.lines().map(|line| line.split_once(" -> ").unwrap())
}

#[test]
fn config_check_reads_the_files_of_database_tls_and_warns_about_connections_without() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("the authority");
    let (certificate, key) = authority.issue(&[], (2020, 2099));
    let file = |name: &str, text: &str| private(folder.path(), name, text);
    let (certificate, key) = (file("client.pem", &certificate), file("client.key", &key));
    let url = (
        "TOKENWARD_DATABASE_URL",
        "postgres://u:hunter2@db.example.com/x",
    );
    let cases = "--database-sslrootcert=/no/ca.pem -> /no/ca.pem (sslrootcert) can't be read
         --database-sslmode=prefer -> falls back to an unencrypted connection
         --database-sslmode=on -> sslmode is none of
         --database-sslcert=/c.pem -> sslcert and sslkey go together
         --database-channel-binding=always -> channel_binding
         --database-url=postgres://u@db/x?sslmode=disable --database-sslmode=require -> keep one of them";
    for (more, words) in cases_of(cases) {
        let found = check(folder.path(), more, &[url]);
        found.fails(words);
        assert_lacks(&found.stderr, "hunter2");
    }
    check(folder.path(), "--database-sslmode=disable", &[]).fails("no database_url is given");
    let silent = check(folder.path(), "", &[url]);
    silent.expect(0);
    assert_lacks(&silent.stderr, "warning");
    change_mode(Path::new(&key), 0o644);
    let cases = format!(
        "--database-sslmode=disable -> the connection to db.example.com:5432 has no TLS
         --database-sslmode=require -> the certificate of db.example.com:5432 is not verified
         --database-sslcert={certificate} --database-sslkey={key} -> client.key: every user of this machine can read it"
    );
    for (more, words) in cases_of(&cases) {
        check(folder.path(), more, &[url]).warns(words);
    }
}
