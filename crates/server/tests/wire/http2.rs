//! HTTP/2 on the internal listener: the same checks, and gRPC calls that are broken in every way. Envoy's
//! own calls are tried with the real Envoy, in `examples/gateways`.

use crate::house::House;
use reqwest::{Client, Response};
use tokenward_testkit::assert_contains;

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

fn client() -> Client {
    tokenward_testkit::http()
        .http2_prior_knowledge()
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_check_over_http2_is_a_check() {
    let (house, _, token) = House::with_token().await;
    let http = client();
    let url = format!("{}/check/sandbox/gst", house.server.internal());
    for _ in 0..3 {
        let request = http.get(&url).header("x-cleartax-auth-token", &token);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-tokenward-client-label"], "erp");
        let answer = http.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert_contains(&answer.text().await.unwrap(), "ACCESS_TOKEN_MISSING");
    }
}

#[tokio::test]
async fn a_broken_call_ends_with_its_code_and_the_connection_lives() {
    let house = House::new().await;
    let http = client();
    let call = async |path: &str, body: Vec<u8>| -> Response {
        let request = http.post(format!("{}{path}", house.server.internal()));
        let request = request.header("content-type", "application/grpc");
        let request = request.header("te", "trailers").body(body);
        request.send().await.unwrap()
    };
    let frame = |flag: u8, length: u32, message: &[u8]| {
        [&[flag], &length.to_be_bytes()[..], message].concat()
    };
    let empty = || frame(0, 0, b"");
    for (what, path, body, code) in [
        (
            "another method",
            "/grpc.health.v1.Health/Check",
            empty(),
            "12",
        ),
        ("no frame", CHECK, Vec::new(), "13"),
        ("half a frame", CHECK, frame(0, 9, b"abc"), "13"),
        ("two frames", CHECK, [empty(), empty()].concat(), "13"),
        ("a compressed message", CHECK, frame(1, 0, b""), "12"),
        ("no message", CHECK, frame(0, 3, b"\xff\xff\xff"), "3"),
        (
            "too long a message",
            CHECK,
            frame(0, 600_000, &[0; 600_000]),
            "8",
        ),
    ] {
        let answer = call(path, body).await;
        assert_eq!(answer.status(), 200, "{what}");
        assert_eq!(answer.headers()["grpc-status"], code, "{what}");
    }
    // An empty question is a question: about no environment and no product.
    let answer = call(CHECK, empty()).await;
    assert_eq!(answer.headers().get("grpc-status"), None);
    let message = answer.bytes().await.unwrap();
    assert_contains(&String::from_utf8_lossy(&message), "PRODUCT_UNKNOWN");
}
