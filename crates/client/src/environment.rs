//! The one home of environment variables. A value that may be a secret leaves here only in a wiped string.

use std::ffi::OsString;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// A variable that is set, and UTF-8, without blanks around it.
#[cfg(feature = "aws")]
#[must_use]
pub(crate) fn text(name: &str) -> Option<String> {
    let text = raw(name)?.into_string().ok()?;
    Some(text.trim().to_owned())
}

/// A variable that may hold a secret, without blanks around it.
#[must_use]
pub(crate) fn secret(name: &str) -> Option<Zeroizing<String>> {
    let text = Zeroizing::new(raw(name)?.into_string().ok()?);
    Some(Zeroizing::new(text.trim().to_owned()))
}

/// The path in a variable, without blanks around it where it is UTF-8.
#[must_use]
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    let raw = raw(name)?;
    Some(match raw.to_str() {
        Some(text) => PathBuf::from(text.trim()),
        None => PathBuf::from(raw),
    })
}

/// A variable as the system has it, unless it is empty or blank: Compose and Helm pass variables without a value as empty
/// ones.
fn raw(name: &str) -> Option<OsString> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the client's one home of environment variables"
    )]
    let value = std::env::var_os(name)?;
    let blank = value.to_str().is_some_and(|text| text.trim().is_empty());
    (!blank).then_some(value)
}
