//! Command lines as a person types them, what a program did, and where programs of the tests are.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{PROGRAM_LIMIT, finish};

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Runs a command with the [`words`] of a line to its end.
    ///
    /// # Panics
    /// When it does not end, or writes something that is not UTF-8.
    pub fn of(command: &mut Command, line: &str) -> Ran {
        let output = finish(command.args(words(line)), PROGRAM_LIMIT);
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ran {
            code: output.status.code().expect("an exit code"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Standard output of a command that ended with this exit code, without white space at its end.
    ///
    /// # Panics
    /// When it ended with another.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self:?}");
        self.stdout.trim_end()
    }

    /// Standard output of a command that succeeded, as JSON.
    ///
    /// # Panics
    /// When it failed, or wrote something else.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.expect(0)).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The command succeeded and wrote this to standard output.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn says(&self, part: &str) {
        assert!(self.expect(0).contains(part), "{part:?} is not in {self:?}");
    }

    /// The command succeeded and wrote this to standard error.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn warns(&self, part: &str) {
        self.refused(0, &[part]);
    }

    /// The command failed, without a panic, and said this.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn fails(&self, part: &str) {
        assert!(self.code != 0, "{self:?}");
        self.refused(self.code, &[part]);
    }

    /// The command ended with this exit code and said all of these on standard error.
    ///
    /// # Panics
    /// When it did not, or panicked.
    #[track_caller]
    pub fn refused(&self, code: i32, parts: &[&str]) {
        self.expect(code);
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {self:?}");
        }
    }
}

/// The words of a command line. One that holds blanks stands in single quotes.
#[must_use]
pub fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for (nth, part) in line.split('\'').enumerate() {
        match nth % 2 {
            0 => words.extend(part.split_whitespace()),
            _ => words.push(part),
        }
    }
    words
}

/// A file that `make setup` installs, by its path from the root of the repository.
///
/// # Panics
/// When it is not there.
#[must_use]
#[track_caller]
pub fn set_up(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join(path);
    let missing = path.display();
    assert!(path.exists(), "{missing} is missing: run `make setup`");
    path
}

#[cfg(test)]
mod tests {
    #[test]
    fn quoted_word_keeps_its_blanks() {
        let words = super::words("  key revoke 'First operator'  --note ''");
        assert_eq!(words, ["key", "revoke", "First operator", "--note", ""]);
    }
}
