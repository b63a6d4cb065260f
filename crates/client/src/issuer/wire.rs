//! The token server's JSON and status codes, turned into the protocol's words.

use super::{Account, Refusal};
use crate::credential::AccessToken;
use crate::protocol::{Entry, Origin};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use std::time::Duration;
use tokenward_core::time::{MICROS_PER_SECOND, Timestamp};
use zeroize::Zeroizing;

/// Longest error code taken over, in characters.
const MOST_CODE_CHARS: usize = 64;

#[derive(Deserialize)]
struct Token {
    access_token: Zeroizing<String>,
    valid_till: Option<String>,
    expires_in: Option<u64>,
    generation: Option<u32>,
}

/// Reads a token. Its end is counted from when it was asked for, within the second that `valid_till` names: that
/// header is cut to whole seconds, of which a short-lived token has few.
pub(super) fn generated(
    body: &[u8],
    asked_at: Timestamp,
    origin: Origin,
) -> Result<Entry, Refusal> {
    let answer: Token = serde_json::from_slice(body)
        .map_err(|_| Refusal::unreadable("it is not the JSON of a token"))?;
    let token = AccessToken::parse(&answer.access_token)
        .map_err(|_| Refusal::unreadable("the access token is malformed"))?;
    let named = time(answer.valid_till.as_deref())?;
    let valid_till = match (named, answer.expires_in) {
        (Some(named), Some(seconds)) => {
            let counted = asked_at.plus_seconds(seconds).0;
            let last = named.0.saturating_add(MICROS_PER_SECOND - 1);
            Some(Timestamp(counted.clamp(named.0, last)))
        }
        (None, Some(seconds)) => Some(asked_at.plus_seconds(seconds)),
        (named, None) => named,
    };
    Ok(Entry {
        generation: answer.generation,
        valid_till,
        obtained_at: asked_at,
        origin,
        ..Entry::bare(token)
    })
}

fn time(text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    text.map(crate::protocol::parse_iso)
        .transpose()
        .map_err(|_| Refusal::unreadable("valid_till is no time"))
}

#[derive(Deserialize)]
struct StatusAnswer {
    generation: u32,
    live: Option<bool>,
    valid_till: Option<String>,
    quota: Option<u32>,
    quota_left: Option<u32>,
}

/// Reads the status of the newest token.
pub(super) fn account(body: &[u8]) -> Result<Account, Refusal> {
    let answer: StatusAnswer = serde_json::from_slice(body)
        .map_err(|_| Refusal::unreadable("it is not the JSON of a status"))?;
    Ok(Account {
        generation: answer.generation,
        live: answer.live.unwrap_or(false),
        valid_till: time(answer.valid_till.as_deref())?,
        quota_left: answer.quota_left,
        quota: answer.quota,
    })
}

#[derive(Deserialize, Default)]
struct Errors {
    #[serde(default)]
    errors: Vec<OneError>,
}

#[derive(Deserialize, Default)]
struct OneError {
    #[serde(default)]
    error_code: String,
    generation: Option<u32>,
    handover_max_seconds: Option<u64>,
}

/// Reads a refusal: by the status, with the code where there is one.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Refusal {
    let errors: Errors = serde_json::from_slice(body).unwrap_or_default();
    let first = errors.errors.into_iter().next().unwrap_or_default();
    let code = tame(&first.error_code);
    let retry_after = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    match status {
        StatusCode::PRECONDITION_FAILED => match first.generation {
            Some(generation) => Refusal::GenerationMismatch { generation },
            None => Refusal::unreadable("412 without a generation"),
        },
        StatusCode::BAD_REQUEST if first.handover_max_seconds.is_some() => {
            Refusal::HandoverTooLong {
                max: Duration::from_secs(first.handover_max_seconds.unwrap_or(0)),
            }
        }
        // Every other 429 ends soon: too many calls, wrong secrets from this address, the limit of a proxy.
        StatusCode::TOO_MANY_REQUESTS if code == "QUOTA_EXCEEDED" => {
            Refusal::QuotaSpent { retry_after }
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Refusal::SecretRefused {
            code: if code.is_empty() {
                status.as_str().to_owned()
            } else {
                code
            },
        },
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Refusal::Later {
                retry_after,
                // A proxy's 502 or 504 may hide a token that was made.
                outcome_unknown: status.is_server_error(),
                what: format!("{} {code}", status.as_u16()).trim().to_owned(),
            }
        }
        status => Refusal::Unreadable {
            what: format!("status {} {code}", status.as_u16())
                .trim()
                .to_owned(),
        },
    }
}

/// What broke between here and a server.
pub(crate) fn broken(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}

/// The same with its cause, without the address's query.
pub(crate) fn transport(error: &reqwest::Error) -> String {
    let what = broken(error);
    // The innermost cause says what a person can act on, such as "Connection refused".
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    format!("{what}: {cause}")
}

/// An error code of a stranger's making, fit for a log.
fn tame(code: &str) -> String {
    code.chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
        .take(MOST_CODE_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, header: Option<&str>, body: &str) -> Refusal {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(RETRY_AFTER, value.parse().unwrap());
        }
        refusal(
            StatusCode::from_u16(status).unwrap(),
            &headers,
            body.as_bytes(),
        )
    }

    #[test]
    fn reads_refusals() {
        let check = |status, header, body: &str, expect: Refusal| {
            assert_eq!(told(status, header, body), expect, "{status} {body}");
        };
        let one = |code: &str| format!(r#"{{"errors":[{{"error_code":"{code}"}}]}}"#);
        let refused = |code: &str| Refusal::SecretRefused {
            code: code.to_owned(),
        };
        check(
            412,
            None,
            r#"{"errors":[{"error_code":"GENERATION_MISMATCH","generation":7}]}"#,
            Refusal::GenerationMismatch { generation: 7 },
        );
        check(
            400,
            None,
            r#"{"errors":[{"error_code":"HANDOVER_TOO_LONG","handover_max_seconds":60}]}"#,
            Refusal::HandoverTooLong {
                max: Duration::from_secs(60),
            },
        );
        let spent = |seconds| Refusal::QuotaSpent {
            retry_after: Option::map(seconds, Duration::from_secs),
        };
        check(429, Some("90"), &one("QUOTA_EXCEEDED"), spent(Some(90)));
        check(429, None, &one("QUOTA_EXCEEDED"), spent(None));
        check(401, None, &one("CLIENT_DELETED"), refused("CLIENT_DELETED"));
        check(403, None, "", refused("403"));
        // What a stranger writes is not repeated.
        check(401, None, &one("A secret: tw-\\nB"), refused("AsecrettwB"));
        let later = |unknown, what: &str, seconds| Refusal::Later {
            retry_after: Option::map(seconds, Duration::from_secs),
            outcome_unknown: unknown,
            what: what.to_owned(),
        };
        for (code, what) in [
            ("TOO_MANY_ATTEMPTS", "429 TOO_MANY_ATTEMPTS"),
            ("TOO_MANY_REQUESTS", "429 TOO_MANY_REQUESTS"),
            ("RATE_LIMITED", "429 RATE_LIMITED"),
        ] {
            check(429, Some("3"), &one(code), later(false, what, Some(3)));
        }
        // Proxies, and OAuth's form of the same refusals.
        check(429, Some("7"), "<html>", later(false, "429", Some(7)));
        let oauth = r#"{"error":"temporarily_unavailable"}"#;
        check(429, Some("2"), oauth, later(false, "429", Some(2)));
        check(503, Some("1"), "<html>", later(true, "503", Some(1)));
        check(302, None, "", Refusal::unreadable("status 302"));
    }

    #[test]
    fn counts_a_tokens_end_within_the_second_named() {
        let check = |till: &str, seconds: &str, asked: i64, expect: Option<i64>| {
            let body = format!(
                r#"{{"access_token":"a","valid_till":{till},"expires_in":{seconds},"new":1}}"#
            );
            let made = generated(body.as_bytes(), Timestamp(asked), Origin::default()).unwrap();
            assert_eq!(made.valid_till.map(|till| till.0), expect, "{body}");
        };
        let till = "\"1970-01-01T00:01:00+00:00\"";
        check(till, "10", 50_400_000, Some(60_400_000));
        // A clock that is off does not move the end out of its second.
        check(till, "10", 10_000_000, Some(60_000_000));
        check(till, "10", 90_000_000, Some(60_999_999));
        check(till, "null", 50_400_000, Some(60_000_000));
        check("null", "10", 50_400_000, Some(60_400_000));
        check("null", "null", 50_400_000, None);
    }
}
