//! Laws about documents: links lead somewhere, decisions carry their reasons.

use super::Finding;
use crate::tree::{self, File, Tree};
use anyhow::{Context as _, Result, bail, ensure};

const DECISIONS: &str = "docs/decisions/";

/// What a decision record must say, in this order.
const HEADINGS: &[&str] = &[
    "## Context",
    "## Choice",
    "## Consequences",
    "## What would change our mind",
];

pub(super) fn decision_records(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut numbers: Vec<&str> = Vec::new();
    for file in tree.below(DECISIONS) {
        let name = file.name();
        let Some((number, title)) = record_name(name) else {
            findings.push(file.finding(0, "is not named NNNN-title-in-lower-case.md"));
            continue;
        };
        if numbers.contains(&number) {
            findings.push(file.finding(0, format!("number {number} ({title}) is taken")));
        }
        numbers.push(number);
        let first = file.text.lines().next().unwrap_or("");
        if !first.starts_with(&format!("# {number}. ")) {
            findings
                .push(file.finding(1, format!("does not begin with `# {number}. ` and a title")));
        }
        let mut lines = file.lines();
        for heading in HEADINGS {
            if !lines.any(|(_, line)| line == *heading) {
                findings
                    .push(file.finding(0, format!("lacks `{heading}`, or has it out of order")));
                break;
            }
        }
    }
    findings
}

/// Number and title of `NNNN-title.md`.
fn record_name(name: &str) -> Option<(&str, &str)> {
    let (number, title) = name.strip_suffix(".md")?.split_once('-')?;
    let numbered = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
    let lower = title
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (numbered && lower && !title.is_empty()).then_some((number, title))
}

pub(super) fn links_resolve(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.extension() == "md") {
        for (number, target) in links(file) {
            if let Err(message) = resolve(tree, file, &target) {
                findings.push(file.finding(number, format!("link to {target}: {message}")));
            }
        }
    }
    findings
}

/// Targets of inline links and images, outside code.
fn links(file: &File) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut fenced = false;
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        // Odd pieces between back-ticks are code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for rest in prose.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or("");
            links.push((number, target.to_owned()));
        }
    }
    links
}

fn resolve(tree: &Tree, from: &File, target: &str) -> Result<()> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(());
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let place = if path.is_empty() {
        from.path.clone()
    } else {
        ensure!(!path.starts_with('/'), "starts at the machine's root");
        tree::join(&from.path, path).context("leaves the repository")?
    };
    ensure!(tree.holds(&place), "{place} does not exist");
    let document = tree.file(&place).filter(|file| file.extension() == "md");
    if let Some(file) = document.filter(|_| !anchor.is_empty())
        && !anchors(file).iter().any(|known| known == anchor)
    {
        bail!("{place} has no heading #{anchor}");
    }
    Ok(())
}

/// The anchors that a forge makes of a document's headings.
fn anchors(file: &File) -> Vec<String> {
    let headings = file.lines().filter_map(|(_, line)| line.strip_prefix('#'));
    headings
        .map(|heading| {
            let title = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
            kept.map(|letter| if letter == ' ' { '-' } else { letter })
                .collect()
        })
        .collect()
}
