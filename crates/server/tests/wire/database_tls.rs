//! The settings of TLS to PostgreSQL, by flag, environment and file, and what a start and `config check` say.

use crate::command::{Ran, run_with};
use std::path::{Path, PathBuf};
use tokenward_testkit::{Authority, Server, assert_contains, assert_lacks};

const PASSWORD: &str = "hunter2";

/// Writes a file that only its owner may read.
fn private(folder: &Path, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path: PathBuf = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().expect("a path of UTF-8").to_owned()
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
    let server = Server::builder()
        .data_dir(&data)
        .arg("--config")
        .arg(&config);
    let mut server = server.start();
    let sessions = "SELECT bool_and(ssl AND client_dn IS NOT NULL) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE usename = 'certified'";
    assert_eq!(cluster.sql("postgres", sessions), "t");
    server.terminate();
    // Other commands read the same settings.
    let list = ["digest-key", "list", "--config", &config, "--data-dir"];
    let list = [&list[..], &[data.to_str().unwrap()]].concat();
    let listed = run_with(&list, &[]);
    assert!(
        listed.good && listed.stdout.contains("in use"),
        "{listed:?}"
    );
    let wrong = [&list[..], &["--database-sslrootcert", &other]].concat();
    run_with(&wrong, &[]).refused("other.pem (sslrootcert)");

    // By the environment; and with the system's authorities, which are the authority here.
    let owner = "REASSIGN OWNED BY certified TO app";
    let _ = cluster.sql("tokenward", owner);
    for environment in [
        [("TOKENWARD_DATABASE_SSLROOTCERT", ca.as_str())],
        [("SSL_CERT_FILE", ca.as_str())],
    ] {
        let server = Server::builder()
            .database(&url("app"))
            .data_dir(&data)
            .arg("--database-sslmode=verify-full");
        let [(name, value)] = environment;
        server.env(name, value).start().terminate();
    }

    // What is refused says why, and nothing secret.
    let named = format!("localhost:{port}");
    let cases = format!(
        "--database-sslrootcert={other} -> other.pem (sslrootcert)
         --database-sslmode=disable -> set sslmode=verify-full
         --database-sslmode=verify-full -> this system trusts"
    );
    for (more, words) in cases_of(&cases) {
        let builder = Server::builder().database(&url("app"));
        let server = more.iter().fold(builder, |server, word| server.arg(word));
        let refused = server.try_start().expect_err("no start").output;
        assert_contains(&refused, words);
        assert_contains(&refused, &named);
        assert_lacks(&refused, "the database is not available");
        assert!(!refused.contains(PASSWORD), "{refused}");
    }
}

/// Cases, one a line: flags, and behind ` -> ` what is said.
fn cases_of(cases: &str) -> impl Iterator<Item = (Vec<&str>, &str)> {
    cases.lines().map(|line| {
        let (flags, words) = line.split_once(" -> ").unwrap();
        (flags.split_whitespace().collect(), words)
    })
}

/// Runs `config check`.
fn check(folder: &Path, more: &[&str], environment: &[(&str, &str)]) -> Ran {
    let data = folder.join("data");
    let ports = ["--public=127.0.0.1:0", "--internal=127.0.0.1:0"];
    let words = ["config", "check", "--data-dir", data.to_str().unwrap()];
    run_with(&[&words[..], &ports[..], more].concat(), environment)
}

#[test]
fn config_check_reads_the_files_of_database_tls_and_warns_about_connections_without() {
    use std::os::unix::fs::PermissionsExt as _;
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
        let found = check(folder.path(), &more, &[url]);
        found.refused(words);
        assert!(!found.stderr.contains("hunter2"), "{found:?}");
    }
    check(folder.path(), &["--database-sslmode=disable"], &[]).refused("no database_url is given");
    let silent = check(folder.path(), &[], &[url]);
    assert!(
        silent.good && !silent.stderr.contains("warning"),
        "{silent:?}"
    );
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&key, open).unwrap();
    let cases = format!(
        "--database-sslmode=disable -> the connection to db.example.com:5432 has no TLS
         --database-sslmode=require -> the certificate of db.example.com:5432 is not verified
         --database-sslcert={certificate} --database-sslkey={key} -> client.key: every user of this machine can read it"
    );
    for (more, words) in cases_of(&cases) {
        let found = check(folder.path(), &more, &[url]);
        assert!(found.good && found.stderr.contains(words), "{found:?}");
    }
}
