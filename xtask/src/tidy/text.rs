//! Laws about text, whatever language it is in.

use super::Finding;
use crate::tree::{File, Tree};

const SOURCE: &[&str] = &[
    "rs", "sh", "py", "js", "mjs", "ts", "abap", "groovy", "java", "lua", "css", "html", "sql",
];

/// Words that mark unfinished work. Put together here so that this file does not break its own law.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// First labels of hosts that serve packages.
const REGISTRY_LABELS: &[&str] = &[
    "registry", "index", "static", "pypi", "deb", "mirror", "mirrors", "files",
];

/// Settings that choose a registry.
const REGISTRY_SETTINGS: &[&str] = &[
    concat!("--", "registry"),
    concat!("--", "index-url"),
    concat!("--", "extra-index-url"),
    concat!("\"resolved\": \"", "http"),
    concat!("replace", "-with"),
    concat!("[source", "."),
];

pub(super) fn nothing_unfinished(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in sources(tree) {
        for (number, line) in file.lines() {
            let words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            for word in words.filter(|word| UNFINISHED.contains(word)) {
                findings.push(file.finding(number, format!("{word}: finish it or file an issue")));
            }
        }
    }
    findings
}

pub(super) fn no_machine_paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (number, line) in file.lines() {
            let own = tree
                .machine_folders
                .iter()
                .map(String::as_str)
                .find(|folder| line.contains(*folder));
            let personal = [concat!("/ho", "me/"), concat!("/Us", "ers/")]
                .into_iter()
                .find(|home| {
                    line.match_indices(home).any(|(at, _)| {
                        let before = line[..at].chars().next_back();
                        before.is_none_or(|letter| {
                            !letter.is_alphanumeric() && letter != '.' && letter != '/'
                        })
                    })
                });
            if let Some(folder) = own.or(personal) {
                findings
                    .push(file.finding(number, format!("names {folder}, a folder of one machine")));
            }
            if is_source(file) && line.contains(concat!("\"/tm", "p/")) {
                let message =
                    "a fixed temporary path collides with the next run: make a fresh folder";
                findings.push(file.finding(number, message));
            }
        }
    }
    findings
}

pub(super) fn no_registry_hosts(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.name() != "Cargo.lock") {
        for (number, line) in file.lines() {
            let host = line.split("://").skip(1).find_map(|rest| {
                let host = rest
                    .split(|letter: char| {
                        !letter.is_alphanumeric() && letter != '.' && letter != '-'
                    })
                    .next();
                host.filter(|host| {
                    host.split_once('.').is_some_and(|(label, rest)| {
                        REGISTRY_LABELS.contains(&label) && !is_example(rest)
                    })
                })
            });
            if let Some(host) = host {
                findings.push(file.finding(number, format!("names the package host {host}")));
            } else if let Some(setting) = REGISTRY_SETTINGS
                .iter()
                .find(|setting| line.contains(**setting))
            {
                findings.push(file.finding(number, format!("chooses a registry: {setting}")));
            }
        }
    }
    findings
}

/// Names reserved for examples and tests (RFC 2606): never a real registry.
fn is_example(domain: &str) -> bool {
    let reserved = "example test invalid localhost example.com example.org example.net";
    reserved
        .split(' ')
        .any(|reserved| domain == reserved || domain.ends_with(&format!(".{reserved}")))
}

fn is_source(file: &File) -> bool {
    SOURCE.contains(&file.extension()) || file.name() == "Makefile"
}

fn sources(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.files.iter().filter(|file| is_source(file))
}
