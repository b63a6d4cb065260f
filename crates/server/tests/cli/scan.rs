//! Finding credentials in files, and asking the server whether they live.

use crate::run::{erp, program, run, server};
use serde_json::Value;
use std::io::Write as _;
use tokenward_testkit::{Ran, assert_contains, assert_lacks, text};

/// The finds of a scan with `--json` as file names and states, in order.
fn states(scan: &Ran) -> String {
    let lines = scan.stdout.lines();
    let lines =
        lines.map(|line| serde_json::from_str::<Value>(line).expect("a JSON object a line"));
    let finds = lines.filter(|line| line["type"] == "find").map(|line| {
        let (path, state) = (text(&line, "/path"), line["state"].as_str().unwrap_or("-"));
        format!("{} {state}", path.rsplit('/').next().unwrap_or_default())
    });
    finds.collect::<Vec<_>>().join(", ")
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

    let place = folder.path().display();
    let offline = Ran::of(&mut program(), &format!("scan --json {place}"));
    offline.expect(1);
    let finds = "a.env -, b.bin -, c.secret -, d.key -";
    assert_eq!(states(&offline), finds);

    let before = run(&server, "client show @erp --json").json();
    let online = run(&server, &format!("scan --json {place} --online"));
    online.expect(3);
    let finds = "a.env dead, b.bin live, c.secret live, d.key live";
    assert_eq!(states(&online), finds);
    let after = run(&server, "client show @erp --json").json();
    assert_eq!(
        (&before["token"], &before["secrets"]),
        (&after["token"], &after["secrets"]),
        "asking changed nothing"
    );

    run(&server, "client delete @erp --json --yes").expect(0);
    std::fs::remove_file(folder.path().join("d.key")).unwrap();
    let dead = run(&server, &format!("scan --json {place} --online"));
    dead.expect(1);
    let finds = "a.env dead, b.bin dead, c.secret dead";
    assert_eq!(states(&dead), finds);

    let plain = run(&server, &format!("scan --online {place}"));
    for shown in [&offline, &online, &dead, &plain] {
        let all = format!("{}{}", shown.stdout, shown.stderr);
        for credential in [&old, &live, &secret, &server.admin_key()] {
            // A scan must not show what it finds.
            assert_lacks(&all, &credential[credential.len() - 64..]);
        }
    }
    let found = format!("{place}/a.env:2:7: access token of client");
    assert_contains(&plain.stdout, &found);
}

#[test]
fn nothing_found_is_exit_code_0_and_a_missing_path_4() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "nothing").unwrap();
    let place = folder.path().display();
    let clean = Ran::of(&mut program(), &format!("scan {place}"));
    assert_eq!(clean.expect(0), "");
    assert_eq!(clean.stderr, "1 files, 7 bytes read, 0 found\n");
    let missing = Ran::of(&mut program(), &format!("scan {place}/missing"));
    missing.refused(4, &["missing: not read: No such file"]);
}

#[test]
fn standard_input_is_scanned_and_an_unreachable_server_is_said() {
    let server = server();
    let secret = erp(&server);
    drop(server);
    // A pipe, as behind `git log -p`.
    let (input, mut writer) = std::io::pipe().unwrap();
    writer
        .write_all(format!("line\nkey {secret}\n").as_bytes())
        .unwrap();
    drop(writer);
    let mut command = program();
    command.stdin(input);
    let line = "scan --online --url http://127.0.0.1:9 --internal-url http://127.0.0.1:9 -";
    let scan = Ran::of(&mut command, line);
    let found = scan.expect(1);
    assert!(
        found.starts_with("-:2:5: client secret of client "),
        "{found}"
    );
    assert!(found.ends_with(", sandbox, unknown"), "{found}");
    scan.refused(
        1,
        &["could not ask: no server answers at http://127.0.0.1:9"],
    );
}
