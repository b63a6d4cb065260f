//! The one home of environment variables. A value that may be a secret leaves here only in a wiped string.

use std::ffi::OsString;
use zeroize::Zeroizing;

/// A variable that is set, and UTF-8.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    raw(name)?.into_string().ok()
}

/// A variable that may hold a secret.
#[must_use]
pub fn secret(name: &str) -> Option<Zeroizing<String>> {
    text(name).map(Zeroizing::new)
}

/// A variable as the system has it.
#[must_use]
pub fn raw(name: &str) -> Option<OsString> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the client's one home of environment variables"
    )]
    std::env::var_os(name)
}
