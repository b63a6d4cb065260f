//! Where the binaries under test come from: the environment, the folder of the running test, or a
//! build by cargo.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Longest time for one build: on a busy machine, from nothing.
const BUILD_LIMIT: Duration = Duration::from_secs(3_600);

/// The folder in which cargo put the running test's profile, for instance `target/debug`.
///
/// # Panics
/// When the running program does not lie in such a folder.
#[must_use]
pub fn target_folder() -> PathBuf {
    let program = std::env::current_exe().expect("the path of the running program");
    let folder = program.parent().expect("a program lies in a folder");
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder
            .parent()
            .expect("deps lies in the profile's folder")
            .to_owned()
    } else {
        folder.to_owned()
    }
}

/// `TOKENWARD_BIN`, else the binary beside the test, built first where cargo has not done so.
pub(crate) fn default_binary() -> PathBuf {
    match setting("TOKENWARD_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            let path = target_folder().join("tokenward");
            if path.exists() {
                path
            } else {
                build_program("tokenward", "tokenward")
            }
        }
    }
}

/// `TOKENWARD_BIN`, else the binary of this very source tree, built now: for long proofs that must not
/// run against yesterday's build.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn fresh_binary() -> PathBuf {
    setting("TOKENWARD_BIN").map_or_else(|| build_program("tokenward", "tokenward"), PathBuf::from)
}

/// A program of an example's package: the one beside the test, built first where cargo has not done so.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn example_binary(package: &str, name: &str) -> PathBuf {
    let path = target_folder().join(name);
    if path.exists() {
        path
    } else {
        build_program(package, name)
    }
}

/// The server that sends traces, built now if it is not fresh.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn binary_with_traces() -> PathBuf {
    const NAME: &str = "tokenward-opentelemetry";
    // With a test beside it, its crates have the features that they have in a test of the whole workspace, and are there.
    build(NAME, &["--workspace", "--bin", NAME, "--test", "wire"]);
    target_folder().join(NAME)
}

/// Builds one program in this profile and returns its path; a second call finds it fresh.
fn build_program(package: &str, name: &str) -> PathBuf {
    build(name, &["--package", package, "--bin", name]);
    target_folder().join(name)
}

/// Builds what the arguments name in this profile. Cargo's own lock keeps several test processes apart.
fn build(name: &str, what: &[&str]) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = target_folder();
    let cargo = setting("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--locked"])
        .args(what)
        .arg("--target-dir")
        .arg(
            folder
                .parent()
                .expect("a profile's folder lies in the target folder"),
        )
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if folder.ends_with("release") {
        command.arg("--release");
    }
    // Left behind by running under cargo; some build scripts watch them and would build again.
    for name in inherited() {
        command.env_remove(name);
    }
    let output = crate::finish(&mut command, BUILD_LIMIT);
    assert!(
        output.status.success(),
        "{name} does not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "these say how tests run and are no setting of the server"
)]
fn setting(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn inherited() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    })
}
