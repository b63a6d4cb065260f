//! The law about deliberate faults: the table fits the sources, and every code and every row has its entry.
//!
//! Whether a fault is noticed is for `make faults` to say; here nothing is built or run.

use super::Finding;
use crate::code::Code;
use crate::faults::table::{self, Fault};
use crate::tree::{File, Tree};

/// Where the error codes of the wire are written.
const HOMES: &[&str] = &[
    "crates/core/src/check/denial.rs",
    "crates/server/src/http/",
    "crates/server/src/auth/",
    "crates/server/src/listeners/",
    "crates/server/src/verbs/",
];

/// Codes of acts that only pages offer: a page shows the sentence and no code.
const OF_PAGES: &[&str] = &["CHANGED_MEANWHILE", "NO_SECOND_PROOF", "TOO_MANY_PASSKEYS"];

/// Codes of one word, which look like any other text in capitals.
const ONE_WORD: &[&str] = &["FORBIDDEN"];

/// OAuth's codes, which are written small, and where they count as such (RFC 6749, section 5.2; the last of
/// section 4.1.2.1).
const OF_OAUTH: (&str, &[&str]) = (
    "crates/server/src/http/oauth/",
    &[
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "temporarily_unavailable",
    ],
);

/// Rows of the list of what the product must do, each with at least one fault called `seed N`.
const SEED_ROWS: usize = 9;

pub(super) fn faults_table(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.file(table::PATH) else {
        return vec![Finding::new(table::PATH, 0, "is missing")];
    };
    let faults = match table::parse(&file.text) {
        Ok(faults) => faults,
        Err(reason) => return vec![Finding::new(table::PATH, 0, format!("{reason:#}"))],
    };
    let mut findings = Vec::new();
    for fault in &faults {
        findings.extend(
            stale(tree, fault)
                .into_iter()
                .map(|message| Finding::new(table::PATH, fault.line, message)),
        );
    }
    for row in 1..=SEED_ROWS {
        let row = format!("seed {row}");
        if !faults.iter().any(|fault| fault.subject() == row) {
            findings.push(Finding::new(table::PATH, 0, format!("has no fault {row}")));
        }
    }
    for (file, line, code) in codes(tree) {
        if !faults.iter().any(|fault| fault.subject() == code) {
            let message = format!("{} has no fault {code}", table::PATH);
            findings.push(file.finding(line, message));
        }
    }
    findings
}

/// What in this entry no longer fits the sources.
fn stale(tree: &Tree, fault: &Fault) -> Vec<String> {
    let mut messages = Vec::new();
    match tree.file(&fault.file).map(|file| fault.applied(&file.text)) {
        None => messages.push(format!("there is no {}", fault.file)),
        Some(Err(reason)) => messages.push(reason.to_string()),
        Some(Ok(_)) => {}
    }
    for test in &fault.tests {
        let (_, name) = test.rsplit_once("::").unwrap_or(("", test));
        let defined = format!("fn {name}(");
        if !tree.rust().any(|file| file.text.contains(&defined)) {
            messages.push(format!("there is no test {test}"));
        }
    }
    messages
}

/// Each error code once, where it is first written: capitals with an underscore, one of the few words, or OAuth's.
fn codes(tree: &Tree) -> Vec<(&File, usize, String)> {
    let mut codes: Vec<(&File, usize, String)> = Vec::new();
    for file in tree
        .rust()
        .filter(|file| HOMES.iter().any(|home| file.path.starts_with(home)))
    {
        for token in Code::of(file).tokens {
            let Some(text) = token.literal() else {
                continue;
            };
            let code = text.trim_matches('"');
            let is_code = text.len() == code.len() + 2
                && !OF_PAGES.contains(&code)
                && (code.contains('_') || ONE_WORD.contains(&code))
                && !code.starts_with("CARGO_")
                && code
                    .chars()
                    .all(|letter| letter.is_ascii_uppercase() || letter == '_');
            let is_oauth = file.path.starts_with(OF_OAUTH.0) && OF_OAUTH.1.contains(&code);
            if (is_code || is_oauth)
                && !token.in_test
                && !codes.iter().any(|(.., seen)| seen == code)
            {
                codes.push((file, token.line, code.to_owned()));
            }
        }
    }
    codes
}
