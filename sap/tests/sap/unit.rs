//! ABAP Unit: every test class of the package, in Node on SQLite. The runner prints a line as each test begins and stops at the
//! first that fails, with a non-zero status; it never says how many passed, so they are counted here against the sources.

use crate::package::{self, said};
use std::process::Command;
use tokenward_testkit::finish;

/// Test methods in the sources: what must have run.
fn expected() -> usize {
    let files = std::fs::read_dir(package::folder().join("src")).expect("the package");
    files
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(".testclasses.abap"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a test class");
            text.lines()
                .filter(|line| {
                    line.trim_end()
                        .ends_with("FOR TESTING RAISING cx_static_check.")
                        || line.trim_end().ends_with("FOR TESTING.")
                })
                .filter(|line| line.trim_start().starts_with("METHODS"))
                .count()
        })
        .sum()
}

#[test]
fn every_abap_unit_test_passes() {
    let mut node = Command::new("node");
    node.arg(package::translated().join("index.mjs"));
    let output = finish(&mut node, package::PROGRAM_LIMIT);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let run = text
        .lines()
        .filter(|line| line.contains(": running "))
        .count();
    assert!(expected() > 30, "the package has its tests: {}", expected());
    assert_eq!(run, expected(), "{text}");
}
