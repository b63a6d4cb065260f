//! Bodies and upgrades: a permit lets them through whole, a refusal comes before they are read.

use crate::Row;
use crate::world::{INVOICES, World};
use gateways::Ask;

pub(crate) const ROWS: &[Row] = &[
    (
        "a body reaches the product whole, by length or in chunks",
        whole,
    ),
    ("100 MB are refused before they are read", refused_unread),
    ("an upgrade passes with a token", upgrade),
    ("an upgrade without a token does not", no_upgrade),
];

/// The upload that is refused.
const LARGE_BYTES: usize = 100 << 20;
/// What of it is ever sent: Go's HTTP server (Caddy) takes up to 256 KiB of a body of unknown length
/// before it answers, and nobody needs more.
const FIRST_BYTES: usize = 1 << 20;

fn whole(world: &mut World) {
    let body = vec![b'x'; 300_000];
    world
        .ask(&Ask::of("POST", INVOICES).token(&world.token).body(&body))
        .expect(200);
    assert_eq!(world.reached().body, body.len());
    let ask = Ask::of("POST", INVOICES)
        .token(&world.token)
        .header("Transfer-Encoding", "chunked");
    let mut line = world.line();
    line.write(&ask.bytes()).unwrap();
    for _ in 0..10 {
        line.write(b"2710\r\n").unwrap();
        line.write(&body[..10_000]).unwrap();
        line.write(b"\r\n").unwrap();
    }
    line.write(b"0\r\n\r\n").unwrap();
    line.answer(false).unwrap().expect(200);
    assert_eq!(world.reached().body, 100_000);
}

fn refused_unread(world: &mut World) {
    let length = LARGE_BYTES.to_string();
    for (name, value) in [
        ("Content-Length", length.as_str()),
        ("Transfer-Encoding", "chunked"),
    ] {
        for expect in [false, true] {
            let mut ask = Ask::of("POST", INVOICES).header(name, value);
            if expect {
                ask = ask.header("Expect", "100-continue");
            }
            let mut line = world.line();
            line.write(&ask.bytes()).unwrap();
            if !expect {
                let head = if name == "Content-Length" {
                    ""
                } else {
                    "6400000\r\n"
                };
                line.write(head.as_bytes()).unwrap();
                line.write_aside(vec![b'x'; FIRST_BYTES]).unwrap();
            }
            // The rest never comes: whoever waits for it never answers.
            line.answer(false)
                .unwrap()
                .expect_error(401, "ACCESS_TOKEN_MISSING");
            world.untouched();
        }
    }
}

fn handshake() -> Ask {
    Ask::get(INVOICES)
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

fn upgrade(world: &mut World) {
    let mut line = world.line();
    line.write(&handshake().token(&world.token).bytes())
        .unwrap();
    let answer = line.answer(false).unwrap().expect(101);
    assert_eq!(
        answer.header("sec-websocket-accept"),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    // A masked text frame (RFC 6455, section 5.7), echoed by the product byte by byte.
    let frame = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    for _ in 0..3 {
        line.write(frame).unwrap();
        assert_eq!(line.exactly(frame.len()).unwrap(), frame);
    }
    assert_eq!(world.reached().all("x-tokenward-product"), ["e-invoice"]);
}

fn no_upgrade(world: &mut World) {
    world
        .ask(&handshake())
        .expect_error(401, "ACCESS_TOKEN_MISSING");
    world.untouched();
    for odd in ["h2c", "TLS/1.0", "websocket, h2c"] {
        let ask = Ask::get(INVOICES)
            .header("Upgrade", odd)
            .header("Connection", "Upgrade, HTTP2-Settings");
        let answer = world.ask(&ask.header("HTTP2-Settings", "AAMAAABkAAQAAP__"));
        assert_ne!(answer.status, 200, "{odd}");
        assert_ne!(answer.status, 101, "{odd}");
        world.untouched();
    }
}
