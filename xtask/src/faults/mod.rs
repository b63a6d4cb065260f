//! Deliberate faults: each behaviour of `proof/faults.toml` is taken away in a copy of the tree, and its tests
//! must fail.
//!
//! A fault counts as found only when tests ran and one of them failed. What does not build, does not apply or
//! does not end is an error of the table, never a success.

mod bench;
pub(crate) mod table;

use std::collections::{BTreeMap, BTreeSet};

use crate::tree;
use anyhow::{Context as _, Result, bail, ensure};
use bench::{Bench, now};
use table::{Fault, Suite};

/// What became of one fault.
enum End {
    /// These tests failed, as they must.
    Killed(Vec<String>),
    /// All tests passed: nothing notices that the behaviour is gone.
    Survived,
    /// The table is wrong about it.
    Wrong(String),
}

/// Tries the faults whose names begin with one of these words, or all.
pub(crate) fn run(words: &[&str]) -> Result<String> {
    let path = tree::root().join(table::PATH);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} could not be read", table::PATH))?;
    let mut faults = table::parse(&text)?;
    let is_meant = |fault: &Fault, word: &str| fault.name.starts_with(word);
    for word in words {
        if !faults.iter().any(|fault| is_meant(fault, word)) {
            bail!("no fault's name begins with {word:?}");
        }
    }
    faults.retain(|fault| words.is_empty() || words.iter().any(|word| is_meant(fault, word)));
    // Faults of one file after each other: the crates before it are built once.
    faults.sort_by(|a, b| (a.suite(), &a.file).cmp(&(b.suite(), &b.file)));
    let bench = Bench::prepare()?;
    without_faults(&bench, &faults)?;
    let mut ends = Vec::new();
    for (index, fault) in faults.iter().enumerate() {
        let start = now();
        let end = one(&bench, fault)?;
        let line = told(&fault.name, &end, start.elapsed().as_secs());
        println!("{:>3} of {}  {line}", index + 1, faults.len());
        ends.push((end, line));
    }
    summary(&ends)
}

/// Every named test must be there and pass before anything is broken, or its failing would prove nothing.
fn without_faults(bench: &Bench, faults: &[Fault]) -> Result<()> {
    let mut suites: BTreeMap<Suite<'_>, BTreeSet<&str>> = BTreeMap::new();
    for fault in faults {
        let tests = suites.entry(fault.suite()).or_default();
        tests.extend(fault.tests.iter().map(String::as_str));
    }
    for (suite, tests) in suites {
        let start = now();
        bench.build(suite)?;
        let tests: Vec<&str> = tests.into_iter().collect();
        let outcome = bench.run(suite, &tests)?;
        let (package, target) = (suite.package, suite.target);
        let passed = |test: &&str| outcome.get(*test) == Some(&true);
        let missing: Vec<&str> = tests.iter().copied().filter(|test| !passed(test)).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            bail!("without any fault these tests of {target} fail or are not there: {missing}");
        }
        let (count, seconds) = (tests.len(), start.elapsed().as_secs());
        println!("{count} tests of {package} {target} pass without a fault, {seconds} s");
    }
    Ok(())
}

/// Tries one fault; an error is a copy that could not be put right, after which nothing may go on.
fn one(bench: &Bench, fault: &Fault) -> Result<End> {
    let text = match bench.apply(fault) {
        Ok(text) => text,
        Err(reason) => return Ok(End::Wrong(format!("{reason:#}"))),
    };
    let tests: Vec<&str> = fault.tests.iter().map(String::as_str).collect();
    let outcome = bench
        .build(fault.suite())
        .and_then(|()| bench.run(fault.suite(), &tests));
    bench.restore(fault, &text)?;
    Ok(match outcome {
        Err(reason) => End::Wrong(format!("{reason:#}")),
        Ok(outcome) if outcome.is_empty() => End::Wrong("no test was run".to_owned()),
        Ok(outcome) => {
            let failed: Vec<String> = outcome
                .into_iter()
                .filter_map(|(name, passed)| (!passed).then_some(name))
                .collect();
            if failed.is_empty() {
                End::Survived
            } else {
                End::Killed(failed)
            }
        }
    })
}

fn told(name: &str, end: &End, seconds: u64) -> String {
    let end = match end {
        End::Killed(tests) => format!("killed by {}", tests.join(", ")),
        End::Survived => "SURVIVED".to_owned(),
        End::Wrong(reason) => format!("WRONG: {reason}"),
    };
    format!("{name:<56} {seconds:>4} s  {end}")
}

fn summary(ends: &[(End, String)]) -> Result<String> {
    let lines: Vec<&str> = ends.iter().map(|(_, line)| line.as_str()).collect();
    let count = |wanted: fn(&End) -> bool| ends.iter().filter(|(end, _)| wanted(end)).count();
    let killed = count(|end| matches!(end, End::Killed(_)));
    let survived = count(|end| matches!(end, End::Survived));
    let wrong = count(|end| matches!(end, End::Wrong(_)));
    let text = format!(
        "\n{}\n\nfaults: {} tried, {killed} killed, {survived} survived, {wrong} wrong",
        lines.join("\n"),
        ends.len()
    );
    ensure!(killed > 0 && killed == ends.len(), "{text}");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_killed_faults_are_a_success() {
        let ends = |ends: Vec<End>| -> Vec<(End, String)> {
            ends.into_iter().map(|end| (end, String::new())).collect()
        };
        let killed = || End::Killed(vec!["a".to_owned()]);
        assert!(summary(&ends(vec![killed()])).is_ok());
        assert!(summary(&ends(vec![])).is_err());
        assert!(summary(&ends(vec![killed(), End::Survived])).is_err());
        assert!(summary(&ends(vec![killed(), End::Wrong(String::new())])).is_err());
    }
}
