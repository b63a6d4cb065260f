//! Finding credentials in files, and asking the server whether they live.

use crate::run::{Ran, at, erp, on_erp, program, ran, run, server, word, words};
use serde_json::Value;
use std::io::Write as _;
use std::process::Stdio;

/// The finds of a scan with `--json`, as file name and state, in order.
fn states(scan: &Ran) -> Vec<(String, String)> {
    let lines = scan
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a JSON object a line"));
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    lines
        .filter(|line| line["type"] == "find")
        .map(|line| {
            (
                text(&line["path"])
                    .rsplit('/')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
                text(&line["state"]),
            )
        })
        .collect()
}

fn pairs(expect: &[(&str, &str)]) -> Vec<(String, String)> {
    expect
        .iter()
        .map(|(name, state)| ((*name).to_owned(), (*state).to_owned()))
        .collect()
}

#[tokio::test]
async fn what_lives_is_told_from_what_is_dead() {
    let server = server();
    let secret = erp(&server);
    let api = server.api();
    let old = api.generate(&secret).await.unwrap().token().access_token;
    let live = api.generate(&secret).await.unwrap().token().access_token;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.env", &format!("# settings\nTOKEN={old}\n"));
    write("b.bin", &format!("\0\u{1}{live}\0"));
    write("c.secret", &secret);
    write("d.key", &server.admin_key());
    write("e.txt", "nothing to see: 1.0, tw-secret.sandbox.");

    let words = ["scan", "--json", word(folder.path())];
    let offline = ran(&mut program(), &words);
    offline.expect(1);
    assert_eq!(
        states(&offline),
        pairs(&[
            ("a.env", "-"),
            ("b.bin", "-"),
            ("c.secret", "-"),
            ("d.key", "-")
        ])
    );

    let before = on_erp(&server, "client", "show", &[]).json();
    let online = ran(&mut at(&server), &[&words[..], &["--online"]].concat());
    online.expect(3);
    assert_eq!(
        states(&online),
        pairs(&[
            ("a.env", "dead"),
            ("b.bin", "live"),
            ("c.secret", "live"),
            ("d.key", "live")
        ])
    );
    let after = on_erp(&server, "client", "show", &[]).json();
    assert_eq!(
        (&before["token"], &before["secrets"]),
        (&after["token"], &after["secrets"]),
        "asking changed nothing"
    );

    on_erp(&server, "client", "delete", &["--yes"]).expect(0);
    std::fs::remove_file(folder.path().join("d.key")).unwrap();
    let dead = ran(&mut at(&server), &[&words[..], &["--online"]].concat());
    dead.expect(1);
    assert_eq!(
        states(&dead),
        pairs(&[("a.env", "dead"), ("b.bin", "dead"), ("c.secret", "dead")])
    );

    let text = run(&server, &["scan", "--online", word(folder.path())]);
    for shown in [&offline, &online, &dead, &text] {
        let all = format!("{}{}", shown.stdout, shown.stderr);
        for credential in [&old, &live, &secret, &server.admin_key()] {
            assert!(
                !all.contains(&credential[credential.len() - 64..]),
                "a scan must not show what it finds: {all}"
            );
        }
    }
    let place = format!(
        "{}:2:7: access token of client",
        folder.path().join("a.env").display()
    );
    assert!(text.stdout.contains(&place), "{text:?}");
}

#[test]
fn nothing_found_is_exit_code_0_and_a_missing_path_4() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "nothing").unwrap();
    let clean = ran(&mut program(), &["scan", word(folder.path())]);
    assert_eq!(
        (clean.expect(0), clean.stderr.as_str()),
        ("", "1 files, 7 bytes read, 0 found\n")
    );
    let missing = folder.path().join("missing");
    ran(&mut program(), &["scan", word(&missing)]).refused(4, &["missing: not read: No such file"]);
}

#[test]
fn standard_input_is_scanned_and_an_unreachable_server_is_said() {
    let server = server();
    let secret = erp(&server);
    drop(server);
    let mut child = program()
        .args(words(
            "scan --online --url http://127.0.0.1:9 --internal-url http://127.0.0.1:9 -",
        ))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(format!("line\nkey {secret}\n").as_bytes())
        .unwrap();
    let output =
        tokenward_testkit::finish_child(child, "tokenward scan", tokenward_testkit::PROGRAM_LIMIT);
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(1), "{stdout} {stderr}");
    assert!(
        stdout.starts_with("-:2:5: client secret of client ")
            && stdout.ends_with(", sandbox, unknown\n"),
        "{stdout}"
    );
    assert!(
        stderr.contains("could not ask: no server answers at http://127.0.0.1:9"),
        "{stderr}"
    );
}
