//! A planted crash: proves that coverage guides the fuzzer, which blind guessing could not do for nine bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    assert!(!data.starts_with(b"canary-96"), "the canary is found");
});
