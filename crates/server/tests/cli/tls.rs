//! A server behind a certificate of the operator's own making.

use crate::run::run;
use tokenward_testkit::{SelfSigned, Server, assert_lacks};

#[test]
fn a_certificate_nobody_knows_is_refused_until_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let own = SelfSigned::new(folder.path(), &["127.0.0.1"]);
    let server = Server::builder().args(&own.arguments("public")).start();
    assert!(server.public().starts_with("https://"));

    let told = run(&server, "workspace list");
    told.refused(1, &["is not accepted (UnknownIssuer)", "--ca-file"]);
    // It runs.
    assert_lacks(&told.stderr, "tokenward serve");
    let trusting = |file: &std::path::Path| {
        let line = format!("workspace list --ca-file {}", file.display());
        run(&server, &line)
    };
    trusting(&own.certificate).expect(0);
    trusting(&own.key).refused(1, &["no certificate"]);
}
