//! The audit log: listed, taken away, verified with and without the server.

use crate::run::{erp, program, run, server};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;
use tokenward_testkit::{PROGRAM_LIMIT, Ran, Server, accept, assert_contains, assert_lacks, text};

/// A server with some history, and its export.
fn history(folder: &Path) -> (Server, std::path::PathBuf) {
    let server = server();
    erp(&server);
    run(&server, "client change @erp --json --product gst").expect(0);
    run(&server, "token generate -w acme -e sandbox erp").expect(0);
    run(&server, "client disable @erp --json --yes").expect(0);
    let export = folder.join("audit.jsonl");
    run(
        &server,
        &format!("audit export --output {}", export.display()),
    )
    .expect(0);
    (server, export)
}

#[test]
fn an_export_is_verified_without_any_server() {
    let folder = tempfile::tempdir().unwrap();
    let (server, export) = history(folder.path());
    let here = run(&server, "audit verify --json").json();
    let verify = format!("audit verify --export {}", export.display());
    run(&server, &format!("{verify} --against-server")).expect(0);
    drop(server);

    let there = Ran::of(&mut program(), &format!("{verify} --json")).json();
    for member in ["ok", "head", "entries"] {
        assert_eq!(there[member], here[member], "{member}");
    }
    assert!(there["entries"].as_u64().unwrap() >= 7, "{there}");
}

#[test]
fn a_tampered_export_is_refused_at_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, export) = history(folder.path());
    let text = std::fs::read_to_string(&export).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let check = |name: &str, tampered: Vec<String>, place: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, tampered.join("\n")).unwrap();
        let verify = format!("audit verify --export {}", path.display());
        let told = Ran::of(&mut program(), &verify);
        told.refused(1, &[&format!("{name}:{place}:"), "broken"]);
    };
    let mut renamed: Vec<String> = lines.iter().map(ToString::to_string).collect();
    renamed[2] = renamed[2].replace("admin-key:", "admin-key:0");
    check("altered", renamed, "3");
    let mut cut: Vec<String> = lines.iter().map(ToString::to_string).collect();
    cut.remove(3);
    check("cut", cut, "4");
}

#[test]
fn another_servers_log_is_not_the_exported_one() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, export) = history(folder.path());
    let other = tempfile::tempdir().unwrap();
    let (stranger, _) = history(other.path());
    let verify = format!(
        "audit verify --export {} --against-server",
        export.display()
    );
    run(&stranger, &verify).refused(1, &["written anew"]);
}

#[test]
fn entries_are_listed_filtered_and_written_as_csv() {
    let folder = tempfile::tempdir().unwrap();
    let (server, export) = history(folder.path());
    let lines = std::fs::read_to_string(&export).unwrap();
    let lines = lines.lines();
    let entries = lines.map(|line| serde_json::from_str(line).expect("a JSON object a line"));
    let mut entries: Vec<Value> = entries.collect();

    let listed = run(&server, "audit list --json --after 2 --limit 3").json();
    assert_eq!(listed["items"], json!(entries[2..5]));
    let count = entries.len();
    let id = text(&run(&server, "client show @erp --json").json(), "/id");
    let about = run(&server, &format!("audit list --json --client {id}")).json();
    entries.retain(|entry| entry["client_id"] == id.as_str());
    assert_eq!(about["items"], json!(entries));
    // Create, change, generate, disable.
    assert!(entries.len() >= 4, "{entries:?}");

    let csv = run(&server, "audit export --format csv");
    let rows: Vec<&str> = csv.expect(0).split("\r\n").collect();
    assert_eq!(rows.len(), count + 1);
    assert!(rows[0].starts_with("seq,at,"), "{}", rows[0]);
    // No credential is in the log.
    assert_lacks(&csv.stdout, "tw-secret.");
    assert_lacks(&csv.stdout, "sandbox.1.");
}

#[test]
fn kept_head_finds_what_was_cut_off_or_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (server, export) = history(folder.path());
    let printed = run(&server, "audit verify");
    let printed = printed.expect(0).to_owned();
    let head = printed.rsplit_once("; head ").expect("a head").1.to_owned();
    let (seq, hash) = head.split_once(':').expect("SEQ:HASH");
    let entries: u64 = seq.parse().unwrap();
    let expected = format!("OK: {entries} entries verified; head {entries}:{hash}");
    assert_eq!(printed, expected);

    // The log goes on, and still holds the head.
    run(&server, "workspace create later").expect(0);
    let verify = |head: &str| run(&server, &format!("audit verify --head {head}"));
    verify(&head).expect(0);
    let other = format!("{seq}:{}", "0".repeat(64));
    verify(&other).refused(1, &["written anew"]);
    let missing = format!("{}:{hash}", entries + 100);
    verify(&missing).refused(1, &["later entries are missing"]);
    verify("35").refused(2, &["isn't a valid head"]);

    // An export that lacks its last entries is whole by itself, and not by the head.
    let text = std::fs::read_to_string(&export).unwrap();
    let short = folder.path().join("short.jsonl");
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&short, lines[..lines.len() - 2].join("\n")).unwrap();
    let verify = |export: &Path, more: &str| {
        let verify = format!("audit verify --export {} {more}", export.display());
        Ran::of(&mut program(), &verify)
    };
    let by = format!("--head {head}");
    verify(&short, "").expect(0);
    verify(&short, &by).refused(1, &["later entries are missing"]);
    verify(&export, &by).expect(0);
    let refused = verify(&export, &format!("--head {other}"));
    refused.refused(1, &["audit.jsonl", "written anew"]);
}

/// A stand-in for a server: it gives these answers, one a request with a connection of its own, then ends.
pub(crate) fn answering(answers: Vec<String>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = std::thread::spawn(move || {
        for answer in answers {
            let stream = accept(&listener, "the next request", PROGRAM_LIMIT);
            let deadline = stream.set_read_timeout(Some(PROGRAM_LIMIT));
            deadline.expect("a deadline");
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(stream.read_line(&mut head).unwrap() > 0, "a request");
            }
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, serving)
}

#[test]
fn verification_is_repeated_while_the_server_is_busy() {
    let server = server();
    let answer = |status: u16, body: Value| {
        let body = body.to_string();
        format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let refused = |code: &str, detail: &str| {
        let body = json!({ "title": "Busy", "code": code, "detail": detail });
        answer(429, body)
    };
    let whole = json!({ "ok": true, "entries": 7, "head": { "seq": 7, "hash": "ab" } });
    let verify = |url: &str| {
        let mut command = program();
        command.env("TOKENWARD_ADMIN_KEY", server.admin_key());
        Ran::of(&mut command, &format!("audit verify --url {url}"))
    };
    let (url, serving) = answering(vec![
        refused("BUSY", "Another verification is under way."),
        refused("BUSY", "Verified up to entry 3 of 7 so far."),
        answer(200, whole),
    ]);
    let told = verify(&url);
    assert_eq!(told.expect(0), "OK: 7 entries verified; head 7:ab");
    assert_contains(&told.stderr, "Another verification is under way.");
    assert_contains(&told.stderr, "entry 3 of 7");
    serving.join().expect("every answer was asked for");
    // Another refusal with the same status is not repeated.
    let (url, serving) = answering(vec![refused("TOO_MANY_ATTEMPTS", "Wait.")]);
    verify(&url).refused(1, &["TOO_MANY_ATTEMPTS"]);
    serving.join().expect("the one answer was asked for");
}
