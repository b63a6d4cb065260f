//! TLS on the public listener, and a new certificate without a restart.

use crate::connections::limited;
use crate::house::LIMIT;
use reqwest::{Certificate, Client};
use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::Duration;
use tempfile::TempDir;
use tokenward_testkit::{SelfSigned, Server, Signal, connect, http, wait_until};

/// A new certificate for this machine, written where the server reads it.
fn certify(folder: &TempDir) -> SelfSigned {
    SelfSigned::new(folder.path(), &["localhost", "127.0.0.1"])
}

/// A caller who trusts this certificate alone.
fn trusting(trusted: &SelfSigned) -> Client {
    let certificate = Certificate::from_pem(trusted.pem.as_bytes()).unwrap();
    let builder = http().timeout(Duration::from_secs(10));
    builder.tls_certs_only([certificate]).build().unwrap()
}

/// Whether a caller who trusts this certificate alone is answered, over a new connection.
async fn answered(server: &Server, trusted: &SelfSigned) -> bool {
    let address = format!("{}/integration/v1/authz/token", server.public());
    let answer = trusting(trusted).get(address).send().await;
    answer.is_ok_and(|answer| answer.status() == 401)
}

#[tokio::test]
async fn a_server_with_tls_of_its_own_says_that_it_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let own = certify(&folder);
    let server = Server::builder().args(&own.arguments("public")).start();
    let client = trusting(&own);
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
    let own = certify(&folder);
    let builder = limited(folder.path(), 200, 200).args(&own.arguments("public"));
    let server = builder.arg("--public-connections-per-source=100").start();
    // All 100 places, each with a handshake that never begins. They are given up together after ten seconds; until
    // then a new caller takes the place of one of them.
    let silent = (0..100).map(|_| connect(server.public()));
    let mut silent: Vec<TcpStream> = silent.collect();
    assert!(answered(&server, &own).await);
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
    let first = certify(&folder);
    let server = Server::builder().args(&first.arguments("public")).start();
    assert!(server.public().starts_with("https://"));
    assert!(answered(&server, &first).await);
    // Without TLS it says nothing.
    let plain = server.public().replace("https", "http");
    assert!(http().build().unwrap().get(plain).send().await.is_err());

    let second = certify(&folder);
    until_answered(&server, &second).await;
    assert!(!answered(&server, &first).await);
    let told = |words: &str| server.output().matches(words).count();
    assert_eq!(told("certificate reloaded"), 1);

    let broken = "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n";
    std::fs::write(&first.certificate, broken).unwrap();
    wait_until("the broken one to be found", LIMIT, || {
        told("keeping the current certificate") == 1
    });
    assert!(answered(&server, &second).await);
    // SIGHUP reads the files whether they have changed or not.
    server.signal(Signal::HUP);
    wait_until("the answer to SIGHUP", LIMIT, || {
        told("keeping the current certificate") == 2
    });
    let third = certify(&folder);
    server.signal(Signal::HUP);
    until_answered(&server, &third).await;
}

/// Waits until a caller who trusts this certificate alone is answered.
async fn until_answered(server: &Server, trusted: &SelfSigned) {
    let asking = async { while !answered(server, trusted).await {} };
    let taken = tokio::time::timeout(LIMIT, asking).await;
    assert!(
        taken.is_ok(),
        "the new certificate is not taken:\n{}",
        server.output()
    );
}

#[test]
fn a_start_without_a_usable_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let own = certify(&folder);
    std::fs::remove_file(&own.certificate).unwrap();
    let builder = Server::builder().args(&own.arguments("public"));
    builder.refused(&["cert.pem"]);
}
