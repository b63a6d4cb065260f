//! Checks and introspection over a unix socket: the same answers, and a file that is there exactly as
//! long as it must be.

use crate::house::{House, LIMIT};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use tokenward_testkit::{NewClient, Server};

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
    let builder = Server::builder()
        .arg("--internal-unix")
        .arg(path.to_str().unwrap())
        .arg("--internal-unix-mode")
        .arg("600");
    House::of(builder).await
}

#[tokio::test]
async fn checks_and_introspection_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("check.sock");
    let house = house(&path).await;
    let erp = house
        .client(NewClient::sandbox("erp").token_networks(&["198.51.100.0/24"]))
        .await;
    let token = house.token(&erp).await.access_token;
    let check = |more: &str| {
        let request = format!(
            "GET /check/sandbox/gst HTTP/1.1\r\nx-cleartax-auth-token: {token}\r\n{more}\r\n"
        );
        ask(&path, &request)
    };
    // Whoever may use the socket says where its caller is; unsaid, that is nowhere.
    let permit = check("x-forwarded-for: 198.51.100.7\r\n");
    assert!(permit.starts_with("HTTP/1.1 200"), "{permit}");
    assert!(permit.contains("x-tokenward-client-label: erp"), "{permit}");
    for elsewhere in ["", "x-forwarded-for: 198.51.100.7, 203.0.113.1\r\n"] {
        let denial = check(elsewhere);
        assert!(denial.contains("ADDRESS_NOT_ALLOWED"), "{denial}");
    }
    let form = format!("token={token}");
    let introspection = ask(
        &path,
        &format!(
            "POST /oauth2/introspect HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            form.len()
        ),
    );
    assert!(introspection.contains("\"active\":true"), "{introspection}");
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
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
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
    let refused = Server::builder()
        .args(&["--internal-unix", path.to_str().unwrap()])
        .try_start()
        .unwrap_err();
    assert!(refused.output.contains("no socket"), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let bad = Server::builder()
        .args(&["--internal-unix-mode", "rw-rw----"])
        .try_start()
        .unwrap_err();
    assert!(bad.output.contains("internal_unix_mode"), "{bad}");
}
