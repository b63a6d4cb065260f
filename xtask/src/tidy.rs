//! The style laws as a test: each law has a name, a reason and a way to find what breaks it.
//!
//! A law reads the tree and nothing else. Every law has small bad inputs in `xtask/bad`, and the tests fail
//! when a law no longer finds them or has none.

mod faults;
mod markdown;
mod repository;
mod rust;
#[cfg(test)]
mod tests;
mod text;

use crate::tree::{File, Tree};
use anyhow::{Result, bail};

/// The folder of inputs that break a law on purpose.
const BAD_INPUTS: &str = "xtask/bad/";

/// A place that breaks a law.
#[derive(Debug)]
pub(crate) struct Finding {
    path: String,
    /// Counted from 1; 0 is the whole file.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl File {
    fn finding(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding::new(&self.path, line, message)
    }
}

/// A rule of the house.
struct Law {
    name: &'static str,
    why: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

const LAWS: &[Law] = &[
    Law {
        name: "module-doc",
        why: "a reader must learn at the door what a room is for and what it must never do",
        check: rust::module_doc,
    },
    Law {
        name: "nothing-unfinished",
        why: "a note in the code is a promise nobody tracks: finish it, or file it as an issue",
        check: text::nothing_unfinished,
    },
    Law {
        name: "sql-at-home",
        why: "one home of SQL means one place where a query can be wrong, injected, or differ between engines",
        check: rust::sql_at_home,
    },
    Law {
        name: "core-is-pure",
        why: "time, randomness and messages are arguments of the core, so that it can be simulated and model-checked",
        check: rust::core_is_pure,
    },
    Law {
        name: "fuzzed-files-stand-alone",
        why: "a fuzz target includes files of the server by their paths; what those use beyond it breaks the target's build",
        check: rust::fuzzed_files_stand_alone,
    },
    Law {
        name: "status-codes-at-home",
        why: "a verb that knows HTTP cannot serve OAuth, the console and gRPC alike; each dialect maps in its own file",
        check: rust::status_codes_at_home,
    },
    Law {
        name: "waits-have-deadlines",
        why: "a test that waits for a process for ever says nothing about what it waited for, and holds up every other test",
        check: rust::waits_have_deadlines,
    },
    Law {
        name: "secrets-stay-inside",
        why: "a secret that can be printed, serialised or copied ends in a log; these types open only by name",
        check: rust::secrets_stay_inside,
    },
    Law {
        name: "published-patterns",
        why: "a secret scanner fed with a stale pattern finds nothing, silently",
        check: repository::published_patterns,
    },
    Law {
        name: "faults-table",
        why: "a deliberate fault that no longer fits its file proves nothing, and a code without one has no proven test",
        check: faults::faults_table,
    },
    Law {
        name: "decision-records",
        why: "a decision without its context and its price cannot be revisited, only obeyed",
        check: markdown::decision_records,
    },
    Law {
        name: "links-resolve",
        why: "a broken link tells a newcomer that nobody reads this",
        check: markdown::links_resolve,
    },
    Law {
        name: "no-machine-paths",
        why: "what names one machine's folder works on one machine",
        check: text::no_machine_paths,
    },
    Law {
        name: "no-registry-hosts",
        why: "where packages come from is the machine's own setting; a host written here breaks mirrors and closed networks",
        check: text::no_registry_hosts,
    },
    Law {
        name: "manifests",
        why: "a crate outside the workspace's lints is a crate outside the laws, and one without a description has no reason",
        check: repository::manifests,
    },
];

/// Judges the repository; the error text lists every finding and the reason of each broken law.
pub(crate) fn run() -> Result<String> {
    let mut tree = Tree::read()?;
    tree.files.retain(|file| !file.path.starts_with(BAD_INPUTS));
    let mut report = Vec::new();
    let mut reasons = Vec::new();
    for law in LAWS {
        let findings = (law.check)(&tree);
        if !findings.is_empty() {
            reasons.push(format!("  {}: {}", law.name, law.why));
        }
        report.extend(findings.iter().map(|finding| {
            let Finding { path, message, .. } = finding;
            let place = match finding.line {
                0 => path.clone(),
                line => format!("{path}:{line}"),
            };
            format!("{place}: {message} [{}]", law.name)
        }));
    }
    if report.is_empty() {
        let (laws, files) = (LAWS.len(), tree.files.len());
        return Ok(format!("tidy: {laws} laws hold over {files} files"));
    }
    let (count, report, reasons) = (report.len(), report.join("\n"), reasons.join("\n"));
    bail!("{report}\n\n{count} findings. Why these laws:\n{reasons}")
}
