//! The table of deliberate faults, `proof/faults.toml`, read and nothing more.
//!
//! It never looks at the disk: the verb and the style law hand it the text.

/// Where the table stands.
pub(crate) const PATH: &str = "proof/faults.toml";

/// What a fault says of its tests unless it says otherwise: the wire tests of the server.
const PACKAGE: &str = "tokenward";
const TARGET: &str = "wire";

/// One behaviour taken away, and the tests that must notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The error code or `seed N`, then perhaps a colon and which side of it.
    pub(crate) name: String,
    pub(crate) file: String,
    /// Stands exactly once in the file.
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) suite: Suite,
    /// Whole names of tests.
    pub(crate) tests: Vec<String>,
    /// The table's line on which it begins.
    pub(crate) line: usize,
}

/// A test program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Suite {
    pub(crate) package: String,
    /// The name of a test target; `lib` for the tests inside the library.
    pub(crate) target: String,
}

impl Fault {
    /// The error code or the row of the seed list it belongs to.
    pub(crate) fn subject(&self) -> &str {
        self.name
            .split_once(':')
            .map_or(self.name.as_str(), |(subject, _)| subject)
    }

    /// The file's text with the fault in it.
    pub(crate) fn applied(&self, text: &str) -> Result<String, String> {
        match text.matches(&self.from).count() {
            1 => Ok(text.replacen(&self.from, &self.to, 1)),
            count => Err(format!(
                "its text stands {count} times in {}, not once",
                self.file
            )),
        }
    }
}

impl Suite {
    /// The options of `cargo test` that choose it.
    pub(crate) fn options(&self) -> Vec<&str> {
        let mut options = vec!["-p", &self.package];
        if self.target == "lib" {
            options.push("--lib");
        } else {
            options.extend(["--test", &self.target]);
        }
        options
    }
}

/// Reads the table: an array `fault`. An unknown key is an error, for it would be a demand nobody hears.
pub(crate) fn parse(text: &str) -> Result<Vec<Fault>, String> {
    let table: toml::Table = text.parse().map_err(|error| format!("{PATH}: {error}"))?;
    let entries = match (table.len(), table.get("fault")) {
        (1, Some(toml::Value::Array(entries))) => entries,
        _ => return Err(format!("{PATH}: holds entries [[fault]] and nothing else")),
    };
    let lines: Vec<usize> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| *line == "[[fault]]")
        .map(|(index, _)| index + 1)
        .collect();
    let mut faults: Vec<Fault> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let line = lines.get(index).copied().unwrap_or(0);
        let fault = read(entry, line).map_err(|reason| format!("{PATH}:{line}: {reason}"))?;
        if faults.iter().any(|other| other.name == fault.name) {
            return Err(format!("{PATH}:{line}: {} stands twice", fault.name));
        }
        faults.push(fault);
    }
    Ok(faults)
}

fn read(entry: &toml::Value, line: usize) -> Result<Fault, String> {
    let known = ["name", "file", "from", "to", "package", "target", "tests"];
    let entry = entry.as_table().ok_or("is no table")?;
    if let Some(key) = entry.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("no key is called {key}"));
    }
    let optional = |key: &str| entry.get(key).and_then(toml::Value::as_str);
    let text = |key: &str| {
        optional(key)
            .map(str::to_owned)
            .ok_or_else(|| format!("has no text {key}"))
    };
    let tests: Vec<String> = entry
        .get("tests")
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|test| test.as_str().map(str::to_owned))
        .collect();
    if tests.is_empty() {
        return Err("names no tests".to_owned());
    }
    let fault = Fault {
        name: text("name")?,
        file: text("file")?,
        from: text("from")?,
        to: text("to")?,
        suite: Suite {
            package: optional("package").unwrap_or(PACKAGE).to_owned(),
            target: optional("target").unwrap_or(TARGET).to_owned(),
        },
        tests,
        line,
    };
    if fault.from.is_empty() || fault.from == fault.to {
        return Err("changes nothing".to_owned());
    }
    Ok(fault)
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
            faults[0].suite.options(),
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
            ("x = 1", "nothing else"),
            (&format!("{ONE}tset = 1\n"), "no key is called tset"),
            (&format!("{ONE}{ONE}"), "stands twice"),
            (&ONE.replace("['x::y']", "[]"), "names no tests"),
            (&ONE.replace("'b'", "'a'"), "changes nothing"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
