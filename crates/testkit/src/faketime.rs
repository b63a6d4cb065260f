//! A server whose clock is not the machine's, by libfaketime.

use std::path::{Path, PathBuf};

/// libfaketime's library, which replaces the machine's clock for one process.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|path| path.exists())
        .expect("libfaketime is needed and not here; install it: apt-get update && apt-get install -y faketime")
}

/// Sets the clock of the process that reads `file` this many seconds off the machine's.
///
/// # Panics
/// When the file can't be written.
pub fn set(file: &Path, seconds: i64) {
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{seconds:+}\n")).expect("a writable folder");
    std::fs::rename(new, file).expect("a writable folder");
}
