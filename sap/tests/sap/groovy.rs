//! The scripts for SAP Cloud Integration, in Debian's Groovy, whose version is that of CPI's script 1.x. They prove themselves in
//! `sap/cpi/tests/run.groovy`; here they are run, and run once broken, so that the runner is known to notice.

use crate::package::said;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tokenward_testkit::finish;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cpi")
}

/// Runs the tests over a script.
fn run(script: &Path) -> Output {
    // Debian's starter looks for a Java of another package's name; the one on the path will do.
    let java = std::fs::canonicalize("/usr/bin/java")
        .unwrap_or_else(|error| panic!("/usr/bin/java: {error}: run `make setup`"));
    let home = java
        .parent()
        .and_then(Path::parent)
        .expect("JAVA_HOME/bin/java");
    let mut groovy = Command::new("groovy");
    groovy
        .env("JAVA_HOME", home)
        .arg("-cp")
        .arg(folder().join("stubs"))
        .arg(folder().join("tests/run.groovy"))
        .arg(script);
    finish(&mut groovy, crate::package::PROGRAM_LIMIT)
}

#[test]
fn the_scripts_pass_their_tests_on_groovy_2_4() {
    let script = folder().join("collection/src/main/resources/script/tokenward.groovy");
    let output = run(&script);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("Groovy 2.4."),
        "another Groovy than CPI's script 1.x: {text}"
    );
    assert!(text.contains("10 passed, 0 failed"), "{text}");

    let whole = std::fs::read_to_string(&script).expect("the script");
    let broken = whole.replacen("dropHeader(message)", "", 1);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokenward.groovy");
    std::fs::write(&path, broken).expect("a broken script");
    let output = run(&path);
    assert!(
        !output.status.success(),
        "the runner noticed nothing: {}",
        said(&output)
    );
    assert!(
        said(&output).contains("9 passed, 1 failed"),
        "{}",
        said(&output)
    );
}
