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

/// The answer as a text: status, headers, body. What every answer has is not shown, so a difference from it is:
/// `cache-control: no-store`, the content type of JSON, and what all errors of an API have alike.
pub(crate) fn seen(answer: &Answer) -> String {
    let body = serde_json::from_str::<Value>(&answer.body).map(|mut body| {
        mask(&mut body);
        body
    });
    let (kind, text) = match body {
        Ok(body) => problem(&body, answer.status)
            .map(|text| ("application/problem+json", text))
            .unwrap_or_else(|| {
                let error = clear_error(&body).or_else(|| oauth_error(&body));
                (
                    "application/json",
                    error.unwrap_or_else(|| body.to_string()),
                )
            }),
        Err(_) => ("", answer.body.trim_end().to_owned()),
    };
    let mut headers = Vec::new();
    for name in HEADERS {
        let values = answer.headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| value.to_str().expect("a header of visible ASCII"))
            .collect();
        let usual = match name {
            "cache-control" => "no-store",
            "content-type" => kind,
            _ => "",
        };
        match values[..] {
            [only] if only == usual => {}
            [] if !usual.is_empty() => headers.push(format!("no {name}")),
            _ => headers.extend(
                values
                    .iter()
                    .map(|value| format!("{name}: {}", header(name, value))),
            ),
        }
    }
    let headers = match headers.is_empty() {
        true => String::new(),
        false => format!("[{}] ", headers.join(", ")),
    };
    format!("{} {headers}{text}", answer.status)
}

/// An error of the Clear API as its code and message, when it is one and nothing else.
fn clear_error(body: &Value) -> Option<String> {
    let mut members = body.as_object()?.iter();
    let (("errors", errors), None) = (
        members.next().map(|(name, value)| (name.as_str(), value))?,
        members.next(),
    ) else {
        return None;
    };
    let [error] = errors.as_array()?.as_slice() else {
        return None;
    };
    let usual = [
        ("error_source", "CLEAR".to_owned()),
        ("error_id", "[uuid]".to_owned()),
    ];
    said(error, &usual, |of| {
        Some(format!("{}: {}", of("error_code")?, of("error_message")?))
    })
}

/// A problem document as its code, title and detail, when it is one and its status and type are those of the code.
fn problem(body: &Value, status: u16) -> Option<String> {
    let code = body["code"].as_str()?.to_lowercase().replace('_', "-");
    let usual = [
        ("type", format!("urn:tokenward:problem:{code}")),
        ("error_id", "[uuid]".to_owned()),
    ];
    let mut body = body.clone();
    if body["status"] != status {
        return None;
    }
    body.as_object_mut()?.remove("status");
    said(&body, &usual, |of| {
        Some(format!(
            "{} ({}): {}",
            of("code")?,
            of("title")?,
            of("detail")?
        ))
    })
}

/// An error of OAuth (RFC 6749, section 5.2) as its code and description.
fn oauth_error(body: &Value) -> Option<String> {
    said(body, &[], |of| {
        Some(format!("{}: {}", of("error")?, of("error_description")?))
    })
}

/// An error as `text` says it, and the members that it did not read; none unless the usual members are as expected.
fn said(
    error: &Value,
    usual: &[(&str, String)],
    text: impl FnOnce(&mut dyn FnMut(&str) -> Option<String>) -> Option<String>,
) -> Option<String> {
    let mut left = error.as_object()?.clone();
    for (name, value) in usual {
        if left.remove(*name)? != value.as_str() {
            return None;
        }
    }
    let text = text(&mut |name| left.remove(name)?.as_str().map(str::to_owned))?;
    match left.is_empty() {
        true => Some(text),
        false => Some(format!("{text} {}", Value::Object(left))),
    }
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
