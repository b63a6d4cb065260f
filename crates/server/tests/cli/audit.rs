//! The audit log: listed, taken away, verified with and without the server.

use crate::run::{erp, on_erp, program, ran, run, server, word};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use tokenward_testkit::{PROGRAM_LIMIT, Server, accept, assert_contains};

/// A server with some history, and its export.
fn history(folder: &std::path::Path) -> (Server, std::path::PathBuf) {
    let server = server();
    erp(&server);
    on_erp(&server, "client", "change", &["--product", "gst"]).expect(0);
    run(
        &server,
        &["token", "generate", "-w", "acme", "-e", "sandbox", "erp"],
    )
    .expect(0);
    on_erp(&server, "client", "disable", &["--yes"]).expect(0);
    let export = folder.join("audit.jsonl");
    run(&server, &["audit", "export", "--output", word(&export)]).expect(0);
    (server, export)
}

#[test]
fn an_export_is_verified_without_any_server() {
    let folder = tempfile::tempdir().unwrap();
    let (server, export) = history(folder.path());
    let here = run(&server, &["audit", "verify", "--json"]).json();
    run(
        &server,
        &[
            "audit",
            "verify",
            "--export",
            word(&export),
            "--against-server",
        ],
    )
    .expect(0);
    drop(server);

    let words = ["audit", "verify", "--json", "--export", word(&export)];
    let there = ran(&mut program(), &words).json();
    assert_eq!(
        (&there["ok"], &there["head"], &there["entries"]),
        (&here["ok"], &here["head"], &here["entries"])
    );
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
        ran(
            &mut program(),
            &["audit", "verify", "--export", word(&path)],
        )
        .refused(1, &[&format!("{name}:{place}:"), "broken"]);
    };
    let mut renamed: Vec<String> = lines.iter().map(ToString::to_string).collect();
    renamed[2] = renamed[2].replace("admin-key:", "admin-key:0");
    check("altered", renamed, "3");
    let cut = lines
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != 3)
        .map(|(_, line)| line.to_string())
        .collect();
    check("cut", cut, "4");
}

#[test]
fn another_servers_log_is_not_the_exported_one() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, export) = history(folder.path());
    let other = tempfile::tempdir().unwrap();
    let (stranger, _) = history(other.path());
    let words = [
        "audit",
        "verify",
        "--export",
        word(&export),
        "--against-server",
    ];
    run(&stranger, &words).refused(1, &["written anew"]);
}

#[test]
fn entries_are_listed_filtered_and_written_as_csv() {
    let folder = tempfile::tempdir().unwrap();
    let (server, export) = history(folder.path());
    let entries: Vec<Value> = std::fs::read_to_string(&export)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect();

    let listed = run(
        &server,
        &["audit", "list", "--json", "--after", "2", "--limit", "3"],
    )
    .json();
    assert_eq!(listed["items"].as_array().unwrap()[..], entries[2..5]);
    let id = on_erp(&server, "client", "show", &[]).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let about = run(&server, &["audit", "list", "--json", "--client", &id]).json();
    let expect: Vec<&Value> = entries
        .iter()
        .filter(|entry| entry["client_id"] == id.as_str())
        .collect();
    assert_eq!(
        about["items"]
            .as_array()
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
        expect
    );
    assert!(
        expect.len() >= 4,
        "create, change, generate, disable: {expect:?}"
    );

    let csv = run(&server, &["audit", "export", "--format", "csv"]);
    let rows: Vec<&str> = csv.expect(0).split("\r\n").collect();
    assert_eq!(rows.len(), entries.len() + 1);
    assert!(rows[0].starts_with("seq,at,"), "{}", rows[0]);
    assert!(
        !csv.stdout.contains("tw-secret.") && !csv.stdout.contains("sandbox.1."),
        "no credential in the log"
    );
}

#[test]
fn kept_head_finds_what_was_cut_off_or_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (server, export) = history(folder.path());
    let printed = run(&server, &["audit", "verify"]);
    let printed = printed.expect(0).to_owned();
    let head = printed.rsplit_once("; head ").expect("a head").1.to_owned();
    assert!(printed.starts_with("OK: "), "{printed}");
    let (seq, hash) = head.split_once(':').expect("SEQ:HASH");
    let entries: u64 = seq.parse().unwrap();
    assert_eq!(
        printed,
        format!("OK: {entries} entries verified; head {entries}:{hash}")
    );

    // The log goes on, and still holds the head.
    run(&server, &["workspace", "create", "later"]).expect(0);
    run(&server, &["audit", "verify", "--head", &head]).expect(0);
    let other = format!("{seq}:{}", "0".repeat(64));
    let missing = format!("{}:{hash}", entries + 100);
    run(&server, &["audit", "verify", "--head", &other]).refused(1, &["written anew"]);
    run(&server, &["audit", "verify", "--head", &missing])
        .refused(1, &["later entries are missing"]);
    run(&server, &["audit", "verify", "--head", "35"]).refused(2, &["isn't a valid head"]);

    // An export that lacks its last entries is whole by itself, and not by the head.
    let text = std::fs::read_to_string(&export).unwrap();
    let short = folder.path().join("short.jsonl");
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&short, lines[..lines.len() - 2].join("\n")).unwrap();
    let verify = |more: &[&str]| {
        let words = ["audit", "verify", "--export", word(&short)];
        ran(&mut program(), &[&words, more].concat())
    };
    verify(&[]).expect(0);
    verify(&["--head", &head]).refused(1, &["later entries are missing"]);
    let words = ["audit", "verify", "--export", word(&export), "--head"];
    ran(&mut program(), &[&words[..], &[&head]].concat()).expect(0);
    ran(&mut program(), &[&words[..], &[&other]].concat())
        .refused(1, &["audit.jsonl", "written anew"]);
}

/// Reads one request to its end; whether there was one.
fn read_request(stream: &mut BufReader<TcpStream>) -> bool {
    let mut line = String::new();
    let mut any = false;
    while stream.read_line(&mut line).is_ok_and(|count| count > 2) {
        any = true;
        line.clear();
    }
    any
}

/// A stand-in for a server whose verification is busy: it gives these answers, one a request, then ends.
fn busy_server(answers: Vec<(u16, Value)>) -> (String, std::thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = std::thread::spawn(move || {
        let mut given = 0;
        for (status, body) in answers {
            let stream = accept(&listener, "the next request", PROGRAM_LIMIT);
            stream
                .set_read_timeout(Some(PROGRAM_LIMIT))
                .expect("a deadline");
            let mut stream = BufReader::new(stream);
            assert!(read_request(&mut stream), "a request");
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream
                .get_mut()
                .write_all(head.as_bytes())
                .expect("the answer is read");
            given += 1;
        }
        given
    });
    (url, serving)
}

#[test]
fn verification_is_repeated_while_the_server_is_busy() {
    let server = server();
    let key = server.admin_key();
    let busy = |detail: &str| {
        (
            429,
            json!({ "title": "Busy", "code": "BUSY", "detail": detail }),
        )
    };
    let whole = json!({ "ok": true, "entries": 7, "head": { "seq": 7, "hash": "ab" } });
    let verify = |url: &str| {
        let mut command = program();
        command.env("TOKENWARD_ADMIN_KEY", &key);
        ran(&mut command, &["audit", "verify", "--url", url])
    };
    let (url, serving) = busy_server(vec![
        busy("Another verification is under way."),
        busy("Verified up to entry 3 of 7 so far."),
        (200, whole),
    ]);
    let told = verify(&url);
    assert_eq!(told.expect(0), "OK: 7 entries verified; head 7:ab");
    assert_contains(&told.stderr, "Another verification is under way.");
    assert!(told.stderr.contains("entry 3 of 7"), "{told:?}");
    assert_eq!(serving.join().expect("every answer was asked for"), 3);
    // Another refusal with the same status is not repeated.
    let (url, serving) = busy_server(vec![(
        429,
        json!({ "title": "Wait", "code": "TOO_MANY_ATTEMPTS" }),
    )]);
    verify(&url).refused(1, &["TOO_MANY_ATTEMPTS"]);
    assert_eq!(serving.join().expect("the one answer was asked for"), 1);
}
