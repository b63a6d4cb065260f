//! How a command ends badly, and what a person or a program is told then. It never holds a key,
//! secret or token.

use super::table::printable;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// Exit code of a command that was refused or failed.
pub(crate) const EXIT_FAILED: u8 = 1;
/// Exit code of a command line that means nothing; clap uses the same.
pub(crate) const EXIT_USAGE: u8 = 2;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum CliError {
    /// The command line asks for nothing that can be done.
    Usage(String),
    /// The server refused.
    Refused(Box<Problem>),
    /// Anything else; a sentence that says what to do next.
    Failed(String),
    /// The reader of the output has closed its end.
    ReaderGone,
}

/// A problem document (RFC 9457) as the server sent it.
#[derive(Debug)]
pub struct Problem {
    /// The HTTP status it came with.
    pub status: u16,
    /// Seconds to wait before the same request, where the server names them (`Retry-After`).
    pub retry_after_seconds: Option<u64>,
    /// Its members; empty when the body was no problem document.
    pub members: Map<String, Value>,
}

impl Problem {
    /// Reads the body of a refusal, whatever it is.
    pub(crate) fn read(status: u16, body: &[u8]) -> Problem {
        let members = match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        };
        Problem {
            status,
            retry_after_seconds: None,
            members,
        }
    }

    /// The stable word for programs.
    pub(crate) fn code(&self) -> Option<&str> {
        self.member("code")
    }

    /// What happened, in the server's words.
    pub(crate) fn detail(&self) -> Option<&str> {
        self.member("detail")
    }

    fn member(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    /// For a person: title and detail, then what to quote when asking for help.
    fn text(&self) -> String {
        let title = self.member("title").unwrap_or("the server refused");
        let mut text = printable(title);
        if let Some(detail) = self.member("detail").filter(|detail| *detail != title) {
            text.push_str(&format!(": {}", printable(detail)));
        }
        text.push_str(&format!("\n  status    {}", self.status));
        for (name, shown) in [
            ("code", "code"),
            ("field", "field"),
            ("error_id", "error id"),
        ] {
            if let Some(value) = self.member(name) {
                text.push_str(&format!("\n  {shown:<9} {}", printable(value)));
            }
        }
        if self.status == 401 {
            text.push_str("\nThe admin key was not accepted: name its file with --admin-key-file.");
        }
        text
    }
}

impl CliError {
    /// What the process returns.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::Refused(_) | Self::Failed(_) | Self::ReaderGone => EXIT_FAILED,
        })
    }

    /// The lines for standard error; none when nobody reads. With `json` one JSON object: the
    /// server's own problem document, or one of the same form.
    pub(crate) fn report(&self, json: bool) -> Option<String> {
        let (title, text) = match self {
            Self::Usage(text) => ("usage", text.clone()),
            Self::Failed(text) => ("failed", text.clone()),
            Self::Refused(problem) if json && !problem.members.is_empty() => {
                return Some(Value::Object(problem.members.clone()).to_string());
            }
            Self::Refused(problem) => ("refused", problem.text()),
            Self::ReaderGone => return None,
        };
        Some(if json {
            json!({"title": title, "detail": text}).to_string()
        } else {
            format!("error: {text}")
        })
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Failed(format!("the output could not be written: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> CliError {
        let body = r#"{"type":"about:blank","title":"Label taken","status":409,"code":"LABEL_TAKEN",
            "detail":"another client of this workspace and environment is called \"erp\u001b[2J\"",
            "error_id":"0198c0de-0000-7000-8000-000000000001"}"#;
        CliError::Refused(Box::new(Problem::read(409, body.as_bytes())))
    }

    #[test]
    fn a_person_reads_title_detail_code_and_id() {
        insta::assert_snapshot!(problem().report(false).unwrap());
    }

    #[test]
    fn a_program_reads_the_servers_own_document() {
        let report: Value = serde_json::from_str(&problem().report(true).unwrap()).unwrap();
        assert_eq!(report["code"], "LABEL_TAKEN");
        assert_eq!(report["status"], 409);
        let local = CliError::Failed("no server".to_owned())
            .report(true)
            .unwrap();
        assert_eq!(local, r#"{"detail":"no server","title":"failed"}"#);
    }

    #[test]
    fn a_body_that_is_no_problem_document_is_still_reported() {
        let bare = CliError::Refused(Box::new(Problem::read(502, b"<html>")));
        assert_eq!(
            bare.report(false).unwrap(),
            "error: the server refused\n  status    502"
        );
    }
}
