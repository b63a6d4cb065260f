//! Running the program's other commands beside a server.

use serde_json::Value;
use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) good: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as JSON of a command that must succeed.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert!(self.good, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The command must have failed with these words.
    #[track_caller]
    pub(crate) fn refused(&self, words: &str) {
        assert!(!self.good && self.stderr.contains(words), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }
}

/// Runs the program to its end.
pub(crate) fn run<S: AsRef<OsStr>>(words: &[S]) -> Ran {
    run_with(words, &[])
}

/// A path as an argument.
pub(crate) fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// Runs the program to its end with environment variables.
pub(crate) fn run_with<S: AsRef<OsStr>>(words: &[S], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    command.args(words).envs(environment.iter().copied());
    finish(command)
}

/// Runs any command to its end.
pub(crate) fn finish(mut command: Command) -> Ran {
    let output = tokenward_testkit::finish(
        command.stdin(Stdio::null()),
        tokenward_testkit::PROGRAM_LIMIT,
    );
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran {
        good: output.status.success(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}
