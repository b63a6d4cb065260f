//! A disk that is really full under a running server: what is refused and how, that checks go on, and that
//! nothing acknowledged is lost and nothing refused happens later.

use crate::house::{House, LIMIT, until};
use crate::seen::seen;
use insta::assert_snapshot;
use reqwest::Method;
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tokenward_testkit::{
    Answer, ApiClient, NewClient, Process, Server, ServerBuilder, Token, assert_contains,
    expect_error, expect_status, wait_until, write_with_mode,
};

/// A small disk in memory, in a namespace that one process keeps.
struct Disk {
    folder: tempfile::TempDir,
    keeper: Process,
}

impl Disk {
    fn new() -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("disk");
        std::fs::create_dir(&at).unwrap();
        let at = at.display();
        let script = format!(
            "mount -t tmpfs -o size=4m none {at} && mkdir {at}/data && exec setpriv --pdeathsig KILL -- tail -f /dev/null"
        );
        let log = folder.path().join("keeper.log");
        let fill = |command: &mut std::process::Command| {
            command.args(["-rm", "sh", "-c", &script]);
        };
        let keeper = Process::start(Path::new("unshare"), None, &log, &log, fill).unwrap();
        let disk = Disk { folder, keeper };
        wait_until("the small disk", LIMIT, || disk.file("data").exists());
        disk
    }

    /// A file on it, as everybody sees it.
    fn file(&self, name: &str) -> PathBuf {
        let inside = self.folder.path().join("disk").join(name);
        let (id, inside) = (self.keeper.id(), inside.display());
        PathBuf::from(format!("/proc/{id}/root{inside}"))
    }

    /// A server with its data on it.
    fn server(&self) -> ServerBuilder {
        let program = self.folder.path().join("inside");
        let script = format!(
            "#!/bin/sh\nexec nsenter --target {} --user --mount --preserve-credentials -- \
             setpriv --pdeathsig KILL -- {} \"$@\"\n",
            self.keeper.id(),
            env!("CARGO_BIN_EXE_tokenward")
        );
        write_with_mode(&program, &script, 0o755);
        let builder = Server::builder().binary(&program);
        builder.data_dir(&self.file("data"))
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut options = std::fs::OpenOptions::new();
        let options = options.create(true).append(true);
        let mut file = options.open(self.file("filler")).unwrap();
        let error = loop {
            if let Err(error) = file.write_all(&[0; 512]) {
                break error;
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.file("filler")).unwrap();
    }
}

impl House {
    /// Generates until it is refused: what still fits into a page that is there is taken. The newest token and the
    /// refusal.
    async fn until_refused(&self, client: &ApiClient, mut newest: Token) -> (Token, Answer) {
        for _ in 0..100 {
            let answer = self.generate(&client.secret).await;
            if answer.status != 200 {
                return (newest, answer);
            }
            let token = answer.token();
            assert_eq!(token.generation, newest.generation + 1);
            newest = token;
        }
        panic!("a full disk took a hundred tokens");
    }
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_lost_and_nothing_pretended() {
    let disk = Disk::new();
    let mut house = House::of(disk.server()).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let quiet = house.client(NewClient::sandbox("quiet")).await;
    let kept = house.token(&quiet).await.access_token;
    let first = house.token(&erp).await;

    disk.fill();
    let (newest, refused) = house.until_refused(&erp, first).await;
    assert_snapshot!(seen(&refused), @"503 [retry-after: 1] TEMPORARILY_UNAVAILABLE: The service is not available at the moment; nothing was changed. Try again.");
    for secret in [&erp.secret, &quiet.secret].repeat(10) {
        expect_error(house.generate(secret), 503, "TEMPORARILY_UNAVAILABLE").await;
    }
    let body = json!({ "name": "globex" });
    let refused = house.admin(Method::POST, "/workspaces", &body).await;
    assert_snapshot!(seen(&refused), @"503 [retry-after: 1] TEMPORARILY_UNAVAILABLE (Not available): The service is not available at the moment; nothing was changed. Try again.");
    let grant = [("grant_type", "client_credentials")];
    let refused = house.api.oauth("/oauth2/token", &erp, &grant);
    let refused = refused.await.unwrap();
    assert_snapshot!(seen(&refused), @"503 [retry-after: 1] temporarily_unavailable: try again");
    let refused = house.api.disable(&erp.id).await.unwrap();
    refused.expect_error(503, "TEMPORARILY_UNAVAILABLE");
    // Checks need no disk.
    house.permits(&newest.access_token).await;
    house.permits(&kept).await;

    disk.make_room();
    let back = |answer: &Answer| answer.status == 200;
    let again = until("a token", || house.generate(&erp.secret), back).await;
    let again = again.token();
    // What was refused never happened.
    assert_eq!(again.generation, newest.generation + 1);
    house.denies(&newest.access_token, "TOKEN_SUPERSEDED").await;
    house.permits(&again.access_token).await;
    house.permits(&kept).await;
    let status = house.status(&erp.secret).await;
    assert_eq!(status["quota_left"], 288 - again.generation);
    expect_status(house.admin(Method::POST, "/workspaces", &body), 201).await;

    // Killed on a full disk, and not started on one.
    disk.fill();
    let (newest, _) = house.until_refused(&erp, again).await;
    house.server.kill9();
    std::fs::remove_file(disk.file("data/listening.json")).unwrap();
    disk.fill();
    let refused = house.server.try_restart().unwrap_err();
    assert_contains(&refused.output, "disk is full");
    disk.make_room();
    house.start_again();
    house.permits(&newest.access_token).await;
    house.permits(&kept).await;
    let again = house.token(&erp).await;
    assert_eq!(again.generation, newest.generation + 1);

    // Stopped on a full disk.
    disk.fill();
    let (newest, _) = house.until_refused(&erp, again).await;
    assert!(house.server.terminate().success());
    assert!(!disk.file("data/listening.json").exists());
    disk.make_room();
    house.start_again();
    house.permits(&newest.access_token).await;
    house.permits(&kept).await;
    house.verifies().await;
}
