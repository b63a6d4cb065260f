//! Whoever sends too slowly is told so, or let go: it never waits for an answer of ours that cannot come, and
//! never keeps others out.

use crate::house::House;
use insta::assert_snapshot;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use tokenward_testkit::{assert_contains, connect, status_of};

/// Longer than the server waits for anything that is sent to it.
const READ_TIMEOUT: Duration = Duration::from_secs(45);

/// Sends the beginning of something, and reads until the other end closes.
async fn begin(base: &str, bytes: impl Into<Vec<u8>>) -> String {
    let (mut stream, bytes) = (connect(base), bytes.into());
    let talk = move || {
        stream.write_all(&bytes).unwrap();
        read_to_end(stream)
    };
    tokio::task::spawn_blocking(talk).await.unwrap()
}

/// What is read until the other end closes.
fn read_to_end(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it was left open"),
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

/// The same with half a head after a request that was answered, read from there.
async fn begin_after_a_good_one(base: &str) -> String {
    let mut stream = connect(base);
    let talk = move || {
        let good = b"HEAD /x HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(good).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        stream.write_all(b"GET /x HTTP/1.1\r\nhost").unwrap();
        read_to_end(stream)
    };
    tokio::task::spawn_blocking(talk).await.unwrap()
}

/// A request whose body stops after its first bytes; the answer's status and body.
async fn half(base: &str, path: &str, kind: &str, more: &str) -> String {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}content-type: {kind}\r\ncontent-length: 99\r\n\r\n{{"
    );
    let answer = begin(base, head).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = status_of(head);
    match body.find("error_id\":\"").map(|at| at + 11) {
        Some(at) => format!("{status} {}[uuid]{}", &body[..at], &body[at + 36..]),
        None => format!("{status} {body}"),
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_its_senders_fault_in_each_dialect() {
    let house = House::new().await;
    let (public, internal) = (house.server.public(), house.server.internal());
    let key = format!("authorization: Bearer {}\r\n", house.server.admin_key());
    let form = "application/x-www-form-urlencoded";
    let (admin, token, revoke, introspect, console) = tokio::join!(
        half(public, "/admin/v1/workspaces", "application/json", &key),
        half(public, "/oauth2/token", form, ""),
        half(public, "/oauth2/revoke", form, ""),
        half(internal, "/oauth2/introspect", form, ""),
        half(public, "/console/sign-in", form, ""),
    );
    assert_snapshot!(admin, @r#"408 {"code":"BODY_TOO_SLOW","detail":"The body did not arrive in time.","error_id":"[uuid]","status":408,"title":"The body is too slow","type":"urn:tokenward:problem:body-too-slow"}"#);
    assert_snapshot!(token, @r#"408 {"error":"invalid_request","error_description":"the body did not arrive in time"}"#);
    assert_eq!(revoke, token);
    assert_eq!(introspect, token);
    assert!(console.starts_with("400 "), "{console}");
    assert_contains(&console, "The form did not arrive in time.");
    // None is a fault of ours.
    let failures = house.api.figure("tokenward_failures_total").await;
    assert_eq!(failures, Some(0.0));
}

#[tokio::test]
async fn a_head_that_does_not_arrive_is_not_waited_for() {
    let house = House::new().await;
    let public = house.server.public();
    // All but the first could still become HTTP/2.
    let (half, silent, letter, preface, settled, second) = tokio::join!(
        begin(
            public,
            "GET /integration/v1/authz/token HTTP/1.1\r\nhost: x\r\n"
        ),
        begin(public, ""),
        begin(public, "P"),
        begin(public, "PRI * HTTP/2.0\r\n\r\n"),
        // And somebody who speaks HTTP/2, but asks for nothing.
        begin(
            public,
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"
        ),
        // And somebody whose first request was good.
        begin_after_a_good_one(public),
    );
    for answer in [half, silent, letter, preface] {
        assert_eq!(answer, "");
    }
    assert!(!settled.is_empty(), "it was told our settings");
    assert_eq!(second, "");
}
