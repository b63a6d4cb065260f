//! Running the program's other commands beside a server.

use std::path::Path;
use std::process::{Command, Stdio};
use tokenward_testkit::Ran;

/// Runs the program with the words of a line to its end.
pub(crate) fn run(line: &str) -> Ran {
    run_with(line, &[])
}

/// The same with environment variables.
pub(crate) fn run_with(line: &str, environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    command.stdin(Stdio::null());
    Ran::of(command.envs(environment.iter().copied()), line)
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}
