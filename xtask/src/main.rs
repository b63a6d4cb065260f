//! The project's own chores, each one verb: `cargo run -p xtask -- VERB`.
//!
//! `make` is the front door; this is what stands behind it. Nothing here ships, and nothing that ships may
//! depend on it.

mod code;
mod docs;
mod faults;
mod fuzz;
mod json;
mod sbom;
mod steps;
mod suites;
mod tidy;
mod tree;

use anyhow::anyhow;
use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo run -p xtask -- VERB

  tidy                          the style laws (CONTRIBUTING.md says why each stands)
  check                         formatting, dependencies, clippy, documentation, tidy
  test                          check, every test, the unattended demo, a fuzz smoke; counts what passed
  tests                         the test programs and the examples in the documentation, counted
  fuzz [--seconds N] [TARGET]   each fuzz target in turn, N seconds in all (60)
  sbom FOLDER                   a CycloneDX bill of materials of each shipped program
  docs                          the documentation as a web site, in target/docs/book
  faults [NAME...]              takes each behaviour of proof/faults.toml away in a copy; its tests must fail";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome: anyhow::Result<String> = match words.as_slice() {
        ["tidy"] => tidy::run(),
        ["check"] => steps::check(),
        ["test"] => steps::test(),
        ["tests"] => steps::tests(),
        ["fuzz", options @ ..] => {
            fuzz::Options::parse(options).and_then(|options| fuzz::run(&options))
        }
        ["docs"] => docs::run(),
        ["sbom", folder] => sbom::run(folder),
        ["faults", names @ ..] => faults::run(names),
        ["help" | "--help" | "-h"] | [] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        [verb, ..] => Err(anyhow!("no verb {verb:?} with these arguments\n\n{HELP}")),
    };
    match outcome {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason:#}");
            ExitCode::FAILURE
        }
    }
}
