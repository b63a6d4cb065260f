//! The table of deliberate faults, `proof/faults.toml`, read and nothing more.
//!
//! It never looks at the disk: the verb and the style law hand it the text.

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Where the table stands.
pub(crate) const PATH: &str = "proof/faults.toml";

/// The whole table. An unknown key is an error, for it would be a demand nobody hears.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    fault: Vec<Fault>,
}

/// One behaviour taken away, and the tests that must notice: those of the server's wire unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// The error code or `seed N`, then perhaps a colon and which side of it.
    pub(crate) name: String,
    pub(crate) file: String,
    /// Stands exactly once in the file.
    pub(crate) from: String,
    pub(crate) to: String,
    #[serde(default = "server")]
    package: String,
    #[serde(default = "wire")]
    target: String,
    /// Whole names of tests.
    pub(crate) tests: Vec<String>,
    /// The table's line on which it begins.
    #[serde(skip)]
    pub(crate) line: usize,
}

fn server() -> String {
    "tokenward".to_owned()
}

fn wire() -> String {
    "wire".to_owned()
}

/// A test program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Suite<'a> {
    pub(crate) package: &'a str,
    /// The name of a test target; `lib` for the tests inside the library.
    pub(crate) target: &'a str,
}

impl Fault {
    /// The program that has its tests.
    pub(crate) fn suite(&self) -> Suite<'_> {
        Suite {
            package: &self.package,
            target: &self.target,
        }
    }

    /// The error code or the row of the seed list it belongs to.
    pub(crate) fn subject(&self) -> &str {
        self.name.split(':').next().unwrap_or_default()
    }

    /// The file's text with the fault in it.
    pub(crate) fn applied(&self, text: &str) -> Result<String> {
        let (count, file) = (text.matches(&self.from).count(), &self.file);
        ensure!(
            count == 1,
            "its text stands {count} times in {file}, not once"
        );
        Ok(text.replacen(&self.from, &self.to, 1))
    }
}

impl<'a> Suite<'a> {
    /// The options of `cargo test` that choose it.
    pub(crate) fn options(self) -> Vec<&'a str> {
        match self.target {
            "lib" => vec!["-p", self.package, "--lib"],
            target => vec!["-p", self.package, "--test", target],
        }
    }
}

/// Reads the table.
pub(crate) fn parse(text: &str) -> Result<Vec<Fault>> {
    let Table { fault: mut faults } = toml::from_str(text).context(PATH)?;
    let lines = (1..).zip(text.lines());
    let begins = lines.filter(|(_, line)| *line == "[[fault]]");
    let mut names = BTreeSet::new();
    for (fault, (line, _)) in faults.iter_mut().zip(begins) {
        fault.line = line;
        let wrong = if !names.insert(fault.name.clone()) {
            "stands twice"
        } else if fault.tests.is_empty() {
            "names no tests"
        } else if fault.from.is_empty() || fault.from == fault.to {
            "changes nothing"
        } else {
            continue;
        };
        bail!("{PATH}:{line}: {} {wrong}", fault.name);
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "[[fault]]\nname = 'A_CODE: here'\nfile = 'f'\nfrom = 'a'\nto = 'b'\ntests = ['x::y']\n";

    #[test]
    fn an_entry_is_read_with_its_defaults() {
        let faults = parse(ONE).unwrap();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].subject(), "A_CODE");
        assert_eq!(
            faults[0].suite().options(),
            ["-p", "tokenward", "--test", "wire"]
        );
        assert_eq!(faults[0].line, 1);
    }

    #[test]
    fn a_fault_needs_its_text_exactly_once() {
        let fault = &parse(ONE).unwrap()[0];
        assert_eq!(fault.applied("cat").unwrap(), "cbt");
        assert!(fault.applied("dog").is_err());
        assert!(fault.applied("banana").is_err());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, told) in [
            ("x = 1", "unknown field `x`"),
            (&format!("{ONE}tset = 1\n"), "unknown field `tset`"),
            (&format!("{ONE}{ONE}"), "stands twice"),
            (&ONE.replace("['x::y']", "[]"), "names no tests"),
            (&ONE.replace("'b'", "'a'"), "changes nothing"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(told), "{error}");
        }
    }
}
