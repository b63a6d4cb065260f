//! Questions as Envoy would send them over gRPC, under any bytes: refused, or read so that nothing comes out that
//! was not in. A token is found under its own name only, and what could be taken for one of our headers is
//! taken away or overwritten.
//!
//! The server's rooms are taken by their files, as in `headers`.

#![no_main]

#[expect(dead_code, reason = "the answers' messages are not read here")]
#[path = "../../crates/server/src/grpc/messages.rs"]
mod messages;
#[path = "../../crates/server/src/grpc/question.rs"]
mod question;

use http::HeaderName;
use libfuzzer_sys::fuzz_target;

static CLIENT: HeaderName = HeaderName::from_static("x-tokenward-client");

fuzz_target!(|data: &[u8]| {
    let holds = |bytes: &[u8]| data.windows(bytes.len()).any(|window| window == bytes);
    let Some(question) = question::read(data.to_vec().into(), &[&CLIENT]) else {
        return;
    };
    for named in [&question.environment, &question.product] {
        assert!(
            named.is_empty() || holds(named.as_bytes()),
            "{named:?} out of nothing"
        );
    }
    for (name, value) in &question.headers {
        let value = value.as_bytes();
        // A question mark stands for what no header can hold.
        assert!(
            value.is_empty() || value == b"?" || holds(value),
            "{name}: {value:?}"
        );
    }
    assert!(question.headers.keys_len() <= 3, "more than a check reads");
    for stranger in &question.strangers {
        assert!(holds(stranger));
        assert!(!stranger.eq_ignore_ascii_case(CLIENT.as_str().as_bytes()));
    }
});
