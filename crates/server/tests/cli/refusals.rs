//! What goes wrong is said in a sentence, and by the exit code.

use crate::audit::answering;
use crate::run::{at, program, run, server};
use serde_json::Value;
use tokenward_testkit::{
    PROGRAM_LIMIT, Ran, Server, assert_contains, assert_lacks, change_mode, finish, finish_child,
    free_port, words,
};

/// The problem document on standard error.
fn problem(ran: &Ran) -> Value {
    ran.expect(1);
    serde_json::from_str(&ran.stderr).expect("a problem document")
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let server = server();
    for line in [
        "workspace",
        "client show erp",
        "client show erp --workspace acme",
        "client create -w acme -e staging x",
        "client change -w acme -e sandbox erp",
        "product put 'Not A Slug' x",
        "token generate",
        "audit verify --against-server",
        "scan",
    ] {
        let told = run(&server, line);
        assert_eq!((told.code, &*told.stdout), (2, ""), "{line}: {told:?}");
        assert!(!told.stderr.is_empty(), "{line}");
    }
}

#[test]
fn a_refusal_shows_the_servers_problem() {
    let server = server();
    run(&server, "client create @erp").expect(0);
    let told = run(&server, "client create @erp");
    told.refused(1, &["error: ", "status    409", "code      "]);

    let problem = problem(&run(&server, "client create @erp --json"));
    assert_eq!(problem["status"], 409, "{problem}");
    assert!(problem["code"].is_string() && problem["title"].is_string());

    let told = run(&server, "client show 00000000-0000-4000-8000-000000000000");
    told.refused(1, &["status    404"]);
}

#[test]
fn without_a_server_the_command_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let server = server();
    let key = folder.path().join("key");
    std::fs::write(&key, server.admin_key()).unwrap();
    let url = format!("http://127.0.0.1:{}", free_port());
    let list = format!("workspace list --url {url}");
    let told = Ran::of(program().env("TOKENWARD_ADMIN_KEY_FILE", &key), &list);
    told.refused(1, &["no server answers at", &url, "--data-dir"]);

    let told = Ran::of(&mut program(), &list);
    told.refused(1, &["no admin key", "--admin-key-file"]);
}

#[test]
fn a_key_is_not_sent_in_the_clear_to_another_machine() {
    let server = server();
    // 192.0.2.0/24 is nobody's (RFC 5737): a connection would hang until its limit.
    let told = run(&server, "workspace list --url http://192.0.2.1:8080");
    told.refused(1, &["plain http", "--insecure-http"]);
}

#[test]
fn a_default_data_directory_beside_us_is_enough() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("tokenward-data");
    let server = Server::builder().data_dir(&data).start();
    Ran::of(program().current_dir(home.path()), "workspace create acme").expect(0);
    run(&server, "workspace list").says("acme");
}

#[test]
fn server_at_the_address_that_is_not_the_admin_api_is_named() {
    let server = server();
    let list = |url: &str| run(&server, &format!("workspace list --url {url}"));
    let told = list(server.internal());
    told.refused(
        1,
        &[
            "the admin API is not served there",
            "internal listener",
            "--url",
        ],
    );
    // A gateway or another server answers with a page of its own.
    let page = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
    let (url, answering) = answering(vec![page.to_owned()]);
    list(&url).refused(1, &["answered 502, but not as Tokenward's admin API"]);
    answering.join().unwrap();
}

#[test]
fn client_named_by_its_label_alone_is_told_what_to_add() {
    let server = server();
    let none = run(&server, "client show erp");
    none.refused(2, &["add --workspace and --environment", "client list"]);
    assert_lacks(&none.stderr, "--data-dir");
    run(&server, "client show erp -w acme").refused(2, &["add --environment"]);
}

#[test]
fn json_is_understood_before_and_after_the_command() {
    let server = server();
    for line in [
        "--json status",
        "status --json",
        "--json workspace list",
        "workspace --json list",
    ] {
        let _ = run(&server, line).json();
    }
    let told = run(
        &server,
        "--json client show 00000000-0000-4000-8000-000000000000",
    );
    assert_eq!(problem(&told)["status"], 404);
    let folder = tempfile::tempdir().unwrap();
    let backup = format!("--json backup {}/copy", folder.path().display());
    let backed = run(&server, &backup).json();
    assert!(backed["audit_hash"].is_string(), "{backed}");
}

#[test]
fn empty_variables_are_unset() {
    let server = server();
    let mut command = at(&server);
    for name in ["URL", "CA_FILE", "ADMIN_KEY", "ADMIN_KEY_FILE"] {
        command.env(format!("TOKENWARD_{name}"), " ");
    }
    Ran::of(&mut command, "workspace list").expect(0);
}

#[test]
fn key_file_that_others_may_read_is_warned_of() {
    let server = server();
    assert_eq!(run(&server, "workspace list").stderr, "");
    change_mode(&server.data_dir().join("admin-key"), 0o644);
    let told = run(&server, "workspace list");
    told.warns("admin-key: every user of this machine can read it");
}

#[test]
fn completions_and_manual_pages_come_from_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        Ran::of(&mut program(), &format!("completions {shell}")).says("admin-key");
    }
    let bash = Ran::of(&mut program(), "completions bash");
    let mut syntax = std::process::Command::new("bash");
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("completions");
    std::fs::write(&script, &bash.stdout).unwrap();
    let checked = finish(syntax.arg("-n").arg(&script), PROGRAM_LIMIT);
    assert!(checked.status.success());
    let place = folder.path().display();
    Ran::of(&mut program(), &format!("man {place}")).expect(0);
    let page = std::fs::read_to_string(folder.path().join("tokenward-client-create.1")).unwrap();
    assert_contains(&page, "secret\\-file");
    Ran::of(&mut program(), "man /no/such/folder").refused(1, &["/no/such/folder"]);
}

#[test]
fn reader_that_goes_away_ends_the_server_commands_quietly() {
    let server = server();
    for line in [
        "completions bash",
        "config check --public=127.0.0.1:0 --internal=127.0.0.1:0",
        "digest-key list",
        "workspace list",
    ] {
        let mut command = at(&server);
        command
            .args(words(line))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        drop(child.stdout.take());
        let ended = finish_child(child, "tokenward", PROGRAM_LIMIT);
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_lacks(&told, "panicked");
        assert_lacks(&told, "Broken pipe");
        assert_ne!(ended.status.code(), Some(101), "{line}: {told}");
    }
}
