//! Fuzzing on the stable toolchain: builds the targets of `fuzz/` with coverage instrumentation and runs them.
//!
//! libFuzzer needs only the compiler's coverage pass, which stable `-C` options switch on; the sanitizers that
//! would need a nightly toolchain look for memory errors, and this code forbids `unsafe`. A canary target with
//! a planted crash runs first: if the fuzzer cannot find that, its silence about the others means nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::steps::{cargo, step};
use crate::tree;

/// The fuzz crate, outside the workspace.
const MANIFEST: &str = "fuzz/Cargo.toml";

/// The target whose crash must be found.
const CANARY: &str = "canary";

/// Seconds the canary's crash may take to be found; it takes about one.
const CANARY_SECONDS: u64 = 60;

/// One input may take this long, in seconds; a parser that needs more is broken.
const INPUT_TIMEOUT_SECONDS: u64 = 10;

/// Memory of a fuzzing process, in MiB: a parser that needs more lets a stranger exhaust the server.
const MOST_MEBIBYTES: u64 = 1024;

/// Longest input, in bytes: past the server's largest header, so that limits are met too.
const MOST_INPUT_BYTES: u64 = 16 * 1024;

/// What cargo-fuzz would pass, less the sanitizer.
const INSTRUMENTATION: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
];

/// How long, and what.
pub(crate) struct Options {
    seconds: u64,
    target: Option<String>,
}

impl Options {
    /// Every target for a share of these seconds.
    pub(crate) fn smoke(seconds: u64) -> Self {
        Self {
            seconds,
            target: None,
        }
    }

    /// Reads `[--seconds N] [TARGET]`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let (seconds, rest) = match words {
            ["--seconds", number, rest @ ..] => {
                let seconds = number
                    .parse()
                    .map_err(|error| format!("--seconds {number:?}: {error}"))?;
                (seconds, rest)
            }
            rest => (60, rest),
        };
        match rest {
            [] => Ok(Self {
                seconds,
                target: None,
            }),
            [target] => Ok(Self {
                seconds,
                target: Some((*target).to_owned()),
            }),
            _ => Err("fuzz takes at most one target".to_owned()),
        }
    }
}

/// Builds and runs; fails on the first crash, slow input or fat input, and says how to see it again.
pub(crate) fn run(options: &Options) -> Result<String, String> {
    let root = tree::root();
    let targets = targets(&root)?;
    let chosen: Vec<&String> = match &options.target {
        Some(name) if !targets.contains(name) => {
            return Err(format!(
                "no fuzz target {name}; there are {}",
                targets.join(", ")
            ));
        }
        Some(name) => vec![name],
        None => targets.iter().filter(|name| *name != CANARY).collect(),
    };
    let programs = build(&root)?;
    find_canary(&root, &programs)?;
    let each = (options.seconds / chosen.len().max(1) as u64).max(1);
    for target in &chosen {
        let output = fuzz(&root, &programs, target, each)?;
        let text = String::from_utf8_lossy(&output.stderr);
        let artifacts = artifacts(&root, target)?;
        if !output.status.success() || !artifacts.is_empty() {
            let program = programs.join(target);
            let inputs: Vec<String> = artifacts
                .iter()
                .map(|path| format!("  {}", path.display()))
                .collect();
            return Err(format!(
                "{}\n\nfuzz target {target} failed ({}). Its inputs:\n{}\nSee it again: {} INPUT\nMended? Move it to fuzz/seeds/{target}/.",
                complaint(&text),
                output.status,
                inputs.join("\n"),
                program.display()
            ));
        }
        let executions = statistic(&text, "stat::number_of_executed_units:");
        if executions.is_none_or(|number| number < 100) {
            return Err(format!("{text}\nfuzz target {target} ran hardly anything"));
        }
        println!(
            "fuzz {target}: {} inputs in {each} s, no crash",
            executions.unwrap_or(0)
        );
    }
    Ok(format!("fuzz: {} targets clean", chosen.len()))
}

/// The names of the targets: one file each.
fn targets(root: &Path) -> Result<Vec<String>, String> {
    let folder = root.join("fuzz/targets");
    let entries =
        std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            Some(
                entry
                    .ok()?
                    .file_name()
                    .to_str()?
                    .strip_suffix(".rs")?
                    .to_owned(),
            )
        })
        .collect();
    names.sort();
    Ok(names)
}

/// Builds every target and gives the folder the programs are in.
pub(crate) fn build(root: &Path) -> Result<PathBuf, String> {
    follow_the_workspace(root)?;
    let host = host()?;
    let folder = root.join("target/fuzz");
    let mut command = cargo(&["build", "--locked", "--manifest-path", MANIFEST]);
    // With a target named, build scripts and macros stay uninstrumented.
    command
        .args(["--target", &host])
        .arg("--target-dir")
        .arg(&folder);
    command.env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTATION.join("\x1f"));
    step("fuzz build", &mut command)?;
    Ok(folder.join(host).join("debug"))
}

/// Renews the fuzz crate's lock from the workspace's when a fuzzed crate has other dependencies than before: the
/// fuzzed code must be the code that ships.
fn follow_the_workspace(root: &Path) -> Result<(), String> {
    let resolve = |options: &[&str]| {
        let mut command = cargo(&[
            "metadata",
            "--format-version",
            "1",
            "--manifest-path",
            MANIFEST,
        ]);
        command
            .args(options)
            .output()
            .map_err(|error| format!("cargo metadata: {error}"))
    };
    if resolve(&["--locked"])?.status.success() {
        return Ok(());
    }
    std::fs::copy(root.join("Cargo.lock"), root.join("fuzz/Cargo.lock"))
        .map_err(|error| format!("fuzz/Cargo.lock: {error}"))?;
    let renewed = resolve(&[])?;
    if !renewed.status.success() {
        return Err(String::from_utf8_lossy(&renewed.stderr).into_owned());
    }
    println!("fuzz/Cargo.lock was behind Cargo.lock and is renewed: commit it");
    Ok(())
}

fn host() -> Result<String, String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .map_err(|error| format!("rustc -vV: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "rustc -vV names no host".to_owned())
}

/// Runs the canary until it crashes.
fn find_canary(root: &Path, programs: &Path) -> Result<(), String> {
    let output = fuzz(root, programs, CANARY, CANARY_SECONDS)?;
    let found = artifacts(root, CANARY)?;
    if output.status.success() || found.is_empty() {
        return Err(
            "the fuzzer did not find the canary's planted crash: its silence proves nothing"
                .to_owned(),
        );
    }
    println!("fuzz {CANARY}: planted crash found");
    Ok(())
}

/// One target for some seconds. The corpus it grows stays under `target/` and is used again.
fn fuzz(root: &Path, programs: &Path, target: &str, seconds: u64) -> Result<Output, String> {
    let corpus = fresh_folder(
        root.join("target/fuzz/corpus").join(target),
        target == CANARY,
    )?;
    let artifacts = fresh_folder(root.join("target/fuzz/artifacts").join(target), true)?;
    let seeds = root.join("fuzz/seeds").join(target);
    let words = root.join("fuzz/words.dict");
    let mut command = Command::new(programs.join(target));
    command
        .arg(corpus)
        .args(seeds.is_dir().then_some(&seeds))
        .arg(format!("-dict={}", words.display()))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_TIMEOUT_SECONDS}"))
        .arg(format!("-rss_limit_mb={MOST_MEBIBYTES}"))
        .arg(format!("-max_len={MOST_INPUT_BYTES}"))
        .arg("-print_final_stats=1");
    command
        .output()
        .map_err(|error| format!("fuzz target {target} could not be started: {error}"))
}

fn fresh_folder(path: PathBuf, emptied: bool) -> Result<PathBuf, String> {
    let attempt = || {
        if emptied && path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir_all(&path)
    };
    attempt().map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn artifacts(root: &Path, target: &str) -> Result<Vec<PathBuf>, String> {
    let folder = root.join("target/fuzz/artifacts").join(target);
    let entries =
        std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect())
}

/// The lines that say what went wrong: the panic's, or libFuzzer's own.
fn complaint(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let start = lines
        .iter()
        .position(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer"));
    let start = start.unwrap_or(lines.len().saturating_sub(20));
    lines[start..]
        .iter()
        .take(20)
        .copied()
        .collect::<Vec<_>>()
        .join("\n")
}

/// A figure of libFuzzer's closing statistics.
fn statistic(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .trim()
        .parse()
        .ok()
}
