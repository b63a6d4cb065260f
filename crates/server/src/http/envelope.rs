//! Clear's error body: a code, a fixed sentence, an id. Detail goes to the log under that id.

use super::uncached;
use crate::random;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

/// What an error answer says, for the log line of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) code: &'static str,
    /// The id in the body, where it has one.
    pub(crate) error_id: Option<uuid::Uuid>,
}

/// An error as sent.
#[derive(Debug)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The code programs read.
    pub code: &'static str,
    /// The sentence people read.
    pub message: String,
    /// Further members of the error object.
    pub more: Vec<(&'static str, Value)>,
    /// Its id, under which the log has a line; drawn when it is sent, if none is given.
    id: Option<uuid::Uuid>,
    /// Further headers.
    pub headers: Vec<(header::HeaderName, HeaderValue)>,
}

impl Problem {
    /// An error without further members.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            more: Vec::new(),
            id: None,
            headers: Vec::new(),
        }
    }

    /// Gives it the id under which it is in the log already.
    #[must_use]
    pub fn id(mut self, id: uuid::Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.more.push((name, value.into()));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        if let Ok(value) = value.try_into() {
            self.headers.push((name, value));
        }
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The answer in Clear's form.
    #[must_use]
    pub fn response(self, source: &str) -> Response<Full<Bytes>> {
        self.answer(source).map(Full::new)
    }

    /// The same with its body as bytes, for an interface that wraps it.
    #[must_use]
    pub fn answer(self, source: &str) -> Response<Bytes> {
        let id = self.id.unwrap_or_else(random::uuid);
        let mut error = json!({
            "error_code": self.code,
            "error_message": self.message,
            "error_source": source,
            "error_id": id,
        });
        for (name, value) in self.more {
            error[name] = value;
        }
        if self.status.is_server_error() {
            tracing::warn!(error_id = %id, code = self.code, "answered {}", self.status.as_u16());
        } else {
            tracing::debug!(error_id = %id, code = self.code, "answered {}", self.status.as_u16());
        }
        let body = json!({ "errors": [error] }).to_string();
        let mut response = uncached(self.status, "application/json", Bytes::from(body));
        response.extensions_mut().insert(Told {
            code: self.code,
            error_id: Some(id),
        });
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}
