//! Request heads that can't be read, on both listeners: each is answered, and a good request before it keeps its
//! answer. A gateway that got no answer would take the server out of service.

use crate::house::House;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use tokenward_testkit::connect;

/// The status lines of what is answered to these bytes.
fn statuses(base: &str, bytes: &[u8]) -> Vec<String> {
    let mut stream = connect(base);
    let mut writer = stream.try_clone().unwrap();
    let bytes = bytes.to_vec();
    // Beside the reading: the server may answer, and close, before it has read all.
    let writing = std::thread::spawn(move || {
        let _ = writer.write_all(&bytes);
        let _ = writer.shutdown(Shutdown::Write);
    });
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    writing.join().unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let lines = text.match_indices("HTTP/1.1 ");
    let status = |(at, _)| text[at + 9..at + 12].to_owned();
    lines.map(status).collect()
}

#[tokio::test]
async fn heads_that_cannot_be_read_are_answered_on_both_listeners() {
    let house = House::new().await;
    let good = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
    let (lines, word) = ("a: b\r\n".repeat(101), "b".repeat(500_000));
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\na: {word}\r\n\r\n");
    let path = format!("GET /{word} HTTP/1.1\r\nhost: x\r\n\r\n");
    let folded = "GET / HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n";
    let (public, internal) = (house.server.public(), house.server.internal());
    for (what, bytes, status) in [
        ("garbage", "\0\0garbage\r\n\r\n", "400"),
        ("a folded line", folded, "400"),
        (
            "another version",
            "GET / HTTP/1.2\r\nhost: x\r\n\r\n",
            "400",
        ),
        ("101 headers", &many, "431"),
        ("a long head", &long, "431"),
        ("a long path", &path, "431"),
    ] {
        for base in [public, internal] {
            let seen = statuses(base, bytes.as_bytes());
            assert_eq!(seen, [status], "{what} at {base}");
            let seen = statuses(base, format!("{good}{bytes}").as_bytes());
            assert_eq!(seen.len(), 2, "a good request, then {what} at {base}");
            assert_eq!(seen[1], status, "a good request, then {what} at {base}");
        }
    }
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_rest_of_the_next_request() {
    let house = House::new().await;
    for base in [house.server.public(), house.server.internal()] {
        for rest in ["\r\n", "G"] {
            let mut stream = connect(base);
            let request = format!("GET /none HTTP/1.1\r\nhost: x\r\n\r\n{rest}");
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 404", "{rest:?} at {base}");
        }
    }
}

#[tokio::test]
async fn a_check_with_a_body_in_parts_is_answered() {
    let house = House::new().await;
    let request = "POST /check/sandbox/gst HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let seen = statuses(house.server.internal(), request.as_bytes());
    assert_eq!(seen, ["401"]);
}
