//! The test programs of the workspace, run in two rows side by side.
//!
//! Cargo runs one test program after the other, and most of them wait more than they compute. The second row runs with a lower
//! priority, so that it takes what the first one leaves of the processor; it begins with programs whose tests depend least on time.

use crate::steps::{Counts, cargo};
use crate::tree;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// Folders of the packages that the second row begins with, in this order.
const PATIENT: [&str; 6] = [
    "proof",
    "proof/model",
    "packaging",
    "crates/store",
    "sap",
    "crates/core",
];

/// A row of test programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Row {
    First,
    Second,
}

/// Builds all test programs of the workspace, runs each, and counts their tests.
///
/// # Errors
/// When one cannot be built, or some failed: these are named.
pub(crate) fn run(counts: &mut Counts) -> Result<()> {
    let left = Mutex::new(built()?);
    let seen = Mutex::new((counts, Vec::new()));
    thread::scope(|scope| {
        for row in [Row::First, Row::Second] {
            let (left, seen) = (&left, &seen);
            scope.spawn(move || {
                while let Some(suite) = next(left, row) {
                    let mut own = Counts::default();
                    let ended = suite.run(row, &mut own).context(suite.name);
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.0.join(&own);
                    seen.1.extend(ended.err().map(|error| format!("{error:#}")));
                }
            });
        }
    });
    let (_, failed) = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    ensure!(failed.is_empty(), "tests failed:\n{}", failed.join("\n"));
    Ok(())
}

/// The program that a row runs next: the first row from the front, the second from the back.
fn next(left: &Mutex<VecDeque<Suite>>, row: Row) -> Option<Suite> {
    let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
    match row {
        Row::First => left.pop_front(),
        Row::Second => left.pop_back(),
    }
}

/// All test programs, built: by name, then the patient ones, the first of them last.
fn built() -> Result<VecDeque<Suite>> {
    let words = [
        "test",
        "--workspace",
        "--locked",
        "--no-run",
        "--message-format",
    ];
    let mut child = cargo(&words)
        .arg("json-render-diagnostics")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut suites = Vec::new();
    let output = child.stdout.take().into_iter();
    for line in output.flat_map(|output| BufReader::new(output).lines()) {
        let message = serde_json::from_str::<Value>(&line?);
        suites.extend(message.ok().as_ref().and_then(Suite::of));
    }
    ensure!(child.wait()?.success(), "the tests do not build");
    suites.sort_by_key(|suite: &Suite| {
        let place = PATIENT
            .iter()
            .position(|patient| suite.folder.ends_with(patient));
        (place.map(|place| PATIENT.len() - place), suite.name.clone())
    });
    Ok(suites.into())
}

/// A built test program.
#[derive(Debug)]
struct Suite {
    /// Its name, as a person finds it.
    name: String,
    /// The folder of its package, which it runs in.
    folder: PathBuf,
    program: PathBuf,
}

impl Suite {
    /// The test program that a message of cargo tells of ("External tools" in The Cargo Book, artifact messages).
    fn of(message: &Value) -> Option<Self> {
        let is_test = message["profile"]["test"] == true;
        let program = message["executable"].as_str().filter(|_| is_test)?;
        let folder = PathBuf::from(message["manifest_path"].as_str()?)
            .parent()?
            .to_owned();
        let source = PathBuf::from(message["target"]["src_path"].as_str()?);
        let source = source.strip_prefix(tree::root()).unwrap_or(&source);
        Some(Self {
            name: source.display().to_string(),
            folder,
            program: program.into(),
        })
    }

    /// Runs it to its end and counts its tests. What it prints is shown line by line in the first row, in one piece in the second.
    #[expect(
        clippy::disallowed_methods,
        reason = "the duration is told to a person, nothing depends on it"
    )]
    fn run(&self, row: Row, counts: &mut Counts) -> Result<()> {
        let start = Instant::now();
        let mut command = match row {
            Row::First => Command::new(&self.program),
            Row::Second => {
                let mut lowered = Command::new("nice");
                lowered.arg(&self.program);
                lowered
            }
        };
        let (reader, writer) = std::io::pipe()?;
        command
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        println!("== {} begins", self.name);
        let mut child = command.spawn()?;
        // It holds the pipe's writing end, and the reading below ends when nobody does.
        drop(command);
        let mut held_back = String::new();
        for line in BufReader::new(reader).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            counts.add(&line);
            match row {
                Row::First => println!("{line}"),
                Row::Second => held_back.extend([&*line, "\n"]),
            }
        }
        let status = child.wait()?;
        let seconds = start.elapsed().as_secs();
        println!("{held_back}== {}: {status}, {seconds} s", self.name);
        let failed = counts.failed;
        ensure!(status.success(), "{status}, {failed} failed");
        Ok(())
    }
}
