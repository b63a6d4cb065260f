//! What came back from one call: status, headers, body, and short ways to ask about them.

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

/// The connection broke, or was refused, before a whole answer arrived. Whether the server carried
/// the request out is unknown.
#[derive(Debug, thiserror::Error)]
#[error("no answer: {0}")]
pub struct Broken(#[from] pub reqwest::Error);

/// The answer of the Generate Access Token API.
#[derive(Debug, Clone, Deserialize)]
pub struct Token {
    /// The access token.
    pub access_token: String,
    /// ISO 8601 UTC; `None` means that it never expires.
    pub valid_till: Option<String>,
    /// Seconds until then.
    pub expires_in: Option<u64>,
    /// Which of the client's tokens this is, from 1.
    pub generation: u64,
    /// Until when the token before this one stays good; only in a hand-over.
    pub previous_valid_till: Option<String>,
}

/// One whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text; bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Answer {
    /// This answer, when it has the status expected.
    ///
    /// # Panics
    /// When it has another; the message holds the body.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "mostly called for the panic alone"
    )]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "unexpected answer: {}", self.body);
        self
    }

    /// This answer, when it has the status and error code expected, in whichever of the dialects
    /// (errors envelope, problem document, OAuth) the code stands.
    ///
    /// # Panics
    /// When either differs.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "mostly called for the panic alone"
    )]
    pub fn expect_error(self, status: u16, code: &str) -> Answer {
        let seen = (self.status, self.code().unwrap_or_default());
        assert_eq!(
            seen,
            (status, code.to_owned()),
            "unexpected answer: {}",
            self.body
        );
        self
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| {
            panic!(
                "{error} in a body with status {}: {}",
                self.status, self.body
            )
        })
    }

    /// The error code: `errors[0].error_code`, else `code` of a problem document, else `error`.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        let body: Value = serde_json::from_str(&self.body).ok()?;
        ["/errors/0/error_code", "/code", "/error"]
            .iter()
            .find_map(|path| Some(body.pointer(path)?.as_str()?.to_owned()))
    }

    /// A header as text, empty when absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The token of a successful generate.
    ///
    /// # Panics
    /// When the answer is anything else.
    #[must_use]
    #[track_caller]
    pub fn token(self) -> Token {
        let answer = self.expect(200);
        serde_json::from_str(&answer.body)
            .unwrap_or_else(|error| panic!("{error} in {}", answer.body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            headers: HeaderMap::new(),
            body: body.to_owned(),
        }
    }

    #[test]
    fn finds_the_code_in_every_dialect() {
        let check = |body: &str, code: Option<&str>| {
            assert_eq!(answer(400, body).code().as_deref(), code, "{body}");
        };
        check(
            r#"{"errors":[{"error_code":"CLIENT_DELETED"}]}"#,
            Some("CLIENT_DELETED"),
        );
        check(
            r#"{"type":"about:blank","code":"LABEL_TAKEN"}"#,
            Some("LABEL_TAKEN"),
        );
        check(r#"{"error":"invalid_client"}"#, Some("invalid_client"));
        check("", None);
    }

    #[test]
    #[should_panic(expected = "the reason")]
    fn an_unexpected_status_shows_the_body() {
        answer(500, "the reason").expect(200);
    }
}
