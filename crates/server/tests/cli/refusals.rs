//! What goes wrong is said in a sentence, and by the exit code.

use crate::run::{program, ran, run, server};
use serde_json::Value;

/// No port that anybody listens on: this machine gives it out for nothing but a moment.
fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let server = server();
    for words in [
        &["workspace"][..],
        &["client", "show", "erp"],
        &["client", "show", "erp", "--workspace", "acme"],
        &["client", "create", "-w", "acme", "-e", "staging", "x"],
        &["client", "change", "-w", "acme", "-e", "sandbox", "erp"],
        &["product", "put", "Not A Slug", "x"],
        &["token", "generate"],
        &["audit", "verify", "--against-server"],
        &["scan"],
    ] {
        let told = run(&server, words);
        assert_eq!(told.code, 2, "{words:?}: {told:?}");
        assert!(
            !told.stderr.is_empty() && told.stdout.is_empty(),
            "{words:?}: {told:?}"
        );
    }
}

#[test]
fn a_refusal_shows_the_servers_problem() {
    let server = server();
    run(
        &server,
        &["client", "create", "-w", "acme", "-e", "sandbox", "erp"],
    )
    .expect(0);
    let words = ["client", "create", "-w", "acme", "-e", "sandbox", "erp"];
    run(&server, &words).refused(1, &["error: ", "status    409", "code      "]);

    let told = run(&server, &[&words[..], &["--json"]].concat());
    told.expect(1);
    let problem: Value = serde_json::from_str(&told.stderr).expect("a problem document");
    assert_eq!(problem["status"], 409, "{problem}");
    assert!(
        problem["code"].is_string() && problem["title"].is_string(),
        "{problem}"
    );

    run(
        &server,
        &["client", "show", "00000000-0000-4000-8000-000000000000"],
    )
    .refused(1, &["status    404"]);
}

#[test]
fn without_a_server_the_command_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let server = server();
    let key = folder.path().join("key");
    std::fs::write(&key, server.admin_key()).unwrap();
    let url = format!("http://127.0.0.1:{}", closed_port());
    let mut command = program();
    command.env("TOKENWARD_ADMIN_KEY_FILE", &key);
    ran(&mut command, &["workspace", "list", "--url", &url])
        .refused(1, &["no server answers at", &url, "--data-dir"]);

    ran(&mut program(), &["workspace", "list", "--url", &url])
        .refused(1, &["no admin key", "--admin-key-file"]);
}

#[test]
fn a_key_is_not_sent_in_the_clear_to_another_machine() {
    let server = server();
    // 192.0.2.0/24 is nobody's (RFC 5737): a connection would hang until its limit.
    let words = ["workspace", "list", "--url", "http://192.0.2.1:8080"];
    run(&server, &words).refused(1, &["plain http", "--insecure-http"]);
}

#[test]
fn a_default_data_directory_beside_us_is_enough() {
    let home = tempfile::tempdir().unwrap();
    let server = tokenward_testkit::Server::builder()
        .data_dir(&home.path().join("tokenward-data"))
        .start();
    let mut command = program();
    command.current_dir(home.path());
    ran(&mut command, &["workspace", "create", "acme"]).expect(0);
    assert!(
        run(&server, &["workspace", "list"])
            .expect(0)
            .contains("acme")
    );
}
