//! One answer over HTTP, and what may be demanded of it. Every demand that fails is a [`Surprise`] naming
//! what was done, what should have come back and what did.

use http::HeaderMap;
use serde_json::Value;

use crate::story::Surprise;

/// Most characters of a body shown in a surprise.
const SHOWN_MAX: usize = 600;

/// One whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// What was done, in the reader's words.
    pub(crate) did: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body; `Null` if it was empty, a string if it was not JSON.
    pub(crate) body: Value,
}

impl Answer {
    /// Demands exactly this status.
    pub(crate) fn demand(&self, status: u16) -> Result<&Self, Surprise> {
        if self.status == status {
            Ok(self)
        } else {
            Err(self.surprise(&status.to_string()))
        }
    }

    /// Demands success, of whichever kind.
    pub(crate) fn demand_success(&self) -> Result<&Self, Surprise> {
        if (200..300).contains(&self.status) {
            Ok(self)
        } else {
            Err(self.surprise("success"))
        }
    }

    /// Demands a refusal in the errors envelope: this status, exactly one error, this code.
    pub(crate) fn demand_refusal(&self, status: u16, code: &str) -> Result<&Self, Surprise> {
        let expected = format!("{status} {code}");
        let errors = self.body["errors"].as_array();
        let whole = errors.is_some_and(|errors| {
            errors.len() == 1
                && ["error_message", "error_source", "error_id"]
                    .iter()
                    .all(|field| {
                        errors[0][field]
                            .as_str()
                            .is_some_and(|text| !text.is_empty())
                    })
        });
        if self.status == status && whole && self.code() == Some(code) {
            Ok(self)
        } else {
            Err(self.surprise(&expected))
        }
    }

    /// The code of the first error, if the body is an errors envelope.
    pub(crate) fn code(&self) -> Option<&str> {
        self.body["errors"][0]["error_code"].as_str()
    }

    /// The sentence of the first error.
    pub(crate) fn message(&self) -> &str {
        self.body["errors"][0]["error_message"]
            .as_str()
            .unwrap_or_default()
    }

    /// A text in the body, by JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> Result<&str, Surprise> {
        self.body
            .pointer(pointer)
            .and_then(Value::as_str)
            .ok_or_else(|| self.surprise(&format!("a text at {pointer}")))
    }

    /// Demands a value in the body, by JSON pointer.
    pub(crate) fn demand_value(
        &self,
        pointer: &str,
        expected: impl Into<Value>,
    ) -> Result<&Self, Surprise> {
        let expected = expected.into();
        if self.body.pointer(pointer) == Some(&expected) {
            Ok(self)
        } else {
            Err(self.surprise(&format!("{expected} at {pointer}")))
        }
    }

    /// Demands a header's value.
    pub(crate) fn demand_header(&self, name: &str, expected: &str) -> Result<&Self, Surprise> {
        if self
            .headers
            .get(name)
            .is_some_and(|value| value == expected)
        {
            Ok(self)
        } else {
            Err(self.surprise(&format!("the header {name}: {expected}")))
        }
    }

    /// The surprise that something else was expected of this answer.
    pub(crate) fn surprise(&self, expected: &str) -> Surprise {
        let body: String = self.body.to_string().chars().take(SHOWN_MAX).collect();
        Surprise::new(format!(
            "{}\n  expected  {expected}\n  got       {} {body}",
            self.did, self.status
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(status: u16, code: &str) -> Answer {
        Answer {
            did: "the deed".to_owned(),
            status,
            headers: HeaderMap::new(),
            body: json!({"errors": [{
                "error_code": code, "error_message": "m", "error_source": "s", "error_id": "i"
            }]}),
        }
    }

    #[test]
    fn a_refusal_must_fit_in_status_code_and_shape() {
        let demand = |answer: &Answer| answer.demand_refusal(401, "TOKEN_EXPIRED").is_ok();
        assert!(demand(&refusal(401, "TOKEN_EXPIRED")));
        assert!(!demand(&refusal(403, "TOKEN_EXPIRED")));
        assert!(!demand(&refusal(401, "TOKEN_SUPERSEDED")));
        for field in ["error_message", "error_source", "error_id"] {
            let mut answer = refusal(401, "TOKEN_EXPIRED");
            answer.body["errors"][0][field] = Value::Null;
            assert!(!demand(&answer), "{field}");
        }
        let mut answer = refusal(401, "TOKEN_EXPIRED");
        answer.body = json!("<html>");
        assert!(!demand(&answer));
    }

    #[test]
    fn a_success_is_no_refusal_and_the_other_way_round() {
        let answer = refusal(401, "TOKEN_EXPIRED");
        assert!(answer.demand(200).is_err());
        assert!(answer.demand_success().is_err());
        let mut answer = refusal(200, "TOKEN_EXPIRED");
        assert!(answer.demand(200).is_ok());
        assert!(answer.demand_success().is_ok());
        answer.headers.insert("etag", "\"7\"".parse().unwrap());
        assert!(answer.demand_header("etag", "\"7\"").is_ok());
        assert!(answer.demand_header("etag", "\"8\"").is_err());
        assert!(answer.demand_header("age", "").is_err());
        assert!(
            answer
                .demand_value("/errors/0/error_code", "TOKEN_EXPIRED")
                .is_ok()
        );
        assert!(
            answer
                .demand_value("/errors/0/error_code", "other")
                .is_err()
        );
    }

    #[test]
    fn a_surprise_says_what_was_done_and_what_came_back() {
        let told = refusal(500, "INTERNAL_ERROR").surprise("200").to_string();
        for part in [
            "the deed",
            "expected  200",
            "got       500",
            "INTERNAL_ERROR",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }
}
