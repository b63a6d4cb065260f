//! Fuzzing on the stable toolchain: builds the targets of `fuzz/` with coverage instrumentation and runs them.
//!
//! libFuzzer needs only the compiler's coverage pass, which stable `-C` options switch on; the sanitizers that
//! would need a nightly toolchain look for memory errors, and this code forbids `unsafe`. A canary target with
//! a planted crash runs first: if the fuzzer cannot find that, its silence about the others means nothing.

use anyhow::{Context as _, Result, bail, ensure};
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
    /// Reads `[--seconds N] [TARGET]`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let (seconds, rest) = match words {
            ["--seconds", number, rest @ ..] => {
                let seconds = number.parse();
                (
                    seconds.with_context(|| format!("--seconds {number:?}"))?,
                    rest,
                )
            }
            rest => (60, rest),
        };
        ensure!(rest.len() <= 1, "fuzz takes at most one target");
        let target = rest.first().map(|target| (*target).to_owned());
        Ok(Self { seconds, target })
    }
}

/// Builds and runs; fails on the first crash, slow input or fat input, and says how to see it again.
pub(crate) fn run(options: &Options) -> Result<String> {
    let root = tree::root();
    let targets = targets(&root)?;
    let chosen: Vec<&String> = match &options.target {
        Some(name) if !targets.contains(name) => {
            bail!("no fuzz target {name}; there are {}", targets.join(", "));
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
            let inputs = artifacts
                .iter()
                .map(|path| format!("  {}\n", path.display()));
            bail!(
                "{}\n\nfuzz target {target} failed ({}). Its inputs:\n{}See it again: {} INPUT\nMended? Move it to fuzz/seeds/{target}/.",
                complaint(&text),
                output.status,
                inputs.collect::<String>(),
                programs.join(target).display()
            );
        }
        let executions = statistic(&text, "stat::number_of_executed_units:").unwrap_or(0);
        ensure!(
            executions >= 100,
            "{text}\nfuzz target {target} ran hardly anything"
        );
        println!("fuzz {target}: {executions} inputs in {each} s, no crash");
    }
    Ok(format!("fuzz: {} targets clean", chosen.len()))
}

/// The names of the targets: one file each.
fn targets(root: &Path) -> Result<Vec<String>> {
    let paths = entries(&root.join("fuzz/targets"))?;
    let programs = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let mut names: Vec<String> = programs
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// What a folder holds.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// Builds every target and gives the folder the programs are in.
pub(crate) fn build(root: &Path) -> Result<PathBuf> {
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
fn follow_the_workspace(root: &Path) -> Result<()> {
    let words = [
        "metadata",
        "--format-version",
        "1",
        "--manifest-path",
        MANIFEST,
    ];
    let resolve = |options: &[&str]| {
        let output = cargo(&words).args(options).output();
        output.context("cargo metadata")
    };
    if resolve(&["--locked"])?.status.success() {
        return Ok(());
    }
    std::fs::copy(root.join("Cargo.lock"), root.join("fuzz/Cargo.lock"))
        .context("fuzz/Cargo.lock")?;
    let renewed = resolve(&[])?;
    let errors = String::from_utf8_lossy(&renewed.stderr);
    ensure!(renewed.status.success(), "{errors}");
    println!("fuzz/Cargo.lock was behind Cargo.lock and is renewed: commit it");
    Ok(())
}

fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("rustc -vV")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// Runs the canary until it crashes.
fn find_canary(root: &Path, programs: &Path) -> Result<()> {
    let output = fuzz(root, programs, CANARY, CANARY_SECONDS)?;
    let found = artifacts(root, CANARY)?;
    let crashed = !output.status.success() && !found.is_empty();
    ensure!(
        crashed,
        "the fuzzer did not find the canary's planted crash: its silence proves nothing"
    );
    println!("fuzz {CANARY}: planted crash found");
    Ok(())
}

/// One target for some seconds. The corpus it grows stays under `target/` and is used again.
fn fuzz(root: &Path, programs: &Path, target: &str, seconds: u64) -> Result<Output> {
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
        .with_context(|| format!("fuzz target {target} could not be started"))
}

fn fresh_folder(path: PathBuf, emptied: bool) -> Result<PathBuf> {
    let attempt = || {
        if emptied && path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir_all(&path)
    };
    attempt().with_context(|| format!("{}", path.display()))?;
    Ok(path)
}

fn artifacts(root: &Path, target: &str) -> Result<Vec<PathBuf>> {
    entries(&root.join("target/fuzz/artifacts").join(target))
}

/// The lines that say what went wrong: the panic's, or libFuzzer's own.
fn complaint(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let start = lines
        .iter()
        .position(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer"));
    let start = start.unwrap_or(lines.len().saturating_sub(20));
    let end = lines.len().min(start + 20);
    lines[start..end].join("\n")
}

/// A figure of libFuzzer's closing statistics.
fn statistic(text: &str, name: &str) -> Option<u64> {
    let figure = text.lines().find_map(|line| line.strip_prefix(name));
    figure?.trim().parse().ok()
}
