//! The folder of the ABAP package, and its translation to JavaScript, made once for all tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;
use tokenward_testkit::finish;

/// Longest run of a translator, a linter or the ABAP Unit tests; a minute on a machine that is busy with other work.
pub(crate) const PROGRAM_LIMIT: Duration = Duration::from_secs(900);

/// The folder that abapGit would pull.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("abap")
}

/// A program that npm installs into the package's folder.
///
/// # Panics
/// When it is missing.
pub(crate) fn npm_program(name: &str) -> PathBuf {
    let path = folder().join("node_modules/.bin").join(name);
    assert!(
        path.exists(),
        "{} is missing: run `make setup`",
        path.display()
    );
    path
}

/// Translates `src` and `stubs` into `output`; a syntax error in them fails here.
///
/// # Panics
/// When the translation fails.
pub(crate) fn translated() -> &'static Path {
    static OUTPUT: OnceLock<PathBuf> = OnceLock::new();
    OUTPUT.get_or_init(|| {
        let output = folder().join("output");
        // What an earlier run left could hide a class that no longer exists.
        let _ = std::fs::remove_dir_all(&output);
        let mut transpile = Command::new(npm_program("abap_transpile"));
        transpile.arg("abap_transpile.json").current_dir(folder());
        let made = finish(&mut transpile, PROGRAM_LIMIT);
        assert!(made.status.success(), "no translation:\n{}", said(&made));
        output
    })
}

/// Everything a program wrote.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}
