//! What is recorded of one call.

use std::time::{Duration, Instant};

use serde::Serialize;

/// Nanoseconds on the observer's clock.
pub type Nanos = u64;

/// The observer's number for a token it has been handed; never the token itself.
pub type TokenId = u32;

/// The observer's number for a product, below 64.
pub type Product = u8;

/// The one clock of an observation; copies agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that begins now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the observer's clock; it decides nothing in the server"
    )]
    pub fn start() -> Clock {
        Clock {
            origin: Instant::now(),
        }
    }

    /// Nanoseconds since its beginning.
    #[must_use]
    pub fn now(&self) -> Nanos {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
    }

    /// The time since its beginning.
    #[must_use]
    pub fn passed(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A set of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ProductSet(pub u64);

impl ProductSet {
    /// No restriction.
    pub const ALL: ProductSet = ProductSet(u64::MAX);

    /// The set of the products listed.
    #[must_use]
    pub fn of(products: &[Product]) -> ProductSet {
        ProductSet(products.iter().fold(0, |set, product| set | 1 << product))
    }

    /// Whether the product is in it.
    #[must_use]
    pub fn contains(self, product: Product) -> bool {
        self.0 & (1 << product) != 0
    }
}

/// What was asked of the server about one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Operation {
    /// Generate a token, which supersedes the live one.
    Generate,
    /// Revoke the live token without a new one.
    Revoke,
    /// Delete the client for good.
    Delete,
    /// Disable the client.
    Disable,
    /// Enable the client.
    Enable,
    /// Restrict the client to these products from now on.
    Restrict(ProductSet),
    /// Check whether this token may call this product.
    Check {
        /// Which token.
        token: TokenId,
        /// Which product.
        product: Product,
    },
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// A generate answered with a token.
    Generated {
        /// The observer's number for it.
        token: TokenId,
        /// Its generation, as answered.
        generation: u64,
    },
    /// Any other change answered with success.
    Done,
    /// A check answered 200.
    Permitted,
    /// A check answered 401 or 403 with this error code.
    Denied(String),
    /// A change answered with a final no (4xx) and this error code: it did not happen.
    Refused(String),
    /// 503: no verdict from a check; from a change, an outcome nobody knows.
    Unavailable,
    /// No whole answer: whether a change happened is unknown.
    Broken,
}

/// One call, from sending it to its answer.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// The observer's number for the API client concerned.
    pub client: u32,
    /// What was asked.
    pub operation: Operation,
    /// When it was about to be sent.
    pub invoked: Nanos,
    /// When its answer, or the end of its connection, had been seen.
    pub returned: Nanos,
    /// What came back.
    pub outcome: Outcome,
}

impl Event {
    /// Whether it asked for a change of state.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !matches!(self.operation, Operation::Check { .. })
    }

    /// Whether it is a change that certainly or possibly happened.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        self.is_change() && !matches!(self.outcome, Outcome::Refused(_))
    }

    /// Whether it is a change of which nobody knows whether it happened.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.is_change() && matches!(self.outcome, Outcome::Unavailable | Outcome::Broken)
    }
}
