//! Where faults are tried: a copy of the tracked files with its own build beside it, both kept between runs.
//!
//! The repository itself is never changed. A run that was killed leaves its fault in the copy; the next run
//! puts every file right before it begins.

use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::table::{Fault, Suite};
use crate::{steps, tree};

/// A run of a few tests that takes longer hangs.
const LONGEST_RUN: Duration = Duration::from_secs(300);

/// Lines of a failed build that are shown.
const TOLD_LINES: usize = 40;

/// What became of the tests that ran, by name: whether each passed.
pub(super) type Outcome = BTreeMap<String, bool>;

/// The copy and its build.
pub(super) struct Bench {
    tree: PathBuf,
    build: PathBuf,
}

impl Bench {
    /// Makes the copy, or brings it up to date; files that are the same keep their time, so that nothing is
    /// built again for them.
    pub(super) fn prepare() -> Result<Self> {
        let own = std::env::current_exe()?;
        let target = own.ancestors().nth(2);
        let target = target.context("xtask lies in no target folder")?;
        let bench = Self {
            tree: target.join("faults/tree"),
            build: target.join("faults/build"),
        };
        let root = tree::root();
        let paths = tree::git_files(&root, &["--cached"])?;
        for path in &paths {
            copy(&root.join(path), &bench.tree.join(path))
                .with_context(|| format!("{path} could not be copied"))?;
        }
        for path in installed(&paths) {
            let (from, to) = (root.join(&path), bench.tree.join(&path));
            if from.is_dir() && !to.exists() {
                std::os::unix::fs::symlink(from, to)
                    .with_context(|| format!("{path} could not be linked"))?;
            }
        }
        for path in files_under(&bench.tree, &bench.tree) {
            let gone =
                paths.contains(&path) || std::fs::remove_file(bench.tree.join(&path)).is_ok();
            ensure!(gone, "{path} is no longer tracked and could not be removed");
        }
        Ok(bench)
    }

    /// Puts a fault in; the text as it was is the answer.
    pub(super) fn apply(&self, fault: &Fault) -> Result<String> {
        let path = self.tree.join(&fault.file);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} could not be read", fault.file))?;
        write(&path, &fault.applied(&text)?)?;
        Ok(text)
    }

    /// Takes it out again.
    pub(super) fn restore(&self, fault: &Fault, text: &str) -> Result<()> {
        write(&self.tree.join(&fault.file), text)
    }

    /// Builds the binaries that the tests may start, and the test program.
    pub(super) fn build(&self, suite: Suite<'_>) -> Result<()> {
        // Cargo builds a package's binaries for its own tests. Asked for alone, they would want other features of their
        // dependencies, and all of them a second time.
        for (package, target) in started(suite) {
            self.built(&[
                "test", "--no-run", "--locked", "-p", package, "--test", target,
            ])?;
        }
        let mut words = vec!["test", "--no-run", "--locked"];
        words.extend(suite.options());
        self.built(&words)
    }

    fn built(&self, words: &[&str]) -> Result<()> {
        let output = self.cargo(words).output();
        let output = output.context("cargo could not be started")?;
        let text = String::from_utf8_lossy(&output.stderr);
        let lines = text.lines().skip_while(|line| !line.starts_with("error"));
        let lines: Vec<&str> = lines.take(TOLD_LINES).collect();
        ensure!(
            output.status.success(),
            "does not build:\n{}",
            lines.join("\n")
        );
        Ok(())
    }

    /// Runs these tests of a suite that is built.
    pub(super) fn run(&self, suite: Suite<'_>, tests: &[&str]) -> Result<Outcome> {
        let mut words = vec!["test", "--locked"];
        words.extend(suite.options());
        words.extend(["--", "--exact"]);
        words.extend(tests);
        let mut command = self.cargo(&words);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut child = command.spawn().context("cargo could not be started")?;
        let output = child.stdout.take().context("no output of cargo")?;
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let start = now();
        let mut outcome = Outcome::new();
        loop {
            let left = LONGEST_RUN.saturating_sub(start.elapsed());
            match receiver.recv_timeout(left) {
                Ok(line) => outcome.extend(test_line(&String::from_utf8_lossy(&line))),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    // The whole group: cargo, the tests and the servers they started.
                    let group = format!("-{}", child.id());
                    let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
                    let limit = LONGEST_RUN.as_secs();
                    bail!("its tests did not end within {limit} s ({killed:?})");
                }
            }
        }
        child.wait().context("the end of the tests was not seen")?;
        Ok(outcome)
    }

    fn cargo(&self, words: &[&str]) -> Command {
        let mut command = steps::cargo(words);
        command
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.build)
            // Our own crates are built once for each fault and run for seconds.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("CARGO_INCREMENTAL", "1");
        command
    }
}

/// Tests of other packages whose binaries a suite starts. The store and what is below it start none, unit tests neither.
fn started(suite: Suite<'_>) -> &'static [(&'static str, &'static str)] {
    const SERVER: (&str, &str) = ("tokenward", "wire");
    match (suite.package, suite.target) {
        (_, "lib") | ("tokenward" | "tokenward-core" | "tokenward-store", _) => &[],
        // The packages hold both programs.
        ("tokenward-packaging", _) => &[SERVER, ("tokenward-agent", "agent")],
        _ => &[SERVER],
    }
}

/// A test's name and whether it passed, from the line its harness prints.
fn test_line(line: &str) -> Option<(String, bool)> {
    let (name, end) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let name = name.trim_end_matches(" - should panic").to_owned();
    match end {
        "ok" => Some((name, true)),
        "FAILED" => Some((name, false)),
        _ => None,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a round took is told to a person; what hangs is stopped"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} could not be written", path.display()))
}

/// Copies a file or a link; a file that is the same is left alone.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let kind = match from.symlink_metadata() {
        Ok(data) => data.file_type(),
        // Deleted, but not committed yet.
        Err(_) => return std::fs::remove_file(to).or(Ok(())),
    };
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    if kind.is_symlink() {
        let wanted = std::fs::read_link(from)?;
        if std::fs::read_link(to).ok().as_ref() != Some(&wanted) {
            std::os::unix::fs::symlink(wanted, to)?;
        }
        return Ok(());
    }
    if std::fs::read(to).ok() != Some(std::fs::read(from)?) {
        std::fs::copy(from, to)?;
    }
    Ok(())
}

/// What setup puts beside the tracked files, for tests that run Python or Node; shared with the copy.
fn installed(tracked: &[String]) -> Vec<String> {
    let beside = |path: &String| path.strip_suffix("package.json").map(str::to_owned);
    let node = tracked.iter().filter_map(beside);
    std::iter::once(".cache".to_owned())
        .chain(node.map(|folder| format!("{folder}node_modules")))
        .collect()
}

/// Every Rust file below a folder, as paths from the copy's root. One that is no longer tracked could still be
/// compiled; what tests leave behind, Node's packages and Python's caches, does no harm.
fn files_under(root: &Path, folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files.extend(files_under(root, &path));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && let Ok(path) = path.strip_prefix(root)
        {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::test_line;

    #[test]
    fn the_lines_of_a_harness_are_read() {
        let check = |line: &str, expected: Option<(&str, bool)>| {
            let expected = expected.map(|(name, passed)| (name.to_owned(), passed));
            assert_eq!(test_line(line), expected, "{line}");
        };
        check(
            "test check::a_permit ... ok",
            Some(("check::a_permit", true)),
        );
        check("test a ... FAILED", Some(("a", false)));
        check("test a - should panic ... ok", Some(("a", true)));
        check("test a has been running for over 60 seconds", None);
        check("test result: ok. 1 passed; 0 failed", None);
    }
}
