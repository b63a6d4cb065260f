//! Laws about the repository's own files: manifests, locks, and documents that repeat what code says.

use super::Finding;
use crate::code::{Code, Token};
use crate::tree::{File, Tree};

/// Crates with a lock and a target folder of their own, outside the workspace.
const OUTSIDE: &[&str] = &["fuzz/Cargo.toml"];

pub(super) fn manifests(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.name() == "Cargo.toml") {
        let Some(package) = section(file, "[package]") else {
            continue;
        };
        if !package
            .iter()
            .any(|line| line.starts_with("description = \"") && !line.ends_with("\"\""))
        {
            findings
                .push(file.finding(0, "has no description: say in a line what the crate is for"));
        }
        if OUTSIDE.contains(&file.path.as_str()) {
            continue;
        }
        let lints = section(file, "[lints]").unwrap_or_default();
        if !lints.contains(&"workspace = true") {
            findings.push(file.finding(0, "has no `[lints] workspace = true`"));
        }
        for field in ["version", "edition", "rust-version", "license", "publish"] {
            let inherited = format!("{field}.workspace = true");
            if !package.contains(&inherited.as_str()) {
                findings.push(file.finding(0, format!("has no `{inherited}`")));
            }
        }
    }
    findings
}

/// Each `..._PATTERN` of the core stands in SECURITY.md, letter by letter, on a line of its own.
pub(super) fn published_patterns(tree: &Tree) -> Vec<Finding> {
    let published = tree
        .file("SECURITY.md")
        .map_or("", |file| file.text.as_str());
    let mut findings = Vec::new();
    let core = tree.below("crates/core/src/");
    for file in core.filter(|file| file.extension() == "rs") {
        let tokens = Code::of(file).tokens;
        for (index, token) in tokens.iter().enumerate() {
            let defined = index > 0 && tokens[index - 1].is_word("const");
            let Some(name) = token
                .word()
                .filter(|name| defined && name.ends_with("_PATTERN"))
            else {
                continue;
            };
            let pattern = tokens[index..].iter().find_map(Token::literal);
            let pattern = pattern.map(|text| text.trim_matches(['r', '#']).trim_matches('"'));
            if !published.lines().any(|line| Some(line) == pattern) {
                findings.push(
                    file.finding(token.line, format!("SECURITY.md publishes another {name}")),
                );
            }
        }
    }
    findings
}

/// The lines of one section of a manifest, trimmed.
fn section<'a>(file: &'a File, header: &str) -> Option<Vec<&'a str>> {
    let mut lines = file
        .text
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != header);
    lines.next()?;
    Some(lines.take_while(|line| !line.starts_with('[')).collect())
}
