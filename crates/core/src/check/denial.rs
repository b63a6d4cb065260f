//! What every interface says of a refused check: its code, its sentence, its statuses, its figures, and the one
//! line from which a denial can be said again.

use super::Denial;
use crate::time::Timestamp;

/// Why a request may not pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It was decided so.
    Denied(Denial),
    /// Nothing was decided: the node may not vouch for tokens at the moment.
    CannotVouch,
    /// Nothing was decided: who asked may not ask about this environment and product.
    CallerNotAllowed,
}

impl Refusal {
    /// The code programs read.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Denied(denial) => denial.code(),
            Self::CannotVouch => "CANNOT_VOUCH",
            Self::CallerNotAllowed => "CALLER_NOT_ALLOWED",
        }
    }

    /// The sentence people read.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Denied(denial) => denial.sentence(),
            Self::CannotVouch => {
                "This node cannot vouch for tokens at the moment. Try again; your token may well be good."
            }
            Self::CallerNotAllowed => {
                "The gateway that asked may not check access tokens for this environment and product. Its operator can find the reason in Tokenward's log."
            }
        }
    }

    /// The status over HTTP (RFC 9110, section 15).
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::Denied(Denial::ProductNotAllowed | Denial::AddressNotAllowed)
            | Self::CallerNotAllowed => 403,
            Self::Denied(Denial::ProductUnknown) => 404,
            Self::Denied(_) => 401,
            Self::CannotVouch => 503,
        }
    }

    /// The status over gRPC: UNAUTHENTICATED, PERMISSION_DENIED, NOT_FOUND or UNAVAILABLE.
    #[must_use]
    pub fn grpc_status(self) -> u8 {
        match self.http_status() {
            403 => 7,
            404 => 5,
            503 => 14,
            _ => 16,
        }
    }

    /// The challenge of a 401 (RFC 6750, section 3): no error attribute when no token was sent. None with another status.
    #[must_use]
    pub fn challenge(self) -> Option<&'static str> {
        match self {
            Self::Denied(Denial::TokenMissing) => Some("Bearer realm=\"tokenward\""),
            _ if self.http_status() == 401 => {
                Some("Bearer realm=\"tokenward\", error=\"invalid_token\"")
            }
            _ => None,
        }
    }

    /// Seconds to wait before another try can succeed; none where it cannot.
    #[must_use]
    pub fn retry_after_seconds(self) -> Option<u8> {
        (self == Self::CannotVouch).then_some(1)
    }

    /// The figures told with it, by name.
    #[must_use]
    pub fn figures(self) -> Vec<(&'static str, Figure)> {
        match self {
            Self::Denied(denial) => denial.figures(),
            Self::CannotVouch | Self::CallerNotAllowed => Vec::new(),
        }
    }
}

/// A figure told with a denial.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Figure {
    /// A number.
    Number(u32),
    /// A time, in [`Timestamp::iso`]'s form.
    Time(String),
}

impl Denial {
    /// The code programs read.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TokenMissing => "ACCESS_TOKEN_MISSING",
            Self::TokenRepeated | Self::TokenMalformed => "ACCESS_TOKEN_MALFORMED",
            Self::SecretUsedAsToken => "CLIENT_SECRET_USED_AS_TOKEN",
            Self::EnvironmentMismatch => "ENVIRONMENT_MISMATCH",
            Self::TokenUnknown => "ACCESS_TOKEN_UNKNOWN",
            Self::TokenSuperseded { .. } => "TOKEN_SUPERSEDED",
            Self::TokenExpired { .. } => "TOKEN_EXPIRED",
            Self::TokenRevoked { .. } => "TOKEN_REVOKED",
            Self::ClientDisabled => "CLIENT_DISABLED",
            Self::ClientDeleted => "CLIENT_DELETED",
            Self::ProductNotAllowed => "PRODUCT_NOT_ALLOWED",
            Self::AddressNotAllowed => "ADDRESS_NOT_ALLOWED",
            Self::ProductUnknown => "PRODUCT_UNKNOWN",
        }
    }

    /// The sentence people read.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::TokenMissing => {
                "No access token was sent. Send it in the header x-cleartax-auth-token."
            }
            Self::TokenRepeated => {
                "More than one access token was sent. Send exactly one, in the header x-cleartax-auth-token."
            }
            Self::TokenMalformed => {
                "What was sent is not an access token: its shape or checksum is wrong. Was it cut when it was copied?"
            }
            Self::SecretUsedAsToken => {
                "A client secret was sent where an access token belongs. Use the secret to generate a token, and send that."
            }
            Self::EnvironmentMismatch => {
                "The access token belongs to another environment. Sandbox tokens open the sandbox only, production tokens production only."
            }
            Self::TokenUnknown => {
                "The access token is not known, or no longer. Generate a new one."
            }
            Self::TokenSuperseded { .. } => {
                "A newer access token was generated with the same client, which revoked this one. If that was not you, another system uses the same client secret."
            }
            Self::TokenExpired { .. } => "The access token has expired. Generate a new one.",
            Self::TokenRevoked { .. } => "The access token was revoked. Generate a new one.",
            Self::ClientDisabled => {
                "The API client, or its workspace, is disabled. An administrator can enable it again."
            }
            Self::ClientDeleted => {
                "The API client was deleted for good, and its secret and tokens with it."
            }
            Self::ProductNotAllowed => {
                "The API client may not use this product. An administrator can allow it."
            }
            Self::AddressNotAllowed => {
                "The API client's tokens may not be used from this address. An administrator can allow it."
            }
            Self::ProductUnknown => {
                "The gateway asked for an environment or product that does not exist. Its check address must be /check/{environment}/{product}."
            }
        }
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        match self {
            Self::TokenSuperseded { generation, at } => vec![
                ("superseded_by_generation", Figure::Number(*generation)),
                ("superseded_at", Figure::Time(at.iso())),
            ],
            Self::TokenExpired { at } => vec![("expired_at", Figure::Time(at.iso()))],
            Self::TokenRevoked { at: Some(at) } => vec![("revoked_at", Figure::Time(at.iso()))],
            _ => Vec::new(),
        }
    }

    /// The denial on one line, for [`Denial::parse`].
    #[must_use]
    pub fn line(&self) -> String {
        let code = self.code();
        match self {
            Self::TokenSuperseded { generation, at } => format!("{code};{generation};{}", at.0),
            Self::TokenExpired { at } | Self::TokenRevoked { at: Some(at) } => {
                format!("{code};0;{}", at.0)
            }
            Self::TokenRepeated => "ACCESS_TOKEN_REPEATED".to_owned(),
            _ => code.to_owned(),
        }
    }

    /// Reads [`Denial::line`] back; none when the line tells of no denial.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(';');
        let code = parts.next()?;
        let generation = parts.next().and_then(|text| text.parse().ok());
        let at = parts.next().and_then(|text| text.parse().ok());
        let at = at.map(Timestamp);
        Some(match (code, generation, at) {
            ("ACCESS_TOKEN_MISSING", ..) => Self::TokenMissing,
            ("ACCESS_TOKEN_REPEATED", ..) => Self::TokenRepeated,
            ("ACCESS_TOKEN_MALFORMED", ..) => Self::TokenMalformed,
            ("ACCESS_TOKEN_UNKNOWN", ..) => Self::TokenUnknown,
            ("CLIENT_SECRET_USED_AS_TOKEN", ..) => Self::SecretUsedAsToken,
            ("ENVIRONMENT_MISMATCH", ..) => Self::EnvironmentMismatch,
            ("TOKEN_SUPERSEDED", Some(generation), Some(at)) => {
                Self::TokenSuperseded { generation, at }
            }
            ("TOKEN_EXPIRED", _, Some(at)) => Self::TokenExpired { at },
            ("TOKEN_REVOKED", _, at) => Self::TokenRevoked { at },
            ("CLIENT_DISABLED", ..) => Self::ClientDisabled,
            ("CLIENT_DELETED", ..) => Self::ClientDeleted,
            ("PRODUCT_NOT_ALLOWED", ..) => Self::ProductNotAllowed,
            ("ADDRESS_NOT_ALLOWED", ..) => Self::AddressNotAllowed,
            ("PRODUCT_UNKNOWN", ..) => Self::ProductUnknown,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_denial_can_be_said_again() {
        let at = Timestamp(1_795_428_930_000_001);
        let generation = 7;
        for denial in [
            Denial::TokenMissing,
            Denial::TokenRepeated,
            Denial::TokenMalformed,
            Denial::SecretUsedAsToken,
            Denial::EnvironmentMismatch,
            Denial::TokenUnknown,
            Denial::TokenSuperseded { generation, at },
            Denial::TokenExpired { at },
            Denial::TokenRevoked { at: Some(at) },
            Denial::TokenRevoked { at: None },
            Denial::ClientDisabled,
            Denial::ClientDeleted,
            Denial::ProductNotAllowed,
            Denial::AddressNotAllowed,
            Denial::ProductUnknown,
        ] {
            assert_eq!(Denial::parse(&denial.line()), Some(denial));
        }
        for nothing in [
            "",
            "CANNOT_VOUCH",
            "PERMIT",
            "TOKEN_EXPIRED",
            "TOKEN_SUPERSEDED;1",
        ] {
            assert_eq!(Denial::parse(nothing), None, "{nothing}");
        }
    }
}
