//! Standard output and standard error of the verbs. A reader that has gone away (`| head -1`, a closed terminal) ends a
//! verb without a word, and never as a panic.

use crate::exit::End;
use std::io::{ErrorKind, Write as _};

/// Prints to standard output.
///
/// # Errors
/// [`End::reader_gone`] when nobody reads it any more; otherwise what failed.
pub(crate) fn print(text: &str) -> Result<(), End> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => End::reader_gone(),
            _ => End::failed(format!("standard output: {error}")),
        })
}

/// Prints a line to standard error, where somebody reads it.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "tokenward-agent: {text}");
}
