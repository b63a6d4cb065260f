//! Why the token server gave nothing: the protocol decides by the variant, a person reads the sentence. Nothing
//! the server wrote but its error code stands in one, for a stranger's server might repeat the secret.

use crate::secret::SecretError;
use std::time::Duration;

/// The token server gave no token.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// `If-Match` named another generation than this.
    #[error("another token was generated meanwhile (generation {generation})")]
    GenerationMismatch {
        /// The newest token's generation.
        generation: u32,
    },
    /// The hand-over asked for is longer than the API client allows.
    #[error("the API client allows hand-overs up to {} s", .max.as_secs())]
    HandoverTooLong {
        /// What it allows.
        max: Duration,
    },
    /// Not now.
    #[error("the token server does not answer as it should ({what}); try again later")]
    Later {
        /// What the server asks to wait.
        retry_after: Option<Duration>,
        /// Whether a token may have been made although no answer came.
        outcome_unknown: bool,
        /// What happened.
        what: String,
    },
    /// All tokens of the day are made.
    #[error("the quota of the day is spent; the token server makes no more until midnight UTC")]
    QuotaSpent {
        /// How long that is.
        retry_after: Option<Duration>,
    },
    /// The client secret is refused. Asking again cannot help.
    #[error(
        "the token server refuses the client secret ({code}): {}",
        advice(code)
    )]
    SecretRefused {
        /// The server's error code.
        code: String,
    },
    /// The answer is none of this API's.
    #[error("the token server's answer makes no sense: {what}")]
    Unreadable {
        /// What is wrong with it.
        what: String,
    },
    /// There is no client secret to send.
    #[error(transparent)]
    Secret(SecretError),
}

impl Refusal {
    pub(crate) fn unreadable(what: &str) -> Self {
        Self::Unreadable {
            what: what.to_owned(),
        }
    }
}

/// How to mend what an error code says.
fn advice(code: &str) -> &'static str {
    match code {
        "CLIENT_SECRET_MISSING" | "CLIENT_SECRET_INVALID" => {
            "check that it was copied whole; if it is lost, have an administrator make another"
        }
        "ACCESS_TOKEN_USED_AS_SECRET" => {
            "an access token stands where the client secret belongs; put the client secret there"
        }
        "ENVIRONMENT_MISMATCH" => {
            "it belongs to the other environment; use that environment's server address or its own secret"
        }
        "CLIENT_DELETED" => {
            "the API client was deleted for good; have an administrator make another"
        }
        "CLIENT_DISABLED" => "the API client is disabled; an administrator can enable it again",
        "ADDRESS_NOT_ALLOWED" => {
            "it may not be used from this address; an administrator can allow it (secret_networks)"
        }
        _ => "ask the server's operator what this code means",
    }
}
