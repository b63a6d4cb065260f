//! `tokenward config check` finds what `tokenward serve` refuses, and warns of what is risky.

use crate::command::{run, run_with, text};
use crate::house::House;
use serde_json::json;
use std::path::Path;
use tokenward_testkit::{
    Ran, Server, address_of, assert_contains, assert_contains_all, assert_lacks, change_mode,
    write_with_mode,
};

/// Settings that are refused, each with words of the refusal.
const REFUSED: &str = r#"
quota_per_dya = 5 -> quota_per_dya
quota_per_day = 0 -> quota_per_day
quota_per_day = "x" -> quota_per_day
database_channel_binding = true -> database_channel_binding
trusted_proxies = ["10.0.0.1/8"] -> host bits
environment_hosts = { "a.example.com" = "staging" } -> staging
quota_per_dya = 5 -> Did you mean "quota_per_day"?
database_url = "postgres://x" -> name that file with database_url_file
log = "inof" -> nothing logs under the name "inof"
log = "off" -> not even its errors
mail_hello_name = "a b" -> mail_hello_name
issuer = "not a url" -> issuer: "not a url" isn't a valid URL
public_url = "https://h.example/tokenward" -> a host name of its own
notice_scan_seconds = 0 -> notice_scan_seconds must be 1 to
drain_seconds = 601 -> drain_seconds must be 0 to 600
public_tls_certificate = "x.pem" -> go together
quota_per_day =  -> line 1
"#;

#[test]
fn configuration_is_checked_without_starting() {
    let folder = tempfile::tempdir().unwrap();
    let file = |text: &str| {
        let path = folder.path().join("tokenward.toml");
        std::fs::write(&path, text).unwrap();
        path
    };
    let check = |config: &Path, more: &str, environment: &[(&str, &str)]| {
        let more = format!("--config {} {more}", config.display());
        check(folder.path(), &more, environment)
    };
    let good = file(
        "quota_per_day = 5\nerror_source = \"file\"\n[environment_hosts]\n\"api.example.com\" = \"production\"\n",
    );
    let shown = check(&good, "", &[]).json();
    assert_eq!(shown["quota_per_day"], 5);
    assert_eq!(shown["database"], "sqlite");
    assert_eq!(shown["environment_hosts"]["api.example.com"], "production");
    // Flags win over the environment, the environment over the file.
    let six = ("TOKENWARD_QUOTA_PER_DAY", "6");
    let shown = check(&good, "", &[six]).json();
    assert_eq!(shown["quota_per_day"], 6);
    assert_eq!(shown["error_source"], "file");
    let shown = check(&good, "--quota-per-day 7", &[six]).json();
    assert_eq!(shown["quota_per_day"], 7);
    let url = "--database-url postgres://user:hunter2@db.example.com/x";
    let hidden = check(&good, url, &[]);
    assert_eq!(hidden.json()["database"], "postgres");
    assert_lacks(&hidden.stdout, "hunter2");
    for line in REFUSED.trim().lines() {
        let (written, words) = line.split_once(" -> ").unwrap();
        check(&file(written), "", &[]).fails(words);
    }
    check(&folder.path().join("missing.toml"), "", &[]).fails("missing.toml");
}

/// Runs `config check` with more words, on free addresses where these name none.
pub(crate) fn check(folder: &Path, more: &str, environment: &[(&str, &str)]) -> Ran {
    let mut line = format!("config check --data-dir {}/data {more}", folder.display());
    for listener in ["--public", "--internal"] {
        if !more.contains(&format!("{listener}=")) {
            line += &format!(" {listener}=127.0.0.1:0");
        }
    }
    run_with(&line, environment)
}

/// A certificate and its key, valid until `days` from now.
fn certificate(folder: &Path, name: &str, expired: bool) -> (String, String) {
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    if expired {
        parameters.not_before = rcgen::date_time_ymd(2019, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let made = parameters.self_signed(&key).unwrap();
    let paths = ["pem", "key"].map(|end| folder.join(format!("{name}.{end}")));
    std::fs::write(&paths[0], made.pem()).unwrap();
    write_with_mode(&paths[1], &key.serialize_pem(), 0o600);
    let [certificate, key] = paths.map(|path| text(&path).to_owned());
    (certificate, key)
}

#[test]
fn certificates_that_cannot_be_used_are_refused_alike_by_check_and_serve() {
    let folder = tempfile::tempdir().unwrap();
    let (one, one_key) = certificate(folder.path(), "one", false);
    let (_, other_key) = certificate(folder.path(), "other", false);
    let file = |name: &str| text(&folder.path().join(name)).to_owned();
    let (empty, missing) = (file("empty.pem"), file("missing.pem"));
    std::fs::write(&empty, "").unwrap();
    let tls = |listener: &str, certificate: &str, key: &str| {
        [("certificate", certificate), ("key", key)]
            .map(|(what, file)| format!("--{listener}-tls-{what}={file}"))
    };
    for (certificate, key, words) in [
        (
            &missing,
            &one_key,
            "missing.pem can't be read as a certificate: No such file",
        ),
        (
            &one,
            &missing,
            "missing.pem can't be read as a private key: No such file",
        ),
        (
            &one,
            &other_key,
            "other.key does not belong to the certificate",
        ),
        (
            &one_key,
            &one,
            "one.key holds no certificate. It holds a private key",
        ),
        (
            &empty,
            &one_key,
            "empty.pem holds no certificate. Name a file in PEM form",
        ),
        (
            &one,
            &empty,
            "empty.pem holds no private key. Name a file in PEM form",
        ),
    ] {
        for listener in ["public", "internal"] {
            let more = tls(listener, certificate, key);
            let found = check(folder.path(), &more.join(" "), &[]);
            found.fails(words);
            assert_contains(&found.stderr, &format!("error: {listener}: "));
            Server::builder().args(&more).refused(&[words]);
        }
    }
    let (old, old_key) = certificate(folder.path(), "old", true);
    let more = tls("public", &old, &old_key).join(" ");
    check(folder.path(), &more, &[]).fails("old.pem expired at 2020-01-01T00:00:00+00:00");
    let more = tls("public", &one, &one_key).join(" ");
    check(folder.path(), &more, &[]).expect(0);
}

#[test]
fn ports_that_are_taken_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for listener in ["public", "internal"] {
        let more = format!("--{listener}={address} --check-threads=2");
        let found = check(folder.path(), &more, &[]);
        found.fails(&format!("cannot listen on {address} ({listener})"));
        assert_contains(&found.stderr, "Another process listens there");
    }
    let same = "--public=127.0.0.1:18999 --internal=0.0.0.0:18999";
    check(folder.path(), same, &[]).fails("listen on the same port");
    check(folder.path(), "--public=localhost:8080", &[]).fails("host names aren't accepted");
    let file = folder.path().join("a.sock");
    std::fs::write(&file, "not a socket").unwrap();
    let unix = format!("--internal-unix {}", file.display());
    check(folder.path(), &unix, &[]).fails("a.sock");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a socket");
}

/// Two servers of one user could share the internal port, each answering half of the checks.
#[test]
fn second_server_on_the_internal_port_is_refused() {
    let first = Server::builder().arg("--check-threads=2").start();
    let address = address_of(first.internal()).parse().unwrap();
    let second = Server::builder().internal(address).arg("--check-threads=2");
    second.refused(&["Another process listens there"]);
}

#[tokio::test]
async fn check_beside_the_running_server_warns_only() {
    let house = House::new().await;
    let public = address_of(house.server.public());
    let data = house.server.data_dir().display();
    let check = format!("config check --data-dir {data} --public {public} --internal 127.0.0.1:0");
    run(&check).warns("A server runs on this data directory");
    // The running server was not disturbed.
    house.api.workspace("after").await.unwrap();
}

#[test]
fn digest_keys_are_read_and_missed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::builder().data_dir(&data).start();
    let _ = server.terminate();
    let check = || check(folder.path(), "", &[]);
    check().expect(0);
    let keys = data.join("digest-keys");
    let whole = std::fs::read_to_string(&keys).unwrap();
    std::fs::write(&keys, "1:short\n").unwrap();
    check().fails("line 1 is not");
    std::fs::remove_file(&keys).unwrap();
    check().fails("put the file back");
    assert!(!keys.exists(), "a check makes no keys");
    write_with_mode(&keys, &whole, 0o644);
    check().warns("digest-keys: every user of this machine can read it");
}

#[test]
fn risks_are_warned_of_and_strict_makes_them_errors() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    change_mode(&data, 0o777);
    let risky = "--public=0.0.0.0:0 --internal=0.0.0.0:0 --trusted-proxies=10.0.0.0/8";
    let found = check(folder.path(), risky, &[("TOKENWARD_TRUSTED_PROXIES", "x")]);
    found.expect(0);
    assert_contains_all(
        &found.stderr,
        &[
            "warning: public (0.0.0.0:0) can be reached from other machines and has no TLS",
            "warning: internal (0.0.0.0:0) can be reached from other machines and has no TLS",
            "every caller may introspect tokens",
            "trusted_proxies: 10.0.0.0/8 is a whole network",
            "data can be written by every user of this machine (mode 777)",
            "TOKENWARD_TRUSTED_PROXIES is not read. Did you mean TOKENWARD_TRUSTED_PROXY?",
        ],
    );
    check(folder.path(), &format!("{risky} --strict"), &[]).fails("5 warnings");
    let careful = check(tempfile::tempdir().unwrap().path(), "--strict", &[]);
    careful.expect(0);
    assert_eq!(careful.stderr, "");
}

#[test]
fn empty_variables_are_unset_and_blanks_are_trimmed() {
    let folder = tempfile::tempdir().unwrap();
    // As Compose and Helm set what is not configured.
    let empty = "
        DATA_DIR PUBLIC INTERNAL INTERNAL_UNIX INTERNAL_UNIX_MODE DATABASE_URL DATABASE_URL_FILE
        CONFIG ENVIRONMENT_HOST TRUSTED_PROXY QUOTA_PER_DAY PUBLIC_TLS_CERTIFICATE ISSUER
        SSO_ISSUER LOG LOG_FORMAT MAIL_URL PUBLIC_URL WEBHOOK_ALLOW_NETWORK RATELIMIT_HEADERS";
    let empty = empty.split_whitespace();
    let empty: Vec<_> = empty.map(|name| format!("TOKENWARD_{name}")).collect();
    for blank in ["", "  "] {
        let environment: Vec<_> = empty.iter().map(|name| (name.as_str(), blank)).collect();
        let shown = check(folder.path(), "", &environment).json();
        assert_eq!(shown["database"], "sqlite");
        assert_eq!(shown["mail"], false);
        assert_eq!(shown["trusted_proxies"], json!([]));
        assert_eq!(shown["log"], "info");
    }
    let padded = [
        ("TOKENWARD_TRUSTED_PROXY", "10.0.0.1, 10.0.0.2 ,"),
        (
            "TOKENWARD_ENVIRONMENT_HOST",
            "sandbox=a.example, production=b.example",
        ),
        ("TOKENWARD_QUOTA_PER_DAY", " 7 "),
        ("TOKENWARD_PUBLIC_URL", " https://tokens.example\n"),
    ];
    let shown = check(folder.path(), "", &padded).json();
    let proxies = json!(["10.0.0.1/32", "10.0.0.2/32"]);
    assert_eq!(shown["trusted_proxies"], proxies);
    let hosts = json!({"a.example": "sandbox", "b.example": "production"});
    assert_eq!(shown["environment_hosts"], hosts);
    assert_eq!(shown["quota_per_day"], 7);
    assert_eq!(shown["public_url"], "https://tokens.example");
    // A server starts so, too.
    let server = Server::builder()
        .env("TOKENWARD_DATABASE_URL", "")
        .env("TOKENWARD_MAIL_URL", " ");
    drop(server.start());
}

#[test]
fn output_tells_of_mail_and_the_sockets_mode() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("t.sock");
    let mail = "--mail-url=smtp://u:hunter2@h --mail-from=a@b.example";
    let more = format!("--internal-unix {} {mail}", socket.display());
    let found = check(folder.path(), &more, &[]);
    let shown = found.json();
    assert_eq!(shown["mail"], true);
    assert_eq!(shown["internal_unix_mode"], "660");
    assert_lacks(&format!("{found:?}"), "hunter2");
    assert_contains(&found.stderr, "name it with --mail-url-file");
    assert!(!socket.exists(), "a check leaves nothing behind");
    // Either way of naming a host's environment is understood.
    let hosts = check(folder.path(), "--environment-host=a.example=sandbox", &[]).json();
    assert_eq!(hosts["environment_hosts"]["a.example"], "sandbox");
}

#[test]
fn commands_of_the_servers_machine_read_its_configuration_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::builder().data_dir(&data).start();
    let _ = server.terminate();
    let keys = folder.path().join("kept-keys");
    std::fs::rename(data.join("digest-keys"), &keys).unwrap();
    let config = folder.path().join("tokenward.toml");
    let written = format!("data_dir = {data:?}\ndigest_keys = {keys:?}\n");
    std::fs::write(&config, written).unwrap();
    let run = |line: &str| run(&format!("{line} --config {}", config.display()));
    let listed = run("digest-key list");
    assert!(listed.expect(0).starts_with("1 "), "{listed:?}");
    let copy = folder.path().join("copy.sqlite");
    run(&format!("backup {}", copy.display())).expect(0);
    assert!(copy.exists());
    // A flag wins over the file.
    let other = folder.path().join("other");
    let (from, to) = (copy.display(), other.display());
    run(&format!("restore --from {from} --data-dir {to}")).expect(0);
    assert!(other.join("tokenward.sqlite").exists());
    // A database's URL is read from a file, never shown.
    let url = folder.path().join("url");
    std::fs::write(&url, "postgres://user:hunter2@127.0.0.1:1/none\n").unwrap();
    let url = url.display();
    let away = run(&format!(
        "restore --database-url-file {url} --data-dir {to} --yes"
    ));
    away.fails("127.0.0.1");
    assert_lacks(&away.stderr, "hunter2");
    run("restore --from x --database-url-file y").fails("cannot be used with");
}
