//! Checks and introspection over a unix socket: the same answers, and a file that is there exactly as
//! long as it must be.

use crate::house::{House, LIMIT};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use tokenward_testkit::{NewClient, Server, assert_contains, mode_of, status_of};

/// One request, and the whole answer as text.
fn ask(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("the socket listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a deadline");
    let request = request.replace("\r\n\r\n", "\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

async fn house(path: &Path) -> House {
    let unix = format!("--internal-unix={}", path.display());
    House::with(&[&unix, "--internal-unix-mode=600"]).await
}

#[tokio::test]
async fn checks_and_introspection_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("check.sock");
    let house = house(&path).await;
    let erp = NewClient::sandbox("erp").token_networks(&["198.51.100.0/24"]);
    let erp = house.client(erp).await;
    let token = house.token(&erp).await.access_token;
    let check = |more: &str| {
        let header = format!("x-cleartax-auth-token: {token}");
        ask(
            &path,
            &format!("GET /check/sandbox/gst HTTP/1.1\r\n{header}\r\n{more}\r\n"),
        )
    };
    // Whoever may use the socket says where its caller is; unsaid, that is nowhere.
    let permit = check("x-forwarded-for: 198.51.100.7\r\n");
    assert_eq!(status_of(&permit), 200, "{permit}");
    assert_contains(&permit, "x-tokenward-client-label: erp");
    for elsewhere in ["", "x-forwarded-for: 198.51.100.7, 203.0.113.1\r\n"] {
        assert_contains(&check(elsewhere), "ADDRESS_NOT_ALLOWED");
    }
    let form = format!("token={token}");
    let request = format!(
        "POST /oauth2/introspect HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    assert_contains(&ask(&path, &request), "\"active\":true");
    let ready = ask(&path, "GET /health/ready HTTP/1.1\r\n\r\n");
    assert!(ready.ends_with("ready\n"), "{ready}");
}

#[tokio::test]
async fn the_file_outlives_a_kill_and_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("check.sock");
    let mut house = house(&path).await;
    let file = std::fs::symlink_metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(mode_of(&path), 0o600);
    house.server.kill9();
    assert!(path.exists(), "nobody was there to remove it");
    house.start_again();
    ask(&path, "GET /health/live HTTP/1.1\r\n\r\n");
    assert!(house.server.terminate().success());
    assert!(!path.exists());
}

#[tokio::test]
async fn what_is_in_the_way_is_never_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("check.sock");
    std::fs::write(&path, "precious").unwrap();
    Server::builder()
        .args(&["--internal-unix", path.to_str().unwrap()])
        .refused(&["no socket"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    Server::builder()
        .args(&["--internal-unix-mode", "rw-rw----"])
        .refused(&["internal_unix_mode"]);
}
