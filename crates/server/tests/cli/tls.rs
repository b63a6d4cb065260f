//! A server behind a certificate of the operator's own making.

use crate::run::{run, word};
use tokenward_testkit::Server;

#[test]
fn a_certificate_nobody_knows_is_refused_until_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let server = Server::builder()
        .arg("--public-tls-certificate")
        .arg(word(&certificate))
        .arg("--public-tls-key")
        .arg(word(&key))
        .start();
    assert!(
        server.public().starts_with("https://"),
        "{}",
        server.public()
    );

    let told = run(&server, &["workspace", "list"]);
    told.refused(1, &["is not accepted (UnknownIssuer)", "--ca-file"]);
    assert!(
        !told.stderr.contains("tokenward serve"),
        "it runs: {told:?}"
    );
    run(
        &server,
        &["workspace", "list", "--ca-file", word(&certificate)],
    )
    .expect(0);
    run(&server, &["workspace", "list", "--ca-file", word(&key)]).refused(1, &["no certificate"]);
}
