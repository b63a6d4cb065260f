//! TLS on the public listener, and a new certificate without a restart.

use crate::house::LIMIT;
use reqwest::{Certificate, Client};
use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tokenward_testkit::{Server, wait_until};

/// A new certificate for this machine, written where the server reads it; what a caller trusts then.
fn certify(certificate: &Path, key: &Path) -> Certificate {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(certificate, made.cert.pem()).unwrap();
    std::fs::write(key, made.signing_key.serialize_pem()).unwrap();
    Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
}

/// Whether a caller who trusts this certificate alone is answered, over a new connection.
async fn answered(server: &Server, trusted: &Certificate) -> bool {
    let builder = Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10));
    let client = builder.tls_certs_only([trusted.clone()]).build().unwrap();
    let address = format!("{}/integration/v1/authz/token", server.public());
    client
        .get(address)
        .send()
        .await
        .is_ok_and(|answer| answer.status() == 401)
}

#[tokio::test]
async fn a_server_with_tls_of_its_own_says_that_it_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let trusted = certify(&file("cert.pem"), &file("key.pem"));
    let server = Server::builder()
        .arg("--public-tls-certificate")
        .arg(file("cert.pem").to_str().unwrap())
        .arg("--public-tls-key")
        .arg(file("key.pem").to_str().unwrap())
        .start();
    let builder = Client::builder().no_proxy().timeout(LIMIT);
    let client = builder.tls_certs_only([trusted]).build().unwrap();
    for path in ["/console/sign-in", "/integration/v1/authz/token"] {
        let address = format!("{}{path}", server.public());
        let answer = client.get(address).send().await.unwrap();
        // HTTP/2, where there is no Host header.
        assert_ne!(answer.status(), 400);
        let says = &answer.headers()["strict-transport-security"];
        assert_eq!(says, "max-age=31536000");
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_makes_room_for_another_caller() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let trusted = certify(&file("cert.pem"), &file("key.pem"));
    let program = file("limited");
    let binary = env!("CARGO_BIN_EXE_tokenward");
    let script = format!("#!/bin/sh\nexec prlimit --nofile=200:200 {binary} \"$@\"\n");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let server = Server::builder()
        .binary(&program)
        .arg("--public-connections-per-source=100")
        .arg("--public-tls-certificate")
        .arg(file("cert.pem").to_str().unwrap())
        .arg("--public-tls-key")
        .arg(file("key.pem").to_str().unwrap())
        .start();
    let address = server.public().strip_prefix("https://").unwrap();
    // All 100 places, each with a handshake that never begins. They are given up together after ten seconds; until
    // then a new caller takes the place of one of them.
    let mut silent: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    assert!(answered(&server, &trusted).await);
    let open = silent.iter_mut().map(|stream| {
        stream.set_nonblocking(true).unwrap();
        let read = stream.read(&mut [0; 1]);
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    });
    assert!(open.filter(|open| *open).count() >= 90);
}

#[tokio::test]
async fn a_new_certificate_is_taken_by_itself_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let first = certify(&certificate, &key);
    let server = Server::builder()
        .arg("--public-tls-certificate")
        .arg(certificate.to_str().unwrap())
        .arg("--public-tls-key")
        .arg(key.to_str().unwrap())
        .start();
    assert!(server.public().starts_with("https://"));
    assert!(answered(&server, &first).await);
    // Without TLS it says nothing.
    let plain = server.public().replace("https", "http");
    let client = tokenward_testkit::http().build().unwrap();
    assert!(client.get(plain).send().await.is_err());

    let second = certify(&certificate, &key);
    until_answered(&server, &second).await;
    assert!(!answered(&server, &first).await);
    let told = |words: &str| server.output().matches(words).count();
    assert_eq!(told("certificate reloaded"), 1);

    let broken = "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n";
    std::fs::write(&certificate, broken).unwrap();
    wait_until("the broken one to be found", LIMIT, || {
        told("keeping the current certificate") == 1
    });
    assert!(answered(&server, &second).await);
    // SIGHUP reads the files whether they have changed or not.
    server.hang_up();
    wait_until("the answer to SIGHUP", LIMIT, || {
        told("keeping the current certificate") == 2
    });
    let third = certify(&certificate, &key);
    server.hang_up();
    until_answered(&server, &third).await;
}

/// Waits until a caller who trusts this certificate alone is answered.
async fn until_answered(server: &Server, trusted: &Certificate) {
    for _ in 0..LIMIT.as_secs() * 4 {
        if answered(server, trusted).await {
            return;
        }
        let pause = tokio::time::timeout(Duration::from_millis(250), std::future::pending::<()>());
        let _ = pause.await;
    }
    panic!("the new certificate is not taken:\n{}", server.output());
}

#[test]
fn a_start_without_a_usable_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.pem");
    let refused = Server::builder()
        .arg("--public-tls-certificate")
        .arg(missing.to_str().unwrap())
        .arg("--public-tls-key")
        .arg(missing.to_str().unwrap())
        .try_start()
        .unwrap_err();
    assert!(
        !refused.status.success() && refused.output.contains("none.pem"),
        "{refused}"
    );
}
