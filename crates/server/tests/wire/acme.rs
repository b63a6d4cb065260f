//! Certificates of the public listener by ACME, from a real ACME server.

use reqwest::{Certificate, Client, Method};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokenward_testkit::{
    Authority, Pebble, Server, ServerBuilder, assert_contains_all, change_mode, expect_status,
    free_port, http, mode_of, wait_until,
};

/// Longer than an order takes after some failed ones.
const ORDER_LIMIT: Duration = Duration::from_secs(120);

/// The authority of an ACME server's own certificate, and the file of its certificate.
fn authority() -> (TempDir, Authority, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("an ACME server's own");
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    (folder, authority, file)
}

/// A server that orders a certificate for `localhost`; its public port.
fn ordering(directory: &str, authority: &Path, port: u16) -> ServerBuilder {
    Server::builder()
        .public(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .arg("--acme-domain=localhost")
        .arg("--acme-contact=ops@example.com")
        .env("TOKENWARD_ACME_ACCEPT_TERMS", "true")
        .arg(&format!("--acme-directory={directory}"))
        .arg(&format!("--acme-authority={}", authority.display()))
}

/// A client that trusts this certificate alone.
fn trusting(pem: &str) -> Client {
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    // Each request shows the certificate in use.
    let builder = http().pool_max_idle_per_host(0).http1_only();
    builder.tls_certs_only([certificate]).build().unwrap()
}

/// A client that trusts what pebble issues.
async fn trusting_issued(pebble: &Pebble, authority: &Authority) -> Client {
    let client = trusting(authority.pem());
    let answer = client.get(pebble.root_url()).send().await.unwrap();
    trusting(&answer.text().await.unwrap())
}

/// The status of the sign-in page over a new connection to `localhost`.
async fn status(client: &Client, port: u16) -> Result<u16, reqwest::Error> {
    let address = format!("https://localhost:{port}/console/sign-in");
    let answer = client.get(address).send();
    answer.await.map(|answer| answer.status().as_u16())
}

/// The end of the public listener's certificate among the metrics.
async fn end_in_metrics(server: &Server) -> Option<f64> {
    let series = "tokenward_certificate_expiry_timestamp_seconds{listener=\"public\"}";
    server.api().figure(series).await
}

fn until_said(server: &Server, words: &str) {
    wait_until(words, ORDER_LIMIT, || server.output().contains(words));
}

#[tokio::test]
async fn acme_certificate_is_issued_and_kept_for_the_next_start() {
    let (_folder, authority, file) = authority();
    let port = free_port();
    let mut pebble = Pebble::start(free_port(), port, &authority);
    let mut server = ordering(pebble.directory(), &file, port).start();
    until_said(&server, "certificate kept in the data directory");
    let client = trusting_issued(&pebble, &authority).await;
    assert_eq!(status(&client, port).await.unwrap(), 200);
    assert!(status(&trusting(authority.pem()), port).await.is_err());
    let end = end_in_metrics(&server).await.unwrap();
    assert!(end > 1_790_000_000.0, "{end}");

    let kept = server.data_dir().join("acme");
    assert_eq!(mode_of(&kept), 0o700);
    let files: Vec<_> = std::fs::read_dir(&kept).unwrap().collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        assert_eq!(mode_of(&file.unwrap().path()), 0o600);
    }

    // Without an ACME server nothing could be issued again.
    pebble.kill9();
    assert!(server.terminate().success());
    server.restart();
    assert_eq!(status(&client, port).await.unwrap(), 200);
    assert_eq!(end_in_metrics(&server).await, Some(end));
    let said = server.output();
    assert_eq!(said.matches("certificate issued").count(), 1, "{said}");
    assert!(!said.contains("no certificate from"), "{said}");
}

#[tokio::test]
async fn server_starts_without_the_acme_server_and_goes_on_trying() {
    let (_folder, authority, file) = authority();
    let (port, acme_port) = (free_port(), free_port());
    let server = ordering(&Pebble::directory_at(acme_port), &file, port).start();
    assert!(server.output().contains("waiting for a certificate"));
    until_said(&server, "no certificate from the ACME server");
    let said = server.output();
    let line = said.lines().find(|line| line.contains("no certificate"));
    let line = line.unwrap();
    assert_contains_all(
        line,
        &["WARN", "localhost", "refused", "next attempt is in 1 s"],
    );
    let ready = server.api().internal(Method::GET, "/health/ready");
    expect_status(server.api().send(ready), 200).await;
    assert!(status(&trusting(authority.pem()), port).await.is_err());
    assert_eq!(end_in_metrics(&server).await, None);

    let pebble = Pebble::start(acme_port, port, &authority);
    until_said(&server, "certificate issued");
    let client = trusting_issued(&pebble, &authority).await;
    assert_eq!(status(&client, port).await.unwrap(), 200);
}

#[tokio::test]
async fn certificate_is_renewed_when_a_third_of_its_time_is_left() {
    let (_folder, authority, file) = authority();
    let port = free_port();
    let pebble = Pebble::issuing(30, free_port(), port, &authority);
    let server = ordering(pebble.directory(), &file, port).start();
    until_said(&server, "certificate kept in the data directory");
    let client = trusting_issued(&pebble, &authority).await;
    assert_eq!(status(&client, port).await.unwrap(), 200);
    let end = end_in_metrics(&server).await.unwrap();
    wait_until("the renewal", ORDER_LIMIT, || {
        let kept = "certificate kept in the data directory";
        server.output().matches(kept).count() == 2
    });
    assert_eq!(status(&client, port).await.unwrap(), 200);
    let renewed = end_in_metrics(&server).await.unwrap();
    assert!(
        (end + 15.0..end + 30.0).contains(&renewed),
        "{end} {renewed}"
    );
    assert!(!server.output().contains("no certificate from"));
}

#[tokio::test]
async fn domain_that_leads_elsewhere_gets_no_certificate_and_the_log_says_why() {
    let (_folder, authority, file) = authority();
    let port = free_port();
    // It validates at a port on which no process listens.
    let pebble = Pebble::start(free_port(), free_port(), &authority);
    let server = ordering(pebble.directory(), &file, port).start();
    until_said(&server, "the validation of localhost failed: ");
    assert!(!server.output().contains("certificate issued"));
    let client = trusting_issued(&pebble, &authority).await;
    assert!(status(&client, port).await.is_err());
}

#[test]
fn start_is_refused_without_the_terms_and_with_a_folder_that_others_enter() {
    let (folder, _, file) = authority();
    let directory = Pebble::directory_at(free_port());
    let terms = ordering(&directory, &file, free_port()).arg("--acme-accept-terms=false");
    terms.refused(&["acme_accept_terms"]);

    let missing = ordering(&directory, &folder.path().join("none.pem"), free_port());
    missing.refused(&["acme_authority"]);

    let data = folder.path().join("data");
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    change_mode(&elsewhere, 0o700);
    std::os::unix::fs::symlink(&elsewhere, data.join("acme")).unwrap();
    let linked = ordering(&directory, &file, free_port()).data_dir(&data);
    linked.refused(&["holds private keys"]);

    std::fs::remove_file(data.join("acme")).unwrap();
    std::fs::create_dir(data.join("acme")).unwrap();
    change_mode(&data.join("acme"), 0o750);
    let open = ordering(&directory, &file, free_port()).data_dir(&data);
    open.refused(&["chmod 700"]);
}
