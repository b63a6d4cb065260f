//! `tokenward config check` finds what `tokenward serve` refuses, and warns of what is risky.

use crate::command::{Ran, run_with, text};
use crate::house::House;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokenward_testkit::{Server, assert_contains};

/// Settings that are refused, each with words of the refusal.
const REFUSED: &str = r#"
quota_per_dya = 5 -> quota_per_dya
quota_per_day = 0 -> quota_per_day
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
    let (data, ports) = (
        folder.path().join("data"),
        ["--public=127.0.0.1:0", "--internal=127.0.0.1:0"],
    );
    let check = |config: &Path, more: &[&str], environment: &[(&str, &str)]| {
        let words = [
            "config",
            "check",
            "--config",
            text(config),
            "--data-dir",
            text(&data),
        ];
        run_with(&[&words[..], &ports[..], more].concat(), environment)
    };
    let good = file(
        "quota_per_day = 5\nerror_source = \"file\"\n[environment_hosts]\n\"api.example.com\" = \"production\"\n",
    );
    let shown = check(&good, &[], &[]).json();
    assert_eq!(shown["quota_per_day"], 5);
    assert_eq!(shown["database"], "sqlite");
    assert_eq!(shown["environment_hosts"]["api.example.com"], "production");
    // Flags win over the environment, the environment over the file.
    let shown = check(&good, &[], &[("TOKENWARD_QUOTA_PER_DAY", "6")]).json();
    assert_eq!(shown["quota_per_day"], 6);
    assert_eq!(shown["error_source"], "file");
    let shown = check(
        &good,
        &["--quota-per-day", "7"],
        &[("TOKENWARD_QUOTA_PER_DAY", "6")],
    )
    .json();
    assert_eq!(shown["quota_per_day"], 7);
    let url = "postgres://user:hunter2@db.example.com/x";
    let hidden = check(&good, &["--database-url", url], &[]);
    assert_eq!(hidden.json()["database"], "postgres");
    assert!(!hidden.stdout.contains("hunter2"));
    for line in REFUSED.trim().lines() {
        let (written, words) = line.split_once(" -> ").unwrap();
        check(&file(written), &[], &[]).refused(words);
    }
    check(&folder.path().join("missing.toml"), &[], &[]).refused("missing.toml");
}

/// Runs `config check` on addresses that are free, with more words; both streams together.
fn check(folder: &Path, more: &[&str], environment: &[(&str, &str)]) -> Ran {
    let data = folder.join("data");
    let words = ["config", "check", "--data-dir", text(&data)];
    let with = |name: &str| more.iter().any(|word| word.starts_with(name));
    let mut words = words.to_vec();
    for address in ["--public=127.0.0.1:0", "--internal=127.0.0.1:0"] {
        if !with(&address[..address.find('=').unwrap()]) {
            words.push(address);
        }
    }
    run_with(&[&words[..], more].concat(), environment)
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
    std::fs::write(&paths[1], key.serialize_pem()).unwrap();
    std::fs::set_permissions(&paths[1], std::fs::Permissions::from_mode(0o600)).unwrap();
    let [certificate, key] = paths.map(|path| text(&path).to_owned());
    (certificate, key)
}

#[test]
fn certificates_that_cannot_be_used_are_refused_alike_by_check_and_serve() {
    let folder = tempfile::tempdir().unwrap();
    let (one, one_key) = certificate(folder.path(), "one", false);
    let (_, other_key) = certificate(folder.path(), "other", false);
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let missing = text(&folder.path().join("missing.pem")).to_owned();
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
            &text(&empty).to_owned(),
            &one_key,
            "empty.pem holds no certificate. Name a file in PEM form",
        ),
        (
            &one,
            &text(&empty).to_owned(),
            "empty.pem holds no private key. Name a file in PEM form",
        ),
    ] {
        for listener in ["public", "internal"] {
            let flags = ["certificate", "key"].map(|what| format!("--{listener}-tls-{what}"));
            let more = [flags[0].as_str(), certificate, flags[1].as_str(), key];
            let found = check(folder.path(), &more, &[]);
            found.refused(words);
            assert_contains(&found.stderr, &format!("error: {listener}: "));
            let serving = Server::builder().args(&more);
            let refused = serving.try_start().expect_err("no start");
            assert!(refused.output.contains(words), "{refused}");
        }
    }
    let (old, old_key) = certificate(folder.path(), "old", true);
    let more = [
        "--public-tls-certificate",
        &old,
        "--public-tls-key",
        &old_key,
    ];
    check(folder.path(), &more, &[]).refused("old.pem expired at 2020-01-01T00:00:00+00:00");
    let more = [
        "--public-tls-certificate",
        &one,
        "--public-tls-key",
        &one_key,
    ];
    assert!(check(folder.path(), &more, &[]).good);
}

#[test]
fn ports_that_are_taken_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for listener in ["public", "internal"] {
        let flag = format!("--{listener}={address}");
        let found = check(folder.path(), &[&flag, "--check-threads=2"], &[]);
        found.refused(&format!("cannot listen on {address} ({listener})"));
        assert_contains(&found.stderr, "Another process listens there");
    }
    let same = ["--public=127.0.0.1:18999", "--internal=0.0.0.0:18999"];
    check(folder.path(), &same, &[]).refused("listen on the same port");
    check(folder.path(), &["--public=localhost:8080"], &[]).refused("host names aren't accepted");
    let file = folder.path().join("a.sock");
    std::fs::write(&file, "not a socket").unwrap();
    check(folder.path(), &["--internal-unix", text(&file)], &[]).refused("a.sock");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a socket");
}

/// Two servers of one user could share the internal port, each answering half of the checks.
#[test]
fn second_server_on_the_internal_port_is_refused() {
    let first = Server::builder().arg("--check-threads").arg("2").start();
    let address = first
        .internal()
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let second = Server::builder()
        .internal(address)
        .arg("--check-threads")
        .arg("2");
    let refused = second.try_start().expect_err("the port is taken");
    assert_contains(&refused.output, "Another process listens there");
}

#[tokio::test]
async fn check_beside_the_running_server_warns_only() {
    let house = House::new().await;
    let public = house.server.public().strip_prefix("http://").unwrap();
    let data = house.server.data_dir();
    let words = [
        "config",
        "check",
        "--data-dir",
        text(data),
        "--public",
        public,
    ];
    let found = run_with(&[&words[..], &["--internal=127.0.0.1:0"]].concat(), &[]);
    assert!(
        found.good
            && found
                .stderr
                .contains("A server runs on this data directory"),
        "{found:?}"
    );
    // The running server was not disturbed.
    house
        .admin(
            reqwest::Method::POST,
            "/workspaces",
            &json!({"name": "after"}),
        )
        .await
        .expect(201);
}

#[test]
fn digest_keys_are_read_and_missed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::builder().data_dir(&data).start();
    let _ = server.terminate();
    assert!(check(folder.path(), &[], &[]).good);
    let keys = data.join("digest-keys");
    let whole = std::fs::read_to_string(&keys).unwrap();
    std::fs::write(&keys, "1:short\n").unwrap();
    check(folder.path(), &[], &[]).refused("line 1 is not");
    std::fs::remove_file(&keys).unwrap();
    check(folder.path(), &[], &[]).refused("put the file back");
    assert!(!keys.exists(), "a check makes no keys");
    std::fs::write(&keys, whole).unwrap();
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    let found = check(folder.path(), &[], &[]);
    assert!(
        found.good
            && found
                .stderr
                .contains("digest-keys: every user of this machine can read it"),
        "{found:?}"
    );
}

#[test]
fn risks_are_warned_of_and_strict_makes_them_errors() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::set_permissions(
        folder.path().join("data"),
        std::fs::Permissions::from_mode(0o777),
    )
    .unwrap();
    let risky = [
        "--public=0.0.0.0:0",
        "--internal=0.0.0.0:0",
        "--trusted-proxies=10.0.0.0/8",
    ];
    let found = check(folder.path(), &risky, &[("TOKENWARD_TRUSTED_PROXIES", "x")]);
    assert!(found.good, "{found:?}");
    for words in [
        "warning: public (0.0.0.0:0) can be reached from other machines and has no TLS",
        "warning: internal (0.0.0.0:0) can be reached from other machines and has no TLS",
        "every caller may introspect tokens",
        "trusted_proxies: 10.0.0.0/8 is a whole network",
        "data can be written by every user of this machine (mode 777)",
        "TOKENWARD_TRUSTED_PROXIES is not read. Did you mean TOKENWARD_TRUSTED_PROXY?",
    ] {
        assert!(found.stderr.contains(words), "{words}: {found:?}");
    }
    check(folder.path(), &[&risky[..], &["--strict"]].concat(), &[]).refused("5 warnings");
    let careful = check(tempfile::tempdir().unwrap().path(), &["--strict"], &[]);
    assert!(careful.good && careful.stderr.is_empty(), "{careful:?}");
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
        let shown = check(folder.path(), &[], &environment).json();
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
    let shown = check(folder.path(), &[], &padded).json();
    assert_eq!(
        shown["trusted_proxies"],
        json!(["10.0.0.1/32", "10.0.0.2/32"])
    );
    assert_eq!(
        shown["environment_hosts"],
        json!({"a.example": "sandbox", "b.example": "production"})
    );
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
    let more = [
        "--internal-unix",
        text(&socket),
        "--mail-url=smtp://u:hunter2@h",
        "--mail-from=a@b.example",
    ];
    let found = check(folder.path(), &more, &[]);
    let shown = found.json();
    assert_eq!(shown["mail"], true);
    assert_eq!(shown["internal_unix_mode"], "660");
    assert!(!found.stdout.contains("hunter2") && !found.stderr.contains("hunter2"));
    assert_contains(&found.stderr, "name it with --mail-url-file");
    assert!(!socket.exists(), "a check leaves nothing behind");
    // Either way of naming a host's environment is understood.
    let hosts = check(
        folder.path(),
        &["--environment-host=a.example=sandbox"],
        &[],
    )
    .json();
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
    let run = |words: &[&str]| run_with(&[words, &["--config", text(&config)]].concat(), &[]);
    let listed = run(&["digest-key", "list"]);
    assert!(listed.good && listed.stdout.starts_with("1 "), "{listed:?}");
    let copy = folder.path().join("copy.sqlite");
    let backed = run(&["backup", text(&copy)]);
    assert!(backed.good && copy.exists(), "{backed:?}");
    // A flag wins over the file.
    let other = folder.path().join("other");
    let restored = run(&["restore", "--from", text(&copy), "--data-dir", text(&other)]);
    assert!(
        restored.good && other.join("tokenward.sqlite").exists(),
        "{restored:?}"
    );
    // A database's URL is read from a file, never shown.
    let url = folder.path().join("url");
    std::fs::write(&url, "postgres://user:hunter2@127.0.0.1:1/none\n").unwrap();
    let away = run(&[
        "restore",
        "--database-url-file",
        text(&url),
        "--data-dir",
        text(&other),
        "--yes",
    ]);
    away.refused("127.0.0.1");
    assert!(!away.stderr.contains("hunter2"), "{away:?}");
    let both = ["restore", "--from", "x", "--database-url-file", "y"];
    run(&both).refused("cannot be used with");
}
