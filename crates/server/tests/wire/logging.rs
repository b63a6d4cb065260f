//! What the log tells at its default level, what it never holds, and that nobody waits for whoever reads it; and what
//! a start does before it has a store.

use crate::check::forge;
use crate::house::{House, LIMIT};
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tokenward_testkit::{
    NewClient, PROGRAM_LIMIT, Server, accept, assert_contains, assert_contains_all, assert_lacks,
    change_mode, exchange, expect_json, expect_status, status_of, text, wait_until,
    write_with_mode,
};

/// A server by hand, for what the test kit's can't do; killed with the value.
struct ByHand(Child);

impl ByHand {
    fn start(data_dir: &Path, more: &[&str], stderr: Stdio) -> ByHand {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
        command.arg("serve").arg("--data-dir").arg(data_dir);
        command.args(["--public", "127.0.0.1:0", "--internal", "127.0.0.1:0"]);
        command.args(more).stdin(Stdio::null()).stderr(stderr);
        ByHand(command.spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.0.id().cast_signed()).unwrap();
        kill_process(id, signal).unwrap();
    }

    fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_stops_neither_requests_nor_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    // Kept open and never read: a pipe holds 64 KiB.
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut server = ByHand::start(&data_dir, &[], writer.into());
    let told = wait_until("the server to listen", LIMIT, || {
        let text = std::fs::read(data_dir.join("listening.json")).ok()?;
        serde_json::from_slice::<Value>(&text).ok()
    });
    let at = |listener: &str, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        exchange(told[listener].as_str().unwrap(), request)
    };
    // Lines are limited by the second, so this goes on until they are too many for pipe and queue.
    let path = format!("/{}", "x".repeat(300));
    let lost = "\ntokenward_log_lines_dropped_total ";
    wait_until("lines to be dropped", LIMIT * 6, || {
        for _ in 0..200 {
            assert_eq!(status_of(&at("public", &path)), 404);
            // There is no such product.
            assert_eq!(status_of(&at("internal", "/check/sandbox/gst")), 404);
        }
        let figures = at("internal", "/metrics");
        let (_, count) = figures.split_once(lost).unwrap();
        !count.starts_with("0\n")
    });
    server.signal(Signal::TERM);
    wait_until("the end", LIMIT, || server.ended());
}

#[tokio::test]
async fn each_refused_credential_is_found_by_its_error_id_with_source_and_id() {
    let house = House::with(&["--trusted-proxy", "127.0.0.1/32"]).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let from = |request: reqwest::RequestBuilder| request.header("x-forwarded-for", "203.0.113.9");
    let wrong = erp
        .secret
        .replace("tw-secret.sandbox", "tw-secret.production");
    // Its checksum is wrong, so no id is read from it; the other is whole, and its client disabled.
    let other = house.client(NewClient::sandbox("other")).await;
    house.disable_workspace(true).await;
    let generate = |secret: &str| house.send(from(house.api.authz(Method::GET, "", secret)));
    expect_status(generate(&wrong), 401).await;
    expect_status(generate(&other.secret), 401).await;
    let refused = generate(&other.secret).await.json();
    let secret_error = text(&refused, "/errors/0/error_id");
    let key = "tw-admin.00000000-0000-4000-8000-000000000000.0000000000000000";
    let request = house.api.public(Method::GET, "/admin/v1/status");
    let refused = expect_json(house.send(from(request.bearer_auth(key))), 401).await;
    let key_error = text(&refused, "/error_id");
    let form = [("grant_type", "client_credentials")];
    let request = house.api.public(Method::POST, "/oauth2/token").form(&form);
    let request = request.basic_auth(&other.id, Some(&other.secret));
    house.send(from(request)).await;
    let check = from(house.api.internal(Method::GET, "/check/sandbox/gst"));
    let checked = house.send(check.header("x-cleartax-auth-token", "x")).await;
    let check_error = text(&checked.json(), "/errors/0/error_id");
    let all = [&*secret_error, &key_error, &check_error];
    let log = wait_until("the lines", LIMIT, || {
        let log = house.server.output();
        all.iter().all(|id| log.contains(id)).then_some(log)
    });
    let plain = log.replace(|c: char| c.is_control() && c != '\n', "");
    for id in all {
        let line = plain.lines().find(|line| line.contains(id)).unwrap();
        assert_contains_all(line, &["203.0.113.9", "code="]);
    }
    let refusals = plain
        .lines()
        .filter(|line| line.contains("credential refused"));
    let refusals: Vec<&str> = refusals.collect();
    assert_eq!(refusals.len(), 5, "{refusals:#?}");
    for line in &refusals {
        assert_contains_all(line, &["203.0.113.9", "WARN"]);
    }
    let named = refusals.iter().filter(|line| line.contains(&other.id));
    assert_eq!(named.count(), 3, "{refusals:#?}");
    assert_lacks(&plain, &other.secret[60..]);
    let figures = house.api.metrics().await.unwrap().expect(200).body;
    assert_contains_all(
        &figures,
        &[
            "tokenward_credentials_refused_total{kind=\"client_secret\"} 4",
            "tokenward_credentials_refused_total{kind=\"admin_key\"} 1",
        ],
    );
}

#[tokio::test]
async fn a_flood_of_guesses_is_cut_off_in_the_log_and_counted() {
    let house = House::new().await;
    let ask = |_| house.send(house.api.authz(Method::GET, "", "wrong"));
    for _ in 0..20 {
        futures_util::future::join_all((0..50).map(ask)).await;
    }
    let count = "tokenward_credentials_refused_total{kind=\"client_secret\"}";
    assert_eq!(house.api.figure(count).await, Some(1_000.0));
    // The next line tells how many were left out.
    wait_until("a line that counts those left out", LIMIT, || {
        let request = "GET /integration/v1/authz/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-clear-client-secret: x\r\n\r\n";
        let _ = exchange(house.server.public(), request);
        house.server.output().contains("left_out")
    });
}

#[tokio::test]
async fn no_invitation_link_is_logged_at_any_level() {
    let server = Server::builder().env("TOKENWARD_LOG", "trace").start();
    let link = std::fs::read_to_string(server.data_dir().join("console-link")).unwrap();
    let (_, opaque_token) = link.trim().rsplit_once('/').unwrap();
    let address = format!("{}/console/join/{opaque_token}", server.public());
    let http = tokenward_testkit::http().build().unwrap();
    assert_eq!(http.get(address).send().await.unwrap().status(), 200);
    let seen = wait_until("its line", LIMIT, || {
        let log = server.output();
        log.contains("/console/join/(link)").then_some(log)
    });
    assert!(!seen.contains(opaque_token));
}

#[test]
fn a_start_that_waits_for_its_database_heeds_signals() {
    // Something that listens where the database should be, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://x@{}/x", silent.local_addr().unwrap());
    for sent in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let mut server = ByHand::start(&data_dir, &["--database-url", &url], Stdio::null());
        let _connection = accept(&silent, "the server to reach its database", LIMIT);
        server.signal(Signal::HUP);
        // The first connection is kept, so the start goes on waiting for it.
        assert!(!server.ended());
        server.signal(sent);
        wait_until("the end", LIMIT, || server.ended());
        assert!(server.0.wait().unwrap().success());
    }
}

#[test]
fn a_data_directory_open_to_all_is_refused_and_planted_links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    std::fs::create_dir(&data_dir).unwrap();
    change_mode(&data_dir, 0o777);
    Server::builder()
        .data_dir(&data_dir)
        .refused(&["chmod 700"]);
    change_mode(&data_dir, 0o700);
    let victim = folder.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    for name in ["node-id.new", "last-change.new", "listening.json.new"] {
        std::os::unix::fs::symlink(&victim, data_dir.join(name)).unwrap();
    }
    let mut server = Server::builder().data_dir(&data_dir).start();
    assert!(server.terminate().success());
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
    // Keys that everybody can read are warned of, a password on the command line too.
    let keys = data_dir.join("digest-keys");
    change_mode(&keys, 0o644);
    let mut server = Server::builder()
        .data_dir(&data_dir)
        .arg("--mail-url=smtp://user:pass@127.0.0.1:25")
        .arg("--mail-from=a@example.com")
        .start();
    assert!(server.terminate().success());
    let log = server.output();
    assert_contains(&log, "digest-keys: every user of this machine can read it");
    assert_contains(&log, "--mail-url-file");
}

#[test]
fn files_of_the_data_directory_that_are_no_regular_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let mut server = Server::builder().data_dir(&data_dir).start();
    assert!(server.terminate().success());
    let files = "lock node-id last-change digest-keys tokenward.sqlite tokenward.sqlite-wal";
    for name in files.split(' ') {
        let path = data_dir.join(name);
        let kept = folder.path().join("kept");
        let was_there = std::fs::rename(&path, &kept).is_ok();
        let pipe = rustix::fs::FileType::Fifo;
        let owner = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, pipe, owner, 0).unwrap();
        let log = folder.path().join("log");
        let stderr = std::fs::File::create(&log).unwrap();
        let mut server = ByHand::start(&data_dir, &[], stderr.into());
        wait_until(name, LIMIT, || server.ended());
        assert!(!server.0.wait().unwrap().success());
        let said = std::fs::read_to_string(&log).unwrap();
        let path_text = path.display().to_string();
        assert_contains_all(&said, &[&path_text, "not a regular file"]);
        std::fs::remove_file(&path).unwrap();
        if was_there {
            std::fs::rename(&kept, &path).unwrap();
        }
    }
    let mut server = Server::builder().data_dir(&data_dir).start();
    assert!(server.terminate().success());
}

#[tokio::test]
async fn failed_reads_are_a_few_lines_whoever_asks() {
    let house = House::new().await;
    let connection = house.database();
    let rename = "ALTER TABLE member RENAME TO gone; ALTER TABLE admin_key RENAME TO gone_too";
    connection.execute_batch(rename).unwrap();
    let form = [("email", "asha@example.com"), ("password", "x")];
    for _ in 0..50 {
        expect_status(house.ask(Method::GET, "/status"), 503).await;
        let request = house.api.public(Method::POST, "/console/sign-in");
        let request = request.header("sec-fetch-site", "same-origin").form(&form);
        expect_status(house.send(request), 503).await;
    }
    // The last request has a line of its own, behind those of all others.
    house.ask(Method::GET, "/nothing-after-all").await;
    let log = wait_until("the last line", LIMIT, || {
        let log = house.server.output();
        log.contains("nothing-after-all").then_some(log)
    });
    // Five a minute.
    let lines = log.matches("a read failed: ").count();
    assert!((1..=20).contains(&lines), "{lines} lines");
}

/// Runs the server as a user without privileges where the tests run as root, who may read every process.
fn unprivileged(folder: &Path) -> std::path::PathBuf {
    let program = folder.join("unprivileged");
    let (nobody, server) = (65_534, env!("CARGO_BIN_EXE_tokenward"));
    let script = match rustix::process::geteuid().is_root() {
        // By its descriptor: that user may not be able to read the folder it is in.
        true => {
            std::os::unix::fs::chown(folder, Some(nobody), Some(nobody)).unwrap();
            format!(
                "#!/bin/sh\nexec 3<{server}\nexec setpriv --reuid={nobody} --regid={nobody} --clear-groups --pdeathsig KILL \
                 /proc/self/fd/3 \"$@\"\n"
            )
        }
        false => format!("#!/bin/sh\nexec {server} \"$@\"\n"),
    };
    write_with_mode(&program, &script, 0o755);
    program
}

#[test]
fn a_running_server_is_closed_to_other_processes_of_its_user() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let program = unprivileged(folder.path());
    let data_dir = folder.path().join("data");
    std::fs::create_dir(&data_dir).unwrap();
    let own = std::fs::metadata(folder.path()).unwrap();
    std::os::unix::fs::chown(&data_dir, Some(own.uid()), Some(own.gid())).unwrap();
    let builder = Server::builder().binary(&program);
    let server = builder.data_dir(&data_dir).start();
    let process = format!("/proc/{}", server.process_id());
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
    let user = format!("\nUid:\t{}\t", own.uid());
    assert!(own.uid() != 0 && status.contains(&user), "{status}");
    // proc(5): the files of a process that is not dumpable belong to root.
    for file in ["mem", "environ", "maps"] {
        let about = std::fs::metadata(format!("{process}/{file}")).unwrap();
        assert_eq!(about.uid(), 0, "{file}");
    }
}

#[test]
fn a_running_server_leaves_no_core_and_opens_its_memory_to_nobody() {
    let server = Server::start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.process_id())).unwrap();
    let mut core = limits
        .lines()
        .filter(|line| line.starts_with("Max core file size"));
    let core = core.next().unwrap();
    let zeros = core.split_whitespace().filter(|word| *word == "0");
    assert_eq!(zeros.count(), 2, "{core}");
}

impl House {
    /// The audit entries of an action, once there are `count`.
    async fn refused_entries(&self, action: &str, count: usize) -> Vec<Value> {
        let looking = async {
            loop {
                let mut found = self.entries().await;
                found.retain(|entry| entry["action"] == action);
                if found.len() >= count {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(LIMIT, looking).await.expect(action);
        assert_eq!(found.len(), count, "{found:#?}");
        found
    }
}

#[tokio::test]
async fn a_refused_admin_key_is_audited_once_an_hour_and_source() {
    let mut house = House::with(&["--trusted-proxy", "127.0.0.1/32"]).await;
    let body = json!({ "name": "a", "role": "auditor" });
    let made = expect_json(house.admin(Method::POST, "/admin-keys", &body), 201).await;
    let (id, key) = (text(&made, "/admin_key/id"), made["key"].as_str().unwrap());
    let auditor = house.api.with_admin_key(key);
    let wrong = forge(key);
    let unknown = wrong.replace(&wrong[9..17], "00000000");
    let try_key = async |key: &str, from: &str| {
        let request = house.api.with_admin_key(key).admin(Method::GET, "/status");
        let request = request.header("x-forwarded-for", from);
        let status = house.send(request).await.status;
        assert!(status == 401 || status == 429, "{status}");
    };
    for _ in 0..30 {
        try_key(&wrong, "203.0.113.9").await;
    }
    try_key(&wrong, "203.0.113.10").await;
    try_key(&forge(&unknown), "203.0.113.9").await;
    let failed = "admin_key.authentication_failed";
    let entries = house.refused_entries(failed, 2).await;
    for entry in &entries {
        assert_eq!(entry["actor"], "unverified");
        assert_eq!(entry["detail"]["admin_key"], id);
        assert_eq!(entry["detail"]["reason"], "wrong key");
    }
    let sources = entries.iter().map(|entry| text(entry, "/source"));
    let mut sources: Vec<String> = sources.collect();
    sources.sort_unstable();
    assert_eq!(sources, ["203.0.113.10", "203.0.113.9"]);
    // The auditor may read, and not write.
    for _ in 0..5 {
        let body = json!({ "name": "x" });
        let request = auditor.admin(Method::POST, "/workspaces").json(&body);
        auditor.send(request).await.unwrap().expect(403);
    }
    let denied = house.refused_entries("access.denied", 1).await.remove(0);
    assert_eq!(denied["actor"], format!("admin-key:{id}"));
    assert_eq!(denied["detail"]["operation"], "POST /admin/v1/workspaces");
    assert_lacks(&format!("{entries:?}{denied:?}"), &wrong[46..]);
    let log = house.server.output();
    assert_contains_all(&log, &["role", "FORBIDDEN"]);
    // What was only counted is written at the end of the hour, or of the server.
    house.restart();
    for (action, count, attempts) in [(failed, 3, 29), ("access.denied", 2, 4)] {
        let entries = house.refused_entries(action, count).await;
        let further = |entry: &Value| entry["detail"]["further_attempts"].as_u64();
        assert_eq!(entries.iter().find_map(further), Some(attempts), "{action}");
    }
}

#[test]
fn a_first_start_warns_of_nothing() {
    let server = Server::builder().start();
    let log = wait_until("the server to log that it serves", PROGRAM_LIMIT, || {
        Some(server.output()).filter(|log| log.contains("serving"))
    });
    assert_contains(&log, "this is a new store");
    let alarms = |line: &&str| line.contains("WARN") || line.contains("ERROR");
    assert_eq!(log.lines().find(alarms), None, "{log}");
}
