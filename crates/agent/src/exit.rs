//! How the program ends when it could not do what was asked: a sentence for people, a code for programs, by the
//! conventions of `sysexits.h`.

use std::process::ExitCode;
use tokenward_client::TokenError;
use tokenward_client::config::ConfigError;
use tokenward_client::destination::{DestinationError, Kind};
use tokenward_client::issuer::Refusal;

/// Trying again later may help (`EX_TEMPFAIL`).
const LATER: u8 = 75;
/// Permission or configuration must be mended first (`EX_CONFIG`).
const CONFIG: u8 = 78;
/// Anything else.
const FAILED: u8 = 1;

/// The end of a verb that failed.
#[derive(Debug)]
pub(crate) struct End {
    what: String,
    code: u8,
}

impl End {
    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::with_code(what, FAILED)
    }

    pub(crate) fn config(what: impl Into<String>) -> Self {
        Self::with_code(what, CONFIG)
    }

    pub(crate) fn with_code(what: impl Into<String>, code: u8) -> Self {
        let what = what.into();
        Self { what, code }
    }

    /// Nobody reads what was to be printed: nothing more is said.
    pub(crate) fn reader_gone() -> Self {
        Self::failed("")
    }

    /// What to tell people, if anything.
    pub(crate) fn what(&self) -> Option<&str> {
        (!self.what.is_empty()).then_some(&self.what)
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl From<TokenError> for End {
    fn from(stop: TokenError) -> Self {
        let code = match &stop {
            TokenError::Place(trouble) => place(trouble),
            TokenError::Server(refusal) => server(refusal),
            TokenError::Busy => LATER,
            TokenError::AnotherHolder { .. } => CONFIG,
            _ => FAILED,
        };
        Self::with_code(stop.to_string(), code)
    }
}

impl From<ConfigError> for End {
    fn from(error: ConfigError) -> Self {
        Self::config(error.to_string())
    }
}

impl From<DestinationError> for End {
    fn from(trouble: DestinationError) -> Self {
        TokenError::from(trouble).into()
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        TokenError::from(refusal).into()
    }
}

fn place(trouble: &DestinationError) -> u8 {
    match trouble.kind {
        Kind::Unreachable => LATER,
        Kind::Misconfigured => CONFIG,
    }
}

fn server(refusal: &Refusal) -> u8 {
    match refusal {
        Refusal::Later { .. } | Refusal::QuotaSpent { .. } | Refusal::GenerationMismatch { .. } => {
            LATER
        }
        Refusal::Secret(trouble) if trouble.passing => LATER,
        Refusal::SecretRefused { .. } | Refusal::Secret(_) | Refusal::HandoverTooLong { .. } => {
            CONFIG
        }
        _ => FAILED,
    }
}
