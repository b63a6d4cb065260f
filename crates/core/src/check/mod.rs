//! The check: may a request with this token pass? Three verdicts, and reasons that are told only to those
//! who hold the real token. `decide.rs` decides it from the state in memory, and so is a part of [`crate::replica`]; nothing
//! here can wait.

pub mod denial;

use crate::ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId};
use crate::restrictions::Networks;
use crate::time::Timestamp;
use std::net::IpAddr;

/// What the gateway says of the request besides the token.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The environment the gateway serves.
    pub environment: Environment,
    /// The slug of the product the gateway serves.
    pub product: &'a str,
    /// The caller's address; none when it is not known.
    pub address: Option<IpAddr>,
}

/// What was presented where a token belongs.
#[derive(Clone, Copy, Debug)]
pub enum Presented<'a> {
    /// Nothing.
    Missing,
    /// More than one, or in more than one place with different texts.
    Repeated,
    /// One text.
    One(&'a str),
}

/// The three answers of a check.
#[derive(Debug)]
pub enum Verdict {
    /// The request may pass.
    Permit(Permit),
    /// The request may not pass, and why.
    Deny(Denial),
    /// This node holds no live lease and may neither permit nor deny.
    CannotVouch,
}

/// A verdict, and what it can be counted under.
#[derive(Debug)]
pub struct Examined {
    /// The verdict.
    pub verdict: Verdict,
    /// The client whose real token was presented, live or not; none when nobody's was.
    pub holder: Option<ClientNo>,
    /// The product the gateway serves, if there is one of its slug.
    pub product: Option<ProductNo>,
}

/// Proof that a check permitted a request; only the replica can make one.
#[derive(Clone, Debug)]
pub struct Permit {
    pub(crate) workspace: WorkspaceId,
    pub(crate) client: ClientId,
    pub(crate) client_no: u32,
    pub(crate) label: LabelText,
    pub(crate) environment: Environment,
    pub(crate) product: ProductNo,
    pub(crate) generation: u32,
    pub(crate) valid_till: Option<Timestamp>,
    pub(crate) checked_at: Timestamp,
}

impl Permit {
    /// The client's workspace.
    #[must_use]
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }
    /// The client.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.client
    }
    /// The client's dense number, for counting its use.
    #[must_use]
    pub fn client_no(&self) -> u32 {
        self.client_no
    }
    /// The client's label as a header value ([`crate::label::Label::header_value`]).
    #[must_use]
    pub fn label(&self) -> &str {
        self.label.as_str()
    }
    /// The environment.
    #[must_use]
    pub fn environment(&self) -> Environment {
        self.environment
    }
    /// The number of the product the request was checked for.
    #[must_use]
    pub fn product(&self) -> ProductNo {
        self.product
    }
    /// The token's generation; with the client it names the token.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }
    /// When the token ends; none means never.
    #[must_use]
    pub fn valid_till(&self) -> Option<Timestamp> {
        self.valid_till
    }
    /// The time the check was decided at.
    #[must_use]
    pub fn checked_at(&self) -> Timestamp {
        self.checked_at
    }
}

/// A label copied out of the replica; nearly every one fits without an allocation.
#[derive(Clone, Debug)]
pub(crate) enum LabelText {
    /// Its length, then its bytes.
    Short([u8; 24]),
    /// A longer one.
    Long(Box<str>),
}

impl LabelText {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Short([len, bytes @ ..]) => bytes
                .get(..usize::from(*len))
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .unwrap_or(""),
            Self::Long(text) => text,
        }
    }
}

/// Why a request may not pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denial {
    /// No token was presented.
    TokenMissing,
    /// More than one token was presented.
    TokenRepeated,
    /// Not the shape of a token, or its checksum is wrong.
    TokenMalformed,
    /// A client secret where a token belongs.
    SecretUsedAsToken,
    /// A token of the other environment.
    EnvironmentMismatch,
    /// A well-formed token that is not, or no longer, known.
    TokenUnknown,
    /// A real former token: a newer one was generated.
    TokenSuperseded {
        /// The newest token's generation.
        generation: u32,
        /// When that was issued.
        at: Timestamp,
    },
    /// The real newest token, past its time.
    TokenExpired {
        /// When it ended.
        at: Timestamp,
    },
    /// A real token that was revoked.
    TokenRevoked {
        /// Since when, when that is still known.
        at: Option<Timestamp>,
    },
    /// A real token of a client that is disabled, or whose workspace is.
    ClientDisabled,
    /// A real token of a client that was deleted.
    ClientDeleted,
    /// A live token, for other products.
    ProductNotAllowed,
    /// A live token, from outside the client's `token_networks`.
    AddressNotAllowed,
    /// The gateway asks for a product that does not exist.
    ProductUnknown,
}

/// What introspection tells of a live token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Introspection {
    /// The client's workspace.
    pub workspace: WorkspaceId,
    /// The client.
    pub client: ClientId,
    /// The client's label as a header value.
    pub label: String,
    /// The environment.
    pub environment: Environment,
    /// The slugs of the products it opens, sorted; none means all.
    pub products: Option<Vec<String>>,
    /// From where it may be used.
    pub token_networks: Networks,
    /// Its generation.
    pub generation: u32,
    /// When the newest token was issued; none for a hand-over's previous one.
    pub issued_at: Option<Timestamp>,
    /// When it ends; none means never.
    pub valid_till: Option<Timestamp>,
}
