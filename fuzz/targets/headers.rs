//! Request headers from strangers: credentials and the caller's address. Each input is a request head, one header
//! a line. Nothing panics, two credentials are never chosen between, and nobody who is no trusted proxy can say
//! where he comes from.
//!
//! The server's rooms are taken by their files, not by its crate: that would compile SQLite and TLS a second time.

#![no_main]

#[expect(dead_code, reason = "the target needs a part of the module")]
#[path = "../../crates/server/src/http/credentials.rs"]
mod credentials;

use std::net::IpAddr;

use credentials::{SECRET_HEADER, SecretPresented};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;
use tokenward_core::address;
use tokenward_core::check::Presented;
use tokenward_core::token_header::{TOKEN_HEADER, access_token};

fuzz_target!(|data: &[u8]| {
    let headers = read(data);
    let texts = |name: &str| headers.get_all(name).iter().count();
    let token = access_token(&headers);
    if texts(TOKEN_HEADER) > 1 || texts("authorization") > 1 {
        assert!(
            !matches!(token, Presented::One(text) if !text.is_empty()),
            "one of two was chosen"
        );
    }
    if texts(TOKEN_HEADER) + texts("authorization") == 0 {
        assert!(
            matches!(token, Presented::Missing),
            "a token out of nothing"
        );
    }
    let secret = credentials::client_secret(&headers);
    if texts(SECRET_HEADER) > 1 || texts("authorization") > 1 {
        assert!(
            !matches!(secret, SecretPresented::One { .. }),
            "one of two was chosen"
        );
    }
    if texts(SECRET_HEADER) + texts("authorization") == 0 {
        assert!(
            matches!(secret, SecretPresented::Missing),
            "a secret out of nothing"
        );
    }

    let stranger: IpAddr = [203, 0, 113, 9].into();
    let proxy: IpAddr = [127, 0, 0, 1].into();
    let trusted: [IpNet; 1] = [proxy.into()];
    assert_eq!(
        address::caller(stranger, &headers, &trusted),
        Some(stranger),
        "a stranger was believed"
    );
    assert_eq!(
        address::caller(proxy, &headers, &[]),
        Some(proxy),
        "a proxy nobody trusts was believed"
    );
    let told = address::caller(proxy, &headers, &trusted);
    let canonical = told.map(|told| told.to_canonical());
    assert_eq!(told, canonical, "one address in two spellings");
    if told != Some(proxy) {
        assert!(texts("x-forwarded-for") > 0, "an address out of nothing");
    }
    let behind = address::caller(address::Peer::SameMachine, &headers, &[]);
    if behind.is_some() {
        assert!(texts("x-forwarded-for") > 0, "an address out of nothing");
    }
});

/// Header lines as a parser of HTTP would let them through.
fn read(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}
