//! An answer as a text for a snapshot: status, the headers of the contract, the body; ids and times
//! replaced by their kind.

use serde_json::Value;
use tokenward_testkit::Answer;

/// The headers a caller may build on, in the order shown.
const HEADERS: [&str; 9] = [
    "www-authenticate",
    "allow",
    "retry-after",
    "etag",
    "ratelimit",
    "ratelimit-policy",
    "cache-control",
    "content-type",
    "location",
];

/// The answer as a text.
pub(crate) fn seen(answer: &Answer) -> String {
    let mut lines = vec![answer.status.to_string()];
    for name in HEADERS {
        for value in answer.headers.get_all(name) {
            let value = value.to_str().expect("a header of visible ASCII");
            lines.push(format!("{name}: {}", header(name, value)));
        }
    }
    match serde_json::from_str::<Value>(&answer.body) {
        Ok(mut body) => {
            mask(&mut body);
            lines.push(body.to_string());
        }
        Err(_) => lines.push(answer.body.trim_end().to_owned()),
    }
    lines.join("\n")
}

/// What depends on the time of day is told by its kind.
fn header(name: &str, value: &str) -> String {
    match (name, value.rsplit_once(";t=")) {
        ("ratelimit", Some((before, seconds))) => {
            let seconds: u64 = seconds.parse().expect("seconds");
            assert!(seconds <= 86_400, "{value}");
            format!("{before};t=[to midnight]")
        }
        ("retry-after", _) if value.len() > 2 => {
            let seconds: u64 = value.parse().expect("seconds");
            assert!(seconds <= 86_400, "{value}");
            "[to midnight]".to_owned()
        }
        // A version of settings, not a generation.
        ("etag", _) if value.len() == 34 => "[version]".to_owned(),
        _ => value.to_owned(),
    }
}

/// Replaces ids, times and credentials in place; a text of the wrong form stays and shows.
fn mask(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(members) => members.values_mut().for_each(mask),
        Value::String(text) => {
            if let Some(kind) = kind(text) {
                *text = format!("[{kind}]");
            }
        }
        _ => {}
    }
}

fn kind(text: &str) -> Option<&'static str> {
    if is_time(text) {
        Some("time")
    } else if text.len() == 36 && uuid::Uuid::try_parse(text).is_ok() {
        Some("uuid")
    } else if is_actor(text) {
        Some("admin key's id")
    } else if is_credential(text, "tw-secret.") {
        Some("client secret")
    } else if is_credential(text, "tw-admin.") {
        Some("admin key")
    } else if is_credential(text, "1.") || is_credential(text, "sandbox.1.") {
        Some("access token")
    } else {
        None
    }
}

fn is_actor(text: &str) -> bool {
    text.strip_prefix("admin-key:").and_then(kind) == Some("uuid")
}

fn is_credential(text: &str, prefix: &str) -> bool {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    text.starts_with(prefix)
        && (100..=128).contains(&text.len())
        && text[text.len() - 64..].chars().all(hex)
}

/// Exactly `2026-11-23T10:15:30+00:00`.
pub(crate) fn is_time(text: &str) -> bool {
    let digits = |c: char| if c.is_ascii_digit() { '9' } else { c };
    let utc = text
        .strip_suffix("+00:00")
        .map(|text| text.chars().map(digits));
    utc.is_some_and(|shape| shape.eq("9999-99-99T99:99:99".chars()))
}
