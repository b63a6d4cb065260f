//! What is installed beside the programs, tried: Debian packages, alert rules and the dashboard on the figures of a running server.

mod debian;
mod gateways;
mod helm;
mod monitoring;

use std::process::{Command, Output};
use tokenward_testkit::finish;

/// Longest time that a program may take: lintian and dpkg-buildpackage work for half a minute on a machine that does nothing
/// else.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(1_200);

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// What a program printed to both streams.
fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a program that must succeed, and returns what it printed to both streams.
fn run(program: &str, fill: impl FnOnce(&mut Command)) -> String {
    let mut command = Command::new(program);
    fill(&mut command);
    let output = finish(&mut command, LIMIT);
    let text = printed(&output);
    assert!(
        output.status.success(),
        "{program}: {}\n{text}",
        output.status
    );
    text
}
