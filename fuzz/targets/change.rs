//! Entries of the change log under any bytes: refused, or read as a change that writes and reads back as itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenward_core::Change;
use tokenward_core::change::FORMAT;

fuzz_target!(|text: &str| {
    let Ok(change) = Change::from_body(FORMAT, text) else {
        return;
    };
    let body = change.to_body();
    let again = Change::from_body(FORMAT, &body).expect("a change that was written is read");
    assert_eq!(again.to_body(), body);
    assert!(
        Change::from_body(FORMAT + 1, &body).is_err(),
        "a newer format is refused"
    );
});
