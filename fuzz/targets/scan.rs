//! Files of any content under the scanner: each find lies inside the file, finds do not overlap, and a
//! credential glued between any two pieces of text is found.

#![no_main]

mod credential;

use credential::Parts;
use libfuzzer_sys::fuzz_target;
use tokenward_core::scan::scan;
use tokenward_core::{AccessToken, ClientSecret};

fuzz_target!(|data: &[u8]| {
    check(data);
    let Some(parts) = Parts::of(data) else { return };
    let token = AccessToken::from_random(parts.environment, parts.client, parts.random).expose();
    let secret = ClientSecret::from_random(parts.environment, parts.client, parts.random).expose();
    let (before, after) = data.split_at(data.len() / 2);
    for made in [token, secret] {
        let file = [before, b" ", made.as_bytes(), b"\n", after].concat();
        check(&file);
        let start = before.len() + 1;
        let found = scan(&file)
            .iter()
            .any(|find| find.start == start && find.end == start + made.len());
        assert!(found, "a credential in a file is found");
        if let Some(changed) = parts.change(&made) {
            let spoiled = scan(changed.as_bytes());
            assert!(
                spoiled.is_empty(),
                "a credential with a wrong checksum is none"
            );
        }
    }
});

fn check(file: &[u8]) {
    let mut end = 0;
    for find in scan(file) {
        assert!(end <= find.start && find.start < find.end && find.end <= file.len());
        end = find.end;
    }
}
