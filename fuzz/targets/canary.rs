//! A planted crash: shows that coverage and traced comparisons guide the fuzzer, for blind guessing would need
//! 2^64 tries.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [first, second, third, fourth, number @ ..] = data else {
        return;
    };
    if *first != b'b' {
        return;
    }
    if *second != b'i' {
        return;
    }
    if *third != b'r' {
        return;
    }
    if *fourth != b'd' {
        return;
    }
    let Some(number) = number.first_chunk::<4>() else {
        return;
    };
    assert_ne!(
        u32::from_le_bytes(*number),
        0x2019_1123,
        "the canary is found"
    );
});
