//! What goes wrong is said in a sentence, and by the exit code.

use crate::run::{at, program, ran, run, server, words};
use serde_json::Value;
use tokenward_testkit::{PROGRAM_LIMIT, accept, assert_contains, finish};

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
    assert_contains(run(&server, &["workspace", "list"]).expect(0), "acme");
}

#[test]
fn server_at_the_address_that_is_not_the_admin_api_is_named() {
    let server = server();
    let internal = ["workspace", "list", "--url", server.internal()];
    run(&server, &internal).refused(
        1,
        &[
            "the admin API is not served there",
            "internal listener",
            "--url",
        ],
    );
    // A gateway or another server answers with a page of its own.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().unwrap());
    let page = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let mut stream = accept(&listener, "the command's connection", PROGRAM_LIMIT);
        stream
            .set_read_timeout(Some(PROGRAM_LIMIT))
            .expect("a deadline");
        let mut head = [0; 4_096];
        let _ = stream.read(&mut head);
        let page =
            "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
        stream.write_all(page.as_bytes()).expect("an answer");
    });
    run(&server, &["workspace", "list", "--url", &url])
        .refused(1, &["answered 502, but not as Tokenward's admin API"]);
    page.join().unwrap();
}

#[test]
fn client_named_by_its_label_alone_is_told_what_to_add() {
    let server = server();
    let none = run(&server, &["client", "show", "erp"]);
    none.refused(2, &["add --workspace and --environment", "client list"]);
    assert!(!none.stderr.contains("--data-dir"), "{none:?}");
    run(&server, &["client", "show", "erp", "-w", "acme"]).refused(2, &["add --environment"]);
}

#[test]
fn json_is_understood_before_and_after_the_command() {
    let server = server();
    for words in [
        &["--json", "status"][..],
        &["status", "--json"],
        &["--json", "workspace", "list"],
        &["workspace", "--json", "list"],
    ] {
        run(&server, words).json();
    }
    let told = run(
        &server,
        &words("--json client show 00000000-0000-4000-8000-000000000000"),
    );
    let problem: Value = serde_json::from_str(&told.stderr).expect("a problem document");
    assert_eq!(problem["status"], 404);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let backed = ran(
        &mut at(&server),
        &["--json", "backup", copy.to_str().unwrap()],
    )
    .json();
    assert!(backed["audit_hash"].is_string(), "{backed}");
}

#[test]
fn empty_variables_are_unset() {
    let server = server();
    let mut command = at(&server);
    for name in ["URL", "CA_FILE", "ADMIN_KEY", "ADMIN_KEY_FILE"] {
        command.env(format!("TOKENWARD_{name}"), " ");
    }
    ran(&mut command, &["workspace", "list"]).expect(0);
}

#[test]
fn key_file_that_others_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = server();
    let file = server.data_dir().join("admin-key");
    assert_eq!(run(&server, &["workspace", "list"]).stderr, "");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = run(&server, &["workspace", "list"]);
    told.expect(0);
    assert!(
        told.stderr
            .contains("admin-key: every user of this machine can read it"),
        "{told:?}"
    );
}

#[test]
fn completions_and_manual_pages_come_from_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = ran(&mut program(), &["completions", shell]);
        assert!(script.expect(0).contains("admin-key"), "{shell}");
    }
    let bash = ran(&mut program(), &["completions", "bash"]);
    let mut syntax = std::process::Command::new("bash");
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("completions");
    std::fs::write(&script, &bash.stdout).unwrap();
    assert!(
        finish(syntax.arg("-n").arg(&script), PROGRAM_LIMIT)
            .status
            .success()
    );
    ran(&mut program(), &["man", folder.path().to_str().unwrap()]).expect(0);
    let page = std::fs::read_to_string(folder.path().join("tokenward-client-create.1")).unwrap();
    assert!(page.contains("secret\\-file"), "{page}");
    ran(&mut program(), &["man", "/no/such/folder"]).refused(1, &["/no/such/folder"]);
}

#[test]
fn reader_that_goes_away_ends_the_server_commands_quietly() {
    let server = server();
    for words in [
        &["completions", "bash"][..],
        &[
            "config",
            "check",
            "--public=127.0.0.1:0",
            "--internal=127.0.0.1:0",
        ],
        &["digest-key", "list"],
        &["workspace", "list"],
    ] {
        let mut command = at(&server);
        command
            .args(words)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        drop(child.stdout.take());
        let ended = tokenward_testkit::finish_child(child, "tokenward", PROGRAM_LIMIT);
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(
            !told.contains("panicked") && !told.contains("Broken pipe"),
            "{words:?}: {told}"
        );
        assert_ne!(ended.status.code(), Some(101), "{words:?}: {told}");
    }
}
