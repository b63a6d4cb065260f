//! Files with modes that matter.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The permission bits of a file or folder.
///
/// # Panics
/// When it is not there.
#[must_use]
#[track_caller]
pub fn mode_of(path: &Path) -> u32 {
    let about = path.metadata().expect("a file");
    about.permissions().mode() & 0o777
}

/// Changes the permission bits of an own file or folder.
///
/// # Panics
/// When it is not there.
#[track_caller]
pub fn change_mode(path: &Path, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).expect("an own file");
}

/// Writes a file with these permission bits: 0o600 for a secret, 0o755 for a script.
///
/// # Panics
/// When it can't be written.
#[track_caller]
pub fn write_with_mode(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).expect("a writable folder");
    change_mode(path, mode);
}
